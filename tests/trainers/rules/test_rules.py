"""Learning rules against their equations, and beside plain Python; what they are told, and what they refuse."""

import ast
import inspect
import re
import textwrap

import numpy as np
import pytest
from bprop.modules import (
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MeanSquaredError,
    Module,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import (
    LBFGS,
    SGD,
    ChainRule,
    DifferenceTargetPropagation,
    DirectFeedbackAlignment,
    EquilibriumPropagation,
    FeedbackAlignment,
    ForwardForward,
    Hebbian,
    PredictiveCoding,
    QuantizedWeights,
    Rule,
    SignSymmetry,
    Trainer,
    compile_step,
    compute_grad_x,
    compute_parameter_gradients,
    rules,
)
from bprop.trainers.training.alignment import Alignment

from ...modules.custom import InPython

RULES = [
    FeedbackAlignment(),
    SignSymmetry(),
    DirectFeedbackAlignment(),
    Hebbian("sanger"),
    QuantizedWeights(3),
    QuantizedWeights(stochastic=True),
    PredictiveCoding(steps=4),
    EquilibriumPropagation(steps=5, nudged_steps=2),
    ForwardForward(),
    DifferenceTargetPropagation(),
]


def named(values):
    return [value.label() for value in values]


def make_net(dtype="float32", unit=Tanh):
    manual_seed(3)
    return Sequential(Linear(7, 6), unit(), Linear(6, 5), unit(), Linear(5, 3)).to(dtype)


def make_data(samples=8, features=7, dtype="float32"):
    random = np.random.default_rng(5)
    return random.normal(size=(samples, features)).astype(dtype), random.integers(3, size=samples)


def run_step(net, rule, x, target, loss=None):
    """The gradients that a rule's step leaves, by the parameters' names."""
    step = compile_step(net, (loss or SoftmaxCrossEntropy()).to(net.dtype), SGD(lr=0.0), rule=rule)
    with uncompiled():  # `test_compiled_rules_equal_plain_python` compiles all
        value = step(x, target)
    assert np.isfinite(value)
    return {name: gradient.copy() for name, gradient in net.named_gradients()}


def run_backprop(net, x, target, loss=None):
    loss = (loss or SoftmaxCrossEntropy()).to(net.dtype)
    net.zero_grad()
    with uncompiled():
        loss(net.fprop(x), target)
        net.bprop(loss.bprop())
    return {name: gradient.copy() for name, gradient in net.named_gradients()}


def assert_alike(actual, expected, rtol=1e-9):
    assert actual.keys() == expected.keys()
    for name in actual:
        np.testing.assert_allclose(actual[name], expected[name], rtol=rtol, atol=rtol, err_msg=name)


def uncompiled_function(function):
    def run(*arguments):
        with uncompiled():
            return function(*arguments)

    return run


class Backprop(Rule):
    """Backpropagation as a rule."""

    claims_gradient = True

    def bprop(self, layer, grad_y):
        return layer.bprop(grad_y)


class Halves(Rule):
    """Backpropagation, in two halves."""

    claims_gradient = True

    def start(self, layer, input_shape, output_shape, outputs):
        self.matrix = np.zeros(self.weight.shape)

    def bprop(self, layer, grad_y):
        grad_x = compute_parameter_gradients(layer, grad_y)
        if self.needs_grad_x:
            self.matrix[...] = self.weight
            grad_x = compute_grad_x(self, layer, grad_y, self.matrix)
        return grad_x


class Plain(Module):
    """x K, with a matrix of another name, by an author who has heard of no flag."""

    def __init__(self, size):
        super().__init__()
        self.kernel = Parameter(np.random.default_rng(1).normal(size=(size, size)))

    def fprop(self, x):
        self.x = x
        return x @ self.kernel

    def bprop(self, grad_y):
        self.grad_kernel += self.x.T @ grad_y
        return grad_y @ self.kernel.T


@pytest.mark.parametrize("rule", [Backprop(), Halves()], ids=named([Backprop(), Halves()]))
def test_the_gradient_as_a_rule(rule):
    x, target = make_data(dtype="float64")
    for net in (make_net("float64"), Sequential(Linear(7, 5), Plain(5), Tanh(), Plain(5), Linear(5, 3)).to("float64")):
        assert_alike(run_step(net.copy(), rule.copy(), x, target), run_backprop(net, x, target))


@uncompiled_function
def backward_with(net, matrices, x, target):
    """The gradients of a chain whose weights are others in the backward pass, by modules one by one."""
    loss, twin = SoftmaxCrossEntropy().to(net.dtype), net.copy()
    net.zero_grad()
    values = [x]
    for module in net:
        values.append(module.fprop(values[-1]))
    loss(values[-1], target)
    grad = loss.bprop()
    for k in range(len(net) - 1, -1, -1):
        own, other = net[k], twin[k]
        below = own.bprop(grad)
        if own._parameters and k in matrices:
            name = next(name for name in own._parameters if getattr(own, name).ndim > 1)
            setattr(other, name, matrices[k])
            other.fprop(values[k])
            below = other.bprop(grad)
        grad = below
    return {name: gradient.copy() for name, gradient in net.named_gradients()}


def make_chain(kind, dtype="float64"):
    if kind == "linear":
        return make_net(dtype), make_data(dtype=dtype)
    if kind == "custom":
        net = Sequential(Linear(7, 5), Tanh(), Plain(5), Tanh(), Plain(5), Linear(5, 3)).to(dtype)
        return net, make_data(dtype=dtype)
    x, target = make_data(features=2 * 6 * 6, dtype=dtype)
    net = Sequential(Conv2d(2, 4, 3), Tanh(), Conv2d(4, 3, 2), Tanh(), Flatten(), Linear(27, 3))
    return net.to(dtype), (x.reshape(-1, 2, 6, 6), target)


@pytest.mark.parametrize("kind", ["linear", "custom", "images"])
def test_feedback_alignment_sends_the_error_through_fixed_matrices(kind):
    net, (x, target) = make_chain(kind)
    rule = FeedbackAlignment(scale=1.5, seed=4)
    actual = run_step(net, rule, x, target)
    copies = {k: rule.copy_at(module) for k, module in enumerate(net) if module._parameters}
    matrices = {k: copy.matrix for k, copy in copies.items()}
    for matrix in matrices.values():
        assert abs(matrix.std() * np.sqrt(matrix.size / len(matrix)) - 1.5) < 0.5
    assert_alike(actual, backward_with(net.copy(), matrices, x, target))
    again = FeedbackAlignment(scale=1.5, seed=4)
    run_step(net.copy(), again, x, target)
    assert [copy.matrix.tolist() for copy in again._copies.values()] == [m.tolist() for m in matrices.values()]


@pytest.mark.parametrize("kind", ["linear", "custom", "images"])
def test_sign_symmetry_sends_the_error_through_the_signs(kind):
    net, (x, target) = make_chain(kind)
    weights = {k: module for k, module in enumerate(net) if module._parameters}
    matrices = {}
    for k, module in weights.items():
        weight = next(getattr(module, name) for name in module._parameters if getattr(module, name).ndim > 1)
        matrices[k] = np.sign(weight) * 0.7 / np.sqrt(weight.size / len(weight))
    assert_alike(run_step(net, SignSymmetry(0.7), x, target), backward_with(net.copy(), matrices, x, target))


def test_direct_feedback_alignment_by_numpy():
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    rule = DirectFeedbackAlignment()
    actual = run_step(net, rule, x, target)
    w1, w2, w3 = (net[k] for k in (0, 2, 4))
    h1 = np.tanh(x @ w1.weight.T + w1.bias)
    h2 = np.tanh(h1 @ w2.weight.T + w2.bias)
    y = h2 @ w3.weight.T + w3.bias
    error = np.exp(y - y.max(1, keepdims=True))
    error = (error / error.sum(1, keepdims=True) - np.eye(3)[target]) / len(x)
    g2 = error @ rule.copy_at(w3).matrix * (1 - h2**2)
    g1 = error @ rule.copy_at(w2).matrix * (1 - h1**2)
    expected = {"0.weight": g1.T @ x, "0.bias": g1.sum(0), "2.weight": g2.T @ h1, "2.bias": g2.sum(0)}
    expected |= {"4.weight": error.T @ h2, "4.bias": error.sum(0)}
    assert_alike(actual, expected)


def test_rules_of_layers_train_images_and_branches():
    x, target = make_data(features=8)
    manual_seed(1)
    net = Sequential(Linear(8, 6), Residual(Sequential(Linear(6, 6), Tanh(), Dropout(0.2))), ReLU(), Linear(6, 3))
    for rule in (FeedbackAlignment(), SignSymmetry(), DirectFeedbackAlignment(), QuantizedWeights(5)):
        trained = net.copy()
        history = Trainer(trained, SoftmaxCrossEntropy(), SGD(lr=0.3), rule=rule, quiet=True).fit(
            (x, target), epochs=30, batch_size=8
        )
        assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]


