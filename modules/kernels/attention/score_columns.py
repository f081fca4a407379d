"""Scores of short sequences as columns: a SIMD lane for each query, a row for each key, and their products.

A softmax over keys then goes down the rows: no SIMD vector is summed up by itself. All heads of a sample, or some, are
computed in one call. Scores lie at w[(head * keys + key) * width + query]; `width` is the number of queries, rounded up
to whole SIMD vectors. Query i of causal attention sees keys up to i + past; `past` is large otherwise.
"""

import numpy as np

from ...compiler.arrays import simd_lanes
from ...compiler.kernel import kernel
from ...compiler.numba_api import cgutils, intrinsic, ir, types
from ..elementary_functions import exp_below_of
from ..matmul.micro_kernels import Tile
from .block_products import view_block
from .row_operations import Vector

ROWS = 8  # of a tile
NO_PAST = 1 << 20  # where all queries see all keys
FIRST_TERMS, LAST_TERMS = 1, 2  # which terms of a product are not zero, see `multiply_heads`


def count_lanes(a):
    """The numbers of a SIMD vector; in plain Python 16."""
    return 16


@intrinsic
def compiled_count_lanes(typing_context, a):
    """The compiled form of `count_lanes`."""
    return types.intp(a), lambda context, builder, signature, args: cgutils.intp_t(simd_lanes(a.dtype))


count_lanes.compiled_form = compiled_count_lanes  # type: ignore[attr-defined]


