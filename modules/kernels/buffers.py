"""Buffers that are reused from call to call, and views of arrays as rows or as one vector."""

import numpy as np

from ..compiler.arrays import allocate_aligned, array_at
from ..compiler.kernel import kernel
from ..compiler.numba_api import (
    cgutils,
    impl_ret_borrowed,
    impl_ret_new_ref,
    intrinsic,
    overload,
    tuple_setitem,
    types,
)

LINE = 64  # bytes of a cache line


def empty(shape, dtype):
    """Allocate an array, C-contiguous; the contents are not defined."""
    return np.empty(shape, dtype)


@intrinsic
def compiled_empty(typing_context, shape, dtype):
    """The compiled form of `empty`, aligned to a cache line, which numba's own need not be."""
    if not isinstance(shape, types.BaseTuple) or not isinstance(dtype, types.DType | types.NumberClass):
        return None
    kind = types.Array(dtype.dtype, len(shape), "C")

    def generate(context, builder, signature, args):
        sizes = zip(cgutils.unpack_tuple(builder, args[0]), shape, strict=True)
        sizes = [context.cast(builder, size, size_type, types.intp) for size, size_type in sizes]
        return impl_ret_new_ref(context, builder, kind, allocate_aligned(context, builder, kind, sizes, LINE))

    return kind(shape, dtype), generate


empty.compiled_form = compiled_empty  # type: ignore[attr-defined]


def reuse(buffer, shape, dtype):
    """`buffer` if it has this shape, else a new array; the contents are not defined."""
    if buffer.shape == shape:
        return buffer
    return empty(shape, dtype)


def reuse_like(buffer, x):
    """`buffer` if it has the shape of `x`, else a new array like `x`; the contents are not defined."""
    if buffer.shape == x.shape:
        return buffer
    return empty(x.shape, x.dtype)


def as_rows(x):
    """x (..., n) as the matrix (N, n) of its last axis, C-contiguous; a view where possible."""
    return np.ascontiguousarray(x).reshape((x.size // x.shape[-1], x.shape[-1]))


def flat(x):
    """All elements of x as one vector, C-contiguous; a view where possible."""
    return np.ascontiguousarray(x).reshape(x.size)


def make_view(plain, ndim: int):
    """Make the compiled form of `as_rows` and `flat`: for a C-contiguous array a view, without a call.

    numba's own reshape looks for a view of arrays of any layout and size, in a hundred lines.
    """
    copying = kernel(plain)

    @intrinsic
    def compiled(typing_context, x):
        if not isinstance(x, types.Array):
            return None
        if x.layout == "C" and x.ndim > 0:
            return types.Array(x.dtype, ndim, "C", readonly=not x.mutable, aligned=x.aligned)(x), view
        function = types.Dispatcher(copying)
        signature = function.get_call_type(typing_context, (x,), {})

        def copy(context, builder, outer, args):
            implementation = context.get_function(function, signature)
            context.add_linking_libs(implementation.libs)
            return implementation(builder, args)

        return signature, copy

    def view(context, builder, signature, args):
        (kind,), result = signature.args, signature.return_type
        array = context.make_array(kind)(context, builder, args[0])
        shape, size = [array.nitems], array.itemsize
        if ndim == 2:
            last = cgutils.unpack_tuple(builder, array.shape, kind.ndim)[-1]
            at_least_one = builder.select(cgutils.is_null(builder, last), cgutils.intp_t(1), last)
            shape = [builder.sdiv(array.nitems, at_least_one), last]
        strides = [builder.mul(number, size) for number in shape[1:]] + [size]
        whole = array_at(context, builder, result, array.data, shape, strides, size, array.meminfo, array.parent)
        return impl_ret_borrowed(context, builder, result, whole)

    return compiled


as_rows.compiled_form = make_view(as_rows, 2)  # type: ignore[attr-defined]
flat.compiled_form = make_view(flat, 1)  # type: ignore[attr-defined]


def as_matrix(data):
    """data (N, ...) as the matrix (N, n), a view: itself if it has two axes, of any strides, else C-contiguous."""
    return data if data.ndim == 2 else data.reshape((data.shape[0], data.size // data.shape[0]))


@overload(as_matrix)
def compiled_as_matrix(data):
    """The compiled form of `as_matrix`: numba reshapes contiguous arrays alone."""
    if data.ndim == 2:
        return lambda data: data
    return lambda data: data.reshape((data.shape[0], data.size // data.shape[0]))


def replace_size(shape, axis, size):
    """Replace the size of one axis in a shape."""
    return (*shape[:axis], size, *shape[axis + 1 :])


@overload(replace_size)
def compiled_replace_size(shape, axis, size):
    """The compiled form of `replace_size`: numba knows a tuple's length, but not the axis."""
    return lambda shape, axis, size: tuple_setitem(shape, axis, size)
