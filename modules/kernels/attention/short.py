"""Attention of short sequences: all scores of some heads of a sample at once, a SIMD lane for each query.

    Pᵢⱼ = exp(Sᵢⱼ - Lᵢ),   oᵢ = Σⱼ Pᵢⱼ vⱼ
    grad_v = Pᵀ grad_o,   grad_S = P ∘ (grad_o Vᵀ - D),   Dᵢ = Σⱼ Pᵢⱼ (grad_o Vᵀ)ᵢⱼ
    grad_q = scale grad_S K,   grad_k = scale grad_Sᵀ Q

The weights P are kept for the backward pass: up to SIDE steps they are few. The blocks of forward.py would be nearly
empty here, and their rows shorter than a SIMD vector. A tile is a sample, so no sum is divided among threads.
"""

import numpy as np

from .block_products import CAPACITY, block_like, transpose_block, whole_columns, without_owner
from .score_columns import (
    NO_PAST,
    SIDE,
    count_lanes,
    grad_columns,
    multiply_columns,
    multiply_weights,
    softmax_columns,
)

WIDEST = 32  # numbers of a head at most


def find_short(q_spans, k_spans, size, causal, a):
    """The keys of a sample at most, if `attend_short` can and should compute all samples, else 0.

    A single query is left to attend_tiles, as in decoding: here it would be one lane of a SIMD vector.
    """
    queries, keys, past = 0, 0, 0
    for n in range(q_spans.shape[0]):
        queries, keys = max(queries, q_spans[n, 1]), max(keys, k_spans[n, 1])
        past = min(past, k_spans[n, 1] - q_spans[n, 1])
    whole = size % max(1, count_lanes(a) // 4) == 0  # quarters of SIMD vectors
    fits = 2 <= queries <= SIDE and keys <= SIDE and size <= WIDEST and whole
    return keys if fits and (past >= 0 or not causal) else 0


def fill_columns(rows, at, row, queries, features, columns):
    """columns[k, i] = rows[i, k] of some features; zeros up to whole SIMD vectors."""
    transpose_block(rows, at, row, queries, features, columns, SIDE)
    done, lanes = whole_columns(queries, columns), count_lanes(columns)
    end = (queries + lanes - 1) // lanes * lanes
    if done < end:
        for k in range(features):
            for i in range(done, end):
                columns[k * SIDE + i] = 0


def attend_short(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, most, weights, out, log_sums
):  # fmt: skip
    """Write outputs (rows of q, heads * size) as a vector, log_sums and weights, of some tiles: samples.

    most: keys of a sample at most; weights: memory for P, heads * most * SIDE numbers of each; others as in forward.py.
    """
    heads, key_heads, size = shape
    q, kv, out, weights = without_owner(q), without_owner(kv), without_owner(out), without_owner(weights)
    group, out_row, some = heads // key_heads, heads * size, min(heads, CAPACITY // (SIDE * SIDE))
    columns, largest, sums = block_like(q), block_like(q), block_like(q)
    for sample in range(first, last):
        row, queries, k_first, keys = q_spans[sample, 0], q_spans[sample, 1], k_spans[sample, 0], k_spans[sample, 1]
        past, at = keys - queries if causal else NO_PAST, k_first * kv_row
        for head in range(0, heads, some):
            count = min(some, heads - head)
            w = weights[(sample * heads + head) * most * SIDE : (sample + 1) * heads * most * SIDE]
            fill_columns(q, row * q_row + head * size, q_row, queries, count * size, columns)
            multiply_columns(kv, k_at + at, kv_row, group, columns, size, w, head, count, keys, queries, past)
            softmax_columns(w, count, keys, queries, past, scale, largest, sums)
            multiply_weights(
                w, False, kv, v_at + at, kv_row, group, out, row * out_row, out_row, 1, size, head, count, keys,
                queries, past,
            )  # fmt: skip
            for h in range(count):
                logs, tops = log_sums[head + h, row : row + queries], largest[h * SIDE : h * SIDE + queries]
                totals = sums[h * SIDE : h * SIDE + queries]
                for i in range(logs.size):
                    logs[i] = tops[i] + np.log(totals[i])


def attend_short_back(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, most, weights, grad_out,
    grad_q, grad_kv,
):  # fmt: skip
    """Write the gradients of queries, keys and values of some samples, where these lie; see `attend_short`."""
    heads, key_heads, size = shape
    q, kv, grad_out, weights = without_owner(q), without_owner(kv), without_owner(grad_out), without_owner(weights)
    grad_q, grad_kv = without_owner(grad_q), without_owner(grad_kv)
    group, out_row, some = heads // key_heads, heads * size, min(heads, CAPACITY // (SIDE * SIDE))
    columns, grads = block_like(q), block_like(q)
    for sample in range(first, last):
        row, queries, k_first, keys = q_spans[sample, 0], q_spans[sample, 1], k_spans[sample, 0], k_spans[sample, 1]
        past, at = keys - queries if causal else NO_PAST, k_first * kv_row
        q_at, out_at = row * q_row, row * out_row
        for head in range(0, heads, some):
            count = min(some, heads - head)
            w = weights[(sample * heads + head) * most * SIDE : (sample + 1) * heads * most * SIDE]
            fill_columns(grad_out, out_at + head * size, out_row, queries, count * size, columns)
            multiply_columns(kv, v_at + at, kv_row, group, columns, size, grads, head, count, keys, queries, past)
            grad_columns(w, grads, count, keys, queries, past, scale)
            multiply_weights(
                grads, False, kv, k_at + at, kv_row, group, grad_q, q_at, q_row, 1, size, head, count, keys, queries,
                past,
            )  # fmt: skip
            multiply_weights(
                grads, True, q, q_at, q_row, 1, grad_kv, k_at + at, kv_row, group, size, head, count, keys, queries,
                past,
            )  # fmt: skip
            multiply_weights(
                w, True, grad_out, out_at, out_row, 1, grad_kv, v_at + at, kv_row, group, size, head, count, keys,
                queries, past,
            )  # fmt: skip
