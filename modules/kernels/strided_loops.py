"""Strided loops over vectors, written so that LLVM vectorises them.

An index that numba cannot prove to be positive costs a comparison for each number, and keeps a loop from becoming one
of vectors; here nothing is compared.
"""

from ..compiler.numba_api import cgutils, intrinsic, ir, types


@intrinsic
def scatter_slice(typing_context, a, a_at, b, b_at, places, count):
    """b[b_at + places[k]] = a[a_at + k] for k < count; all are vectors."""

    def generate(context, builder, signature, args):
        data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (2, b), (4, places))]
        from_, to = builder.gep(data[0], [args[1]]), builder.gep(data[1], [args[3]])
        with cgutils.for_range(builder, args[5]) as loop:
            place = builder.load(builder.gep(data[2], [loop.index]))
            builder.store(builder.load(builder.gep(from_, [loop.index])), builder.gep(to, [place]))
        return context.get_dummy_value()

    n = types.intp
    return types.none(a, n, b, n, places, n), generate


@intrinsic
def gather_slice(typing_context, a, a_at, places, b, b_at, count):
    """b[b_at + k] = a[a_at + places[k]] for k < count; all are vectors."""

    def generate(context, builder, signature, args):
        data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (2, places), (3, b))]
        from_, to = builder.gep(data[0], [args[1]]), builder.gep(data[2], [args[4]])
        with cgutils.for_range(builder, args[5]) as loop:
            place = builder.load(builder.gep(data[1], [loop.index]))
            builder.store(builder.load(builder.gep(from_, [place])), builder.gep(to, [loop.index]))
        return context.get_dummy_value()

    n = types.intp
    return types.none(a, n, places, b, n, n), generate


@intrinsic
def clear_slice(typing_context, a, at, step, count):
    """Set `count` numbers of vector a to zero, from an offset on, at a stride."""

    def generate(context, builder, signature, args):
        first = builder.gep(context.make_array(a)(context, builder, args[0]).data, [args[1]])
        zero = ir.Constant(context.get_value_type(a.dtype), 0)
        with cgutils.for_range(builder, args[3]) as loop:
            builder.store(zero, builder.gep(first, [builder.mul(loop.index, args[2])]))
        return context.get_dummy_value()

    n = types.intp
    return types.none(a, n, n, n), generate


@intrinsic
def copy_slice(typing_context, a, a_at, b, b_at, count):
    """b[b_at + k] = a[a_at + k] for k < count; vectors that do not overlap."""

    def generate(context, builder, signature, args):
        data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (2, b))]
        from_, to = builder.gep(data[0], [args[1]]), builder.gep(data[1], [args[3]])
        with cgutils.for_range(builder, args[4]) as loop:
            builder.store(builder.load(builder.gep(from_, [loop.index])), builder.gep(to, [loop.index]))
        return context.get_dummy_value()

    n = types.intp
    return types.none(a, n, b, n, n), generate
