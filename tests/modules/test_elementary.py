"""exp, log, tanh and sigmoid against NumPy's in extended precision, over the whole range, with all special values."""

import numba
import numpy as np
import pytest
from bprop.modules.kernels.elementary import exp, log, sigmoid, tanh

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="about compiled code")


def sigmoid_reference(x):
    return 1 / (1 + np.exp(-x))


CASES = [
    (exp, np.exp, 2.0, {np.float32: (-104, 88.7), np.float64: (-745, 709.7)}),
    (log, np.log, 2.0, {np.float32: (0, 1e3), np.float64: (0, 1e3)}),
    (tanh, np.tanh, 2.0, {np.float32: (-12, 12), np.float64: (-25, 25)}),
    (sigmoid, sigmoid_reference, 2.5, {np.float32: (-87, 40), np.float64: (-700, 60)}),
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
    sizes = (10.0 ** random.uniform(-30, 2, 20_000)).clip(0, high)
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
        y, loop = np.empty_like(x), over(function)
        loop(x, y)
        right = reference(x.astype(np.longdouble)).astype(dtype)
        close = np.abs(y - right) <= 2.5 * np.spacing(np.abs(right))
    assert np.all(close | (y == right) | (np.isnan(y) & np.isnan(right)))


@pytest.mark.parametrize("function", [exp, log, tanh, sigmoid])
def test_arrays_of_any_layout(function):
    compute = function.compiled_form

    @numba.njit
    def whole(x):
        return compute(x)

    x = np.random.default_rng(0).random((4, 6))[:, ::2]
    assert np.allclose(whole(x), function(x), rtol=1e-14)
