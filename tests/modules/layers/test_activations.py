"""The elementwise units at their edges: kinks, bounds, infinities, NaN, wrong settings; and a user's own units."""

import re

import numba
import numpy as np
import pytest
from bprop.modules import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Clamp,
    Elementwise,
    Exp,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LearntElementwise,
    Linear,
    Log,
    LogSigmoid,
    MeanSquaredError,
    Mish,
    Power,
    PReLU,
    ReLU6,
    Sequential,
    SiLU,
    Softplus,
    Softshrink,
    Softsign,
    Sqrt,
    Square,
    Tanhshrink,
    Threshold,
    check_gradients,
    sigmoid,
)
from bprop.modules.compiler.instruction_set import VECTOR_BYTES
from bprop.modules.engine.compiler import get_method_dispatcher
from bprop.modules.engine.stateful import get_raw_method
from bprop.trainers import SGD, compile_step

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")  # as plain Python, NumPy warns
INF, NAN = np.inf, np.nan
LEAST = -1.7580993408473766  # SELU's

# Each unit's y and dy/dx at -infinity, -1e4, 1e4 and infinity.
EXTREMES = [
    (LeakyReLU(), [-INF, -100, 1e4, INF], [0.01, 0.01, 1, 1]),
    (Hardtanh(), [-1, -1, 1, 1], [0, 0, 0, 0]),
    (ReLU6(), [0, 0, 6, 6], [0, 0, 0, 0]),
    (Clamp(max=2), [-INF, -1e4, 2, 2], [1, 1, 0, 0]),
    (Threshold(0.5, 7), [7, 7, 1e4, INF], [0, 0, 1, 1]),
    (Hardsigmoid(), [0, 0, 1, 1], [0, 0, 0, 0]),
    (Hardswish(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (ELU(0.5), [-0.5, -0.5, 1e4, INF], [0, 0, 1, 1]),
    (SELU(), [LEAST, LEAST, 10507.009873554805, INF], [0, 0, 1.0507009873554805, 1.0507009873554805]),
    (CELU(2), [-2, -2, 1e4, INF], [0, 0, 1, 1]),
    (Softplus(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (Softplus(threshold=INF), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (LogSigmoid(), [-INF, -1e4, 0, 0], [1, 1, 0, 0]),
    (SiLU(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (GELU(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (GELU("tanh"), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (Mish(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (Hardshrink(), [-INF, -1e4, 1e4, INF], [1, 1, 1, 1]),
    (Softshrink(), [-INF, -9999.5, 9999.5, INF], [1, 1, 1, 1]),
    (Tanhshrink(), [-INF, -9999, 9999, INF], [1, 1, 1, 1]),
    (Softsign(), [-1, -1e4 / 10001, 1e4 / 10001, 1], [0, 1 / 10001**2, 1 / 10001**2, 0]),
    (Abs(), [INF, 1e4, 1e4, INF], [-1, -1, 1, 1]),
    (Square(), [INF, 1e8, 1e8, INF], [-INF, -2e4, 2e4, INF]),
    (Sqrt(), [NAN, NAN, 100, INF], [NAN, NAN, 0.005, 0]),
    (Exp(), [0, 0, INF, INF], [0, 0, INF, INF]),
    (Log(), [NAN, NAN, np.log(1e4), INF], [0, -1e-4, 1e-4, 0]),
    (Power(2), [INF, 1e8, 1e8, INF], [-INF, -2e4, 2e4, INF]),
    (Power(-1), [0, -1e-4, 1e-4, 0], [0, -1e-8, -1e-8, 0]),
    (Power(1.5), [NAN, NAN, 1e6, INF], [NAN, NAN, 150, INF]),
    (PReLU(), [-INF, -2500, 1e4, INF], [0.25, 0.25, 1, 1]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("unit", "y", "derivative"), EXTREMES, ids=lambda value: repr(value)[:24])
def test_extremes(unit, y, derivative, dtype):
    unit = unit.copy().to(dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(unit.fprop([[-INF, -1e4, 1e4, INF]])[0], y, rtol=tolerance, atol=1e-300)
    gradient = unit.bprop(np.ones((1, 4)))[0]
    np.testing.assert_allclose(gradient, derivative, rtol=tolerance, atol=1e-7 if dtype == "float32" else 1e-15)


@pytest.mark.parametrize("unit", [row[0] for row in EXTREMES], ids=repr)
def test_nan_stays_nan(unit):
    y = unit.copy().fprop([[NAN, 1.0]])
    assert np.isnan(y[0, 0])
    assert np.isfinite(y[0, 1])


# The derivative at a kink, as PyTorch chooses it: (unit, x, dy/dx).
KINKS = [
    (LeakyReLU(), [0], [0.01]),
    (Hardtanh(), [-1, 1], [0, 0]),
    (ReLU6(), [0, 6], [0, 0]),
    (Clamp(-1, 1), [-1, 1], [1, 1]),
    (Threshold(0.5, 7), [0.5], [0]),
    (Hardsigmoid(), [-3, 3], [0, 0]),
    (Hardswish(), [-3, 3], [0, 1]),
    (ELU(0.5), [0], [0.5]),
    (Hardshrink(), [-0.5, 0.5], [0, 0]),
    (Softshrink(), [-0.5, 0.5], [0, 0]),
    (Abs(), [0], [0]),
    (Sqrt(), [0], [INF]),
    (Log(), [0], [INF]),
    (Power(0.5), [0], [INF]),
    (Power(1), [0], [1]),
    (Power(2.5), [0], [0]),
    (PReLU(), [0], [0.25]),
    (SiLU(), [0], [0.5]),
    (GELU(), [0], [0.5]),
    (GELU("tanh"), [0], [0.5]),
    (Mish(), [0], [0.6]),
]


@pytest.mark.parametrize(("unit", "x", "derivative"), KINKS, ids=lambda value: repr(value)[:24])
def test_kinks(unit, x, derivative):
    unit = unit.copy()
    unit.fprop([x])
    np.testing.assert_allclose(unit.bprop(np.ones((1, len(x))))[0], derivative, rtol=1e-6)


def test_values_and_derivatives_near_zero_are_accurate():
    x = np.array([[-1e-6, -1e-20, -1e-40, 1e-40, 1e-20, 1e-6]], np.float32)
    for unit, slope in ((ELU(), 1), (CELU(2), 1), (Mish(), 0.6), (SiLU(), 0.5), (GELU(), 0.5), (GELU("tanh"), 0.5)):
        np.testing.assert_allclose(unit.fprop(x), slope * x, rtol=2e-6, atol=2e-45)
        np.testing.assert_allclose(unit.bprop(np.ones_like(x)), np.full_like(x, slope), rtol=2e-6)


@pytest.mark.parametrize("exponent", [-15, -14, -3, -2, -1, 1, 2, 3, 7, 15, 16, 17, 0.5, 2.5, -0.5])
def test_powers_are_those_of_numpy(exponent):
    x = np.array([[-2.0, -1.0, -0.3, 0.0, 0.3, 1.0, 1.7]])
    power = Power(exponent).to("float64")
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(power.fprop(x), x**exponent, rtol=1e-13)
        np.testing.assert_allclose(power.bprop(np.ones_like(x)), exponent * x ** (exponent - 1), rtol=1e-13)


REFUSED = [
    (lambda: LeakyReLU(NAN), "LeakyReLU: negative_slope is nan, expected a finite number"),
    (lambda: Hardtanh(2, 1), "Hardtanh: min_val is 2, expected a number below max_val = 1"),
    (lambda: Clamp(), "Clamp: min is None, expected a number for min, for max or for both"),
    (lambda: Clamp(2, 1), "Clamp: min is 2, expected at most max = 1"),
    (lambda: Threshold(NAN, 1), "Threshold: threshold is nan, expected a finite number"),
    (lambda: Threshold(1, INF), "Threshold: value is inf, expected a finite number"),
    (lambda: ELU(0), "ELU: alpha is 0, expected a finite number above 0"),
    (lambda: CELU(-1), "CELU: alpha is -1, expected a finite number above 0"),
    (lambda: Softplus(beta=0), "Softplus: beta is 0, expected a finite number above 0"),
    (lambda: Softplus(threshold=NAN), "Softplus: threshold is nan, expected a number"),
    (lambda: GELU("erf"), "GELU: approximate is 'erf', expected 'none' or 'tanh'"),
    (lambda: Hardshrink(-1), "Hardshrink: lambd is -1, expected a finite number, at least 0"),
    (lambda: Softshrink(-1), "Softshrink: lambd is -1, expected a finite number, at least 0"),
    (lambda: Power(0), "Power: exponent is 0, expected a finite number, not 0"),
    (lambda: Power(INF), "Power: exponent is inf, expected a finite number, not 0"),
    (lambda: PReLU(0), "PReLU: num_parameters is 0, expected at least 1"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_reprs_say_the_settings():
    assert repr(GELU("tanh")) == "GELU(approximate='tanh')"
    assert repr(Softplus(2)) == "Softplus(beta=2, threshold=20)"
    assert repr(Clamp(max=1)) == "Clamp(max=1)"
    assert repr(Clamp(-1, 1)) == "Clamp(min=-1, max=1)"
    assert repr(Hardtanh()) == "Hardtanh(min_val=-1, max_val=1)"
    assert repr(PReLU(3)) == "PReLU(3)"


# -- a user's own units -------------------------------------------------------------------------------------------


class Cube(Elementwise):
    """y = scale x³"""

    def __init__(self, scale=0.5):
        super().__init__()
        self.scale = scale

    def function(self, x):
        return self.scale * x * x * x

    def derivative(self, x, y):
        return 3 * self.scale * x * x


class Swish(LearntElementwise):
    """y = x s, s = 1 / (1 + exp(-w x)), with a learnt w."""

    def function(self, x, w):
        return x * sigmoid(w * x)

    def derivative(self, x, y, w):
        s = sigmoid(w * x)
        return s + w * x * s * (1 - s)

    def weight_derivative(self, x, y, w):
        s = sigmoid(w * x)
        return x * x * s * (1 - s)


@pytest.mark.parametrize("unit", [Cube(), Swish(), Swish(3, init=1)], ids=repr)
def test_ones_own_unit_has_right_gradients(unit, random):
    check_gradients(unit, random.standard_normal((4, 3))).raise_if_wrong()


def test_ones_own_units_learn_in_a_compiled_step(random):
    net = Sequential(Linear(2, 8), Swish(8, init=1), Linear(8, 4), Cube(), Linear(4, 1))
    step = compile_step(net, MeanSquaredError(), SGD(lr=0.05))
    x = random.standard_normal((64, 2)).astype(np.float32)
    target = x[:, :1] * x[:, 1:]
    first = step(x, target)
    slopes = net[1].weight.copy()
    for _ in range(500):
        last = step(x, target)
    assert last < first / 5
    assert np.all(net[1].weight != slopes)


@pytest.mark.parametrize(
    ("base", "missing", "message"),
    [
        (LearntElementwise, "function", "Mine has no function: write `def function(self, x, w)`"),
        (LearntElementwise, "derivative", "Mine has no derivative: write `def derivative(self, x, y, w)`"),
        (
            LearntElementwise,
            "weight_derivative",
            "Mine has no weight_derivative: write `def weight_derivative(self, x, y, w)`",
        ),
    ],
)
def test_a_unit_without_a_function_says_so(base, missing, message):
    class Mine(base):
        pass

    arguments = [0.0] * {"function": 2, "derivative": 3, "weight_derivative": 3}[missing]
    with pytest.raises(NotImplementedError, match=f"^{re.escape(message)}$"):
        getattr(Mine(), missing)(*arguments)


@pytest.mark.jit
@pytest.mark.parametrize(
    "unit", [SELU(), ELU(), CELU(), Softplus(), Mish(), SiLU(), GELU()], ids=lambda unit: unit.label()
)
@pytest.mark.parametrize("method", ["fprop", "bprop"])
def test_loops_are_vectorised(unit, method):
    """A branch with an exponential in it, or a product beside one, made LLVM compute one number at a time."""
    x = np.ones((2, 3), np.float32)
    unit.bprop(unit.fprop(x))
    ((plan,),) = [list(unit._plans.values())]
    signature = plan.plan.kinds[0], numba.typeof(x)
    dispatcher = get_method_dispatcher(get_raw_method(type(unit), method))
    dispatcher.compile(signature)
    code = dispatcher.overloads[signature].library.get_llvm_str()
    assert len(re.findall(rf"(?:fma|fmul|fadd)[^\n]*<{VECTOR_BYTES // 4} x float>", code)) >= 3
