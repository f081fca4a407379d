"""`compile_step`: one compiled function that does what the parts do by hand."""

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Module, Parameter, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.trainers import SGD, compile_step


class Scale(Module):
    """y = x * weight: the example of a module of one's own."""

    def __init__(self, features):
        super().__init__()
        self.weight = Parameter(np.ones(features))

    def fprop(self, x):
        self.x = x
        return x * self.weight

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        return grad_y * self.weight


def classifier():
    return Sequential(Linear(4, 5), Tanh(), Scale(5), Linear(5, 3))


def minibatch(n=8, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def by_hand(net, loss, sgd, x, t):
    net.zero_grad()
    value = loss.fprop(net.fprop(x), t)
    net.bprop(loss.bprop())
    sgd.update(net)
    return float(value)


@pytest.fixture
def made():
    """A net, its compiled step, and the net's twin."""
    net = classifier()
    return net, compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9)), net.copy()


def test_step_is_what_the_parts_do_by_hand(made):
    net, step, twin = made
    loss, sgd = SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9)
    for seed, n in enumerate([8, 8, 3, 1, 8]):
        x, t = minibatch(n, seed)
        value = step(x, t)
        assert isinstance(value, float)
        assert value == pytest.approx(by_hand(twin, loss, sgd, x, t), rel=1e-6)
        np.testing.assert_allclose(net.flat_gradients, twin.flat_gradients, atol=1e-6)
        np.testing.assert_allclose(net.flat_parameters, twin.flat_parameters, atol=1e-6)


def test_gradients_are_those_of_the_last_minibatch(made):
    net, step, twin = made
    x, t = minibatch()
    loss = SoftmaxCrossEntropy()
    loss.fprop(twin.fprop(x), t)
    twin.bprop(loss.bprop())
    step(x, t)
    assert net[0].grad_weight.any()
    for (name, gradient), (_, expected) in zip(net.named_gradients(), twin.named_gradients(), strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-6, err_msg=name)


def test_the_value_is_the_loss_before_the_update(made):
    _, step, twin = made
    x, t = minibatch()
    assert step(x, t) == pytest.approx(float(SoftmaxCrossEntropy().fprop(twin.fprop(x), t)), rel=1e-6)
    assert step(x, t) < float(SoftmaxCrossEntropy().fprop(twin.fprop(x), t))


def test_the_callers_arrays_are_not_changed(made):
    _, step, _ = made
    x, t = minibatch()
    before = x.copy(), t.copy()
    step(x, t)
    assert np.array_equal(x, before[0])
    assert np.array_equal(t, before[1])


def test_lists_and_other_numbers_are_converted(made):
    net, step, twin = made
    x, t = minibatch()
    first = step(np.asfortranarray(x, np.float64), t.astype(np.uint8).tolist())
    again = compile_step(twin, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))(x, t)
    assert first == again
    assert np.array_equal(net.flat_parameters, twin.flat_parameters)


def test_distributions_as_targets():
    net = Sequential(Linear(4, 3))
    twin = net.copy()
    x, t = minibatch()
    compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))(x, np.eye(3)[t])
    by_hand(twin, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), x, t)
    np.testing.assert_allclose(net.flat_parameters, twin.flat_parameters, atol=1e-6)


def test_float64_net():
    net = Sequential(Linear(4, 3)).to("float64")
    twin = net.copy()
    loss, sgd = SoftmaxCrossEntropy().to("float64"), SGD(lr=0.1, momentum=0.9)
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    for seed in range(3):
        x, t = minibatch(8, seed)
        assert step(x, t) == pytest.approx(by_hand(twin, loss, sgd, x, t), rel=1e-13)
    assert net.flat_parameters.dtype == np.float64
    np.testing.assert_allclose(net.flat_parameters, twin.flat_parameters, rtol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, when it runs as plain Python
def test_a_loss_that_is_not_finite_changes_nothing(made):
    net, step, _ = made
    x, t = minibatch()
    step(x, t)
    before = net.flat_parameters.copy()
    for poison in (np.nan, np.inf):
        assert not np.isfinite(step(np.full_like(x, poison), t))
        assert np.array_equal(net.flat_parameters, before)
    assert np.isfinite(step(x, t))


def test_a_net_that_has_grown_is_compiled_again():
    net = Sequential(Linear(4, 3))
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    x, t = minibatch()
    step(x, t)
    net.append(Scale(3))
    before = net.flat_parameters.copy()
    step(x, t)
    assert net[1].grad_weight.any()
    assert not np.array_equal(net.flat_parameters, before)


@pytest.mark.jit
def test_a_module_without_jit_runs_between_compiled_parts(made):
    class PythonScale(Scale):
        """The same, but never compiled."""

        jit = False

    _, step, twin = made
    net = Sequential(Linear(4, 5), Tanh(), PythonScale(5), Linear(5, 3))
    net.load_state_dict(twin.state_dict())
    slow = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    with pytest.warns(UserWarning, match=r"PythonScale\(\) has jit = False: it runs as Python"):
        first = slow(*minibatch())
    assert [first, slow(*minibatch(3, 1))] == pytest.approx([step(*minibatch()), step(*minibatch(3, 1))], rel=1e-6)
    np.testing.assert_allclose(net.flat_parameters, step.net.flat_parameters, atol=1e-6)


def test_an_empty_minibatch_is_refused(made):
    _, step, _ = made
    with pytest.raises(ValueError, match=r"^step: the minibatch is empty, expected at least one sample$"):
        step(np.zeros((0, 4)), np.zeros(0, int))


def test_shapes_that_do_not_fit_are_refused(made):
    _, step, _ = made
    x, t = minibatch()
    with pytest.raises(ValueError, match=r"x has shape \(8, 3\), expected \(N, 4\)"):
        step(x[:, :3], t)
    with pytest.raises(ValueError, match=r"y has shape \(8, 3\) and target \(7,\)"):
        step(x, t[:7])


def test_n_1_against_n_is_refused():
    step = compile_step(Sequential(Linear(4, 1)), MeanSquaredError(), SGD(lr=0.1))
    with pytest.raises(ValueError, match=r"y has shape \(8, 1\) and target \(8,\), expected the same shape"):
        step(np.zeros((8, 4)), np.zeros(8))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_refused(made, label):
    _, step, _ = made
    x, t = minibatch()
    t[5] = label
    with pytest.raises(ValueError, match=r"label lies outside 0\.\.K-1"):
        step(x, t)