@pytest.mark.parametrize(("kind", "last"), [("hebb", False), ("oja", False), ("sanger", True)])
def test_hebbian_changes_by_their_equations(kind, last):
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    actual = run_step(net, Hebbian(kind, last=last), x, target)
    truth = run_backprop(net.copy(), x, target)
    inputs = [x]
    for module in net:
        inputs.append(module.fprop(inputs[-1]))
    for k in (0, 2, 4):
        h, y, weight = inputs[k], inputs[k + 1], net[k].weight
        squares = {"hebb": 0 * (y.T @ y), "oja": np.diag((y**2).sum(0)), "sanger": np.tril(y.T @ y)}[kind]
        change = (y.T @ h - squares @ weight) / len(x)
        learned = k == 4 and not last
        np.testing.assert_allclose(actual[f"{k}.weight"], truth[f"{k}.weight"] if learned else -change, atol=1e-12)
        if not learned:
            assert not actual[f"{k}.bias"].any()


def test_sanger_finds_the_principal_components_in_order():
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(6, 6)))[0]
    x = random.normal(size=(500, 6)) * [3, 2, 1.4, 0.5, 0.4, 0.3] @ axes.T
    manual_seed(0)
    net = Sequential(Linear(6, 3, bias=False)).to("float64")
    step = compile_step(net, MeanSquaredError().to("float64"), SGD(lr=0.03), rule=Hebbian("sanger", last=True))
    for _ in range(800):
        step(x, np.zeros((500, 3)))
    np.testing.assert_allclose(np.linalg.norm(net[0].weight, axis=1), 1, atol=0.01)
    components = np.linalg.svd(x)[2][:3]
    np.testing.assert_allclose(np.abs((net[0].weight * components).sum(1)), 1, atol=0.01)


