"""What compiled code makes of a module: the meaning of its Python, its attributes, and modules inside modules."""

import warnings

import numpy as np
import pytest
from bprop.modules import (
    Linear,
    MeanSquaredError,
    Module,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
)
from bprop.modules.engine import plan as plans
from bprop.trainers.optimizers import SGD
from bprop.trainers.training.compiled_step import compile_step

from ..custom import InPython, Leaky, Residual, Scale, net, x


def twin(module):
    """A copy that runs as plain Python."""

    class Plain(type(module)):
        jit = False

    copy = module.copy()
    copy.__class__ = Plain
    return copy


def same_as_plain_python(module, *, data=None, rtol=1e-5):
    """Run a module, and a copy as plain Python; the numbers and their types must agree."""
    data = x() if data is None else data
    plain = twin(module)
    for _ in range(2):
        y, expected = module.fprop(data), plain.fprop(data)
        assert y.dtype == expected.dtype == module.dtype
        np.testing.assert_allclose(y, expected, rtol=rtol, atol=1e-6)
        np.testing.assert_allclose(module.bprop(y), plain.bprop(y), rtol=rtol, atol=1e-6)
        np.testing.assert_allclose(module.flat_gradients, plain.flat_gradients, rtol=rtol, atol=1e-6)
    return y


# -- attributes --------------------------------------------------------------------------------------------------


def test_a_setting_may_change_at_any_time():
    module = Leaky(slope=0.5)
    data = -np.abs(x())
    np.testing.assert_allclose(module.fprop(data), 0.5 * data)
    module.slope = 0.25
    np.testing.assert_allclose(module.fprop(data), 0.25 * data)
    module.slope = 2  # a whole number, where a float was
    np.testing.assert_allclose(module.fprop(data), 2 * data)
    chain = Sequential(module, Tanh())
    chain.fprop(data)
    chain[0].slope = 0.125
    np.testing.assert_allclose(chain.fprop(data), np.tanh(0.125 * data), rtol=1e-5)


def test_stored_values_can_be_read_and_set():
    module = Leaky()
    assert module.runs == 0
    module.fprop(x())
    module.fprop(x(seed=1))
    assert module.runs == 2
    np.testing.assert_array_equal(module.x, x(seed=1))
    assert module.largest == pytest.approx(x(seed=1).max())
    module.runs = 10
    module.fprop(x())
    assert module.runs == 11


def test_stored_values_of_a_net_can_be_read():
    chain = net()
    chain.fprop(x())
    np.testing.assert_array_equal(chain[0].x, x())
    np.testing.assert_allclose(chain[1].y, np.tanh(chain[0].y), rtol=1e-5)
    y = chain[2].y
    chain.bprop(np.ones_like(y))
    np.testing.assert_allclose(chain[0].grad_weight, chain[1].grad_x.T @ x(), rtol=1e-4, atol=1e-6)


def test_a_copy_takes_stored_values_along():
    module = Leaky()
    module.fprop(x())
    copy = module.copy()
    assert copy.runs == 1
    copy.fprop(x())
    assert (module.runs, copy.runs) == (1, 2)


class Settings(Module):
    """Settings of every kind that compiled code can read."""

    def __init__(self, mode="double", offset=None, scale=1.5, shift=2, flipped=False):
        super().__init__()
        self.mode, self.offset, self.scale, self.shift, self.flipped = mode, offset, scale, shift, flipped
        self.table = np.array([1.0, 10.0, 100.0])
        self.order = np.array([2, 0, 1])

    def fprop(self, x):
        y = 2 * x if self.mode == "double" else 3 * x
        if self.offset is not None:
            y = y + self.offset
        y = y * self.scale + self.shift / 3
        if self.flipped:
            y = -y
        for k in range(x.shape[1]):
            y[:, k] += self.table[self.order[k]]
        return y

    def bprop(self, grad_y):
        factor = self.scale * (2 if self.mode == "double" else 3)
        return -factor * grad_y if self.flipped else factor * grad_y


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mode": "triple"},
        {"offset": 0.5},
        {"scale": 2.5},
        {"shift": 4, "flipped": True},
    ],
)
def test_settings_of_every_kind(settings):
    module = Settings(**settings).to("float64")
    same_as_plain_python(module)
    check_gradients(module, x()).raise_if_wrong()


