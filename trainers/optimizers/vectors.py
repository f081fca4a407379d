"""Functions of vectors for optimizers, compiled with their methods."""

import numpy as np

from ...modules.kernels.threads import MOVE_FLOPS


def clamp(x, limit):
    """Clamp x to ±`limit`; NaN stays NaN."""
    return limit if x > limit else (-limit if x < -limit else x)


def compute_norm(v, limit):
    """Compute the Euclidean norm of v, its elements clamped to `limit`; finite wherever possible."""
    total = v.dtype.type(0)
    for i in range(v.size):
        x = clamp(v[i], limit)
        total += x * x
    if total < np.inf:
        return np.sqrt(total)
    largest = v.dtype.type(0)
    for i in range(v.size):
        largest = max(largest, abs(clamp(v[i], limit)))
    total = v.dtype.type(0)
    for i in range(v.size):
        x = clamp(v[i], limit) / largest
        total += x * x
    return largest * np.sqrt(total)


BLOCK = 4096  # numbers of a vector that one thread updates at a time
LARGE = 100_000  # numbers; for smaller vectors sharing gains nothing


def count_blocks(vector):
    """The number of blocks of a fixed size, the same for any number of threads."""
    return (vector.size + BLOCK - 1) // BLOCK


def weigh_sharing(vector):
    """The cost of an update as `parallel_for` counts it: none for a small vector."""
    return 2 * MOVE_FLOPS * vector.size if vector.size >= LARGE else 0