def test_quantized_weights_forward_and_backward():
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    net[0].weight[0, :2] = [0.9, -0.9]  # beyond the limit
    rule = QuantizedWeights(3, scale=1.2)
    actual, rounded = run_step(net, rule, x, target), net.copy()
    rule.write_weights(rounded)
    limit = 1.2 / np.sqrt(7)
    assert set(np.round(rounded[0].weight.ravel(), 9)) == {*np.round([-limit, 0, limit], 9)}
    expected = run_backprop(rounded, x, target)
    for k in (0, 2, 4):
        limit = 1.2 / np.sqrt(net[k].in_features)
        grad, weight = expected[f"{k}.weight"], net[k].weight
        grad[((weight > limit) & (grad < 0)) | ((weight < -limit) & (grad > 0))] = 0
    assert_alike(actual, expected)
    np.testing.assert_allclose(rule.answer(net.eval(), x), rounded.eval().fprop(x), rtol=1e-12)


def test_stochastic_rounding_keeps_the_mean_and_begins_where_it_was():
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    rule = QuantizedWeights(2, stochastic=True, scale=1.5)
    step = compile_step(net, SoftmaxCrossEntropy().to("float64"), SGD(lr=0.0), rule=rule)
    sums, count = np.zeros_like(net[0].weight), 2000
    for _ in range(count):
        step(x, target)
        sums += rule.copy_at(net[0]).matrix
    limit = 1.5 / np.sqrt(7)
    np.testing.assert_allclose(sums / count, np.clip(net[0].weight, -limit, limit), atol=6 * limit / np.sqrt(count))
    assert rule.state_dict() == {"0.step": count, "1.step": count, "2.step": count}


def settle(net, x, steps, rate=1.0, nudge=None):
    """The states of rest of a net of Linear and Tanh, by NumPy."""
    layers = [net[0], net[2], net[4]]
    states = [x, *[np.zeros((len(x), layer.out_features)) for layer in layers]]
    for _ in range(steps):
        for k, layer in enumerate(layers, start=1):
            drive = states[k - 1] @ layer.weight.T + layer.bias
            drive = drive + states[k + 1] @ layers[k].weight if k < 3 else drive
            new = np.tanh(drive) if k < 3 else drive
            if k == 3 and nudge is not None:
                new = new - nudge(states[3])
            states[k] = states[k] + rate * (new - states[k])
    return states


def test_equilibrium_propagation_is_the_gradient_of_the_state_of_rest():
    net, (x, _) = make_net("float64"), make_data(5, dtype="float64")
    net.flat_parameters[...] *= 0.7
    target = np.random.default_rng(1).normal(size=(5, 3))
    rule = EquilibriumPropagation(steps=150, nudged_steps=150, beta=1e-3)
    actual = run_step(net, rule, x, target, MeanSquaredError())
    np.testing.assert_allclose(rule.answer(net, x), settle(net, x, 150)[-1], atol=1e-12)

    def value():
        return np.mean((settle(net, x, 150)[-1] - target) ** 2)

    for name, array in net.named_parameters():
        for place in ((0,) * array.ndim, (-1,) * array.ndim):
            kept, slope = array[place], 0.0
            for sign in (1, -1):
                array[place] = kept + sign * 1e-5
                slope += sign * value() / 2e-5
            array[place] = kept
            np.testing.assert_allclose(actual[name][place], slope, rtol=1e-3, atol=1e-7, err_msg=name)


