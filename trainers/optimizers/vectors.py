"""Functions of vectors for optimizers, compiled with their methods."""

import numpy as np


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