def make_tile(rows: int, share: int = 1):
    """Make the tile c[i, j] (+)= Σₖ a[i, k] b[k, j] of `rows` rows and one SIMD vector, or one in `share` of it.

    Its arguments: a (offset, strides of i and k), b (offset, stride of k), c (offset, stride of i), the number of k,
    and whether to add to c.
    """

    @intrinsic
    def tile(typing_context, a, a_at, a_i, a_k, b, b_at, b_k, c, c_at, c_i, count, add):
        def generate(context, builder, signature, args):
            data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (4, b), (7, c))]
            _, a_at, a_i, a_k, _, b_at, b_k, _, c_at, c_i, count, add_to = args
            t = Tile(context, builder, a.dtype, max(1, simd_lanes(a.dtype) // share))
            a0, b0, c0 = (builder.gep(base, [at]) for base, at in zip(data, (a_at, b_at, c_at), strict=True))
            left = [t.pointer(a0, t.times(i, a_i)) for i in range(rows)]
            slots = t.sums(rows)
            result = [t.pointer(c0, t.times(i, c_i)) for i in range(rows)]
            with builder.if_then(add_to):
                for slot, pointer in zip(slots, result, strict=True):
                    builder.store(t.load(pointer), slot)
            with cgutils.for_range(builder, count) as loop:
                right, at = t.load(builder.gep(b0, [builder.mul(loop.index, b_k)])), builder.mul(loop.index, a_k)
                for slot, pointer in zip(slots, left, strict=True):
                    t.add_product(slot, t.broadcast(builder.load(builder.gep(pointer, [at]))), right)
            for slot, pointer in zip(slots, result, strict=True):
                t.store(builder.load(slot), pointer)
            return context.get_dummy_value()

        n = types.intp
        return types.none(a, n, n, n, b, n, n, c, n, n, n, types.boolean), generate

    return tile


TILES = {(rows, share): make_tile(rows, share) for rows in (ROWS, 1) for share in (1, 2, 4)}
WHOLE_8, HALF_8, QUARTER_8 = (TILES[ROWS, share] for share in (1, 2, 4))
WHOLE_1, HALF_1, QUARTER_1 = (TILES[1, share] for share in (1, 2, 4))


def fits_columns(size, a) -> bool:
    """Whether a head of this size is whole quarters of SIMD vectors."""
    return size % max(1, count_lanes(a) // 4) == 0


def seen_keys(first, lanes, keys, past):
    """How many keys the queries of a SIMD vector see that begins at `first`; whole groups of queries count."""
    return min(keys, past + (first + lanes + ROWS - 1) // ROWS * ROWS)


def multiply_columns(a, a_at, a_row, group, columns, size, w, width, first, heads, keys, queries, past):
    """w[h, j, i] = Σₖ a[j, k] columns[h, k, i], of keys j that queries i may see; the others are not written.

    a: the vector with keys or values, those of the first head of keys from `a_at` on; columns: rows of `width` numbers,
    `size` for each head, from head `first` on; `group` heads share a head of keys.
    """
    for head in range(heads):
        left = view_block(a, a_at + (first + head) // group * size, (keys, size), (a_row, 1))
        block = columns[head * size * width : (head + 1) * size * width].reshape(size, width)
        w[head * keys * width : (head + 1) * keys * width] = (left @ block).reshape(-1)


@kernel
def compiled_multiply_columns(a, a_at, a_row, group, columns, size, w, width, first, heads, keys, queries, past):
    """The compiled form of `multiply_columns`."""
    lanes = compiled_count_lanes(a)
    for head in range(heads):
        from_a, from_b, to = a_at + (first + head) // group * size, head * size * width, head * keys * width
        for i in range(0, queries, lanes):
            seen = min(keys, past + (i + lanes + ROWS - 1) // ROWS * ROWS)
            whole = seen - seen % ROWS
            for j in range(0, whole, ROWS):
                WHOLE_8(
                    a, from_a + j * a_row, a_row, 1, columns, from_b + i, width, w, to + j * width + i, width, size,
                    False,
                )  # fmt: skip
            for j in range(whole, seen):
                WHOLE_1(
                    a, from_a + j * a_row, a_row, 1, columns, from_b + i, width, w, to + j * width + i, width, size,
                    False,
                )  # fmt: skip


multiply_columns.compiled_form = compiled_multiply_columns  # type: ignore[attr-defined]


def multiply_heads(
    w, w_i, w_k, b, b_at, b_row, b_group, out, out_at, out_row, out_group, size, first, heads, m, k, each, part, past
):  # fmt: skip
    """out[i, h] = Σₖ w[h, i, k] b[k, h] of m rows i and k terms; several heads may share those of b, or of out.

    w: scores from head `first` on, `each` numbers a head, with the strides of i and k; b, out: vectors, whose heads lie
    side by side from an offset on, and the numbers of a row. Heads that share one of out are added up. FIRST_TERMS: w
    is zero where k > i + past; LAST_TERMS: where k < i - past.
    """
    for number in range(heads):
        head = first + number
        left = view_block(w, number * each, (m, k), (w_i, w_k))
        right = view_block(b, b_at + head // b_group * size, (k, size), (b_row, 1))
        target = view_block(out, out_at + head // out_group * size, (m, size), (out_row, 1))
        target[:] = left @ right + (target if head % out_group else 0)


@kernel
def compiled_multiply_heads(
    w, w_i, w_k, b, b_at, b_row, b_group, out, out_at, out_row, out_group, size, first, heads, m, k, each, part, past
):  # fmt: skip
    """The compiled form of `multiply_heads`."""
    lanes = compiled_count_lanes(w)
    whole = m - m % ROWS
    for number in range(heads):
        head = first + number
        from_b, to, add = b_at + head // b_group * size, out_at + head // out_group * size, head % out_group > 0
        for i in range(0, whole, ROWS):
            begin = max(0, i - past) if part == LAST_TERMS else 0
            end = min(k, i + ROWS + past) if part == FIRST_TERMS else k
            count, at = max(0, end - begin), number * each + i * w_i + begin * w_k
            row, c = from_b + begin * b_row, to + i * out_row
            left = size
            while left >= lanes:
                WHOLE_8(w, at, w_i, w_k, b, row, b_row, out, c, out_row, count, add)
                row, c, left = row + lanes, c + lanes, left - lanes
            if left >= lanes // 2:
                HALF_8(w, at, w_i, w_k, b, row, b_row, out, c, out_row, count, add)
                row, c, left = row + lanes // 2, c + lanes // 2, left - lanes // 2
            if left > 0:
                QUARTER_8(w, at, w_i, w_k, b, row, b_row, out, c, out_row, count, add)
        for i in range(whole, m):
            begin = max(0, i - past) if part == LAST_TERMS else 0
            end = min(k, i + 1 + past) if part == FIRST_TERMS else k
            count, at = max(0, end - begin), number * each + i * w_i + begin * w_k
            row, c = from_b + begin * b_row, to + i * out_row
            left = size
            while left >= lanes:
                WHOLE_1(w, at, w_i, w_k, b, row, b_row, out, c, out_row, count, add)
                row, c, left = row + lanes, c + lanes, left - lanes
            if left >= lanes // 2:
                HALF_1(w, at, w_i, w_k, b, row, b_row, out, c, out_row, count, add)
                row, c, left = row + lanes // 2, c + lanes // 2, left - lanes // 2
            if left > 0:
                QUARTER_1(w, at, w_i, w_k, b, row, b_row, out, c, out_row, count, add)


multiply_heads.compiled_form = compiled_multiply_heads  # type: ignore[attr-defined]


class Columns:
    """Loops over the rows of a column of SIMD vectors, whose lanes are queries, in LLVM code."""

    def __init__(self, context, builder, kind, width, first, past):
        self.context, self.builder, self.kind, self.width = context, builder, kind, width
        self.tile = Tile(context, builder, kind.dtype)
        self.integer = ir.IntType(kind.dtype.bitwidth)
        lanes = ir.VectorType(self.integer, self.tile.width)
        last_seen = builder.trunc(builder.add(first, past), self.integer) if kind.dtype.bitwidth < 64 else builder.add(
            first, past
        )
        self.last_seen = builder.add(self.spread(last_seen), ir.Constant(lanes, [*range(self.tile.width)]))

    def spread(self, integer):
        """A vector of one integer."""
        kind = ir.VectorType(self.integer, self.tile.width)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), integer, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.tile.width), [0] * self.tile.width)
        return self.builder.shuffle_vector(one, one, mask)

    def data(self, array, at):
        """The pointer to the column's first vector in an array."""
        return self.builder.gep(self.context.make_array(self.kind)(self.context, self.builder, array).data, [at])

    def row(self, pointer, index):
        return self.builder.gep(pointer, [self.builder.mul(index, self.width)])

    def load(self, pointer, index):
        return Vector(self.builder, self.tile.load(self.row(pointer, index)))

    def store(self, value, pointer, index):
        self.tile.store(value.value, self.row(pointer, index))

    def constant(self, number: float):
        return Vector(self.builder, self.tile.broadcast(ir.Constant(self.tile.scalar, number)))

    def broadcast(self, number):
        return Vector(self.builder, self.tile.broadcast(number))

    def sees(self, index):
        """The mask of the queries that see key `index`."""
        index = self.builder.trunc(index, self.integer) if self.integer.width < 64 else index
        return self.builder.icmp_signed("<=", self.spread(index), self.last_seen)

    def clear(self, pointer, first, last):
        """Write zeros to some rows."""
        with cgutils.for_range_slice(self.builder, first, last, cgutils.intp_t(1)) as (index, _):
            self.store(self.constant(0.0), pointer, index)


@intrinsic
def softmax_column(typing_context, w, at, width, seen, keys, first, past, scale, largest, sums, place):
    """Softmax over `seen` rows of a column of SIMD vectors, and zeros up to `keys`; w[at] is its first number.

    `largest` and `sums` get at `place` the maximum of the scaled scores, and the sum of exponentials.
    """

    def generate(context, builder, signature, args):
        array, at, width, seen, keys, first, past, scale, *results, place = args
        c = Columns(context, builder, w, width, first, past)
        pointer, scale, zero = c.data(array, at), c.broadcast(scale), c.constant(0.0)
        best = cgutils.alloca_once_value(builder, c.constant(float("-inf")).value)
        total = cgutils.alloca_once_value(builder, zero.value)
        with cgutils.for_range(builder, seen) as loop:
            score, before = c.load(pointer, loop.index).value, builder.load(best)
            larger = builder.and_(builder.fcmp_ordered(">", score, before), c.sees(loop.index))
            builder.store(builder.select(larger, score, before), best)
        top = Vector(builder, builder.load(best)) * scale
        below = zero - top
        with cgutils.for_range(builder, seen) as loop:
            value = exp_below_of(c.load(pointer, loop.index).times_plus(scale, below)).choose(c.sees(loop.index), zero)
            c.store(value, pointer, loop.index)
            builder.store(builder.fadd(builder.load(total), value.value), total)
        whole = Vector(builder, builder.load(total))
        inverse = c.constant(1.0) / whole
        with cgutils.for_range(builder, seen) as loop:
            c.store(c.load(pointer, loop.index) * inverse, pointer, loop.index)
        c.clear(pointer, seen, keys)
        for kind, result, value in ((largest, results[0], top), (sums, results[1], whole)):
            data = context.make_array(kind)(context, builder, result).data
            c.tile.store(value.value, builder.gep(data, [place]))
        return context.get_dummy_value()

    n = types.intp
    return types.none(w, n, n, n, n, n, n, w.dtype, largest, sums, n), generate


@intrinsic
def grad_column(typing_context, w, grads, at, width, seen, keys, scale):
    """grads = scale w (grads - Σ w grads) of `seen` rows of a column of SIMD vectors, and zeros up to `keys`."""

    def generate(context, builder, signature, args):
        weights, changes, at, width, seen, keys, scale = args
        c = Columns(context, builder, w, width, cgutils.intp_t(0), cgutils.intp_t(0))
        pointer, grad, scale = c.data(weights, at), c.data(changes, at), c.broadcast(scale)
        total = cgutils.alloca_once_value(builder, c.constant(0.0).value)
        with cgutils.for_range(builder, seen) as loop:
            before = Vector(builder, builder.load(total))
            after = c.load(pointer, loop.index).times_plus(c.load(grad, loop.index), before)
            builder.store(after.value, total)
        mean = Vector(builder, builder.load(total))
        with cgutils.for_range(builder, seen) as loop:
            change = c.load(pointer, loop.index) * (c.load(grad, loop.index) - mean) * scale
            c.store(change, grad, loop.index)
        c.clear(grad, seen, keys)
        return context.get_dummy_value()

    n = types.intp
    return types.none(w, grads, n, n, n, n, w.dtype), generate


def softmax_columns(w, width, heads, keys, queries, past, scale, largest, sums):
    """w[h, j, i] = softmax over j of scale w[h, j, i], zeros where query i does not see key j.

    largest, sums [h * width + i]: the maximum of the scaled scores, and the sum of exponentials.
    """
    scores = w[: heads * keys * width].reshape(heads, keys, width)
    seen = np.arange(keys)[:, None] <= np.arange(width) + past
    scores[:] = np.where(seen, scale * scores, -np.inf)
    tops = scores.max(axis=1)
    scores[:] = np.exp(scores - tops[:, None])
    totals = scores.sum(axis=1)
    scores /= totals[:, None]
    largest[: tops.size], sums[: tops.size] = tops.reshape(-1), totals.reshape(-1)


@kernel
def compiled_softmax_columns(w, width, heads, keys, queries, past, scale, largest, sums):
    """The compiled form of `softmax_columns`."""
    lanes, factor = compiled_count_lanes(w), w.dtype.type(scale)
    for head in range(heads):
        for i in range(0, queries, lanes):
            seen = min(keys, past + (i + lanes + ROWS - 1) // ROWS * ROWS)
            at = head * keys * width + i
            softmax_column(w, at, width, seen, keys, i, past, factor, largest, sums, head * width + i)


softmax_columns.compiled_form = compiled_softmax_columns  # type: ignore[attr-defined]


def grad_columns(w, grads, width, heads, keys, queries, past, scale):
    """grads = scale w (grads - Σⱼ w grads): the gradient of scores from that of weights w, in its place."""
    weights, changes = (a[: heads * keys * width].reshape(heads, keys, width) for a in (w, grads))
    changes[weights == 0] = 0  # those that were not written
    changes[:] = scale * weights * (changes - (weights * changes).sum(axis=1)[:, None])


@kernel
def compiled_grad_columns(w, grads, width, heads, keys, queries, past, scale):
    """The compiled form of `grad_columns`."""
    lanes, factor = compiled_count_lanes(w), w.dtype.type(scale)
    for head in range(heads):
        for i in range(0, queries, lanes):
            seen = min(keys, past + (i + lanes + ROWS - 1) // ROWS * ROWS)
            grad_column(w, grads, head * keys * width + i, width, seen, keys, factor)


grad_columns.compiled_form = compiled_grad_columns  # type: ignore[attr-defined]
