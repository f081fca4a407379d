"""Scores of short sequences as columns: a SIMD lane for each query, a row for each key; softmax and products of them.

A softmax over keys then goes down the rows: no SIMD vector is summed up by itself. All heads of a sample, or some, are
computed in one call. Scores lie at w[(head * keys + key) * SIDE + query], whatever the number of queries: with constant
strides a tile has one address in the place of eight. Query i of causal attention sees keys up to i + past; `past` is
large otherwise.
"""

import math

import numpy as np

from ...compiler.arrays import simd_lanes
from ...compiler.kernel import kernel
from ...compiler.numba_api import cgutils, intrinsic, ir, types
from ..elementary_functions import exp2_below_of, exp_below_of
from ..matmul.micro_kernels import Tile
from .block_products import view_block
from .row_operations import Vector
from .score_tiles import ROWS, SIDE, make_score_tile, make_weight_tile

NO_PAST = 1 << 20  # where all queries see all keys

SCORES_8, SCORES_1 = make_score_tile(ROWS), make_score_tile(1)
WHOLE_8, HALF_8, QUARTER_8 = (make_weight_tile(ROWS, share) for share in (1, 2, 4))
WHOLE_1, HALF_1, QUARTER_1 = (make_weight_tile(1, share) for share in (1, 2, 4))


def count_lanes(a):
    """The numbers of a SIMD vector; in plain Python 16."""
    return 16


@intrinsic
def compiled_count_lanes(typing_context, a):
    """The compiled form of `count_lanes`."""
    return types.intp(a), lambda context, builder, signature, args: cgutils.intp_t(simd_lanes(a.dtype))


count_lanes.compiled_form = compiled_count_lanes  # type: ignore[attr-defined]


