"""Each kernel, compiled and as plain Python, against its slow twin."""

import functools
import itertools

import numba
import numpy as np
import pytest
from bprop.modules.compiler.kernel import EntryCompiler
from bprop.modules.engine.code_cache import cache_kernels
from bprop.modules.engine.compiler import get_dispatcher
from bprop.modules.kernels import buffers, gather, softmax
from bprop.modules.kernels.matmul import gemm

from ... import references


@functools.cache
def compile_entry(function):
    """A compiled kernel as something that Python can call; compiled once for all tests, as compiled code calls it."""
    count = function.__code__.co_argcount
    names = ", ".join(f"a{k}" for k in range(count))
    space = {"inner": getattr(function, "compiled_form", None) or get_dispatcher(function)}
    cache_kernels()  # which other tests have compiled, too
    exec(f"def call({names}): return inner({names})", space)
    return numba.njit(space["call"], pipeline_class=EntryCompiler)


@pytest.fixture(params=["plain", pytest.param("compiled", marks=pytest.mark.jit)])
def wrap(request):
    """Calls a kernel as plain Python, or compiled."""
    return compile_entry if request.param == "compiled" else lambda function: function


# Rows, terms and columns: a tile, blocks of both operands with what is left over, and few rows, which are then copied;
# half a strip is left over; a right operand that is fetched beforehand.
SIZES = [(4, 3, 5), (300, 257, 70), (131, 513, 299), (32, 300, 141), (62, 75, 142)]
SIZES += [(300, 129, 80), (301, 40, 24), (10, 20, 48), (10, 20, 24), (40, 600, 460)]
LAYOUTS = ["CFC", "FCC", "CCC", "FFF"]  # of a, b and out; the first three are those of Linear


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(("dtype", "layouts"), [(np.float32, LAYOUTS), (np.float64, LAYOUTS[::2])])
def test_product(wrap, random, dtype, layouts, add):
    kernel = wrap(gemm.matmul_into)
    for layout, (m, k, n) in itertools.product(layouts, SIZES):
        a, b, out = (
            np.array(random.standard_normal(shape), dtype, order=order)
            for shape, order in zip([(m, k), (k, n), (m, n)], layout, strict=True)
        )
        expected = a.astype(np.float64) @ b + (out if add else 0)
        kernel(a, b, out, add)
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6 * k)


@pytest.mark.jit
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(("dtype", "layouts"), [(np.float32, LAYOUTS), (np.float64, LAYOUTS[::2])])
def test_small_products(random, dtype, layouts, add):
    """Fewer columns or rows than a SIMD vector has numbers, half a panel, one and a half, and what is left over."""
    kernel, few = compile_entry(gemm.matmul_into), (1, 2, 4, 7, 8, 10, 16, 20, 24, 33, 40)
    for layout, m, n, k in itertools.product(layouts, few, few, (1, 8, 37)):
        a, b, out = (
            np.array(random.standard_normal(shape), dtype, order=order)
            for shape, order in zip([(m, k), (k, n), (m, n)], layout, strict=True)
        )
        guarded = np.full(out.size + 64, 7, dtype)  # what lies around it stays
        inner = guarded[32:-32].reshape(out.shape, order=layout[2])
        inner[...] = out
        expected = a.astype(np.float64) @ b + (out if add else 0)
        kernel(a, b, inner, add)
        np.testing.assert_allclose(inner, expected, rtol=1e-5, atol=1e-6 * k, err_msg=f"{layout} {m} {n} {k}")
        assert (guarded[:32] == 7).all()
        assert (guarded[-32:] == 7).all()


@pytest.mark.jit
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_many_rows_and_few_columns(random, dtype, add):
    kernel = compile_entry(gemm.matmul_into)
    for m, n, k in itertools.product((32, 75, 300), (3, 4, 5, 10, 11, 20, 23), (1, 4, 16, 37, 64, 65)):
        a, b = random.standard_normal((m, k)).astype(dtype), random.standard_normal((n, k)).astype(dtype).T
        guarded = np.full(m * n + 64, 7, dtype)  # what lies around it stays
        out = guarded[32:-32].reshape(m, n)
        expected = a.astype(np.float64) @ b + (7 if add else 0)
        kernel(a, b, out, add)
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6 * k, err_msg=f"{m} {n} {k}")
        assert (guarded[:32] == 7).all()
        assert (guarded[-32:] == 7).all()


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 3, 5), (4, 1, 5), (4, 3, 1)])
def test_product_of_thin_matrices(wrap, random, sizes):
    m, k, n = sizes
    kernel = wrap(gemm.matmul_into)
    for a, b in [
        (random.standard_normal((m, k)), random.standard_normal((k, n))),
        (random.standard_normal((k, m)).T, random.standard_normal((n, k)).T),
    ]:
        out = np.zeros((m, n))
        kernel(a, b, out, False)
        np.testing.assert_allclose(out, references.product(a, b, out, False), rtol=1e-12)