def test_predictive_coding_tends_to_the_gradient_for_a_small_error():
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    net[4].weight[...] *= 1e-4  # so that the activities move little, and the error at the output stays
    compared = Alignment(net, SoftmaxCrossEntropy().to("float64"), PredictiveCoding(steps=200)).compare(x, target)
    for angle, ratio in compared.values():
        assert angle < 0.1
        assert ratio == pytest.approx(1, rel=1e-3)


def test_predictive_coding_by_numpy():
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    actual = run_step(net, PredictiveCoding(steps=3, rate=0.2), x, target)
    (w1, w2, w3), n = (net[k] for k in (0, 2, 4)), len(x)

    def softmax_error(v):
        y = v @ w3.weight.T + w3.bias
        p = np.exp(y - y.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True) - np.eye(3)[target]

    v1 = np.tanh(x @ w1.weight.T + w1.bias)
    v2 = np.tanh(v1 @ w2.weight.T + w2.bias)
    for k in range(4):
        p1, p2 = np.tanh(x @ w1.weight.T + w1.bias), np.tanh(v1 @ w2.weight.T + w2.bias)
        e1, e2, error = v1 - p1, v2 - p2, softmax_error(v2)
        if k < 3:
            v1, v2 = (
                v1 - 0.2 * (e1 - (e2 * (1 - p2**2)) @ w2.weight),
                v2 - 0.2 * (e2 + error @ w3.weight),
            )
    g1, g2 = -e1 * (1 - p1**2) / n, -e2 * (1 - p2**2) / n
    expected = {"0.weight": g1.T @ x, "0.bias": g1.sum(0), "2.weight": g2.T @ v1, "2.bias": g2.sum(0)}
    expected |= {"4.weight": error.T @ v2 / n, "4.bias": error.sum(0) / n}
    assert_alike(actual, expected)


def normalize(h):
    return h / (np.sqrt((h**2).mean(1, keepdims=True)) + 1e-4)


def test_forward_forward_pushes_the_goodness_of_each_block():
    net, (x, target) = make_net("float64", ReLU), make_data(dtype="float64")
    net[0].bias[...] = 0.1  # so that some unit of each sample is on
    rule = ForwardForward(threshold=0.3, sharpness=2.0, strength=0.8)
    actual = run_step(net, rule, x, target)
    wrong = rule.copy_at(net[0]).wrong
    assert ((wrong != target) & (wrong >= 0) & (wrong < 3)).all()
    labelled = np.concatenate([x, x])
    labelled[:, :3] = 0.8 * np.eye(3)[np.concatenate([target, wrong])]
    signs = np.repeat([1, -1], len(x))

    def local_loss(first, second, k):
        h1 = np.maximum(labelled @ first[0].T + first[1], 0)
        h2 = np.maximum(normalize(frozen if k else h1) @ second[0].T + second[1], 0)
        goodness = ((h2 if k else h1) ** 2).mean(1)
        return np.log1p(np.exp(-signs * 2.0 * (goodness - 0.3))).mean()

    frozen = np.maximum(labelled @ net[0].weight.T + net[0].bias, 0)
    for k, layer in enumerate((net[0], net[2])):
        for name in ("weight", "bias"):
            array = getattr(layer, name)
            for place in ((0,) * array.ndim, (-1,) * array.ndim, (2,) * array.ndim):
                slope = 0.0
                for sign in (1, -1):
                    changed = [[net[j].weight.copy(), net[j].bias.copy()] for j in (0, 2)]
                    changed[k][name == "bias"][place] += sign * 1e-6
                    slope += sign * local_loss(*changed, k) / 2e-6
                np.testing.assert_allclose(actual[f"{2 * k}.{name}"][place], slope, rtol=1e-5, atol=1e-9)
    bare = x.copy()
    bare[:, :3] = 0
    h = np.maximum(normalize(np.maximum(bare @ net[0].weight.T + net[0].bias, 0)) @ net[2].weight.T + net[2].bias, 0)
    head = Sequential(net[4].copy()).to("float64")
    expected = run_backprop(head, normalize(h), target)
    assert_alike({"0.weight": actual["4.weight"], "0.bias": actual["4.bias"]}, expected)


