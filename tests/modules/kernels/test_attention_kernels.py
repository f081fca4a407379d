"""Kernels of attention, compiled, beside their plain Python and beside their equations."""

import itertools

import numpy as np
import pytest
from bprop.modules.kernels.attention import block_products, dropped, row_operations
from bprop.modules.kernels.attention.block_products import ALL, BLOCK, COLUMNS, FIRST_TERMS, LAST_TERMS

from .test_kernels import compile_entry

pytestmark = pytest.mark.jit
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
COUNTS = (0, 1, 3, 8, 15, 16, 17, 40, 64)


def tolerance(dtype):
    return 40 * float(np.finfo(dtype).eps)


@dtypes
def test_rows_of_any_length(random, dtype):
    largest_of, exp_slice = compile_entry(row_operations.largest_of), compile_entry(row_operations.exp_slice)
    grad_slice = compile_entry(row_operations.grad_slice)
    for count in COUNTS:
        a, grad = (random.standard_normal(3 * BLOCK).astype(dtype) * 20 for _ in range(2))
        a[BLOCK + count :] = np.nan  # what lies beyond is not used
        row = a[BLOCK : BLOCK + count].astype(np.float64)
        assert largest_of(a, BLOCK, count) == (row.max() if count else -np.inf)
        shift = dtype(row.max() * 0.5 if count else 0)
        weights, before = a.copy(), a[:BLOCK].copy()
        total = exp_slice(weights, BLOCK, count, BLOCK, dtype(0.5), shift)
        expected = np.exp(0.5 * row - float(shift))
        np.testing.assert_allclose(weights[BLOCK : BLOCK + count], expected, rtol=tolerance(dtype), atol=1e-30)
        assert total == pytest.approx(expected.sum(), rel=tolerance(dtype))
        assert not weights[BLOCK + count : 2 * BLOCK].any()
        np.testing.assert_array_equal(weights[:BLOCK], before)
        p, gradients = a.copy(), grad.copy()
        grad_slice(p, gradients, BLOCK, count, BLOCK, dtype(0.5), shift, dtype(3), dtype(0.25))
        np.testing.assert_array_equal(p[BLOCK : 2 * BLOCK], weights[BLOCK : 2 * BLOCK])
        change = 0.25 * expected * (grad[BLOCK : BLOCK + count].astype(np.float64) - 3)
        np.testing.assert_allclose(gradients[BLOCK : BLOCK + count], change, rtol=tolerance(dtype), atol=1e-30)
        assert not gradients[BLOCK + count : 2 * BLOCK].any()
        np.testing.assert_array_equal(gradients[2 * BLOCK :], grad[2 * BLOCK :])


def test_exponents_far_below_zero_and_nan():
    exp_slice, a = compile_entry(row_operations.exp_slice), np.zeros(BLOCK, np.float32)
    a[:4] = [-1e30, -np.inf, 0, -100]
    assert exp_slice(a, 0, 4, BLOCK, np.float32(1), np.float32(0)) == 1
    np.testing.assert_allclose(a[:4], [0, 0, 1, np.exp(-100)], rtol=1e-6, atol=1e-44)
    a[1] = np.nan
    assert np.isnan(exp_slice(a, 0, 4, BLOCK, np.float32(1), np.float32(0)))


def lower(shape, shift):
    """Where query i of the first axis sees key j of the second."""
    return np.arange(shape[1]) <= np.arange(shape[0])[:, None] + shift


@dtypes
@pytest.mark.parametrize("add", [False, True])
def test_products_of_blocks(random, dtype, add):
    product = compile_entry(block_products.block_product)
    for m, n, k in itertools.product((1, 3, 4, 8, 13, 64), (8, 16, 24, 64), (1, 5, 32, 64)):
        a, b, c = (random.standard_normal(shape).astype(dtype) for shape in ((m, 70), (k, 80), (m, 90)))
        expected = c.copy()
        block = a[:, 2 : 2 + k].astype(np.float64) @ b[:, 3 : 3 + n]
        expected[:, 5 : 5 + n] = block + (c[:, 5 : 5 + n] if add else 0)
        product(a.reshape(-1), 2, 70, 1, b.reshape(-1), 3, 80, c.reshape(-1), 5, 90, m, n, k, add, ALL, 0)
        np.testing.assert_allclose(c, expected, rtol=0, atol=tolerance(dtype) * k)