@pytest.mark.parametrize("sizes", [(4, 0, 5), (70, 0, 40), (0, 3, 5), (4, 3, 0), (1, 0, 16)])
def test_product_without_numbers(wrap, sizes):
    m, k, n = sizes
    for layout, add in itertools.product(LAYOUTS, (False, True)):
        a, b, out = (
            np.ones(shape, np.float32, order=order)
            for shape, order in zip([(m, k), (k, n), (m, n)], layout, strict=True)
        )
        wrap(gemm.matmul_into)(a, b, out, add)
        np.testing.assert_array_equal(out, np.full((m, n), float(add)))


def test_product_overwrites_what_is_not_a_number(wrap):
    out = np.full((2, 2), np.nan)
    wrap(gemm.matmul_into)(np.eye(2), np.eye(2), out, False)
    np.testing.assert_array_equal(out, np.eye(2))


def test_product_keeps_nan_and_infinity(wrap):
    a, out = np.array([[np.nan, 1.0], [np.inf, 1.0]]), np.zeros((2, 1))
    wrap(gemm.matmul_into)(a, np.ones((2, 1)), out, False)
    np.testing.assert_array_equal(out, [[np.nan], [np.inf]])


def test_add_to_rows(wrap, random):
    y, bias = random.standard_normal((4, 3)), random.standard_normal(3)
    expected = references.add_to_rows(y, bias)
    wrap(gemm.add_to_rows)(y, bias)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("add", [False, True])
def test_sum_rows(wrap, random, add):
    grad_y, out = random.standard_normal((4, 3)), random.standard_normal(3)
    expected = references.sum_rows(grad_y, out, add)
    wrap(gemm.sum_rows)(grad_y, out, add)
    np.testing.assert_allclose(out, expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax(wrap, random, dtype):
    x = random.standard_normal((4, 3)).astype(dtype)
    y = np.empty_like(x)
    wrap(softmax.softmax_rows)(x, y)
    np.testing.assert_allclose(y, references.softmax_rows(x), rtol=1e-6)
    assert wrap(softmax.log_sum_exp)(x[0]) == pytest.approx(references.log_sum_exp(x[0]), rel=1e-6)


def test_row_max(wrap):
    kernel = wrap(softmax.row_max)
    assert kernel(np.array([1.0, 3.0, 2.0])) == 3
    assert kernel(np.array([-np.inf, -2.0])) == -2


def test_log_sum_exp_of_extremes(wrap):
    kernel = wrap(softmax.log_sum_exp)
    assert kernel(np.array([1e4, 1e4])) == pytest.approx(1e4 + np.log(2))
    assert kernel(np.array([-1e4, -1e4])) == pytest.approx(-1e4 + np.log(2))
    assert kernel(np.array([-np.inf, 2.0])) == 2


def test_gather(wrap, random):
    data = random.integers(0, 255, (6, 2, 3)).astype(np.uint8)
    rows = np.array([4, 0, 4])
    out = np.empty((3, 2, 3), np.uint8)
    wrap(gather.gather)(data, rows, out)
    np.testing.assert_array_equal(out, references.gather(data, rows))
    scaled = np.empty((3, 2, 3), np.float32)
    wrap(gather.gather_scaled)(data, rows, 1 / 255, -0.5, scaled)
    np.testing.assert_allclose(scaled, references.gather_scaled(data, rows, 1 / 255, -0.5), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_gather_of_windows(wrap, random, dtype):
    windows = np.lib.stride_tricks.sliding_window_view(random.integers(0, 200, 20).astype(dtype), 5)
    rows = np.array([15, 0, 3])
    out, scaled = np.empty((4, 4), np.int64), np.empty((4, 4), np.int64)
    for data in (windows[:, :-1], windows[:, 1:], windows[::3, 1:]):
        rows = rows % len(data)
        wrap(gather.gather)(data, rows, out)
        wrap(gather.gather_scaled)(data, rows, np.int64(1), np.int64(0), scaled)
        np.testing.assert_array_equal(out[:3], references.gather(data, rows))
        np.testing.assert_array_equal(scaled[:3], out[:3])


def test_buffers_are_used_again(wrap):
    old = np.empty((2, 3), np.float32)
    for kernel, shape in ((wrap(buffers.reuse_like), old), (wrap(buffers.reuse_like), np.empty((3, 2), np.float32))):
        new = kernel(old, shape)
        assert new.shape == shape.shape
        assert new.dtype == np.float32
        assert (new.ctypes.data == old.ctypes.data) == (shape.shape == old.shape)


def test_rows_and_flat_are_views_of_contiguous_arrays(wrap, random):
    x = random.standard_normal((2, 3, 4))
    for kernel, shape in ((wrap(buffers.as_rows), (6, 4)), (wrap(buffers.flat), (24,))):
        view = kernel(x)
        assert view.shape == shape
        assert view.ctypes.data == x.ctypes.data
        np.testing.assert_array_equal(view, x.reshape(shape))