def test_forward_forward_answers_with_the_goodness_of_each_label():
    net, (x, target) = make_net("float64", ReLU), make_data(dtype="float64")
    rule = ForwardForward(sharpness=2.0)
    run_step(net, rule, x, target)
    scores = rule.answer(net.eval(), x)
    for label in range(3):
        labelled = x.copy()
        labelled[:, :3] = np.eye(3)[label]
        h = np.maximum(labelled @ net[0].weight.T + net[0].bias, 0)
        h = np.maximum(normalize(h) @ net[2].weight.T + net[2].bias, 0)
        np.testing.assert_allclose(scores[:, label], 2.0 * (h**2).mean(1), rtol=1e-9)


def test_difference_target_propagation_by_numpy():
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    rule = DifferenceTargetPropagation(step=0.2, noise=0.05, lr=0.1)
    rule.attach(net, x.shape)
    inverse = rule.copy_at(net[2])._inverse
    weight, bias = inverse[0].weight.copy(), inverse[0].bias.copy()
    actual = run_step(net, rule, x, target)
    (w1, w2, w3), n = (net[k] for k in (0, 2, 4)), len(x)

    def back(h):
        return np.tanh(h @ weight.T + bias)

    h1 = np.tanh(x @ w1.weight.T + w1.bias)
    h2 = np.tanh(h1 @ w2.weight.T + w2.bias)
    y = h2 @ w3.weight.T + w3.bias
    error = np.exp(y - y.max(1, keepdims=True))
    error = (error / error.sum(1, keepdims=True) - np.eye(3)[target]) / n
    aim2 = h2 - 0.2 * n * error @ w3.weight
    aim1 = h1 + back(aim2) - back(h2)
    g2 = (h2 - aim2) / (0.2 * n) * (1 - h2**2)
    g1 = (h1 - aim1) / (0.2 * n) * (1 - h1**2)
    expected = {"0.weight": g1.T @ x, "0.bias": g1.sum(0), "2.weight": g2.T @ h1, "2.bias": g2.sum(0)}
    expected |= {"4.weight": error.T @ h2, "4.bias": error.sum(0)}
    assert_alike(actual, expected)
    noisy = rule.copy_at(net[2]).noisy
    assert 0.02 < (noisy - h1).std() < 0.08
    above = np.tanh(noisy @ w2.weight.T + w2.bias)
    delta = (back(above) - noisy) / n * (1 - back(above) ** 2)
    np.testing.assert_allclose(inverse[0].weight, weight - 0.1 * delta.T @ above, rtol=1e-9)


@pytest.mark.jit
@pytest.mark.parametrize("rule", RULES, ids=named(RULES))
def test_compiled_rules_equal_plain_python(rule):
    unit = ReLU if isinstance(rule, ForwardForward) else Tanh
    x, target = make_data()
    results = []
    for plain in (False, True):
        net, own, loss = make_net(unit=unit), rule.copy(), SoftmaxCrossEntropy()
        step = compile_step(net, loss, SGD(lr=0.1, momentum=0.5), rule=own)
        with uncompiled() if plain else np.errstate():
            values = [step(x, target) for _ in range(3)]
            results.append((values, net.flat_parameters.copy(), own.answer(net.eval(), x), own.state_dict()))
    (values, weights, outputs, state), (others, other_weights, other_outputs, other_state) = results
    np.testing.assert_allclose(values, others, rtol=2e-4)
    np.testing.assert_allclose(weights, other_weights, rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(outputs, other_outputs, rtol=5e-3, atol=1e-4)
    assert state.keys() == other_state.keys()
    assert (net.flat_parameters != make_net(unit=unit).flat_parameters).any()


class PlainInPython(Plain):
    """x K, which runs as Python."""

    jit = False


BESIDE_PYTHON = [FeedbackAlignment(), QuantizedWeights(3), PredictiveCoding(steps=4)]


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore:.*runs as Python")
@pytest.mark.parametrize("rule", BESIDE_PYTHON, ids=named(BESIDE_PYTHON))
def test_rules_train_modules_that_run_as_python(rule):
    """Between compiled parts, with a weight matrix and without one; the steps are those of plain Python."""
    (x, target), results = make_data(), []
    for plain in (False, True):
        manual_seed(3)
        net = Sequential(Linear(7, 5), InPython(), Tanh(), PlainInPython(5), Tanh(), Linear(5, 3))
        before = net[3].kernel.copy()
        step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1), rule=rule.copy())
        with uncompiled() if plain else np.errstate():
            values = [step(x, target) for _ in range(3)]
        results.append((values, net.flat_parameters.copy()))
        assert (net[3].kernel != before).any()
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=2e-4)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("rule", RULES, ids=named(RULES))
def test_a_step_leaves_the_flags_of_the_net_as_they_were(rule):
    net, (x, target) = make_net(unit=ReLU), make_data()
    with uncompiled():
        run_step(net, rule.copy(), x, target)
        for module in net:
            assert (module.needs_grad_x, module.needs_grad_parameters, module.accumulate) == (True, True, True)
        expected, other = net.copy(), make_data(4)
        assert_alike(run_backprop(net, *other), run_backprop(expected, *other), 0)


