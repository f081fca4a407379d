"""float32 and float64: what `.to` converts, what it leaves behind, and what nets make of parts of both."""

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm1d,
    BatchNorm2d,
    BinaryCrossEntropyWithLogits,
    Buffer,
    Conv2d,
    Graph,
    Linear,
    Module,
    Parameter,
    PReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
    Tanh,
)
from bprop.modules.engine.stateful import find_stored_names

SIGNALING = np.full(3, 0x7FA00000, np.uint32).view(np.float32)  # what uninitialised memory may hold now and then
GIVEN = np.array([0.1, 0.3])


class Scratch(Module):
    """Memory that is used again, which begins empty (`z`) or not (`room`)."""

    def __init__(self):
        super().__init__()
        self.room, self.z = np.zeros((3, 4)), np.empty(0)

    def fprop(self, x):
        self.room[0, 0] = 1
        self.z = np.empty_like(x)
        self.z[:] = x
        return self.z


@pytest.mark.parametrize("make", [lambda: Conv2d(2, 3, 3), lambda: BatchNorm2d(3), lambda: Linear(3, 3), Scratch])
def test_to_converts_nothing_uninitialised(make):
    module = make()
    arrays = {name: value for name, value in vars(module).items() if isinstance(value, np.ndarray)}
    scratch = [name for name, value in arrays.items() if name in find_stored_names(type(module)) and not value.size]
    assert scratch
    for name in scratch:
        vars(module)[name] = SIGNALING.reshape((3,) + (1,) * (arrays[name].ndim - 1))
    if isinstance(module, Scratch):
        module.room[:, :3] = SIGNALING
    module.to("float64")  # a number that is converted would warn, and warnings are errors
    for name in scratch:
        assert vars(module)[name].size == 0
        assert vars(module)[name].ndim == arrays[name].ndim


def test_to_refuses_what_float32_cannot_hold():
    net = Sequential(Linear(2, 2)).to("float64")
    net[0].weight[1, 0] = 1e300
    with pytest.raises(ValueError, match=r"Linear: weight has 1e\+300, expected at most 3.4e\+38, the largest float32"):
        net.to("float32")
    assert net.dtype == net[0].weight.dtype == np.float64


class Constants(Module):
    """Settings of both kinds, and a parameter that begins as one number."""

    def __init__(self):
        super().__init__()
        self.constant, self.buffer, self.weight = GIVEN, Buffer(GIVEN), Parameter(np.full(3, 0.1))

    def fprop(self, x):
        return x


def test_what_was_given_in_float64_comes_back_at_full_precision():
    loss = SoftmaxCrossEntropy(class_weights=[0.1, 0.3])
    np.testing.assert_array_equal(loss.copy().to("float64").class_weights, GIVEN)
    np.testing.assert_array_equal(BinaryCrossEntropyWithLogits([0.1, 0.3]).to("float64").pos_weight, GIVEN)
    np.testing.assert_array_equal(Sequential(Standardize([0.1, 0.3], [1, 2])).to("float64")[0].mean, GIVEN)
    np.testing.assert_array_equal(PReLU(2, init=0.1).to("float64").weight, [0.1, 0.1])
    module = Constants()
    assert module.constant.dtype == module.buffer.dtype == module.weight.dtype == np.float32
    module.to("float64").to("float32").to("float64")
    np.testing.assert_array_equal([module.constant, module.buffer], [GIVEN, GIVEN])
    np.testing.assert_array_equal(module.weight, [0.1] * 3)


def test_what_has_changed_since_is_converted_as_it_is():
    module = Constants()
    module.weight[0], module.buffer[0], module.constant = 0.5, 0.25, np.array([0.75, 0.1])
    module.to("float64")
    np.testing.assert_array_equal(module.weight, [0.5, np.float32(0.1), np.float32(0.1)])
    np.testing.assert_array_equal(module.buffer, [0.25, np.float32(0.3)])
    np.testing.assert_array_equal(module.constant, [0.75, 0.1])
    single = Linear(3, 2)
    np.testing.assert_array_equal(single.copy().to("float64").weight, single.weight)  # drawn, not given


def test_containers_take_their_childrens_dtype():
    inner = Linear(2, 2).to("float64")
    inner.weight[:] = 0.1
    net = Sequential(Tanh(), inner, Tanh())
    assert {module.dtype for module in net.all_modules()} == {np.dtype(np.float64)}
    assert net[1].weight[0, 0] == 0.1
    for part in (net[:2], net[1:], net[::2], net[2:]):
        assert {module.dtype for module in part.all_modules()} == {np.dtype(np.float64)}
    assert net[:2][1].weight[0, 0] == 0.1
    x = np.ones((1, 2))
    assert net[:2].fprop(x).dtype == np.float64
    assert Residual(Sequential(Linear(2, 2).to("float64"))).dtype == np.float64
    assert Graph(nodes={"a": (Linear(2, 2).to("float64"), "x"), "b": (Tanh(), "a")}, inputs="x", outputs="b").dtype == (
        np.float64
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Sequential(Linear(2, 2), Linear(2, 3).to("float64")),
            r"Sequential: 1 is Linear\(2 -> 3\) in float64, expected float32 like the modules beside it; "
            r"write .to\('float32'\)",
        ),
        (
            lambda: Sequential(BatchNorm1d(2).to("float64"), Tanh()).append(Linear(2, 2)),
            r"Sequential: 2 is Linear\(2 -> 2\) in float32, expected float64",
        ),
        (
            lambda: Sequential(Sequential(Linear(2, 2)), Sequential(Tanh()).to("float64")),
            r"Sequential: 1 is Sequential\(\) in float64, expected float32",
        ),
    ],
)
def test_mixed_dtypes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_refused_module_leaves_the_net_as_it_was():
    net, other = Sequential(Linear(2, 2)), Linear(2, 2).to("float64")
    with pytest.raises(ValueError, match="in float64"):
        net.append(other)
    assert len(net) == 1
    assert other.parent is None
    net.append(other.to("float32"))
    assert net.dtype == net[1].dtype == np.float32
