"""Modules of one class inside each other, and modules of one class whose attributes differ in kind."""

import numpy as np
import pytest
from bprop.modules import Linear, Module, Parameter, Sequential, Tanh, check_gradients
from bprop.modules.engine.index_check import CHECKED
from bprop.modules.engine.state import METHODS
from bprop.modules.engine.trace import get_owner_name


def x(columns=3):
    return np.random.default_rng(0).normal(size=(4, columns))


class Residual(Module):
    """y = x + inner(x)"""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def fprop(self, x):
        return x + self.inner.fprop(x)

    def bprop(self, grad_y):
        return grad_y + self.inner.bprop(grad_y)


class Blend(Module):
    """y = inner(x) + factor x, by a helper function that calls a module."""

    def __init__(self, inner, factor):
        super().__init__()
        self.inner, self.factor = inner, factor

    def fprop(self, x):
        return plus(self.inner, x, self.factor)

    def bprop(self, grad_y):
        return self.inner.bprop(grad_y) + self.factor * grad_y


def plus(module, x, factor):
    return module.fprop(x) + factor * x


@pytest.mark.slow
def test_modules_of_one_class_inside_each_other():
    """In each other, in Sequentials of one length in each other, and called by a helper function."""
    inner = Sequential(Linear(3, 3), Residual(Sequential(Linear(3, 3), Tanh())))
    assert check_gradients(Sequential(Residual(inner), Blend(Blend(Linear(3, 3), 2), 0.5)), x()).ok


@pytest.mark.jit
def test_methods_of_this_package_are_compiled_once_beside_checked_ones():
    """A user-defined method has a second version with bounds checks; the modules that it calls do not."""
    model = Residual(Linear(3, 3))
    model.fprop(x())
    name = get_owner_name(model.inner)
    dispatcher = METHODS[name, "fprop"]()
    assert {kind.owner for kind, *_ in dispatcher.overloads} == {name}
    assert METHODS[get_owner_name(model) + CHECKED, "fprop"]().targetoptions["boundscheck"]


@pytest.mark.jit
def test_functions_that_call_each_other_without_end_are_refused():
    with pytest.raises(TypeError, match="compiler re-entrant to the same function signature"):
        Endless().fprop(x())


class Endless(Module):
    """Compiles without end, as the two functions call each other."""

    def fprop(self, x):
        return ping(x, 3)

    def bprop(self, grad_y):
        return grad_y


def ping(x, n):
    return pong(x, n - 1) if n > 0 else x


def pong(x, n):
    return ping(x, n - 1) if n > 0 else x


class Optional(Module):
    """y = x, times a scale if there is one, plus as often `more` as it is to be repeated, unless switched off."""

    def __init__(self, scale=None, repeats=0, on=True):
        super().__init__()
        self.scale = None if scale is None else np.asarray(scale)
        self.repeats, self.on = repeats, on

    def fprop(self, x):
        y = x.copy()
        if self.on:
            for _ in range(self.repeats):
                y += 1
        if self.scale is not None:
            y *= self.scale
        return y

    def bprop(self, grad_y):
        return grad_y * self.scale if self.scale is not None else grad_y.copy()


def test_none_in_one_module_and_an_array_in_another():
    net = Sequential(
        Optional(), Optional([1.0, 2, 3]), Linear(3, 3), Optional(repeats=2), Optional([2.0, 2, 2], 1, False)
    )
    net[2].load_state_dict({"weight": np.eye(3), "bias": np.zeros(3)})
    np.testing.assert_allclose(net.fprop(x()), (x() * [1, 2, 3] + 2) * 2, rtol=1e-5, atol=1e-6)
    assert check_gradients(net, x()).ok


def test_none_may_become_an_array_and_back():
    module = Optional()
    np.testing.assert_allclose(module.fprop(x()), x(), rtol=1e-6)
    module.scale = np.array([1.0, 2, 3])
    np.testing.assert_allclose(module.fprop(x()), x() * [1, 2, 3], rtol=1e-6)
    module.scale, module.repeats = None, 3
    np.testing.assert_allclose(module.fprop(x()), x() + 3, rtol=1e-6)
    module.on = False
    np.testing.assert_allclose(module.fprop(x()), x(), rtol=1e-6)


class FirstTwo(Module):
    """y = the first two columns; the stored slice is contiguous only where there are no others."""

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.ones(2))

    def fprop(self, x):
        self.x = x[:, :2]
        return self.x * self.weight

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        return grad_y * self.weight


def test_the_layout_of_an_array_inside_an_inner_module():
    assert check_gradients(Residual(FirstTwo()), x(2)).ok