def multiply_columns(a, a_at, a_row, group, columns, size, w, first, heads, keys, queries, past):
    """w[h, j, i] = Σₖ a[j, k] columns[h, k, i], of keys j that queries i may see; the others are not written.

    a: the vector with keys or values, those of the first head of keys from `a_at` on; columns: rows of SIDE numbers,
    `size` for each head, from head `first` on; `group` heads share a head of keys.
    """
    for head in range(heads):
        left = view_block(a, a_at + (first + head) // group * size, (keys, size), (a_row, 1))
        block = columns[head * size * SIDE : (head + 1) * size * SIDE].reshape(size, SIDE)
        w[head * keys * SIDE : (head + 1) * keys * SIDE] = (left @ block).reshape(-1)


@kernel
def compiled_multiply_columns(a, a_at, a_row, group, columns, size, w, first, heads, keys, queries, past):
    """The compiled form of `multiply_columns`."""
    lanes = compiled_count_lanes(a)
    for head in range(heads):
        from_a, from_b, to = a_at + (first + head) // group * size, head * size * SIDE, head * keys * SIDE
        for i in range(0, queries, lanes):
            seen = min(keys, past + (i + lanes + ROWS - 1) // ROWS * ROWS)
            whole = seen - seen % ROWS
            for j in range(0, whole, ROWS):
                SCORES_8(a, from_a + j * a_row, a_row, columns, from_b + i, w, to + j * SIDE + i, size)
            for j in range(whole, seen):
                SCORES_1(a, from_a + j * a_row, a_row, columns, from_b + i, w, to + j * SIDE + i, size)


multiply_columns.compiled_form = compiled_multiply_columns  # type: ignore[attr-defined]


def multiply_weights(
    w, by_keys, b, b_at, b_row, b_group, out, out_at, out_row, out_group, size, first, heads, keys, queries, past
):  # fmt: skip
    """out[i, h] = Σⱼ w[h, j, i] b[j, h] of the queries i, or out[j, h] = Σᵢ w[h, j, i] b[i, h] of the keys j (by_keys).

    w: weights of heads from `first` on, zero where a query does not see a key; b, out: vectors, whose first heads begin
    at an offset, and the numbers of a row. So many heads share one of b, or of out: these are added up.
    """
    rows, terms, strides = (keys, queries, (SIDE, 1)) if by_keys else (queries, keys, (1, SIDE))
    for head in range(first, first + heads):
        left = view_block(w, (head - first) * keys * SIDE, (rows, terms), strides)
        right = view_block(b, b_at + head // b_group * size, (terms, size), (b_row, 1))
        target = view_block(out, out_at + head // out_group * size, (rows, size), (out_row, 1))
        target[:] = left @ right + (target if head % out_group else 0)


@kernel
def compiled_multiply_weights(
    w, by_keys, b, b_at, b_row, b_group, out, out_at, out_row, out_group, size, first, heads, keys, queries, past
):  # fmt: skip
    """The compiled form of `multiply_weights`."""
    lanes = compiled_count_lanes(w)
    rows, terms, step, step_k = (keys, queries, SIDE, 1) if by_keys else (queries, keys, 1, SIDE)
    for head in range(first, first + heads):
        from_w, from_b = (head - first) * keys * SIDE, b_at + head // b_group * size
        to, add = out_at + head // out_group * size, head % out_group > 0
        i = 0
        while i < rows:
            many = rows - i >= ROWS
            after = i + (ROWS if many else 1)
            begin = max(0, i - past) if by_keys else 0
            count = max(0, (terms if by_keys else min(terms, after + past)) - begin)
            at, row, place, left = from_w + i * step + begin * step_k, from_b + begin * b_row, to + i * out_row, size
            if many:
                while left >= lanes:
                    WHOLE_8(w, at, by_keys, b, row, b_row, out, place, out_row, count, add)
                    row, place, left = row + lanes, place + lanes, left - lanes
                if left >= lanes // 2:
                    HALF_8(w, at, by_keys, b, row, b_row, out, place, out_row, count, add)
                    row, place, left = row + lanes // 2, place + lanes // 2, left - lanes // 2
                if left > 0:
                    QUARTER_8(w, at, by_keys, b, row, b_row, out, place, out_row, count, add)
            else:
                while left >= lanes:
                    WHOLE_1(w, at, by_keys, b, row, b_row, out, place, out_row, count, add)
                    row, place, left = row + lanes, place + lanes, left - lanes
                if left >= lanes // 2:
                    HALF_1(w, at, by_keys, b, row, b_row, out, place, out_row, count, add)
                    row, place, left = row + lanes // 2, place + lanes // 2, left - lanes // 2
                if left > 0:
                    QUARTER_1(w, at, by_keys, b, row, b_row, out, place, out_row, count, add)
            i = after


multiply_weights.compiled_form = compiled_multiply_weights  # type: ignore[attr-defined]


class Columns:
    """Loops over the rows of a column of SIMD vectors, whose lanes are queries, in LLVM code."""

    def __init__(self, context, builder, kind):
        self.context, self.builder, self.kind = context, builder, kind
        self.tile = Tile(context, builder, kind.dtype)
        self.lanes = ir.VectorType(ir.IntType(kind.dtype.bitwidth), self.tile.width)

    def numbers(self, first):
        """The vector first, first + 1, ... of integers."""
        return self.builder.add(self.repeat(first), ir.Constant(self.lanes, [*range(self.tile.width)]))

    def repeat(self, integer):
        """A vector of one integer."""
        if self.lanes.element.width < 64:
            integer = self.builder.trunc(integer, self.lanes.element)
        one = self.builder.insert_element(ir.Constant(self.lanes, ir.Undefined), integer, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.tile.width), [0] * self.tile.width)
        return self.builder.shuffle_vector(one, one, mask)

    def data(self, array, at):
        """The pointer to the column's first vector in an array."""
        return self.builder.gep(self.context.make_array(self.kind)(self.context, self.builder, array).data, [at])

    def row(self, pointer, index):
        """The pointer to a row's vector."""
        return self.builder.gep(pointer, [self.builder.mul(index, cgutils.intp_t(SIDE))])

    def load(self, pointer, index):
        return Vector(self.builder, self.tile.load(self.row(pointer, index)))

    def store(self, value, pointer, index):
        self.tile.store(value.value, self.row(pointer, index))

    def constant(self, number: float):
        return self.broadcast(ir.Constant(self.tile.scalar, number))

    def broadcast(self, number):
        return Vector(self.builder, self.tile.broadcast(number))

    def clear(self, pointer, first, last):
        """Write zeros to some rows."""
        with cgutils.for_range_slice(self.builder, first, last, cgutils.intp_t(1)) as (index, _):
            self.store(self.constant(0.0), pointer, index)


@intrinsic
def softmax_column(typing_context, w, at, seen, keys, last_seen, scale, largest, sums, place):
    """Softmax over `seen` rows of a column of SIMD vectors, and zeros up to `keys`; w[at] is its first number.

    last_seen: the last key that the first query sees; each other query sees one more than the one before it. `largest`
    and `sums` get at `place` the maximum of the scaled scores, and the sum of exponentials.
    """

    def generate(context, builder, signature, args):
        array, at, seen, keys, last_seen, scale, *results, place = args
        c = Columns(context, builder, w)
        pointer, zero, lowest = c.data(array, at), c.constant(0.0), c.constant(float("-inf"))
        last_seen = c.numbers(last_seen)
        base, exponential = (2.0, exp2_below_of) if zero.bits == 32 else (math.e, exp_below_of)
        factor = c.broadcast(scale) * (1 / math.log(base))
        best = cgutils.alloca_once_value(builder, lowest.value)
        total = cgutils.alloca_once_value(builder, zero.value)

        def sees(index):
            return builder.icmp_signed("<=", c.repeat(index), last_seen)

        with cgutils.for_range(builder, seen) as loop:
            score, before = c.load(pointer, loop.index).choose(sees(loop.index), lowest), builder.load(best)
            builder.store(
                score.choose(builder.fcmp_ordered(">", score.value, before), Vector(builder, before)).value, best
            )
        top = Vector(builder, builder.load(best)) * factor
        below = zero - top
        with cgutils.for_range(builder, seen) as loop:
            value = exponential(c.load(pointer, loop.index).times_plus(factor, below)).choose(sees(loop.index), zero)
            c.store(value, pointer, loop.index)
            builder.store(builder.fadd(builder.load(total), value.value), total)
        whole = Vector(builder, builder.load(total))
        inverse = c.constant(1.0) / whole
        with cgutils.for_range(builder, seen) as loop:
            c.store(c.load(pointer, loop.index) * inverse, pointer, loop.index)
        c.clear(pointer, seen, keys)
        for kind, result, value in ((largest, results[0], top * math.log(base)), (sums, results[1], whole)):
            data = context.make_array(kind)(context, builder, result).data
            c.tile.store(value.value, builder.gep(data, [place]))
        return context.get_dummy_value()

    n = types.intp
    return types.none(w, n, n, n, n, w.dtype, largest, sums, n), generate


@intrinsic
def grad_column(typing_context, w, grads, at, seen, keys, scale):
    """grads = scale w (grads - Σ w grads) of `seen` rows of a column of SIMD vectors, and zeros up to `keys`."""

    def generate(context, builder, signature, args):
        weights, changes, at, seen, keys, scale = args
        c = Columns(context, builder, w)
        pointer, grad, scale = c.data(weights, at), c.data(changes, at), c.broadcast(scale)
        total = cgutils.alloca_once_value(builder, c.constant(0.0).value)
        with cgutils.for_range(builder, seen) as loop:
            before = Vector(builder, builder.load(total))
            builder.store(c.load(pointer, loop.index).times_plus(c.load(grad, loop.index), before).value, total)
        below = c.constant(0.0) - Vector(builder, builder.load(total)) * scale
        with cgutils.for_range(builder, seen) as loop:
            change = c.load(grad, loop.index).times_plus(scale, below)
            c.store(c.load(pointer, loop.index) * change, grad, loop.index)
        c.clear(grad, seen, keys)
        return context.get_dummy_value()

    n = types.intp
    return types.none(w, grads, n, n, n, w.dtype), generate


def softmax_columns(w, heads, keys, queries, past, scale, largest, sums):
    """w[h, j, i] = softmax over j of scale w[h, j, i], zeros where query i does not see key j.

    largest, sums [h * SIDE + i]: the maximum of the scaled scores, and the sum of exponentials.
    """
    scores = w[: heads * keys * SIDE].reshape(heads, keys, SIDE)
    seen = np.arange(keys)[:, None] <= np.arange(SIDE) + past
    scores[:] = np.where(seen, scale * scores, -np.inf)
    tops = scores.max(axis=1)
    scores[:] = np.exp(scores - tops[:, None])
    totals = scores.sum(axis=1)
    scores /= totals[:, None]
    largest[: tops.size], sums[: tops.size] = tops.reshape(-1), totals.reshape(-1)


@kernel
def compiled_softmax_columns(w, heads, keys, queries, past, scale, largest, sums):
    """The compiled form of `softmax_columns`."""
    lanes, factor = compiled_count_lanes(w), w.dtype.type(scale)
    for head in range(heads):
        for i in range(0, queries, lanes):
            seen = min(keys, past + (i + lanes + ROWS - 1) // ROWS * ROWS)
            softmax_column(w, head * keys * SIDE + i, seen, keys, i + past, factor, largest, sums, head * SIDE + i)


softmax_columns.compiled_form = compiled_softmax_columns  # type: ignore[attr-defined]


def grad_columns(w, grads, heads, keys, queries, past, scale):
    """grads = scale w (grads - Σⱼ w grads): the gradient of scores from that of weights w, in its place."""
    weights, changes = (a[: heads * keys * SIDE].reshape(heads, keys, SIDE) for a in (w, grads))
    changes[:] = scale * weights * (changes - (weights * changes).sum(axis=1)[:, None])


@kernel
def compiled_grad_columns(w, grads, heads, keys, queries, past, scale):
    """The compiled form of `grad_columns`."""
    lanes, factor = compiled_count_lanes(w), w.dtype.type(scale)
    for head in range(heads):
        for i in range(0, queries, lanes):
            seen = min(keys, past + (i + lanes + ROWS - 1) // ROWS * ROWS)
            grad_column(w, grads, head * keys * SIDE + i, seen, keys, factor)


grad_columns.compiled_form = compiled_grad_columns  # type: ignore[attr-defined]
