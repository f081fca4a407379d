"""The table of a net."""

import re

import numpy as np
import pytest
from bprop.modules import Linear, Module, ReLU, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.modules.display.summary import measure_memory
from bprop.trainers import SGD, compile_step
from numba.core import types


class Residual(Module):
    """y = x + inner(x)"""

    def __init__(self, features):
        super().__init__()
        self.inner = Linear(features, features)

    def fprop(self, x):
        return x + self.inner.fprop(x)

    def bprop(self, grad_y):
        return grad_y + self.inner.bprop(grad_y)


class Told(Residual):
    """A container that knows its output's shape without asking the modules inside."""

    def output_shape(self, input_shape):
        return input_shape


def test_summary_lists_every_module():
    net = Sequential(Linear(784, 72), Sequential(ReLU(), Linear(72, 10, bias=False)), Residual(10))
    text = net.summary((32, 784))
    assert str(text) == repr(text)
    assert text.splitlines() == [
        "path            module                        output shape  parameters  kept     grad_x",
        "model           Sequential()                  (32, 10)      0",
        "model[0]        Linear(784 -> 72)             (32, 72)      56,520      9.0 KiB",
        "model[1]        Sequential()                  (32, 10)      0",
        "model[1][0]     ReLU()                        (32, 72)      0           9.0 KiB  9.0 KiB",
        "model[1][1]     Linear(72 -> 10, bias=False)  (32, 10)      720         1.2 KiB  9.0 KiB",
        "model[2]        Residual()                    (32, 10)      0",
        "model[2].inner  Linear(10 -> 10)              (32, 10)      110         1.2 KiB  1.2 KiB",
        "57,350 parameters, 0.22 MiB in float32",
        "memory of a training step 487.8 KiB:",
        "  parameters 224.0 KiB, gradients 224.0 KiB, kept 20.5 KiB, grad_x 19.2 KiB",
    ]


@pytest.mark.jit
def test_memory_is_that_of_the_real_state():
    net = Sequential(Linear(6, 40), Tanh(), Residual(40), Linear(40, 3))
    x, target = np.ones((50, 6), np.float32), np.zeros(50, np.int64)
    compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1))(x, target)
    arrays = {}
    for module in net.all_modules():
        state = module._state
        for name, kind in state.kind.fields if state is not None else ():
            if isinstance(kind, types.Array) and name not in module.fixed_names():
                start = state.kind.offsets[name] // 8
                count, itemsize, data = state.memory[start + 2 : start + 5]
                if count and data:
                    arrays[int(data)] = int(count * itemsize)
    arrays.pop(x.ctypes.data, None)
    stored, grads = measure_memory(net, x.shape)
    assert sum(stored.values()) + sum(grads.values()) == sum(arrays.values())


def test_memory_of_an_optimizer():
    net, sgd = Linear(3, 2), SGD(lr=0.1, momentum=0.9)
    sgd.attach(net)
    assert "optimizer 32 B" in net.summary((5, 3), sgd)


def test_summary_of_a_container_that_does_not_ask():
    assert "model.inner  Linear(2 -> 2)  -             6" in Told(2).summary((3, 2))


def test_summary_of_a_single_module():
    assert Linear(3, 2).to("float64").summary((5, 3)).splitlines()[2] == "8 parameters, 0.00 MiB in float64"


def test_summary_refuses_a_shape_that_does_not_fit():
    net = Sequential(ReLU(), Linear(3, 2))
    with pytest.raises(ValueError, match=re.escape("Linear(3 -> 2): x has shape (5, 4), expected (N, 3)")) as caught:
        net.summary((5, 4))
    assert caught.value.__notes__ == ["in model[1]"]


def test_summary_leaves_the_net_alone():
    net = Sequential(Linear(3, 2), Residual(2))
    x = np.ones((2, 3))
    y = net.fprop(x)
    net.summary((7, 3))
    np.testing.assert_array_equal(net.bprop(y).shape, x.shape)
    np.testing.assert_array_equal(net.fprop(x), y)
    assert "fprop" not in vars(net[1].inner)
