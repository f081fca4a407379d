"""What the parametrisations of a Gaussian's variance do to the gradient, and a full covariance that is learned."""

import numpy as np
import pytest
from bprop.modules import GaussianNLL, LearntPrecision, Linear, MeanSquaredError, MultivariateGaussianNLL, Sequential
from bprop.trainers import SGD, Adam, Trainer
from bprop.trainers.configs import parse_config

FORMS = ("precision", "variance", "std")


def raw_of(form, variance):
    """The raw output that gives a variance."""
    positive = {"precision": 1 / variance, "variance": variance, "std": np.sqrt(variance)}[form]
    positive -= 0 if form == "precision" else 1e-6
    return positive + np.log(-np.expm1(-positive))  # the inverse of softplus


def slopes(form, variance, difference):
    """The gradient in the mean and in the raw output, of one sample."""
    loss = GaussianNLL(parametrization=form).to("float64")
    loss.fprop([[difference, raw_of(form, variance)]], [[0.0]])
    return loss.bprop()[0]


@pytest.mark.parametrize("variance", [0.04, 1.0, 9.0])
def test_all_forms_say_the_same_of_the_same_variance(variance):
    values = []
    for form in FORMS:
        loss = GaussianNLL(parametrization=form).to("float64")
        values.append(loss.fprop([[0.7, raw_of(form, variance)]], [[0.0]]))
        np.testing.assert_allclose(loss.distribution([[0.0, raw_of(form, variance)]]).std, [[np.sqrt(variance)]])
        assert slopes(form, variance, 0.7)[0] == pytest.approx(0.7 / variance)
        assert slopes(form, variance, np.sqrt(variance))[1] == pytest.approx(0, abs=1e-12)  # the best variance is d²
    np.testing.assert_allclose(values, values[0])


def test_only_the_precision_has_a_gradient_that_stays_bounded():
    """A variance that is far too small: with the precision, the raw output's gradient is d² / 2, else about 1 / v."""
    of_raw = {form: [slopes(form, variance, 1.0)[1] for variance in (1e-2, 1e-4)] for form in FORMS}
    np.testing.assert_allclose(of_raw["precision"], [0.5, 0.5], rtol=0.02)
    np.testing.assert_allclose(of_raw["variance"], [-50, -5000], rtol=0.05)
    np.testing.assert_allclose(of_raw["std"], [-100, -10000], rtol=0.1)


def test_a_variance_that_is_far_too_large_hardly_moves_by_variance_or_std():
    of_raw = {form: abs(slopes(form, 1e4, 1.0)[1]) for form in FORMS}
    assert of_raw["precision"] == pytest.approx(0.5, rel=0.01)
    assert of_raw["variance"] < 1e-4
    assert of_raw["std"] < 0.011


@pytest.mark.parametrize("form", FORMS)
def test_each_form_finds_the_variance(form, random):
    x = random.standard_normal((400, 1))
    t = 3 * x + 0.5 * random.standard_normal((400, 1))
    net, loss = Sequential(Linear(1, 1), LearntPrecision(1)), GaussianNLL(parametrization=form)
    Trainer(net, loss, SGD(lr=0.1), quiet=True).fit((x, t), epochs=150, batch_size=50, threads=1)
    rest = (t - net.fprop(x)[:, :1]).std()
    assert loss.distribution(net.fprop(x)).std[0, 0] == pytest.approx(rest, rel=0.03)


def test_a_full_covariance_that_depends_on_x_is_learned(random):
    x = random.choice([-1.0, 1.0], (2000, 1))
    noise = random.standard_normal((2000, 2))
    t = np.column_stack([2 * x[:, 0] + noise[:, 0], 0.8 * x[:, 0] * noise[:, 0] + 0.6 * noise[:, 1]])
    net, loss = Sequential(Linear(1, 6)), MultivariateGaussianNLL(2)
    Trainer(net, loss, Adam(lr=0.02), quiet=True).fit((x, t), epochs=30, batch_size=50, threads=1)
    predicted = loss.distribution(net.fprop([[-1.0], [1.0]]))
    np.testing.assert_allclose(predicted.correlation[:, 0, 1], [-0.8, 0.8], atol=0.06)
    np.testing.assert_allclose(predicted.std, np.ones((2, 2)), atol=0.1)
    np.testing.assert_allclose(predicted.mean, [[-2, 0], [2, 0]], atol=0.15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_covariance_without_any_column_is_the_smallest_one(dtype):
    loss = MultivariateGaussianNLL(2, eps=0.25, full=False).to(dtype)
    assert loss.fprop([[1.0, 0, 0, 0, 0, 0]], [[0.0, 0.0]]) == pytest.approx(2 + np.log(0.25))
    np.testing.assert_allclose(loss.bprop(), [[4, 0, 0, 0, 0, 0]])


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")  # as plain Python, NumPy warns
def test_without_eps_a_singular_factor_costs_infinitely_much_and_others_are_the_books():
    loss = MultivariateGaussianNLL(2, eps=0).to("float64")
    assert not np.isfinite(loss.fprop([[0.5, 0.5, 1.0, 2.0, 1.0, 2.0]], [[0.0, 0.0]]))
    B, d = np.array([[1.0, 2.0], [-1.0, 0.5]]), np.array([0.3, -0.4])
    loss.fprop([[*d, *B.ravel()]], [[0.0, 0.0]])
    u = np.linalg.solve(B, d)
    w = np.linalg.solve(B.T, u)
    np.testing.assert_allclose(loss.bprop(), [[*w, *(np.linalg.inv(B).T - np.outer(w, u)).ravel()]])


def test_half_the_sum_of_squares_has_the_error_as_its_gradient(random):
    y, t = random.standard_normal((2, 5, 3))
    loss = MeanSquaredError("sum", half=True).to("float64")
    assert loss.fprop(y, t) == pytest.approx(sum((y - t).ravel() ** 2) / 2)
    np.testing.assert_allclose(loss.bprop(), y - t)
    gaussian = GaussianNLL(1.0, full=False, reduction="sum").to("float64")
    assert gaussian.fprop(y, t) == pytest.approx(loss.fprop(y, t))


def test_they_come_from_yaml():
    text = """\
dataset: Diabetes
model: [{Linear: {in_features: 10, out_features: 2}}]
loss: {GaussianNLL: {parametrization: std}}
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1}
"""
    assert repr(parse_config(text).build().loss) == "GaussianNLL(parametrization='std')"
    full = text.replace("GaussianNLL: {parametrization: std}", "MultivariateGaussianNLL: {dims: 1, eps: 0.01}")
    assert repr(parse_config(full).build().loss) == "MultivariateGaussianNLL(dims=1, eps=0.01)"
