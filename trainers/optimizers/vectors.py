"""Small functions of vectors that the optimizers' methods call; they are compiled with them."""

import numpy as np


def clamp(x, limit):
    """x, but at most `limit` in size; NaN stays NaN."""
    return limit if x > limit else (-limit if x < -limit else x)


def compute_norm(v, limit):
    """Euclidean norm of v, its elements clamped to `limit`; finite wherever the norm itself can be held."""
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
