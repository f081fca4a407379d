"""Reductions over one axis, as NumPy has them: sum, mean, max, min, var, std with `axis` and `keepdims`.

numba has only the sum, and takes two seconds to compile it. Methods that are compiled find these in its place.
"""

import functools

import numpy as np
from numba import njit
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import overload

NAMES = ("sum", "mean", "max", "min", "var", "std")
OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}


@functools.cache
def reduction(name: str, axis: int, keepdims: bool):
    """The function x -> x.<name>(axis=axis, keepdims=keepdims), known to numba too."""

    def reduce(x):
        return getattr(np, name)(x, axis=axis, keepdims=keepdims)

    @overload(reduce, jit_options=OPTIONS)
    def compiled(x):
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
            n, rest = x.shape[place], 1
            for k in range(after, x.ndim):
                rest *= x.shape[k]
            out = np.empty(shape, dtype)
            kernel(
                np.ascontiguousarray(x).reshape((x.size // (n * rest), n, rest)),
                out.reshape((x.size // (n * rest), rest)),
            )
            return out

        return run

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
    """A function (x (A, n, B), out (A, B)) that reduces the middle axis."""

    @njit(**OPTIONS)
    def total(x, out):
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                out[i, j] = 0
            for k in range(x.shape[1]):
                for j in range(x.shape[2]):
                    out[i, j] += x[i, k, j]

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
        middle = np.empty_like(out)
        mean(x, middle)
        for i in range(x.shape[0]):
            for j in range(x.shape[2]):
                out[i, j] = 0
            for k in range(x.shape[1]):
                for j in range(x.shape[2]):
                    difference = x[i, k, j] - middle[i, j]
                    out[i, j] += difference * difference
            for j in range(x.shape[2]):
                variance = out[i, j] / out.dtype.type(x.shape[1])
                out[i, j] = np.sqrt(variance) if root else variance

    root = name == "std"
    if name in ("var", "std"):
        return spread

    @njit(**OPTIONS)
    def extreme(x, out):
        for i in range(x.shape[0]):
            for k in range(x.shape[1]):
                for j in range(x.shape[2]):
                    number = x[i, k, j]
                    beyond = number > out[i, j] if upwards else number < out[i, j]
                    if k == 0 or beyond or number != number:
                        out[i, j] = number

    upwards = name == "max"
    return extreme