def test_settings_that_shape_the_code_may_change():
    module = Settings()
    y = module.fprop(x())
    for name, value in (("mode", "triple"), ("offset", 1.5), ("offset", None), ("scale", 3.0), ("flipped", True)):
        setattr(module, name, value)
        other = same_as_plain_python(module)
        assert not np.array_equal(other, y)
    module.table = np.array([0.0, 0.0, 1.0])
    same_as_plain_python(module)
    module.table[0] = 5
    same_as_plain_python(module)


# -- numbers -----------------------------------------------------------------------------------------------------


class WeakScalars(Module):
    """Python numbers next to float32 data, in every way that NumPy leaves float32."""

    def __init__(self):
        super().__init__()
        self.slope, self.power = 0.5, 3

    def fprop(self, x):
        self.x = x
        y = 2.0 * x + 1
        y = y / x.shape[0] - 0.5
        y = np.maximum(y, 0) + np.minimum(x, 1.0) + self.slope * x
        y = y + np.where(x > 0, x, 0.0) + np.where(x > 0, 1, x)
        y = y + x**2 + x**self.power
        y = y + np.sqrt(np.abs(x) + 1e-6) * (1 - self.slope)
        y += 2.0 * len(x)
        y *= 0.5
        return y + x.mean() + x.sum() / x.size + max(x[0, 0], 0.0) + x[0, 0] * 0.1

    def bprop(self, grad_y):
        total = 0.0
        for value in grad_y[0]:
            total += value
        return grad_y * 2 + self.x * 0.1 + total / 3


def test_python_numbers_leave_float32_as_it_is():
    same_as_plain_python(WeakScalars(), rtol=1e-4)


def test_the_same_code_runs_in_float64():
    same_as_plain_python(Sequential(Leaky(), Derived()).to("float64"), rtol=1e-12)