@dtypes
@pytest.mark.parametrize("shift", [0, 3, 11, 64])
def test_parts_of_causal_products(random, dtype, shift):
    product = compile_entry(block_products.block_product)
    for queries, keys in itertools.product((1, 7, 16, 50), (8, 24, 64)):
        seen = lower((queries, keys), shift)
        scores = np.where(seen, random.standard_normal((queries, keys)), 0).astype(dtype)
        q, kt = (random.standard_normal(shape).astype(dtype) for shape in ((queries, 8), (8, keys)))
        c = np.zeros((queries, keys), dtype)
        product(
            q.reshape(-1),
            0,
            8,
            1,
            kt.reshape(-1),
            0,
            keys,
            c.reshape(-1),
            0,
            keys,
            queries,
            keys,
            8,
            False,
            COLUMNS,
            shift,
        )
        np.testing.assert_allclose(np.where(seen, c, 0), np.where(seen, q @ kt, 0), rtol=0, atol=tolerance(dtype) * 8)
        v, out = random.standard_normal((keys, 8)).astype(dtype), np.zeros((queries, 8), dtype)
        product(
            scores.reshape(-1), 0, keys, 1, v.reshape(-1), 0, 8, out.reshape(-1), 0, 8, queries, 8, keys, False,
            FIRST_TERMS, shift,
        )  # fmt: skip
        np.testing.assert_allclose(out, scores @ v, rtol=0, atol=tolerance(dtype) * keys)
        grad = np.zeros((keys, 8), dtype)
        product(
            scores.reshape(-1), 0, 1, keys, q.reshape(-1), 0, 8, grad.reshape(-1), 0, 8, keys, 8, queries, True,
            LAST_TERMS, shift,
        )  # fmt: skip
        np.testing.assert_allclose(grad, scores.T @ q, rtol=0, atol=tolerance(dtype) * queries)


@dtypes
def test_transposed_blocks(random, dtype):
    transpose = compile_entry(block_products.transpose_block)
    for rows, size in itertools.product((1, 5, 8, 17, 64), (1, 4, 8, 12, 33)):
        a, out = random.standard_normal((rows, 70)).astype(dtype), np.full(BLOCK * size, 7, dtype)
        transpose(a.reshape(-1), 3, 70, rows, size, out, BLOCK)
        out = out.reshape(size, BLOCK)
        np.testing.assert_array_equal(out[:, :rows], a[:, 3 : 3 + size].T)
        whole = -(-rows // (32 // dtype().itemsize)) * (32 // dtype().itemsize)
        assert not out[:, rows : min(whole, BLOCK)].any()


@dtypes
def test_dropped_weights_depend_on_their_place_alone(dtype):
    drop_row, drop = compile_entry(dropped.drop_row), (0.3, 12345, 6)
    plain, compiled, parts = (np.ones(101, dtype) for _ in range(3))
    dropped.drop_row(drop, 9, 0, 101, plain, 0)
    drop_row(drop, 9, 0, 101, compiled, 0)
    np.testing.assert_allclose(compiled, plain, rtol=1e-7)
    for first in range(0, 101, 32):  # by blocks of keys
        drop_row(drop, 9, first, min(32, 101 - first), parts, first)
    np.testing.assert_array_equal(parts, compiled)
    many = np.ones(40_000, dtype)
    drop_row(drop, 10, 0, many.size, many, 0)
    assert (many == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert many.mean() == pytest.approx(1, abs=0.02)
