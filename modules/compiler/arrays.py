"""Arrays in LLVM code: views of existing memory, SIMD vectors on the stack, aligned allocations."""

from .instruction_set import VECTOR_BYTES
from .numba_api import _empty_nd_impl, cgutils, intrinsic, ir, populate_array, types


def simd_lanes(dtype) -> int:
    """The number of SIMD lanes for numbers of type `dtype`."""
    return VECTOR_BYTES // (dtype.bitwidth // 8)


def array_at(context, builder, kind, data, shape, strides, item_size, meminfo=None, parent=None):
    """Make an array of type `kind` over memory at `data`; shape and strides, in bytes, are lists of LLVM integers."""
    array = context.make_array(kind)(context, builder)
    layout = cgutils.pack_array(builder, shape), cgutils.pack_array(builder, strides)
    populate_array(array, data, *layout, item_size, meminfo, parent)
    return array._getvalue()


def vector_at(context, builder, dtype, data, count, meminfo=None, parent=None):
    """Make a 1-D array of `count` numbers at `data`."""
    size = cgutils.intp_t(context.get_abi_sizeof(context.get_data_type(dtype)))
    return array_at(context, builder, types.Array(dtype, 1, "C"), data, [count], [size], size, meminfo, parent)


def flatten_contiguous(context, builder, kind, value):
    """View the numbers of a contiguous array as one vector, in the order of memory.

    The view has no owner, so that functions that it is passed to count no references, by atomic operations of some
    nanoseconds each. It is for calls during which the array itself lives.
    """
    array = context.make_array(kind)(context, builder, value)
    return vector_at(context, builder, kind.dtype, array.data, array.nitems)


def allocate_aligned(context, builder, kind, shape, alignment: int):
    """Allocate an array aligned to `alignment` bytes; the contents are not defined."""
    aligned = context.subtarget(get_preferred_array_alignment=lambda kind: alignment)
    return _empty_nd_impl(aligned, builder, kind, shape)._getvalue()


def stack_vector(size):
    """Make `vector(a)`: a vector on the stack of `size(lanes)` numbers of the type of `a`, the contents not defined."""

    @intrinsic
    def vector(typing_context, a):
        def generate(context, builder, signature, args):
            scalar, count = context.get_value_type(a.dtype), size(simd_lanes(a.dtype))
            with builder.goto_entry_block():  # not cgutils.alloca_once, which clears it
                memory = builder.alloca(ir.ArrayType(scalar, count))
            memory.align = VECTOR_BYTES
            return vector_at(
                context, builder, a.dtype, builder.bitcast(memory, scalar.as_pointer()), cgutils.intp_t(count)
            )

        return types.Array(a.dtype, 1, "C")(a), generate

    return vector
