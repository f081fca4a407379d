"""Attention of short sequences: all scores of some heads of a sample at once, a SIMD lane for each query.

    Pᵢⱼ = exp(Sᵢⱼ - Lᵢ),   oᵢ = Σⱼ Pᵢⱼ vⱼ
    grad_v = Pᵀ grad_o,   grad_S = P ∘ (grad_o Vᵀ - D),   Dᵢ = Σⱼ Pᵢⱼ (grad_o Vᵀ)ᵢⱼ
    grad_q = scale grad_S K,   grad_k = scale grad_Sᵀ Q

The weights P are kept for the backward pass: up to SHORT steps they are few. The blocks of forward.py would be nearly
empty here, and their rows shorter than a SIMD vector. A tile is a sample, so no sum is divided among threads.
"""

import numpy as np

from .block_products import CAPACITY, block_like, transpose_block, whole_columns, without_owner
from .score_columns import (
    FIRST_TERMS,
    LAST_TERMS,
    NO_PAST,
    count_lanes,
    fits_columns,
    grad_columns,
    multiply_columns,
    multiply_heads,
    softmax_columns,
)

SHORT = 32  # queries, and keys, at most
WIDEST = 32  # numbers of a head at most


def count_width(queries, a):
    """The numbers of a row of scores: queries, in whole SIMD vectors."""
    lanes = count_lanes(a)
    return (queries + lanes - 1) // lanes * lanes


def count_score_numbers(heads, queries, keys, a):
    """The numbers of the scores of a sample, of at most so many queries and keys."""
    return heads * keys * count_width(queries, a)


def find_short(q_spans, k_spans, size, causal, a):
    """(queries, keys) of a sample at most, if `attend_short` can and should do them, else (0, 0).

    A single query is left to attend_tiles, as in decoding: here it would be one lane of a SIMD vector.
    """
    queries, keys, past = 0, 0, 0
    for n in range(q_spans.shape[0]):
        queries, keys = max(queries, q_spans[n, 1]), max(keys, k_spans[n, 1])
        past = min(past, k_spans[n, 1] - q_spans[n, 1])
    if queries < 2 or max(queries, keys) > SHORT or size > WIDEST or not fits_columns(size, a) or (causal and past < 0):
        return 0, 0
    return queries, keys


def count_together(heads, size, keys, width):
    """How many heads are computed together: as many as fit into a block."""
    return min(heads, CAPACITY // (max(size, keys) * width))


def fill_columns(rows, at, row, queries, features, width, columns):
    """columns[k, i] = rows[i, k] of some features; zeros up to `width`."""
    transpose_block(rows, at, row, queries, features, columns, width)
    for k in range(features):
        for i in range(whole_columns(queries, columns), width):
            columns[k * width + i] = 0


def attend_short(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, most, weights, out, log_sums
):  # fmt: skip
    """Write outputs (rows of q, heads * size) as a vector, log_sums and weights, of some tiles: samples.

    most: (queries, keys) of a sample at most; weights: memory for P, `most` of each; others as in forward.py.
    """
    heads, key_heads, size = shape
    q, kv, out, weights = without_owner(q), without_owner(kv), without_owner(out), without_owner(weights)
    group, width = heads // key_heads, count_width(most[0], q)
    some, out_row = count_together(heads, size, most[1], width), heads * size
    columns, largest, sums = block_like(q), block_like(q), block_like(q)
    for sample in range(first, last):
        row, queries, k_first, keys = q_spans[sample, 0], q_spans[sample, 1], k_spans[sample, 0], k_spans[sample, 1]
        past, at = keys - queries if causal else NO_PAST, k_first * kv_row
        for head in range(0, heads, some):
            count = min(some, heads - head)
            w = weights[(sample * heads + head) * most[1] * width : (sample + 1) * heads * most[1] * width]
            fill_columns(q, row * q_row + head * size, q_row, queries, count * size, width, columns)
            multiply_columns(kv, k_at + at, kv_row, group, columns, size, w, width, head, count, keys, queries, past)
            softmax_columns(w, width, count, keys, queries, past, scale, largest, sums)
            multiply_heads(
                w, 1, width, kv, v_at + at, kv_row, group, out, row * out_row, out_row, 1, size, head, count, queries,
                keys, keys * width, FIRST_TERMS, past,
            )  # fmt: skip
            for h in range(count):
                logs, tops = log_sums[head + h, row : row + queries], largest[h * width : h * width + queries]
                totals = sums[h * width : h * width + queries]
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
    group, width = heads // key_heads, count_width(most[0], q)
    some, out_row = count_together(heads, size, most[1], width), heads * size
    columns, grads = block_like(q), block_like(q)
    for sample in range(first, last):
        row, queries, k_first, keys = q_spans[sample, 0], q_spans[sample, 1], k_spans[sample, 0], k_spans[sample, 1]
        past, at = keys - queries if causal else NO_PAST, k_first * kv_row
        q_at, out_at = row * q_row, row * out_row
        for head in range(0, heads, some):
            count, each = min(some, heads - head), keys * width
            w = weights[(sample * heads + head) * most[1] * width : (sample + 1) * heads * most[1] * width]
            fill_columns(grad_out, out_at + head * size, out_row, queries, count * size, width, columns)
            multiply_columns(kv, v_at + at, kv_row, group, columns, size, grads, width, head, count, keys, queries, past)
            grad_columns(w, grads, width, count, keys, queries, past, scale)
            multiply_heads(
                grads, 1, width, kv, k_at + at, kv_row, group, grad_q, q_at, q_row, 1, size, head, count, queries,
                keys, each, FIRST_TERMS, past,
            )  # fmt: skip
            multiply_heads(
                grads, width, 1, q, q_at, q_row, 1, grad_kv, k_at + at, kv_row, group, size, head, count, keys,
                queries, each, LAST_TERMS, past,
            )  # fmt: skip
            multiply_heads(
                w, width, 1, grad_out, out_at, out_row, 1, grad_kv, v_at + at, kv_row, group, size, head, count, keys,
                queries, each, LAST_TERMS, past,
            )  # fmt: skip
