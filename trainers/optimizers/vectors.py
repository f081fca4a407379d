"""Functions of vectors for optimizers: `dot` in NumPy, the others compiled with their methods."""

from typing import Any

import numpy as np

from ...modules.kernels.threads import MOVE_FLOPS


def dot(x: np.ndarray, y: np.ndarray) -> Any:
    """Compute xᵀy, a NumPy scalar: added up in pairs, so the bits do not depend on the number of a BLAS's threads."""
    with np.errstate(all="ignore"):
        return np.add.reduce(x * y)


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


def add_squares(total, v, limit):
    """Add the squares of v, its elements clamped to `limit`, to a total."""
    for i in range(v.size):
        x = clamp(v[i], limit)
        total += x * x
    return total


def adjust_slice(parameters, gradients, adjusted, scale, limit, decay, l1, frozen):
    """Write a slice of the gradient after clipping, with the penalties added; zeros if frozen."""
    if frozen:
        adjusted[:] = 0
    else:
        for i in range(parameters.size):
            p = parameters[i]
            adjusted[i] = scale * clamp(gradients[i], limit) + decay * p + l1 * np.sign(p)


def has_gradient(row):
    """Whether an element of a row is not zero."""
    for i in range(row.size):  # noqa: SIM110 - numba has no `any`
        if row[i] != 0:
            return True
    return False


def add_span(spans, counts, begin, end, s):
    """Append a span, of which there are counts[0], to the last one if they meet in one slice s of equal settings."""
    last = counts[0] - 1
    if last >= 0 and spans[last, 1] == begin and spans[last, 2] == s:
        spans[last, 1] = end
    elif end > begin:
        spans[last + 1, 0], spans[last + 1, 1], spans[last + 1, 2] = begin, end, s
        counts[0] = last + 2


BLOCK = 4096  # numbers of a vector that one thread updates at a time
LARGE = 100_000  # numbers; for smaller vectors sharing gains nothing


def count_blocks(vector):
    """The number of blocks of a fixed size, the same for any number of threads."""
    return (vector.size + BLOCK - 1) // BLOCK


def weigh_sharing(vector):
    """The cost of an update as `parallel_for` counts it: none for a small vector."""
    return 2 * MOVE_FLOPS * vector.size if vector.size >= LARGE else 0
