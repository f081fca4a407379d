"""Derivatives of attention along directions, row by row: of its outputs, and of its backward pass.

With the directions q', k', v' of queries, keys and values, and b' of a bias:
    S' = scale (q' kᵀ + q k'ᵀ) + b',   P' = P ∘ (S' - Σ P S'),   o' = P' v + P v'
and with A = g vᵀ, grad_S = P ∘ (A - D), D = Σ P A, for a gradient g of the outputs with the direction g':
    A' = g' vᵀ + g v'ᵀ,   D' = Σ P' A + P A',   grad_S' = P' ∘ (A - D) + P ∘ (A' - D')
    grad_q' = scale (grad_S' k + grad_S k'),   grad_k' = scale (grad_S'ᵀ q + grad_Sᵀ q'),   grad_v' = P'ᵀ g + Pᵀ g'
where dropout's mask multiplies P and P' in o', grad_v', and A and A'.
"""

import numpy as np

from .dropped import drop_row


def attend_tiles_tangent(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, slopes, bias, drop, log_sums,
    v_q, v_kv, v_bias, v_out,
):  # fmt: skip
    """Write o' as a vector v_out, of some tiles; arguments as of forward.py, with directions v_q, v_kv and v_bias."""
    heads, key_heads, size = shape
    for tile in range(first, last):
        sample, key_head = tile // key_heads, tile % key_heads
        queries, keys = q_spans[sample, 1], k_spans[sample, 1]
        past = keys - queries if causal else 0
        p, change, mask = np.empty(keys, q.dtype), np.empty(keys, q.dtype), np.empty(keys, q.dtype)
        for head in range(key_head * (heads // key_heads), (key_head + 1) * (heads // key_heads)):
            for i in range(queries):
                row = q_spans[sample, 0] + i
                seen = min(keys, past + i + 1) if causal else keys
                q_at, at = row * q_row + head * size, k_spans[sample, 0] * kv_row + key_head * size
                fill_weights(
                    q[q_at : q_at + size], kv, k_at + at, kv_row, scale, slopes, bias, head, past + i,
                    log_sums[head, row], p[:seen],
                )  # fmt: skip
                fill_changes(
                    q[q_at : q_at + size], v_q[q_at : q_at + size], kv, v_kv, k_at + at, kv_row, scale, v_bias, head,
                    past + i, p[:seen], change[:seen],
                )  # fmt: skip
                fill_mask(drop, head * log_sums.shape[1] + row, mask[:seen])
                out = v_out[(row * heads + head) * size : (row * heads + head + 1) * size]
                out[:] = 0
                for j in range(seen):
                    v_j = v_at + at + j * kv_row
                    for c in range(size):
                        out[c] += mask[j] * (change[j] * kv[v_j + c] + p[j] * v_kv[v_j + c])


def attend_tiles_change(
    first, last, q, q_row, q_spans, kv, k_at, v_at, kv_row, k_spans, shape, scale, causal, slopes, bias, drop, log_sums,
    v_q, v_kv, v_bias, grad, r_grad, r_q, r_kv, r_bias,
):  # fmt: skip
    """Write grad_q', grad_k' and grad_v' of some tiles into r_q and r_kv, laid out as q and kv.

    grad, r_grad: the gradient of the outputs and its direction, as vectors; r_bias (heads, Q, K): to which grad_S' is
    added, or (0, 0, 0).
    """
    heads, key_heads, size = shape
    for tile in range(first, last):
        sample, key_head = tile // key_heads, tile % key_heads
        queries, keys = q_spans[sample, 1], k_spans[sample, 1]
        past = keys - queries if causal else 0
        p, change, mask = np.empty(keys, q.dtype), np.empty(keys, q.dtype), np.empty(keys, q.dtype)
        a, r_a = np.empty(keys, q.dtype), np.empty(keys, q.dtype)
        at = k_spans[sample, 0] * kv_row + key_head * size
        for j in range(keys):
            for c in range(size):
                r_kv[k_at + at + j * kv_row + c] = 0
                r_kv[v_at + at + j * kv_row + c] = 0
        for head in range(key_head * (heads // key_heads), (key_head + 1) * (heads // key_heads)):
            for i in range(queries):
                row = q_spans[sample, 0] + i
                seen = min(keys, past + i + 1) if causal else keys
                q_at, g_at = row * q_row + head * size, (row * heads + head) * size
                g, r_g, r = grad[g_at : g_at + size], r_grad[g_at : g_at + size], r_q[q_at : q_at + size]
                query, v_query = q[q_at : q_at + size], v_q[q_at : q_at + size]
                fill_weights(
                    query, kv, k_at + at, kv_row, scale, slopes, bias, head, past + i,
                    log_sums[head, row], p[:seen],
                )  # fmt: skip
                fill_changes(
                    query, v_query, kv, v_kv, k_at + at, kv_row, scale, v_bias, head, past + i, p[:seen], change[:seen]
                )
                fill_mask(drop, head * log_sums.shape[1] + row, mask[:seen])
                mean, r_mean = q.dtype.type(0), q.dtype.type(0)
                for j in range(seen):
                    a[j], r_a[j] = 0, 0
                    v_j = v_at + at + j * kv_row
                    for c in range(size):
                        a[j] += mask[j] * g[c] * kv[v_j + c]
                        r_a[j] += mask[j] * (r_g[c] * kv[v_j + c] + g[c] * v_kv[v_j + c])
                        r_kv[v_j + c] += mask[j] * (change[j] * g[c] + p[j] * r_g[c])
                    mean += p[j] * a[j]
                    r_mean += change[j] * a[j] + p[j] * r_a[j]
                r[:] = 0
                for j in range(seen):
                    grad_s = p[j] * (a[j] - mean)
                    r_grad_s = change[j] * (a[j] - mean) + p[j] * (r_a[j] - r_mean)
                    k_j = k_at + at + j * kv_row
                    for c in range(size):
                        r[c] += scale * (r_grad_s * kv[k_j + c] + grad_s * v_kv[k_j + c])
                        r_kv[k_j + c] += scale * (r_grad_s * query[c] + grad_s * v_query[c])
                    if r_bias.shape[0] > 0:
                        r_bias[head, past + i, j] += r_grad_s


def fill_weights(query, kv, at, kv_row, scale, slopes, bias, head, place, log_sum, p):
    """p[j] = exp(S[j] - L) of one row; place: of the query among the keys."""
    for j in range(p.size):
        score = query.dtype.type(0)
        for c in range(query.size):
            score += query[c] * kv[at + j * kv_row + c]
        score *= scale
        if slopes.size > 0:
            score -= slopes[head] * abs(place - j)
        if bias.shape[0] > 0:
            score += bias[min(head, bias.shape[0] - 1), place, j]
        p[j] = np.exp(score - log_sum)


def fill_changes(query, v_query, kv, v_kv, at, kv_row, scale, v_bias, head, place, p, change):
    """change = P ∘ (S' - Σ P S') of one row."""
    mean = query.dtype.type(0)
    for j in range(p.size):
        score, k = query.dtype.type(0), at + j * kv_row
        for c in range(query.size):
            score += v_query[c] * kv[k + c] + query[c] * v_kv[k + c]
        score *= scale
        if v_bias.shape[0] > 0:
            score += v_bias[min(head, v_bias.shape[0] - 1), place, j]
        change[j] = score
        mean += p[j] * score
    for j in range(p.size):
        change[j] = p[j] * (change[j] - mean)


def fill_mask(drop, place, mask):
    """Fill the factors of a row by which dropout multiplies weights."""
    mask[:] = 1
    if drop[0] > 0:
        drop_row(drop, place, 0, mask.size, mask, 0)