def test_extreme_numbers_survive_the_compiler():
    data = np.array([[np.nan, np.inf, -np.inf], [1e38, -1e38, 0.0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        y = Sequential(Leaky(), ReLU()).fprop(data)
        np.testing.assert_array_equal(y, np.maximum(np.where(data > 0, data, np.float32(0.1) * data), 0))


# -- code --------------------------------------------------------------------------------------------------------


def twice(values):
    return 2 * values


def fill(values, number):
    for index in range(values.size):
        values[index] += number


class WithHelpers(Module):
    """Calls functions of its module and methods of its own."""

    def fprop(self, x):
        y = twice(x)
        fill(y.reshape(y.size), 1)
        return self.shifted(y, 0.5)

    def bprop(self, grad_y):
        return twice(grad_y)

    def shifted(self, values, by):
        return values + by


def test_helper_functions_and_methods():
    same_as_plain_python(WithHelpers())


class Base(Module):
    def fprop(self, x):
        self.x = x
        return self.f(x)

    def bprop(self, grad_y):
        return grad_y * self.factor()

    def f(self, x):
        return 2.0 * x

    def factor(self):
        return 2.0


class Derived(Base):
    def f(self, x):
        return 3.0 * x

    def factor(self):
        return 3.0


def test_methods_are_inherited_and_overridden():
    np.testing.assert_allclose(same_as_plain_python(Sequential(Base(), Derived())), 6 * x(), rtol=1e-6)


def test_two_classes_of_one_name():
    def make(number):
        class Same(Module):
            def __init__(self):
                super().__init__()
                self.number = number

            def fprop(self, x):
                return x + self.number

            def bprop(self, grad_y):
                return grad_y

        return Same()

    class Same(Module):
        def fprop(self, x):
            return x * 10.0

        def bprop(self, grad_y):
            return grad_y * 10.0

    chain = Sequential(make(1), Same(), make(2))
    np.testing.assert_allclose(chain.fprop(x()), (x() + 1) * 10 + 2, rtol=1e-5)
    np.testing.assert_allclose(chain.bprop(x()), 10 * x(), rtol=1e-5)


def test_constants_of_a_closure_make_classes_of_their_own():
    def make(number):
        class Constant(Module):
            def fprop(self, x):
                return x * number

            def bprop(self, grad_y):
                return grad_y * number

        return Constant()

    for number in (2.0, 3.0):
        np.testing.assert_allclose(make(number).fprop(x()), number * x(), rtol=1e-6)


class Skip(Module):
    """A training mode that changes the code's path."""

    def fprop(self, x):
        self.used = self.training
        return 2.0 * x if self.training else x

    def bprop(self, grad_y):
        return 2.0 * grad_y if self.used else grad_y


def test_training_mode_is_seen_by_compiled_code():
    chain = Sequential(Tanh(), Skip())
    y = chain.fprop(x())
    chain.eval()
    np.testing.assert_allclose(chain.fprop(x()), y / 2, rtol=1e-6)
    chain.train()
    np.testing.assert_allclose(chain.fprop(x()), y, rtol=1e-6)


# -- modules in modules ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_modules_called_inside_methods():
    chain = Sequential(Leaky(), Residual(3))
    check_gradients(chain, x()).raise_if_wrong()
    same_as_plain_python(chain.to("float64"))
    assert [name for name, _ in chain.named_parameters()] == ["1.gate", "1.inner.weight", "1.inner.bias"]


class Gated(Module):
    """y = x + gate inner(x)"""

    def __init__(self):
        super().__init__()
        self.gate = Parameter(np.ones(1))
        self.inner = Derived()

    def fprop(self, x):
        self.h = self.inner.fprop(x)
        return x + self.gate[0] * self.h

    def bprop(self, grad_y):
        self.grad_gate[0] += (grad_y * self.h).sum()
        return grad_y + self.inner.bprop(grad_y * self.gate[0])


class Twice(Module):
    """A container of containers."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Gated(), Gated()

    def fprop(self, x):
        return self.second.fprop(self.first.fprop(x))

    def bprop(self, grad_y):
        return self.first.bprop(self.second.bprop(grad_y))


@pytest.mark.slow
def test_containers_inside_containers():
    module = Twice()
    check_gradients(module, x()).raise_if_wrong()
    assert module.second.inner.path() == "model.second.inner"
    assert [name for name, _ in module.named_parameters()] == ["first.gate", "second.gate"]
    same_as_plain_python(module.to("float64"))


# -- modules that stay in Python ---------------------------------------------------------------------------------


def test_a_module_in_python_stands_between_compiled_ones():
    chain = Sequential(Linear(3, 4), InPython(), Tanh())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = chain.fprop(x())
        grad_x = chain.bprop(y)
        chain.fprop(x())
    messages = [str(warning.message) for warning in caught]
    assert messages in ([], ["InPython() has jit = False: it runs as Python between compiled parts"])
    other = Sequential(chain[0].copy(), Times3(), Tanh())
    np.testing.assert_allclose(other.fprop(x()), y, rtol=1e-6)
    np.testing.assert_allclose(other.bprop(y), grad_x, rtol=1e-6)


class Times3(Module):
    def fprop(self, x):
        return x * 3

    def bprop(self, grad_y):
        return grad_y * 3


@pytest.mark.jit
def test_a_module_in_python_says_so_once():
    class Said(InPython):
        pass

    chain = Sequential(Said(), Tanh())
    with pytest.warns(UserWarning, match=r"^Said\(\) has jit = False: it runs as Python between compiled parts$"):
        chain.fprop(x())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sequential(Said()).fprop(x())


def test_a_module_in_python_learns(recwarn):
    class Slow(Scale):
        jit = False

    def trained(middle):
        chain = Sequential(Linear(3, 3), middle, Linear(3, 2))
        for part in chain:
            for name, value in part.named_parameters():
                value[...] = np.linspace(-1, 1, value.size).reshape(value.shape) if name != "bias" else 0
        step = compile_step(chain, MeanSquaredError(), SGD(lr=0.1, momentum=0.5))
        values = [step(x(), x(features=2)) for _ in range(4)]
        return values, chain.flat_parameters.copy()

    fast, slow = trained(Scale(3)), trained(Slow(3))
    np.testing.assert_allclose(slow[0], fast[0], rtol=1e-5)
    np.testing.assert_allclose(slow[1], fast[1], rtol=1e-4, atol=1e-6)


# -- the compiled step -------------------------------------------------------------------------------------------


def test_a_step_is_the_parts_by_hand():
    first, target = net(), [0, 1, 0, 1, 1]
    second = first.copy()
    step = compile_step(first, SoftmaxCrossEntropy(), SGD(lr=0.5))
    loss, sgd = SoftmaxCrossEntropy(), SGD(lr=0.5)
    for k in range(3):
        value = step(x(seed=k), target)
        second.zero_grad()
        assert loss.fprop(second.fprop(x(seed=k)), target) == pytest.approx(value, rel=1e-5)
        second.bprop(loss.bprop())
        sgd.update(second)
    np.testing.assert_allclose(first.flat_parameters, second.flat_parameters, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(first.flat_gradients, second.flat_gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.jit
def test_only_the_step_leaves_out_the_first_grad_x():
    class Asked(Scale):
        def fprop(self, x):
            self.x = x
            self.asked = self.needs_grad_x
            return x * self.weight

    chain = Sequential(Tanh(), Asked(3), Asked(3))
    chain.fprop(x())
    assert (chain[1].asked, chain[2].asked) == (True, True)
    compile_step(chain, MeanSquaredError(), SGD(lr=0.1))(x(), x(seed=1))
    assert (chain[1].asked, chain[2].asked) == (False, True)
    y = chain.fprop(x())
    assert (chain[1].asked, chain[2].asked) == (True, True)
    assert chain.bprop(y).any()


def test_bprop_that_only_adds_is_cleared_by_the_step():
    chain = Sequential(Gated(), Scale(3))
    step = compile_step(chain, MeanSquaredError(), SGD(lr=0.0))
    step(x(), x(seed=1))
    once = chain.flat_gradients.copy()
    step(x(), x(seed=1))
    np.testing.assert_allclose(chain.flat_gradients, once, rtol=1e-6)


def test_a_step_whose_loss_is_not_finite_leaves_the_parameters():
    chain = net()
    before = chain.flat_parameters.copy()
    data = x()
    data[2, 1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert np.isnan(compile_step(chain, MeanSquaredError(), SGD(lr=0.1))(data, x(features=2)))
    np.testing.assert_array_equal(chain.flat_parameters, before)


def test_evaluation_between_steps_disturbs_nothing():
    def run(peek):
        chain = net()
        for _, value in chain.named_parameters():
            value[...] = np.linspace(-1, 1, value.size).reshape(value.shape)
        step = compile_step(chain, MeanSquaredError(), SGD(lr=0.1, momentum=0.9))
        for k in range(4):
            step(x(seed=k), x(features=2))
            if peek:
                chain.eval().fprop(x(samples=9))
                chain.train()
        return chain.flat_parameters.copy()

    np.testing.assert_array_equal(run(True), run(False))


@pytest.mark.jit
def test_parameters_of_one_shape_and_another_kind():
    class Grouped(Module):
        """A scalar parameter, a vector and a three-dimensional one."""

        def __init__(self):
            super().__init__()
            self.scale = Parameter(1.5)
            self.shift = Parameter(np.zeros(3))
            self.cube = Parameter(np.ones((2, 3, 2)))

        def fprop(self, x):
            self.x = x
            return x * self.scale[()] + self.shift + self.cube.sum()

        def bprop(self, grad_y):
            self.grad_scale += (grad_y * self.x).sum()
            self.grad_shift += grad_y.sum(axis=0)
            self.grad_cube += grad_y.sum()
            return grad_y * self.scale[()]

    check_gradients(Grouped(), x()).raise_if_wrong()


class InChangingLayout(Module):
    """y = 2 x as Python; what it returns lies in memory in another way each time."""

    jit = False

    def __init__(self):
        super().__init__()
        self.calls = 0

    def fprop(self, x):
        self.calls += 1
        wide = np.zeros((len(x), 2 * x.shape[1]), x.dtype)
        wide[:, ::2] = 2 * x
        return (np.ascontiguousarray, np.asfortranarray, lambda y: wide[:, ::2])[self.calls % 3](2 * x)

    def bprop(self, grad_y):
        return 2 * grad_y


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore:InChangingLayout")
def test_what_is_cut_for_python_is_prepared_once(monkeypatch):
    """Types of all arguments were found anew in each step, which took six times as long as the unit itself."""
    step = compile_step(Sequential(Linear(3, 4), InChangingLayout(), Linear(4, 3)), MeanSquaredError(), SGD(lr=0.1))
    plain = compile_step(step.net.copy(), MeanSquaredError(), SGD(lr=0.1))
    plain.plan = lambda *batch: None  # by hand
    target = np.ones((len(x()), 3), np.float32)
    for _ in range(4):
        assert step(x(), target) == pytest.approx(plain(x(), target), rel=1e-5)
    monkeypatch.setattr(plans, "get_argument_type", lambda value: pytest.fail("a type is looked for again"))
    for _ in range(3):
        assert step(x(), target) == pytest.approx(plain(x(), target), rel=1e-5)
    np.testing.assert_allclose(step.net.flat_parameters, plain.net.flat_parameters, rtol=1e-5)
