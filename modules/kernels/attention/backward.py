"""The backward pass of attention: weights are computed anew from L, block by block, in five lines.

    Dᵢ = Σₖ grad_oᵢₖ oᵢₖ,   Pᵢⱼ = exp(Sᵢⱼ - Lᵢ),   grad_v = Pᵀ grad_o,   grad_S = P ∘ (grad_o Vᵀ - D)
    grad_q = scale grad_S K,   grad_k = scale grad_Sᵀ Q

With dropout's mask M, grad_v = (P ∘ M)ᵀ grad_o and grad_S = P ∘ (M ∘ (grad_o Vᵀ) - D). A tile is a head of keys of a
sample with all heads of queries that share it, so no sum is divided among threads.

Source: Dao et al., FlashAttention (2022), algorithm 4; Dao, FlashAttention-2 (2023), algorithm 2.
"""

from .block_products import (
    BLOCK,
    COLUMNS,
    FIRST_TERMS,
    LAST_TERMS,
    add_block,
    block_like,
    block_product,
    block_rows,
    clear_block,
    transpose_block,
    whole_columns,
    widen_block,
    without_owner,
)
from .dropped import drop_row
from .forward import add_bias
from .row_operations import grad_slice


def attend_tiles_back(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, slopes, bias, drop, out,
    log_sums, grad_out, means, grad_q, grad_kv, grad_bias,
):  # fmt: skip
    """Write the gradients of queries, keys and values of some tiles, where these lie; see forward.py for arguments.

    out, grad_out: outputs and their gradients, as vectors; means (heads, rows of q): memory for D; grad_q, grad_kv: as
    q and kv; grad_bias (heads, Q, K): to which grad_S is added, or (0, 0, 0).
    """
    heads, key_heads, size = shape
    q, kv, out, grad_out = without_owner(q), without_owner(kv), without_owner(out), without_owner(grad_out)
    grad_q, grad_kv = without_owner(grad_q), without_owner(grad_kv)
    group, width = heads // key_heads, whole_columns(size, q)
    step = block_rows(width)
    scores, grads, k_columns, v_columns = block_like(q), block_like(q), block_like(q), block_like(q)
    wide_q, wide_k, wide_out, wide_grad = block_like(q), block_like(q), block_like(q), block_like(q)
    sum_k, sum_v = block_like(q), block_like(q)
    wide, out_row = width != size, heads * size
    for tile in range(first, last):
        sample, key_head = tile // key_heads, tile % key_heads
        q_first, queries, k_first, keys = q_spans[sample, 0], q_spans[sample, 1], k_spans[sample, 0], k_spans[sample, 1]
        past = keys - queries if causal else 0
        for head in range(key_head * group, key_head * group + group):
            fill_means(out, grad_out, q_first, queries, out_row, head * size, size, means[head])
        for j in range(0, keys, step):
            columns, at = min(step, keys - j), (k_first + j) * kv_row + key_head * size
            transpose_block(kv, k_at + at, kv_row, columns, size, k_columns, step)
            transpose_block(kv, v_at + at, kv_row, columns, size, v_columns, step)
            k, k_place, k_row = kv, k_at + at, kv_row
            if wide:
                widen_block(kv, k_at + at, kv_row, columns, size, width, wide_k)
                k, k_place, k_row = wide_k, 0, width
            to_k, to_v, to_k_at, to_v_at, to_row = grad_kv, grad_kv, k_at + at, v_at + at, kv_row
            if wide:
                to_k, to_v, to_k_at, to_v_at, to_row = sum_k, sum_v, 0, 0, width
            begun = False  # whether the gradients of these keys have been
            start = max(0, j - past) // step * step if causal else 0
            for head in range(key_head * group, key_head * group + group):
                for i in range(start, queries, step):
                    rows, row, shift = min(step, queries - i), q_first + i, past + i - j if causal else BLOCK
                    q_at, out_at = row * q_row + head * size, row * out_row + head * size
                    seen = min(columns, rows + shift)
                    block_product(
                        q, q_at, q_row, 1, k_columns, 0, step, scores, 0, BLOCK,
                        rows, whole_columns(seen, q), size, False, COLUMNS, shift,
                    )  # fmt: skip
                    block_product(
                        grad_out, out_at, out_row, 1, v_columns, 0, step, grads, 0, BLOCK,
                        rows, whole_columns(seen, q), size, False, COLUMNS, shift,
                    )  # fmt: skip
                    factor = add_bias(scores, rows, seen, shift, scale, slopes, bias, head, i, j, past)
                    for r in range(rows):
                        count, place = max(0, min(seen, r + shift + 1)), r * BLOCK
                        if drop[0] > 0:
                            drop_row(drop, head * log_sums.shape[1] + row + r, j, count, grads, place)
                        mean, log_sum = means[head, row + r], log_sums[head, row + r]
                        grad_slice(scores, grads, place, count, seen, factor, log_sum, mean, scale)
                        if drop[0] > 0:
                            drop_row(drop, head * log_sums.shape[1] + row + r, j, count, scores, place)
                    if grad_bias.shape[0] > 0:
                        add_to_bias(grads, rows, seen, scale, grad_bias[head], past + i, j)
                    b, b_at, b_row = grad_out, out_at, out_row
                    a, a_at, a_row = q, q_at, q_row
                    if wide:
                        widen_block(grad_out, out_at, out_row, rows, size, width, wide_out)
                        widen_block(q, q_at, q_row, rows, size, width, wide_q)
                        b, b_at, b_row = wide_out, 0, width
                        a, a_at, a_row = wide_q, 0, width
                    if not begun:
                        clear_block(to_k, to_k_at, to_row, seen, columns, width)
                        clear_block(to_v, to_v_at, to_row, seen, columns, width)
                    block_product(
                        scores, 0, 1, BLOCK, b, b_at, b_row, to_v, to_v_at, to_row, seen, width, rows, begun,
                        LAST_TERMS, shift,
                    )  # fmt: skip
                    block_product(
                        grads, 0, 1, BLOCK, a, a_at, a_row, to_k, to_k_at, to_row, seen, width, rows, begun,
                        LAST_TERMS, shift,
                    )  # fmt: skip
                    begun = True
                    if wide:
                        block_product(
                            grads, 0, BLOCK, 1, k, k_place, k_row, wide_grad, 0, width, rows, width, seen, False,
                            FIRST_TERMS, shift,
                        )  # fmt: skip
                        add_block(wide_grad, width, grad_q, q_at, q_row, rows, size, j > 0)
                    else:
                        block_product(
                            grads, 0, BLOCK, 1, k, k_place, k_row, grad_q, q_at, q_row, rows, width, seen, j > 0,
                            FIRST_TERMS, shift,
                        )  # fmt: skip
            if not begun:
                clear_block(to_k, to_k_at, to_row, 0, columns, width)
                clear_block(to_v, to_v_at, to_row, 0, columns, width)
            if wide:
                add_block(sum_k, width, grad_kv, k_at + at, kv_row, columns, size, False)
                add_block(sum_v, width, grad_kv, v_at + at, kv_row, columns, size, False)


def fill_means(out, grad_out, first, queries, row, at, size, means):
    """means[first + i] = Σₖ grad_out[i, k] out[i, k], of one head."""
    for i in range(first, first + queries):
        left, right = out[i * row + at : i * row + at + size], grad_out[i * row + at : i * row + at + size]
        total = out.dtype.type(0)
        for k in range(size):
            total += left[k] * right[k]
        means[i] = total


def add_to_bias(grads, rows, columns, scale, grad_bias, i, j):
    """Add the gradients of scores, which have been multiplied by `scale`, to those of a bias (Q, K)."""
    for r in range(rows):
        for k in range(columns):
            grad_bias[i + r, j + k] += grads[r * BLOCK + k] / scale
