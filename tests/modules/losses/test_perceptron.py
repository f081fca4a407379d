"""The perceptron: a Linear with a Step, or with the perceptron's loss, trains by Rosenblatt's rule and converges."""

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Perceptron, Sequential, Step
from bprop.trainers import SGD, Trainer
from bprop.trainers.configs import parse_config

EPOCHS = 60


def separable(random, n=60, margin=0.08):
    """Points x (n, 2) and signs t (n, 1) that a line separates: t (w · [x, 1]) >= margin for a unit vector w."""
    w = np.array([0.6, -0.7, 0.2])
    w /= np.linalg.norm(w)
    x = random.uniform(-1, 1, (20 * n, 2))
    scores = np.column_stack([x, np.ones(len(x))]) @ w
    x, scores = x[abs(scores) >= margin][:n], scores[abs(scores) >= margin][:n]
    return x, np.sign(scores)[:, None], w


def rosenblatt(x, t, is_wrong):
    """The rule in NumPy: the weights [w, b] after each sample, and the number of mistakes of each epoch."""
    w, mistakes = np.zeros(3), []
    for _ in range(EPOCHS):
        wrong = 0
        for row, sign in zip(np.column_stack([x, np.ones(len(x))]), t[:, 0], strict=True):
            if is_wrong(sign, row @ w):
                w = w + sign * row
                wrong += 1
        mistakes.append(wrong)
    return w, mistakes


def zero_linear():
    linear = Linear(2, 1).to("float64")
    linear.flat_parameters[:] = 0
    return linear


def with_loss(t):
    return Sequential(zero_linear()), Perceptron(), t, lambda sign, score: sign * score <= 0, 1.0


def with_step(t):
    net = Sequential(zero_linear(), Step().to("float64"))
    return net, MeanSquaredError(half=True), (t + 1) / 2, lambda sign, score: (score >= 0) != (sign > 0), 1.0


def with_step_of_signs(t):
    net = Sequential(zero_linear(), Step(-1, 1).to("float64"))
    return net, MeanSquaredError(half=True), t, lambda sign, score: (score >= 0) != (sign > 0), 0.5  # t - y is 2


@pytest.mark.parametrize("make", [with_loss, with_step, with_step_of_signs])
def test_it_trains_by_rosenblatts_rule_and_keeps_the_bound_of_its_theorem(make, random):
    x, t, separating = separable(random)
    net, loss, target, is_wrong, lr = make(t)
    trainer = Trainer(net, loss, SGD(lr=lr), quiet=True)
    history = trainer.fit((x, target), epochs=EPOCHS, batch_size=1, shuffle=False, threads=1)
    w, mistakes = rosenblatt(x, t, is_wrong)
    np.testing.assert_allclose(net.flat_parameters, w, rtol=1e-12, atol=1e-12)
    ones = np.column_stack([x, np.ones(len(x))])
    radius, gamma = np.linalg.norm(ones, axis=1).max(), (t[:, 0] * (ones @ separating)).min()
    assert 5 < sum(mistakes) <= (radius / gamma) ** 2
    assert mistakes[-1] == 0
    assert history[-1]["train_loss"] == 0
    assert (np.sign(ones @ w) == t[:, 0]).all()


def test_a_score_of_zero_counts_as_wrong():
    loss = Perceptron()
    assert loss.fprop([[0.0, 2.0, -3.0]], [[1.0, 1.0, 1.0]]) == 1
    np.testing.assert_allclose(loss.bprop(), [[-1 / 3, 0, -1 / 3]])


def test_points_that_no_line_separates_are_never_all_right():
    x, t = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[-1.0], [1], [1], [-1]])
    net, loss, target, _, lr = with_loss(t)
    Trainer(net, loss, SGD(lr=lr), quiet=True).fit((x, target), epochs=30, batch_size=1, threads=1)
    assert (np.sign(net.fprop(x)) != t).any()


def test_two_layers_of_steps_compute_exclusive_or_and_learn():
    """By hand, as in the book's XOR; and hidden steps pass an estimate of the gradient on to the layer before."""
    net = Sequential(Linear(2, 2), Step(), Linear(2, 1), Step())
    net.load_state_dict({"0.weight": [[1, 1], [1, 1]], "0.bias": [-0.5, -1.5], "2.weight": [[1, -2]], "2.bias": [-0.5]})
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(net.fprop(x), [[0], [1], [1], [0]])
    net.bprop(np.ones((4, 1)))
    np.testing.assert_array_equal(net[0].grad_bias, [4, -8])
    narrow = Step(width=1)
    np.testing.assert_array_equal(narrow.fprop([[-2.0, -0.5, 0.0, np.nan]])[0, :3], [0, 0, 1])
    assert np.isnan(narrow.y[0, 3])
    np.testing.assert_array_equal(narrow.bprop(np.ones((1, 4)))[0, :3], [0, 1, 1])


def test_it_comes_from_yaml():
    text = """\
dataset: Diabetes
model: [{Linear: {in_features: 10, out_features: 1}}, {Step: {low: -1, high: 1}}]
loss: {MeanSquaredError: {reduction: sum, half: true}}
optimizer: {SGD: {lr: 1}}
trainer: {epochs: 1}
"""
    config = parse_config(text).build()
    assert repr(config.loss) == "MeanSquaredError(reduction='sum', half=True)"
    assert repr(config.model[1]) == "Step(low=-1, high=1)"
    text = text.replace("MeanSquaredError: {reduction: sum, half: true}", "Perceptron: {}")
    assert repr(parse_config(text).build().loss) == "Perceptron()"
