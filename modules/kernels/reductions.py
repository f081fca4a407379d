"""Reductions over one axis, as NumPy has them: sum, mean, max, min, var, std with `axis` and `keepdims`.

numba has only the sum, and takes two seconds to compile it. Methods that are compiled find these in its place: the
loops are kernels, compiled once for each type of numbers, and a method has only the call of one.
"""

import functools

import numpy as np
from numba import njit

from ..compiler.arrays import allocate_aligned, flatten_contiguous, vector_at
from ..compiler.kernel import kernel
from ..compiler.numba_api import cgutils, cpu_target, impl_ret_new_ref, intrinsic, overload, types
from .buffers import LINE, flat
from .sums import COLUMNS, compiled_columns_like

ROWS = 128  # added up before they are added to others
NAMES = ("sum", "mean", "max", "min", "var", "std")
WHOLE = ("sum", "mean")  # also without an axis
OF_AXES = ("sum", "mean", "max", "min")  # also of several axes, one after another
OTHERS = {"sum": lambda x: x.sum(), "mean": lambda x: x.mean()}
OPTIONS = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}


# Each kernel takes x (A, n, B) and out (A, B) as vectors, with n and B, and reduces the axis in the middle.


@njit(**OPTIONS)
def sum_vector(x, out):
    """Sum a vector pairwise, which keeps its digits; out[0] = Σₖ x[k]."""
    total = group = out.dtype.type(0)
    for first in range(0, x.size, ROWS):
        row, part = x[first : first + ROWS], out.dtype.type(0)
        for k in range(row.size):
            part += row[k]
        group += part
        if (first // ROWS + 1) % ROWS == 0:
            total += group
            group = out.dtype.type(0)
    out[0] = total + group


@njit(**OPTIONS)
def sum_columns(x, n, step, out):
    """out[j] = Σₖ x[k step + j], k < n, pairwise: sums of few rows, then sums of few of these."""
    parts, groups = compiled_columns_like(out)[: out.size], compiled_columns_like(out)[: out.size]
    few, groups[:], out[:] = n <= ROWS, 0, 0
    for k in range(n):
        target, row = out if few else parts, x[k * step : k * step + out.size]
        if k % ROWS == 0:
            target[:] = 0
        for j in range(out.size):
            target[j] += row[j]
        if not few and (k % ROWS == ROWS - 1 or k == n - 1):
            last = k == n - 1 or (k // ROWS + 1) % ROWS == 0
            for j in range(out.size):
                groups[j] += parts[j]
                if last:
                    out[j] += groups[j]
                    groups[j] = 0


@kernel
def reduce_sum(x, n, rest, out):
    """Sums of the n numbers of each column."""
    if rest == 0:
        return
    for at in range(0, out.size, rest):
        of_x, of_out = x[at * n : (at + rest) * n], out[at : at + rest]
        if rest == 1:
            sum_vector(of_x, of_out)
            continue
        for first in range(0, rest, COLUMNS):
            sum_columns(of_x[first:], n, rest, of_out[first : first + COLUMNS])


@kernel
def reduce_mean(x, n, rest, out):
    """Means of the n numbers of each column."""
    reduce_sum(x, n, rest, out)
    for j in range(out.size):
        out[j] /= out.dtype.type(n)


@njit(**OPTIONS)
def square_differences(x, means, out):
    """out = (x - means)²; x and out (A, n, B), means (A, B)."""
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            for j in range(x.shape[2]):
                out[i, k, j] = (x[i, k, j] - means[i, j]) * (x[i, k, j] - means[i, j])


@kernel
def reduce_var(x, n, rest, out):
    """Variances of the n numbers of each column."""
    reduce_mean(x, n, rest, out)
    squares = np.empty(x.size, out.dtype)
    if rest:
        table = (out.size // rest, n, rest)
        square_differences(x.reshape(table), out.reshape((table[0], rest)), squares.reshape(table))
    reduce_mean(squares, n, rest, out)


@kernel
def reduce_std(x, n, rest, out):
    """Standard deviations of the n numbers of each column."""
    reduce_var(x, n, rest, out)
    for j in range(out.size):
        out[j] = np.sqrt(out[j])


@njit(error_model="numpy", fastmath={"nnan", "nsz"})
def find_extreme(x, upwards):
    """The largest or smallest number of a vector without NaN."""
    best = x[0]
    for k in range(x.size):
        beyond = x[k] > best if upwards else x[k] < best
        best = x[k] if beyond else best
    return best


@njit(**OPTIONS)
def has_nan(x):
    """Whether a vector has NaN."""
    count = 0
    for k in range(x.size):
        count += x[k] != x[k]
    return count > 0


@kernel
def reduce_extreme(x, n, rest, out, upwards):
    """The largest or smallest of the n numbers of each column; NaN where there is one."""
    if n == 0:
        raise ValueError("the largest or smallest of an axis of size 0")
    if rest == 0:
        return
    for at in range(0, out.size, rest):
        of_x, of_out = x[at * n : (at + rest) * n], out[at : at + rest]
        if rest == 1:
            of_out[0] = out.dtype.type(np.nan) if has_nan(of_x) else find_extreme(of_x, upwards)
            continue
        of_out[:] = of_x[:rest]
        for k in range(1, n):
            row = of_x[k * rest : (k + 1) * rest]
            for j in range(rest):
                beyond = row[j] > of_out[j] if upwards else row[j] < of_out[j]
                of_out[j] = row[j] if beyond or row[j] != row[j] else of_out[j]


@kernel
def copy_numbers(x):
    """The numbers of an array of any layout as a vector in C's order."""
    return np.ascontiguousarray(x).reshape(x.size)


LOOPS = {
    "sum": reduce_sum,
    "mean": reduce_mean,
    "var": reduce_var,
    "std": reduce_std,
    "max": reduce_extreme,
    "min": reduce_extreme,
}
FLAGS = {"max": True, "min": False}  # a further argument of their loops


def find_result_type(name: str, dtype):
    """The numba type of a reduction's numbers: means of whole numbers have fractions, sums of small ones 64 bits."""
    if isinstance(dtype, types.Float | types.Complex):
        return dtype
    if name in ("mean", "var", "std"):
        return types.float64
    if name == "sum" or dtype == types.boolean:
        return types.uintp if isinstance(dtype, types.Integer) and not dtype.signed else types.intp
    return dtype


def resolve_call(typing_context, function, *kinds):
    """(signature, writer of the call) of a compiled function for arguments of these types."""
    signature = function.get_call_type(typing_context, kinds, {})

    def call(context, builder, args):
        implementation = context.get_function(function, signature)
        context.add_linking_libs(implementation.libs)
        return implementation(builder, args)

    return signature, call


@functools.cache
def make_axis_reduction(name: str, axis: int, keepdims: bool):
    """Make the compiled form of x -> x.<name>(axis=axis, keepdims=keepdims)."""
    loops, copied = types.Dispatcher(LOOPS[name]), types.Dispatcher(copy_numbers)

    @intrinsic
    def reduce(typing_context, x):
        if not isinstance(x, types.Array) or not -x.ndim <= axis < x.ndim:
            return None
        place, dtype = axis % x.ndim, find_result_type(name, x.dtype)
        out, vector = types.Array(dtype, x.ndim if keepdims else x.ndim - 1, "C"), types.Array(dtype, 1, "C")
        numbers, in_place = types.Array(x.dtype, 1, "C"), x.layout == "C"
        if not in_place:
            _, copy = resolve_call(typing_context, copied, x)
        flags = [types.boolean] if name in FLAGS else []
        _, run = resolve_call(typing_context, loops, numbers, types.intp, types.intp, vector, *flags)

        def generate(context, builder, signature, args):
            sizes = cgutils.unpack_tuple(builder, context.make_array(x)(context, builder, args[0]).shape, x.ndim)
            n, rest, one = sizes[place], cgutils.intp_t(1), cgutils.intp_t(1)
            for size in sizes[place + 1 :]:
                rest = builder.mul(rest, size)
            shape = [*sizes[:place], *([one] if keepdims else []), *sizes[place + 1 :]]
            of_x = flatten_contiguous(context, builder, x, args[0]) if in_place else copy(context, builder, args)
            if shape:
                result = allocate_aligned(context, builder, out, shape, LINE)
                of_result = flatten_contiguous(context, builder, out, result)
            else:
                number = cgutils.alloca_once(builder, context.get_value_type(dtype))
                of_result = vector_at(context, builder, dtype, number, one)
            further = [context.get_constant(flag, FLAGS[name]) for flag in flags]
            run(context, builder, [of_x, n, rest, of_result, *further])
            if not in_place:
                context.nrt.decref(builder, numbers, of_x)
            return impl_ret_new_ref(context, builder, out, result) if shape else builder.load(number)

        return (out if out.ndim else dtype)(x), generate

    return reduce


def make_axes_reduction(name: str, axes: tuple[int, ...], keepdims: bool):
    """Make the function of several axes, which reduces the last one first."""

    def reduce(x):
        return getattr(np, name)(x, axis=axes, keepdims=keepdims)

    @overload(reduce)
    def compiled(x):
        if not isinstance(x, types.Array) or not axes or not all(-x.ndim <= axis < x.ndim for axis in axes):
            return None
        places = sorted({axis % x.ndim for axis in axes})
        if len(places) < len(axes):
            return None
        last = make_axis_reduction(name, places[-1], keepdims)
        if len(places) == 1:
            return lambda x: last(x)
        others = reduction(name, tuple(places[:-1]), keepdims)
        return lambda x: others(last(x))

    return reduce


@functools.cache
def reduction(name: str, axis: int | tuple[int, ...] | None, keepdims: bool):
    """Make the function x -> x.<name>(axis=axis, keepdims=keepdims) for numba; an axis of None means all."""
    if isinstance(axis, tuple):
        reduce = make_axes_reduction(name, axis, keepdims)
    elif axis is not None:
        reduce = make_axis_reduction(name, axis, keepdims)
    else:
        of_vector, as_vector = make_axis_reduction(name, 0, False), flat.compiled_form  # type: ignore[attr-defined]

        def reduce(x):
            return getattr(np, name)(x)

        @overload(reduce)
        def compiled(x):
            if isinstance(x, types.Array) and isinstance(x.dtype, types.Float | types.Integer | types.Boolean):
                return lambda x: of_vector(as_vector(x))
            return OTHERS[name]  # of other numbers numba's own, of other things their method of this name

    cpu_target.typing_context.refresh()  # this may run while numba is compiling: it must see the new function now
    return reduce
