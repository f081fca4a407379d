"""Reductions over an axis in a compiled method, against NumPy's."""

import numpy as np
import pytest
from bprop.modules import Module
from bprop.modules.engine.stateful import plain_python


class Columns(Module):
    def fprop(self, x):
        best = np.max(x, axis=0) + x.min(0) + np.sum(x, 0)
        return x + x.sum(axis=0) + x.mean(axis=0) + best + (x > 0.5).sum(axis=0).astype(x.dtype)

    def bprop(self, grad_y):
        return grad_y


class Rows(Module):
    def fprop(self, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / x.std(axis=1, keepdims=True) + x.var(axis=1, keepdims=True)

    def bprop(self, grad_y):
        return grad_y


@pytest.mark.parametrize("module", [Columns, Rows])
def test_compiled_equals_numpy(module):
    x = np.random.default_rng(0).random((5, 4), np.float32)
    with plain_python():
        right = module().fprop(x)
    y = module().fprop(x)
    assert y.dtype == np.float32
    assert np.allclose(y, right, rtol=1e-5)


class Layouts(Module):
    """Axes of arrays of three, of any layout, with none of their numbers, and of many columns."""

    def fprop(self, x):
        y = np.empty((3, 5), x.dtype)
        y[0] = x.sum(axis=1).max(axis=0) + x.T.mean(axis=-1).sum(axis=1)
        y[1] = x[:, ::2].std(axis=1).min(axis=0) - x.var(axis=0, keepdims=True)[0, 0]
        y[2] = x[0, 0].sum(axis=0) + x[:, :, 1:1].sum(axis=0).size + x.max(axis=2).min(axis=-1, keepdims=True)[1, 0]
        return y

    def bprop(self, grad_y):
        return grad_y


@pytest.mark.slow
def test_axes_of_any_layout(random):
    x = random.standard_normal((5, 5, 5)).astype(np.float32)
    with plain_python():
        expected = Layouts().fprop(x)
    np.testing.assert_allclose(Layouts().fprop(x), expected, rtol=1e-5)


class Wide(Module):
    def fprop(self, x):
        return x.sum(axis=0, keepdims=True) + x.std(axis=0)

    def bprop(self, grad_y):
        return grad_y


def test_more_rows_and_columns_than_a_block(random):
    x = (1 + random.random((300, 5000))).astype(np.float32)
    wide = x.astype(np.float64)
    expected = wide.sum(axis=0, keepdims=True) + wide.std(axis=0)
    np.testing.assert_allclose(Wide().fprop(x), expected, rtol=1e-6)


class Whole8(Module):
    """Sums of whole numbers of few bits have more, as NumPy's."""

    def fprop(self, x):
        small, positive = (100 * x).astype(np.int8), (200 * x).astype(np.uint8)
        y = np.empty(4, x.dtype)
        y[0], y[1], y[2], y[3] = small.sum(), small.sum(axis=0)[0], small.mean(axis=0)[0], positive.sum(axis=0)[0]
        return y.reshape((1, 4))

    def bprop(self, grad_y):
        return grad_y


@pytest.mark.slow
def test_whole_numbers():
    x = np.ones((50, 2), np.float32)
    expected = [[10_000, 5000, 100, 10_000]]
    np.testing.assert_array_equal(Whole8().fprop(x), expected)
    with plain_python():
        np.testing.assert_array_equal(Whole8().fprop(x), expected)


class Complex(Module):
    def fprop(self, x):
        z = x.astype(np.complex64) * np.complex64(1j)
        return z.sum(axis=0).imag + z.mean(axis=1).imag[0]

    def bprop(self, grad_y):
        return grad_y


@pytest.mark.slow
def test_complex_numbers():
    x = np.arange(6, dtype=np.float32).reshape((3, 2))
    np.testing.assert_array_equal(Complex().fprop(x), [6.5, 9.5])


def test_nan_stays_nan():
    x = np.ones((3, 2), np.float32)
    x[1, 0] = np.nan
    assert np.isnan(Columns().fprop(x)[:, 0]).all()
    assert np.isfinite(Columns().fprop(x)[:, 1]).all()


class Sums(Module):
    def fprop(self, x):
        return x.sum(axis=1)

    def bprop(self, grad_y):
        return grad_y


class Means(Module):
    def fprop(self, x):
        return x.mean(axis=0)

    def bprop(self, grad_y):
        return grad_y


@pytest.mark.jit
def test_sums_of_many_numbers_keep_their_digits(random):
    x = random.random((2, 200_000), np.float32)
    np.testing.assert_allclose(Sums().fprop(x), x.sum(axis=1, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(Means().fprop(x.T.copy()), x.mean(axis=1, dtype=np.float64), rtol=1e-6)


class Whole(Module):
    """Sums and means of all numbers, by both spellings; whole numbers, and a method that is called sum."""

    def __init__(self):
        super().__init__()
        self.results = np.empty(0)

    def sum(self):
        return 2

    def fprop(self, x):
        y = np.empty(6, np.float64)
        y[0], y[1], y[2], y[3] = x.sum(), x.mean(), np.sum(x), np.mean(x)
        y[4], y[5] = (x > 0.5).sum(), self.sum()
        self.results = y
        return x

    def bprop(self, grad_y):
        return grad_y


@pytest.mark.jit
@pytest.mark.parametrize("shape", [(4, 3), (5, 7, 2), (10_000_000, 1)])
def test_sums_of_all_numbers_keep_their_digits(random, shape):
    x = random.random(shape, np.float32)
    module = Whole()
    module.fprop(x)
    total, mean = x.sum(dtype=np.float64), x.mean(dtype=np.float64)
    np.testing.assert_allclose(module.results, [total, mean, total, mean, (x > 0.5).sum(), 2], rtol=1e-6)


class NoColumns(Module):
    def fprop(self, x):
        return x[:, :0].sum(axis=1) + x.sum(axis=1)

    def bprop(self, grad_y):
        return grad_y


class LargestOfNone(Module):
    def fprop(self, x):
        return x[:, :0].max(axis=1)

    def bprop(self, grad_y):
        return grad_y


def test_an_axis_of_size_0():
    x = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(NoColumns().fprop(x), [2, 2, 2])
    with pytest.raises(ValueError, match=r"axis of size 0|zero-size array"):
        LargestOfNone().fprop(x)
