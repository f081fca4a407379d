"""Tiles of the products with scores of short sequences; see score_columns.py.

Those of block_products.py find a pointer for each of their rows, which costs as much as such a short product itself.
"""

from ...compiler.arrays import simd_lanes
from ...compiler.numba_api import cgutils, intrinsic, types
from ..matmul.micro_kernels import Tile

SIDE = 32  # queries at most, and keys; the numbers of a row of scores
ROWS = 8  # of a tile


class RowTile:
    """Writes the LLVM code of c[i, j] (+)= Σₖ a[i, k] b[k, j]: some rows, and a SIMD vector or one in `share` of it."""

    def __init__(self, rows: int, share: int = 1):
        self.rows, self.share = rows, share

    def write(self, context, builder, kinds, a, b, c, count, add) -> None:
        """Write it. a: (array, offset, strides of i and k); b and c: (array, offset, stride of rows)."""
        t = Tile(context, builder, kinds[0].dtype, max(1, simd_lanes(kinds[0].dtype) // self.share))
        a0, b0, c0 = (
            builder.gep(context.make_array(kind)(context, builder, each[0]).data, [each[1]])
            for kind, each in zip(kinds, (a, b, c), strict=True)
        )
        left = [t.pointer(a0, t.times(i, a[2])) for i in range(self.rows)]
        slots = t.sums(self.rows)
        result = [t.pointer(c0, t.times(i, c[2])) for i in range(self.rows)]
        if add is not None:
            with builder.if_then(add):
                for slot, pointer in zip(slots, result, strict=True):
                    builder.store(t.load(pointer), slot)
        with cgutils.for_range(builder, count) as loop:
            right, at = t.load(builder.gep(b0, [builder.mul(loop.index, b[2])])), builder.mul(loop.index, a[3])
            for slot, pointer in zip(slots, left, strict=True):
                t.add_product(slot, t.broadcast(builder.load(builder.gep(pointer, [at]))), right)
        for slot, pointer in zip(slots, result, strict=True):
            t.store(builder.load(slot), pointer)


def make_score_tile(rows: int):
    """Make the tile w[j, i] = Σₖ a[j, k] columns[k, i] of `rows` keys and a SIMD vector of queries.

    Its arguments: a (offset, stride of j), columns (offset), w (offset), the number of k.
    """
    tile = RowTile(rows)

    @intrinsic
    def multiply(typing_context, a, a_at, a_row, columns, columns_at, w, w_at, count):
        def generate(context, builder, signature, args):
            side, one = cgutils.intp_t(SIDE), cgutils.intp_t(1)
            left, right, out = (*args[:3], one), (*args[3:5], side), (*args[5:7], side)
            tile.write(context, builder, (a, columns, w), left, right, out, args[7], None)
            return context.get_dummy_value()

        n = types.intp
        return types.none(a, n, n, columns, n, w, n, n), generate

    return multiply


def make_weight_tile(rows: int, share: int):
    """Make the tile out[i] (+)= Σⱼ w[j, i] b[j] of `rows` queries, or out[j] (+)= Σᵢ w[j, i] b[i] of so many keys.

    Its arguments: w (offset), whether by keys, b and out (offset, numbers of a row), the number of terms, whether to
    add.
    """
    tile = RowTile(rows, share)

    @intrinsic
    def multiply(typing_context, w, at, by_keys, b, b_at, b_row, out, to, out_row, count, add):
        def generate(context, builder, signature, args):
            with builder.if_else(args[2]) as branches:
                for branch, strides in zip(branches, ((SIDE, 1), (1, SIDE)), strict=True):
                    with branch:
                        left = (*args[:2], *map(cgutils.intp_t, strides))
                        tile.write(context, builder, (w, b, out), left, args[3:6], args[6:9], *args[9:])
            return context.get_dummy_value()

        n = types.intp
        return types.none(w, n, types.boolean, b, n, n, out, n, n, n, types.boolean), generate

    return multiply
