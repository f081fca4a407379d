"""Memory that is used again: a result goes where the last one of its size went."""

import numpy as np


def reuse(buffer, shape, dtype):
    """`buffer` if it has this shape, else a new array; the contents are not defined."""
    if buffer.shape == shape:
        return buffer
    return np.empty(shape, dtype)


def reuse_like(buffer, x):
    """`buffer` if it has the shape of `x`, else a new array like `x`; the contents are not defined."""
    if buffer.shape == x.shape:
        return buffer
    return np.empty(x.shape, x.dtype)


def as_rows(x):
    """x (..., n) as the matrix (N, n) of its last axis, C-contiguous; a view where possible."""
    return np.ascontiguousarray(x).reshape((x.size // x.shape[-1], x.shape[-1]))


def flat(x):
    """All elements of x as one vector, C-contiguous; a view where possible."""
    return np.ascontiguousarray(x).reshape(x.size)
