"""Memory that is used again: a result goes where the last one of its size went."""

import numpy as np
from numba.cpython.unsafe.tuple import tuple_setitem
from numba.extending import overload


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


def resized(shape, axis, size):
    """The shape with another size along one axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


@overload(resized)
def compiled_resized(shape, axis, size):
    """The same, where numba knows a tuple's length but not the axis."""
    return lambda shape, axis, size: tuple_setitem(shape, axis, size)