def test_plain_backprop_has_the_bits_of_the_rule_that_is_backprop():
    x, target = make_data(32)
    weights = []
    for rule in (None, Backprop()):
        net = make_net()
        with uncompiled():
            Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), rule=rule, quiet=True).fit((x, target), epochs=2)
        weights.append(net.flat_parameters.tobytes())
    assert weights[0] == weights[1]


def test_angles_and_ratios_are_columns_of_the_history():
    x, target = make_data(32)
    trainer = Trainer(make_net(), SoftmaxCrossEntropy(), SGD(lr=0.1), rule=Backprop(), quiet=True)
    with uncompiled():
        row = trainer.fit((x, target), epochs=1)[-1]
    assert [name for name in row if name.startswith("angle.")] == ["angle.0", "angle.2", "angle.4"]
    for k in (0, 2, 4):
        assert row[f"angle.{k}"] < 0.1
        assert row[f"ratio.{k}"] == pytest.approx(1, abs=1e-5)
    plain = Trainer(make_net(), SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
    with uncompiled():
        assert not [name for name in plain.fit((x, target), epochs=1)[-1] if "angle" in name]


def test_alignment_of_known_vectors():
    from bprop.trainers.training.alignment import compute_angle, compute_ratio

    a, b = np.array([1.0, 0, 0]), np.array([1.0, 1, 0])
    assert compute_angle(a, b) == pytest.approx(45)
    assert compute_angle(a, -2 * a) == pytest.approx(180)
    assert compute_ratio(3 * a, b) == pytest.approx(3 / np.sqrt(2))
    assert np.isnan(compute_angle(a, 0 * b))
    assert np.isnan(compute_ratio(a, 0 * b))


STATEFUL = [QuantizedWeights(stochastic=True), ForwardForward(), DifferenceTargetPropagation()]


@pytest.mark.parametrize("rule", STATEFUL, ids=named(STATEFUL))
def test_a_resumed_training_has_the_same_bits(rule, tmp_path):
    x, target = make_data(24)

    def make_trainer():
        return Trainer(make_net(unit=ReLU), SoftmaxCrossEntropy(), SGD(lr=0.1), rule=rule.copy(), quiet=True)

    with uncompiled():
        whole, begun, rest = make_trainer(), make_trainer(), make_trainer()
        whole.fit((x, target), epochs=4, batch_size=8)
        begun.fit((x, target), epochs=2, batch_size=8)
        begun.save(tmp_path)
        rest.load(tmp_path)
        rest.fit((x, target), epochs=2, batch_size=8)
    assert rest.model.flat_parameters.tobytes() == whole.model.flat_parameters.tobytes()
    state, other = rest.rule.state_dict(), whole.rule.state_dict()
    assert {name: np.asarray(value).tolist() for name, value in state.items()} == {
        name: np.asarray(value).tolist() for name, value in other.items()
    }


def test_a_copy_of_a_trainer_has_a_rule_of_its_own():
    import copy

    x, target = make_data(24)
    trainer = Trainer(make_net(), SoftmaxCrossEntropy(), SGD(lr=0.1), rule=FeedbackAlignment(2.0, seed=3), quiet=True)
    twin = copy.deepcopy(trainer)
    assert twin.rule is not trainer.rule
    assert twin.rule.label() == trainer.rule.label() == "FeedbackAlignment(scale=2.0, seed=3)"
    with uncompiled():
        trainer.fit((x, target), epochs=2, batch_size=8)
        twin.fit((x, target), epochs=2, batch_size=8)
    assert trainer.model.flat_parameters.tobytes() == twin.model.flat_parameters.tobytes()


def test_another_rule_cannot_go_on_with_a_training(tmp_path):
    x, target = make_data(24)
    first = Trainer(make_net(), SoftmaxCrossEntropy(), SGD(lr=0.1), rule=FeedbackAlignment(), quiet=True)
    with uncompiled():
        first.fit((x, target), epochs=1, batch_size=8)
    first.save(tmp_path)
    other = Trainer(make_net(), SoftmaxCrossEntropy(), SGD(lr=0.1), rule=SignSymmetry(), quiet=True)
    with pytest.raises(ValueError, match=re.escape("the checkpoint has the rule FeedbackAlignment()")):
        other.load(tmp_path)


def test_a_checkpoint_from_before_there_were_rules_is_resumed(tmp_path):
    x, target = make_data(24)
    first, rest = (Trainer(make_net(), SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True) for _ in range(2))
    with uncompiled():
        first.fit((x, target), epochs=1, batch_size=8)
    state = first.state_dict()
    del state["rule"], state["parts"]["rule"]
    rest.load_state_dict(state)
    assert rest.model.flat_parameters.tobytes() == first.model.flat_parameters.tobytes()
    ruled = Trainer(make_net(), SoftmaxCrossEntropy(), SGD(lr=0.1), rule=SignSymmetry(), quiet=True)
    with pytest.raises(ValueError, match=re.escape("the checkpoint has the rule None, this trainer SignSymmetry()")):
        ruled.load_state_dict(state)


def test_a_setting_holds_at_all_layers():
    net, (x, target) = make_net("float64"), make_data(dtype="float64")
    rule = PredictiveCoding(steps=1, rate=0.1)
    few = run_step(net, rule, x, target)
    rule.steps = 20
    assert rule.copy_at(net[0]).steps == 20
    many = run_step(net.copy(), PredictiveCoding(steps=20), x, target)
    assert_alike(run_step(net, rule, x, target), many)
    assert (few["0.weight"] != many["0.weight"]).any()


class Asks(Rule):
    def bprop(self, layer, grad_y, weights):
        return layer.bprop(grad_y)


class TwoMatrices(Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Parameter(np.ones((7, 7))), Parameter(np.ones((7, 7)))

    def fprop(self, x):
        return x

    def bprop(self, grad_y):
        return grad_y


CHAIN = Sequential(Linear(7, 3))
REFUSED = [
    (lambda: FeedbackAlignment(0), None, "FeedbackAlignment: scale is 0, expected above 0"),
    (lambda: SignSymmetry(-1), None, "SignSymmetry: scale is -1, expected above 0"),
    (lambda: DirectFeedbackAlignment(float("nan")), None, "DirectFeedbackAlignment: scale is nan, expected above 0"),
    (lambda: Hebbian("anti"), None, "Hebbian: kind is 'anti', expected one of hebb, oja, sanger"),
    (lambda: QuantizedWeights(1), None, "QuantizedWeights: levels is 1, expected at least 2"),
    (lambda: QuantizedWeights(scale=0), None, "QuantizedWeights: scale is 0, expected above 0"),
    (lambda: PredictiveCoding(0), None, "PredictiveCoding: steps is 0, expected at least 1"),
    (lambda: PredictiveCoding(rate=0), None, "PredictiveCoding: rate is 0, expected above 0"),
    (lambda: EquilibriumPropagation(0), None, "EquilibriumPropagation: steps is 0, expected at least 1"),
    (lambda: EquilibriumPropagation(1, 0), None, "EquilibriumPropagation: nudged_steps is 0, expected at least 1"),
    (lambda: EquilibriumPropagation(beta=0), None, "EquilibriumPropagation: beta is 0, expected above 0"),
    (lambda: EquilibriumPropagation(rate=2), None, "EquilibriumPropagation: rate is 2, expected at most 1"),
    (lambda: ForwardForward(threshold=0), None, "ForwardForward: threshold is 0, expected above 0"),
    (lambda: ForwardForward(sharpness=0), None, "ForwardForward: sharpness is 0, expected above 0"),
    (lambda: ForwardForward(strength=0), None, "ForwardForward: strength is 0, expected above 0"),
    (lambda: DifferenceTargetPropagation(step=0), None, "DifferenceTargetPropagation: step is 0, expected above 0"),
    (lambda: DifferenceTargetPropagation(noise=0), None, "DifferenceTargetPropagation: noise is 0, expected above 0"),
    (lambda: DifferenceTargetPropagation(lr=0), None, "DifferenceTargetPropagation: lr is 0, expected above 0"),
    (FeedbackAlignment, Sequential(TwoMatrices(), Linear(7, 3)), "has the matrices a, b, expected one"),
    (PredictiveCoding, Linear(7, 3), "PredictiveCoding(): the model is a Linear, expected a Sequential"),
    (PredictiveCoding, Sequential(Tanh()), "PredictiveCoding(): the model has no layer with weights"),
    (ForwardForward, CHAIN, "ForwardForward(): the model has one layer with weights, expected at least 2"),
    (DifferenceTargetPropagation, CHAIN, "the model has one layer with weights, expected at least 2"),
    (
        ForwardForward,
        Sequential(Linear(7, 8), ReLU(), Linear(8, 9)),
        "ForwardForward(): model[0] takes samples of shape (7,), expected more than 9 numbers, the first for labels",
    ),
    (
        Asks,
        Sequential(Linear(7, 3)),
        "Asks(): bprop asks for 'weights', expected some of x, y, grad_y, error, target",
    ),
]


@pytest.mark.parametrize(("make", "net", "message"), REFUSED, ids=[each[2] for each in REFUSED])
def test_what_rules_refuse(make, net, message):
    x, target = make_data()
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):  # noqa: PT012
        rule = make()
        with uncompiled():
            run_step(net.copy(), rule, x, target % net.output_shape(x.shape)[1])


def test_hebbian_refuses_what_is_no_matrix():
    net, (x, target) = make_chain("images", "float32")
    with pytest.raises(
        ValueError, match=re.escape("model[0] has a weight of shape (4, 2, 3, 3), expected one of a Linear")
    ):
        run_step(net, Hebbian(), x, target)


def test_forward_forward_refuses_what_are_no_labels():
    net, (x, _) = make_net(unit=ReLU), make_data()
    expected = "ForwardForward(): the targets are float32 of shape (8, 3), expected labels (N,), one for each sample"
    with pytest.raises(ValueError, match=re.escape(expected)):
        run_step(net, ForwardForward(), x, np.zeros((8, 3), np.float32), MeanSquaredError())


@pytest.mark.jit
def test_any_number_of_threads_gives_the_same_bits():
    x, target = make_data(256, 64)
    weights = []
    for threads in (1, 2):
        manual_seed(0)
        net = Sequential(Linear(64, 128), Tanh(), Linear(128, 128), Tanh(), Linear(128, 3))
        trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), rule=FeedbackAlignment(), quiet=True)
        trainer.fit((x, target), epochs=3, batch_size=128, threads=threads)
        weights.append(net.flat_parameters.tobytes())
    assert weights[0] == weights[1]


