"""The forward pass of attention, by blocks of keys: softmax of rows whose maximum and sum are not known in advance.

    Sᵢⱼ = scale qᵢ·kⱼ + bias,   Pᵢⱼ = exp(Sᵢⱼ - Lᵢ),   Lᵢ = log Σⱼ exp Sᵢⱼ,   oᵢ = Σⱼ Pᵢⱼ vⱼ

A row's maximum m and sum l go on from block to block; where m grows, what has been summed shrinks by exp(m - m'). Only
the outputs and L are written to memory, so memory grows with the length, not with its square.

Source: Milakov and Gimelshein, Online normalizer calculation for softmax (2018), algorithm 3; Dao et al.,
FlashAttention (2022), algorithm 1; Dao, FlashAttention-2 (2023), algorithm 1.
"""

import numpy as np

from ..elementary_functions import exp_below
from .block_products import (
    BLOCK,
    COLUMNS,
    FIRST_TERMS,
    add_block,
    block_like,
    block_product,
    block_rows,
    row_like,
    transpose_block,
    whole_columns,
    widen_block,
    without_owner,
)
from .dropped import drop_row
from .row_operations import exp_slice, largest_of

# Arguments of both passes. Rows of queries, keys and values are parts of rows of matrices, which are passed as vectors:
#     q, q_row: the vector with the queries, the numbers of a row; query head h begins at h * size;
#     kv, k_at, v_at, kv_row: the same of keys and values, whose first heads begin at k_at and v_at;
#     q_spans, k_spans (N, 2): the first row of each sample, and how many;
#     shape: (query heads, key heads, size of a head), the first a multiple of the second;
#     causal: whether query i of Q sees keys up to i + K - Q of K only: queries are those of the last keys;
#     slopes (heads,): of ALiBi, or none; bias (1 or heads, Q, K): added to the scores, or (0, 0, 0);
#     drop: (probability, key, step) of random numbers by which weights are left out;
#     log_sums (heads, rows of q): L.


def attend_tiles(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, slopes, bias, drop, out,
    log_sums,
):  # fmt: skip
    """Write outputs (rows of q, heads * size) as a vector, and log_sums, of some tiles: heads of keys of a sample."""
    heads, key_heads, size = shape
    q, kv, out = without_owner(q), without_owner(kv), without_owner(out)
    group, width = heads // key_heads, whole_columns(size, q)
    step = block_rows(width)
    scores, transposed, wide_v, wide_o = block_like(q), block_like(q), block_like(q), block_like(q)
    largest, sums, shrink = row_like(q), row_like(q), row_like(q)
    wide, out_row = width != size, heads * size
    for tile in range(first, last):
        sample, key_head = tile // key_heads, tile % key_heads
        q_first, queries, k_first, keys = q_spans[sample, 0], q_spans[sample, 1], k_spans[sample, 0], k_spans[sample, 1]
        past = keys - queries if causal else 0
        for head in range(key_head * group, key_head * group + group):
            for i in range(0, queries, step):
                rows, row = min(step, queries - i), q_first + i
                seen = min(keys, past + i + rows) if causal else keys
                o, o_at, o_row = (wide_o, 0, width) if wide else (out, row * out_row + head * size, out_row)
                for j in range(0, seen, step):
                    columns, shift = min(step, seen - j), past + i - j if causal else BLOCK
                    at = (k_first + j) * kv_row + key_head * size
                    transpose_block(kv, k_at + at, kv_row, columns, size, transposed, step)
                    block_product(
                        q, row * q_row + head * size, q_row, 1, transposed, 0, step, scores, 0, BLOCK,
                        rows, whole_columns(columns, q), size, False, COLUMNS, shift,
                    )  # fmt: skip
                    factor = add_bias(scores, rows, columns, shift, scale, slopes, bias, head, i, j, past)
                    start_rows(scores, rows, columns, shift, factor, largest, sums, shrink, j == 0)
                    if j > 0:
                        shrink_rows(shrink, rows, width if wide else size, o, o_at, o_row)
                    for r in range(rows):
                        count = max(0, min(columns, r + shift + 1))
                        total = exp_slice(scores, r * BLOCK, count, columns, factor, largest[r])
                        sums[r] = sums[r] * shrink[r] + total
                    if drop[0] > 0:
                        for r in range(rows):
                            place = head * log_sums.shape[1] + row + r
                            drop_row(drop, place, j, max(0, min(columns, r + shift + 1)), scores, r * BLOCK)
                    v, v_place, v_row = kv, v_at + at, kv_row
                    if wide:
                        widen_block(kv, v_at + at, kv_row, columns, size, width, wide_v)
                        v, v_place, v_row = wide_v, 0, width
                    block_product(
                        scores, 0, BLOCK, 1, v, v_place, v_row, o, o_at, o_row, rows, width, columns, j > 0,
                        FIRST_TERMS, shift,
                    )  # fmt: skip
                for r in range(rows):
                    log_sums[head, row + r] = largest[r] + np.log(sums[r])
                    shrink[r] = 1 / sums[r]
                shrink_rows(shrink, rows, width if wide else size, o, o_at, o_row)
                if wide:
                    add_block(wide_o, width, out, row * out_row + head * size, out_row, rows, size, False)


def add_bias(scores, rows, columns, shift, scale, slopes, bias, head, i, j, past):
    """Scale scores and add what the positions add to them; returns the factor that they still lack.

    ALiBi adds -slope times the distance of query and key.
    """
    if slopes.size == 0 and bias.shape[0] == 0:
        return scale
    for r in range(rows):
        count, row = max(0, min(columns, r + shift + 1)), scores[r * BLOCK : r * BLOCK + BLOCK]
        for k in range(count):
            row[k] = scale * row[k]
        if slopes.size > 0:
            slope, place = slopes[head], past + i + r - j
            for k in range(count):
                row[k] -= slope * abs(place - k)
        if bias.shape[0] > 0:
            added = bias[min(head, bias.shape[0] - 1), past + i + r, j : j + count]
            for k in range(count):
                row[k] += added[k]
    return scores.dtype.type(1)


def start_rows(scores, rows, columns, shift, factor, largest, sums, shrink, new):
    """Update the maxima of rows; `shrink` is what their sums so far are to be multiplied by."""
    for r in range(rows):
        if new:
            largest[r], sums[r] = -np.inf, 0
        shrink[r] = largest[r]
        count = max(0, min(columns, r + shift + 1))
        largest[r] = max(largest[r], factor * largest_of(scores, r * BLOCK, count))
    for r in range(rows):
        shrink[r] = exp_below(shrink[r] - largest[r])


def shrink_rows(factors, rows, size, out, at, row):
    """Multiply each row of a block by its factor."""
    for r in range(rows):
        numbers, factor = out[at + r * row : at + r * row + size], factors[r]
        for k in range(size):
            numbers[k] *= factor
