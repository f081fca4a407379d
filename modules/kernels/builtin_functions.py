"""What custom methods may write and numba does not have: `reversed`, `abs` of arrays, swapped axes, any reshape.

The engine's compiler puts `swap_axes` and `as_contiguous` in the place of the methods `swapaxes` and `reshape`.
"""

import numpy as np

from ..compiler.numba_api import overload, types


@overload(reversed)
def compiled_reversed(sequence):
    """`reversed` of a range, as a range, and of an array, as a view."""
    if isinstance(sequence, types.RangeType):
        return reverse_range
    return (lambda sequence: sequence[::-1]) if isinstance(sequence, types.Array) else None


def reverse_range(sequence):
    """The range of the same numbers, the last one first."""
    last = sequence.start + (len(sequence) - 1) * sequence.step
    return range(last, sequence.start - sequence.step, -sequence.step)


@overload(abs)
def compiled_abs(x):
    """`abs` of an array; numbers are numba's own."""
    return (lambda x: np.abs(x)) if isinstance(x, types.Array) else None


def swap_axes(x, first, second):
    """x.swapaxes(first, second), a view."""
    return x.swapaxes(first, second)


@overload(swap_axes, prefer_literal=True)
def compiled_swap_axes(x, first, second):
    """The compiled form of `swap_axes`, for axes that stand in the source."""
    places = [getattr(axis, "literal_value", None) for axis in (first, second)]
    if not isinstance(x, types.Array) or not all(isinstance(k, int) and -x.ndim <= k < x.ndim for k in places):
        return None
    one, other = (k % x.ndim for k in places)
    order = tuple({one: other, other: one}.get(k, k) for k in range(x.ndim))
    return lambda x, first, second: x.transpose(order)


def as_contiguous(x):
    """The array itself: NumPy reshapes any layout."""
    return x


@overload(as_contiguous)
def compiled_as_contiguous(x):
    """A copy of an array that is not C-contiguous, for numba reshapes contiguous ones alone."""
    if isinstance(x, types.Array) and x.layout != "C":
        return lambda x: np.ascontiguousarray(x)
    return lambda x: x
