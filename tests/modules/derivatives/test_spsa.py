"""Simultaneous perturbation: unbiased in the mean, its variance, and a net of steps that learns by it."""

import re

import numpy as np
import pytest
from bprop.modules import Dropout, Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Step, Tanh, manual_seed
from bprop.modules.derivatives import Curvature, make_loss_function, spsa_gradient
from bprop.modules.engine.stateful import plain_python


def every_sign(count):
    """All vectors of signs: their mean is the exact expectation."""
    return np.array(np.meshgrid(*[[-1.0, 1.0]] * count)).reshape(count, -1).T


class Given:
    """Draws the signs that it was given, one vector after the other."""

    def __init__(self, signs):
        self.signs = iter(signs)

    def choice(self, values, shape):
        return next(self.signs).reshape(shape)


def test_the_mean_over_all_signs_is_the_gradient_of_a_quadratic(random):
    A, b, w = random.standard_normal((4, 4)), random.standard_normal(4), random.standard_normal(4)
    signs = every_sign(4)
    mean = spsa_gradient(lambda w: w @ A @ w + b @ w, w, 0.3, Given(signs), pairs=len(signs))
    np.testing.assert_allclose(mean, (A + A.T) @ w + b, rtol=1e-12)


def test_the_mean_is_the_gradient_of_a_net_to_the_square_of_the_step():
    manual_seed(1)
    net = Sequential(Linear(2, 2), Tanh(), Linear(2, 1)).to("float64")
    random = np.random.default_rng(0)
    x, target = random.standard_normal((6, 2)), random.standard_normal((6, 1))
    w, signs, errors = net.flat_parameters.copy(), every_sign(9), []
    with plain_python():
        exact = Curvature(net, MeanSquaredError(), x, target).gradient()
        function = make_loss_function(net, MeanSquaredError(), x, target)
        for step in (0.02, 0.01):
            errors.append(np.abs(spsa_gradient(function, w, step, Given(signs), pairs=len(signs)) - exact).max())
    assert errors[1] < 2e-4
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)
    np.testing.assert_array_equal(net.flat_parameters, w)  # the net itself stays


def test_the_variance_is_that_of_the_other_slopes(random):
    slopes, pairs = np.array([1.0, -2.0, 0.5]), 4
    draws = np.array([spsa_gradient(lambda w: slopes @ w, np.zeros(3), 1.0, random, pairs) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(axis=0), slopes, atol=0.08)
    np.testing.assert_allclose(draws.var(axis=0), ((slopes**2).sum() - slopes**2) / pairs, rtol=0.08)


def test_it_takes_two_evaluations_for_any_shape(random):
    calls = []
    gradient = spsa_gradient(lambda w: calls.append(w) or w.sum(), np.zeros((3, 2)), 0.1, random)
    assert len(calls) == 2
    np.testing.assert_allclose(abs(gradient).max(), abs(gradient).min())
    assert gradient.shape == (3, 2)


def test_a_net_that_has_no_gradient_learns_by_it(random):
    """Exclusive or by a hidden layer of steps: its derivative is 0 everywhere, the loss's changes are not."""
    manual_seed(3)
    net = Sequential(Linear(2, 8), Step(-1, 1), Linear(8, 2))
    x, label = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    with plain_python():
        function, w = make_loss_function(net, SoftmaxCrossEntropy(), x, label), net.flat_parameters.astype(float)
        first = function(w)
        for k in range(600):  # Spall's own gains: they fall with powers of k
            step = 0.5 / (k + 1) ** 0.101
            w -= 1.5 / (k + 30) ** 0.602 * spsa_gradient(function, w, step, random, pairs=4)
        net.flat_parameters[:] = w
        assert function(w) < 0.2 < 0.5 < first
        assert (net.fprop(x).argmax(axis=1) == label).all()


def test_random_numbers_are_the_same_in_each_call():
    net = Sequential(Linear(3, 20), Dropout(0.5), Linear(20, 1))
    function = make_loss_function(net, MeanSquaredError(), np.ones((2, 3)), np.zeros((2, 1)))
    w = net.flat_parameters.copy()
    assert function(w) == function(w)


SETTINGS = [
    (lambda f, r: spsa_gradient(f, np.zeros(2), 0.0, r), "spsa_gradient: step is 0.0, expected a number above 0"),
    (lambda f, r: spsa_gradient(f, np.zeros(2), 0.1, r, 0), "spsa_gradient: pairs is 0, expected at least 1"),
    (lambda f, r: f(np.zeros(2)), "Linear(3 -> 1): parameters has shape (2,), expected (4,)"),
]


@pytest.mark.parametrize(("call", "message"), SETTINGS, ids=[message for _, message in SETTINGS])
def test_mistakes_are_refused(call, message, random):
    function = make_loss_function(Linear(3, 1), MeanSquaredError(), np.ones((2, 3)), np.zeros((2, 1)))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(function, random)


def test_targets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"y has shape \(2, 1\) and target \(3, 1\), expected the same shape"):
        make_loss_function(Linear(3, 1), MeanSquaredError(), np.ones((2, 3)), np.zeros((3, 1)))
