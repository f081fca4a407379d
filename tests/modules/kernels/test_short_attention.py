"""Attention of short sequences, compiled and plain, beside its equations and their gradients."""

import numpy as np
import pytest
from bprop.modules.kernels.attention import short
from bprop.modules.kernels.attention.score_columns import SIDE

from .test_kernels import wrap  # noqa: F401 - a fixture

# Heads of queries, heads of keys, size of a head; queries and keys of two samples; causal.
CASES = [
    (4, 4, 4, (16, 16), (16, 16), True),
    (6, 2, 8, (13, 7), (21, 7), True),
    (3, 1, 12, (31, 2), (32, 32), False),
    (2, 2, 28, (9, 17), (9, 17), True),
]


def weigh(q, k, scale, causal):
    """softmax(scale q kᵀ) and log Σ exp of its rows, float64."""
    scores = scale * q @ k.T
    if causal:
        scores[np.arange(len(k)) > np.arange(len(q))[:, None] + len(k) - len(q)] = -np.inf
    largest = scores.max(axis=1, keepdims=True)
    sums = np.exp(scores - largest).sum(axis=1, keepdims=True)
    return np.exp(scores - largest) / sums, (largest + np.log(sums))[:, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_passes(random, wrap, dtype):  # noqa: F811
    forward, backward = wrap(short.attend_short), wrap(short.attend_short_back)
    for heads, key_heads, size, queries, keys, causal in CASES:
        q_spans, k_spans = (np.array([[0, a], [a, b]]) for a, b in (queries, keys))
        width, kv_width, scale, most = heads * size, key_heads * size, 0.7, max(keys)
        q, out, grad = (random.standard_normal((sum(queries), width)).astype(dtype) for _ in range(3))
        kv = random.standard_normal((sum(keys), 2 * kv_width)).astype(dtype)
        grad_q, grad_kv = np.full_like(q, np.nan), np.full_like(kv, np.nan)
        logs, weights = np.empty((heads, sum(queries)), dtype), np.full(2 * heads * most * SIDE, np.nan, dtype)
        shape = (heads, key_heads, size)
        common = (q_spans, kv.reshape(-1), 0, kv_width, 2 * kv_width, k_spans, shape, scale, causal, most, weights)
        for tile in (1, 0):
            forward(tile, tile + 1, q.reshape(-1), width, *common, out.reshape(-1), logs)
        flat = (grad.reshape(-1), grad_q.reshape(-1), grad_kv.reshape(-1))
        backward(0, 2, q.reshape(-1), width, *common, *flat)
        expected_kv, close = np.zeros(kv.shape), 60 * float(np.finfo(dtype).eps)
        for n in range(2):
            rows, key_rows = (slice(first, first + count) for first, count in (q_spans[n], k_spans[n]))
            for h in range(heads):
                at, k_at = (slice(each * size, (each + 1) * size) for each in (h, h * key_heads // heads))
                v_at = slice(kv_width + k_at.start, kv_width + k_at.stop)
                head_q, head_k, head_v, head_grad = (
                    a.astype(np.float64) for a in (q[rows, at], kv[key_rows, k_at], kv[key_rows, v_at], grad[rows, at])
                )
                p, log_sums = weigh(head_q, head_k, scale, causal)
                change = p * (head_grad @ head_v.T)
                change = scale * (change - p * change.sum(axis=1, keepdims=True))
                np.testing.assert_allclose(logs[h, rows], log_sums, rtol=0, atol=close)
                np.testing.assert_allclose(out[rows, at], p @ head_v, rtol=0, atol=close)
                np.testing.assert_allclose(grad_q[rows, at], change @ head_k, rtol=0, atol=20 * close)
                expected_kv[key_rows, k_at] += change.T @ head_q
                expected_kv[key_rows, v_at] += p.T @ head_grad
        np.testing.assert_allclose(grad_kv, expected_kv, rtol=0, atol=20 * close)


def test_which_sequences_are_short(random, wrap):  # noqa: F811
    find, a = wrap(short.find_short), np.empty(0, np.float32)
    spans = {count: np.array([[0, count]]) for count in (1, 2, 20, 32, 33)}
    assert find(spans[32], spans[32], 16, True, a) == 32
    assert find(spans[2], spans[20], 4, True, a) == 20
    assert find(spans[20], spans[2], 4, False, a) == 2
    for queries, keys, size in ((33, 33, 16), (1, 20, 16), (20, 2, 16), (20, 20, 36), (20, 20, 5), (2, 33, 8)):
        assert find(spans[queries], spans[keys], size, True, a) == 0


def test_far_scores_and_nan(random, wrap):  # noqa: F811
    """Weights of scores far below the largest are at most the smallest normal number; NaN is not hidden."""
    forward, spans = wrap(short.attend_short), np.array([[0, 2]])
    q, kv = np.full((2, 4), 50, np.float32), np.zeros((2, 8), np.float32)
    kv[0, :4], kv[:, 4:] = 50, [[1], [3]]
    out, logs, weights = np.empty((2, 4), np.float32), np.empty((1, 2), np.float32), np.empty(2 * SIDE, np.float32)
    rest = (spans, kv.reshape(-1), 0, 4, 8, spans, (1, 1, 4), 1.0, False, 2, weights, out.reshape(-1), logs)
    forward(0, 1, q.reshape(-1), 4, *rest)
    np.testing.assert_array_equal(out, 1)
    np.testing.assert_allclose(logs, 10_000, rtol=1e-6)
    assert 0 <= weights[SIDE] <= 1.2e-38
    q[1, 2] = np.nan
    forward(0, 1, q.reshape(-1), 4, *rest)
    np.testing.assert_array_equal(out[0], 1)
    assert np.isnan(out[1]).all()