def test_a_trainer_refuses_what_is_no_rule_and_optimizers_that_need_the_gradient():
    net, loss = make_net(), SoftmaxCrossEntropy()
    with pytest.raises(TypeError, match="Trainer: rule is the class FeedbackAlignment"):
        Trainer(net, loss, SGD(lr=0.1), rule=FeedbackAlignment)
    expected = "FeedbackAlignment(): LBFGS searches along the gradient of the loss, expected an optimizer"
    with pytest.raises(ValueError, match=re.escape(expected)):
        Trainer(net, loss, LBFGS(), rule=FeedbackAlignment())


def test_a_state_of_another_rule_is_refused():
    net, (x, target) = make_net(), make_data()
    rule = QuantizedWeights(stochastic=True)
    run_step(net, rule, x, target)
    with pytest.raises(ValueError, match=re.escape("QuantizedWeights: cannot load the state: missing 2.step")):
        rule.load_state_dict({"0.step": 1, "1.step": 1})


def count_code_lines(cls):
    """The lines of a class that are no docstring, comment or blank."""
    text = textwrap.dedent(inspect.getsource(cls))
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    documented = [node.body[0] for node in nodes if ast.get_docstring(node)]
    docstrings = {k for first in documented for k in range(first.lineno, first.end_lineno + 1)}
    lines = enumerate((line.strip() for line in text.splitlines()), start=1)
    return sum(bool(line) and not line.startswith("#") and k not in docstrings for k, line in lines)


EXPORTED = [value for value in map(vars(rules).get, rules.__all__) if inspect.isclass(value)]


@pytest.mark.parametrize("cls", [cls for cls in EXPORTED if cls not in (Rule, ChainRule)])
def test_a_rule_is_a_small_class_with_a_source(cls):
    """At most 60 lines, and so are the classes that it takes its methods from, below the bases of all rules."""
    parts = [base for base in cls.__mro__ if base.__module__ == cls.__module__]
    assert cls in parts
    assert all(count_code_lines(part) <= 60 for part in parts)
    text = inspect.getdoc(cls)
    assert "Source:" in text
    assert "Args:" in text
    assert "Errors" in text


def test_bases_leave_their_methods_to_others():
    assert Rule().start(None, (), (), 0) is None
    assert not ChainRule().first
    assert not ChainRule().blocks
