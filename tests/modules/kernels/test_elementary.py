"""The elementary functions against NumPy's in extended precision, over the whole range, with all special values."""

import numba
import numpy as np
import pytest
from bprop.modules import Module
from bprop.modules.kernels.elementary_functions import (
    FORMULAE,
    erf,
    exp,
    exp_below,
    expm1,
    log,
    log1p,
    power,
    sigmoid,
    softplus,
    tanh,
)

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about compiled code")


def sigmoid_reference(x):
    return 1 / (1 + np.exp(-x))


def softplus_reference(x):
    return np.logaddexp(x, np.longdouble(0))


def erf_reference(x):
    """2/√π exp(-x²) Σₙ 2ⁿ x²ⁿ⁺¹ / (2n + 1)!!, whose terms all have one sign; beyond 7 it is ±1."""
    near = np.where(np.abs(x) < 7, x, 0)
    term = near
    total = np.zeros_like(near)
    for n in range(250):
        total += term
        term = term * 2 * near * near / (2 * n + 3)
    root = np.sqrt(np.arctan(np.longdouble(1)) * 4)
    return np.where(np.abs(x) < 7, 2 / root * np.exp(-near * near) * total, np.sign(x))


CASES = [
    (exp, np.exp, 2.0, {np.float32: (-104, 88.7), np.float64: (-745, 709.7)}),
    (exp_below, np.exp, 2.0, {np.float32: (-104, 0), np.float64: (-745, 0)}),
    (log, np.log, 2.0, {np.float32: (0, 1e3), np.float64: (0, 1e3)}),
    (tanh, np.tanh, 2.0, {np.float32: (-12, 12), np.float64: (-25, 25)}),
    (sigmoid, sigmoid_reference, 2.5, {np.float32: (-87, 40), np.float64: (-700, 60)}),
    (expm1, np.expm1, 2.0, {np.float32: (-104, 88.7), np.float64: (-745, 709.7)}),
    (log1p, np.log1p, 2.0, {np.float32: (-0.9999, 1e3), np.float64: (-0.9999, 1e3)}),
    (softplus, softplus_reference, 2.0, {np.float32: (-87, 100), np.float64: (-700, 100)}),
    (erf, erf_reference, 2.0, {np.float32: (-5, 5), np.float64: (-6.5, 6.5)}),
]
SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1e-40,
    -1e-40,
    1e-310,
    88.7,
    88.73,
    -104,
    709.7,
    710,
    -746,
    1,
    0.625,
    -1,
    -0.9999,
    3.9,
    1e30,
]


def over(function):
    compute = function.compiled_form

    @numba.njit(fastmath={"reassoc", "contract", "nsz", "arcp", "afn"})
    def loop(x, y):
        for i in range(x.size):
            y[i] = compute(x[i])

    return loop


def samples(low, high, dtype):
    random = np.random.default_rng(0)
    sizes = (10.0 ** random.uniform(-37, 2, 20_000)).clip(0, high)
    x = np.concatenate([random.uniform(low, high, 200_000), sizes, -sizes.clip(0, -low) if low < 0 else sizes])
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("function", "reference", "bound", "ranges"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_error_is_within_its_bound(function, reference, bound, ranges, dtype):
    x = samples(*ranges[dtype], dtype)
    y, loop = np.empty_like(x), over(function)
    loop(x, y)
    with np.errstate(all="ignore"):
        right = reference(x.astype(np.longdouble))
    unit = np.spacing(np.abs(right.astype(dtype))).astype(np.longdouble)
    assert np.max(np.abs(y - right) / unit) <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("function", "reference", "bound", "ranges"), CASES, ids=lambda c: getattr(c, "__name__", ""))
def test_special_values(function, reference, bound, ranges, dtype):
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL, dtype)
        x = x[~(x > 0)] if function is exp_below else x
        y, loop = np.empty_like(x), over(function)
        loop(x, y)
        right = reference(x.astype(np.longdouble)).astype(dtype)
        close = np.abs(y - right) <= 2.5 * np.spacing(np.abs(right))
    assert np.all(close | (y == right) | (np.isnan(y) & np.isnan(right)))


@pytest.mark.parametrize("exponent", [2.5, -0.3, 1e-3, 17.0, -300.25])
def test_power_of_float32_is_right_but_for_its_rounding(exponent):
    compute = power.compiled_form

    @numba.njit
    def loop(x, y, exponent):
        for i in range(x.size):
            y[i] = compute(x[i], exponent)

    special = np.array([0, -0.0, np.inf, np.nan, 1e-40, 1.1754944e-38, 3.4e38, 1, 0.99999994, 1.0000001], np.float32)
    x = np.concatenate([special, np.exp(np.random.default_rng(0).uniform(-87, 88, 100_000)).astype(np.float32)])
    y = np.empty_like(x)
    loop(x, y, exponent)
    with np.errstate(all="ignore"):
        exact = np.abs(x.astype(np.float64)) ** exponent
        right = exact.astype(np.float32)
        near = np.abs(y - exact) <= 0.501 * np.spacing(np.abs(right))
    assert np.all(near | (y == right) | (np.isnan(y) & np.isnan(right)))


@pytest.mark.parametrize("function", FORMULAE, ids=lambda function: function.__name__)
def test_arrays_of_any_layout(function):
    compute = function.compiled_form

    @numba.njit
    def whole(x):
        return compute(x)

    x = np.random.default_rng(0).random((4, 6))[:, ::2]
    assert np.allclose(whole(x), function(x), rtol=1e-14)


@pytest.mark.parametrize("function", FORMULAE, ids=lambda function: function.__name__)
def test_plain_form_is_the_same_function(function):
    compute, x = function.compiled_form, np.linspace(0.1, 3, 50)

    @numba.njit
    def whole(x):
        return compute(x)

    for dtype in (np.float32, np.float64):
        plain = function(x.astype(dtype))
        assert plain.dtype == dtype
        np.testing.assert_allclose(plain, whole(x.astype(dtype)), rtol=4 * np.finfo(dtype).eps)
        assert function(dtype(0.5)) == pytest.approx(whole(dtype(0.5)), rel=1e-6)


class Bell(Module):
    """y = erf(x) + log1p(exp x) + expm1(x), with each function as a user's method names it."""

    def fprop(self, x):
        return erf(x) + np.log1p(sigmoid(x)) + np.expm1(x) + softplus(x)


def test_methods_name_them_as_functions_of_numpy_and_of_this_package():
    x = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    right = erf(x) + np.log1p(sigmoid(x)) + np.expm1(x) + softplus(x)
    y = Bell().fprop(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, right, rtol=1e-6)
