"""Reductions over one axis, as NumPy has them: sum, mean, max, min, var, std with `axis` and `keepdims`.

numba has only the sum, and takes two seconds to compile it. Methods that are compiled find these in its place.
"""

import functools

import numpy as np
from numba import njit

from ..compiler.numba_api import cpu_target, overload, types

ROWS = 128  # added up before they are added to others
NAMES = ("sum", "mean", "max", "min", "var", "std")
WHOLE = ("sum", "mean")  # also without an axis
OTHERS = {"sum": lambda x: x.sum(), "mean": lambda x: x.mean()}
OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}


@njit(**OPTIONS)
def sum_vector(x):
    """Sum a vector pairwise, which keeps its digits."""
    zero = x.dtype.type(0)
    total, group = zero, zero
    for first in range(0, x.size, ROWS):
        part = zero
        for k in range(first, min(first + ROWS, x.size)):
            part += x[k]
        group += part
        if (first // ROWS + 1) % ROWS == 0:
            total += group
            group = zero
    return total + group


@functools.cache
def reduction(name: str, axis: int | None, keepdims: bool):
    """Make the function x -> x.<name>(axis=axis, keepdims=keepdims) for numba; an axis of None means all."""

    def reduce(x):
        return getattr(np, name)(x, axis=axis, keepdims=keepdims)

    @overload(reduce, jit_options=OPTIONS)
    def compiled(x):
        if axis is None:  # of other numbers numba's own, of other things their method of this name
            return _whole if isinstance(x, types.Array) and isinstance(x.dtype, types.Float) else OTHERS[name]
        if not isinstance(x, types.Array) or not -x.ndim <= axis < x.ndim:
            return None
        place = axis % x.ndim
        dtype = np.dtype(np.int64 if x.dtype == types.boolean else str(x.dtype))
        if dtype.kind != "f" and name in ("mean", "var", "std"):
            dtype = np.dtype(np.float64)
        return _numbers(place, dtype.type) if x.ndim == 1 and not keepdims else _arrays(place, dtype.type)

    kernel = _columns(name)

    def _arrays(place, dtype):
        after = place + 1

        def run(x):
            shape = x.shape[:place] + x.shape[after:]
            if keepdims:
                shape = x.shape[:place] + (1,) + x.shape[after:]  # noqa: RUF005 - numba has no starred tuples
            before, n, rest = 1, x.shape[place], 1
            for k in range(place):
                before *= x.shape[k]
            for k in range(after, x.ndim):
                rest *= x.shape[k]
            out = np.empty(shape, dtype)
            kernel(np.ascontiguousarray(x).reshape((before, n, rest)), out.reshape((before, rest)))
            return out

        return run

    def _whole(x):
        total = sum_vector(np.ascontiguousarray(x).reshape(x.size))
        return total / x.dtype.type(x.size) if name == "mean" else total

    def _numbers(place, dtype):
        def run(x):
            out = np.empty((1, 1), dtype)
            kernel(np.ascontiguousarray(x).reshape((1, x.size, 1)), out)
            return out[0, 0]

        return run

    cpu_target.typing_context.refresh()  # this may run while numba is compiling: it must see the new overload now
    return reduce


@functools.cache
def _columns(name: str):
    """Make a function (x (A, n, B), out (A, B)) that reduces the middle axis."""

    @njit(**OPTIONS)
    def add(x, i, first, last, out):
        """out[i, j] += Σₖ x[i, k, j], first ≤ k < last."""
        for k in range(first, last):
            for j in range(x.shape[2]):
                out[i, j] += x[i, k, j]

    @njit(**OPTIONS)
    def total(x, out):
        out[:] = 0
        parts = np.zeros(out.shape if x.shape[1] > ROWS else (0, 0), out.dtype)  # sums of few, which keep their digits
        groups = np.zeros_like(parts)  # sums of few parts
        for i in range(x.shape[0]):
            if x.shape[1] <= ROWS:
                add(x, i, 0, x.shape[1], out)
                continue
            for first in range(0, x.shape[1], ROWS):
                for j in range(x.shape[2]):
                    parts[i, j] = 0
                add(x, i, first, min(first + ROWS, x.shape[1]), parts)
                last = first + ROWS >= x.shape[1] or (first // ROWS + 1) % ROWS == 0
                for j in range(x.shape[2]):
                    groups[i, j] += parts[i, j]
                    if last:
                        out[i, j] += groups[i, j]
                        groups[i, j] = 0

    if name == "sum":
        return total

    @njit(**OPTIONS)
    def mean(x, out):
        total(x, out)
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                out[i, j] /= out.dtype.type(x.shape[1])

    if name == "mean":
        return mean

    @njit(**OPTIONS)
    def spread(x, out):
        middle, squares = np.empty_like(out), np.empty(x.shape, out.dtype)
        mean(x, middle)
        for i in range(x.shape[0]):
            for k in range(x.shape[1]):
                for j in range(x.shape[2]):
                    difference = x[i, k, j] - middle[i, j]
                    squares[i, k, j] = difference * difference
        mean(squares, out)
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                out[i, j] = np.sqrt(out[i, j]) if root else out[i, j]

    root = name == "std"
    if name in ("var", "std"):
        return spread

    @njit(**OPTIONS)
    def extreme(x, out):
        if x.shape[1] == 0:
            raise ValueError("the largest or smallest of an axis of size 0")
        for i in range(x.shape[0]):
            for k in range(x.shape[1]):
                for j in range(x.shape[2]):
                    number = x[i, k, j]
                    beyond = number > out[i, j] if upwards else number < out[i, j]
                    if k == 0 or beyond or number != number:
                        out[i, j] = number

    upwards = name == "max"
    return extreme
