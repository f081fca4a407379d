"""A layer and the elementwise unit after it are one compiled method, and nobody can tell by the numbers."""

import numpy as np
import pytest
from bprop.modules import Elementwise, Identity, Linear, ReLU, Sequential, Sigmoid, Tanh
from bprop.modules.engine.operations import Operations, fuse

pytestmark = pytest.mark.jit


class Bent(Elementwise):
    """A user's own unit, with a setting and a number that it counts."""

    def __init__(self):
        super().__init__()
        self.slope = 0.25

    def function(self, x):
        return x if x > 0 else self.slope * x

    def derivative(self, x, y):
        return 1 if x > 0 else self.slope


class Counting(Tanh):
    """A unit with a fprop of its own: it stays one operation."""

    def fprop(self, x):
        self.calls = self.calls + 1 if x.size else 0
        self.x = x
        self.y = np.tanh(x)
        return self.y

    def __init__(self):
        super().__init__()
        self.calls = 0


def methods(net):
    operations = Operations()
    operations.fprop(net, "x")
    operations.bprop(net, "grad_y")
    return [operation.method for operation in fuse(operations.items, {operations.items[len(net) - 1].target})]


UNITS = [ReLU, Tanh, Sigmoid, Bent]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.__name__)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(37, 6), (5, 3, 6)])
def test_same_bits_as_one_by_one(random, unit, bias, shape):
    net = Sequential(Linear(6, 5, bias=bias), unit(), Linear(5, 33, bias=bias), unit())
    assert methods(net) == ["fprop_then", "fprop_then", "bprop_after", "bprop_after"]
    apart = net.copy()
    x = random.standard_normal(shape).astype(np.float32)
    grad = grad_y = random.standard_normal((*shape[:-1], 33)).astype(np.float32)
    for _ in range(2):  # the second time gradients add
        y, grad_x = net.fprop(x), net.bprop(grad_y)
        value, grad = x, grad_y
        for module in apart:
            value = module.fprop(value)
        for module in list(apart)[::-1]:
            grad = module.bprop(grad)
    np.testing.assert_array_equal(y, value)
    np.testing.assert_array_equal(grad_x, grad)
    np.testing.assert_array_equal(net.flat_gradients, apart.flat_gradients)
    for one, other in zip(net, apart, strict=True):
        for name in ("x", "y", "grad_x"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_fused_only_where_nobody_else_reads():
    assert methods(Sequential(Linear(3, 3), Identity())) == ["fprop", "fprop", "bprop", "bprop"]
    assert methods(Sequential(Linear(3, 3), Counting())) == ["fprop", "fprop", "bprop", "bprop"]
    assert methods(Sequential(Tanh(), Linear(3, 3))) == ["fprop", "fprop", "bprop", "bprop"]
    operations = Operations()
    layer, unit = Linear(3, 3), Tanh()
    between = operations.fprop(layer, "x")
    operations.fprop(unit, between)
    assert len(fuse(operations.items, {between})) == 2
    operations.fprop(Tanh(), between)
    assert len(fuse(operations.items, set())) == 3


def test_a_mistake_in_a_unit_names_the_unit():
    class Wrong(Elementwise):
        def function(self, x):
            return float(str(x))

        def derivative(self, x, y):
            return 1

    with pytest.raises(TypeError, match=r"^Wrong\(\): numba cannot compile fprop"):
        Sequential(Linear(2, 2), Wrong()).fprop(np.zeros((2, 2)))
