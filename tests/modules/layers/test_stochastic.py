"""Stochastic units: their numbers have the moments that they should, and bounds are bounds."""

import itertools
import re

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import (
    BernoulliUnits,
    GaussianSample,
    Identity,
    Linear,
    MeanSquaredError,
    Module,
    Reinforce,
    SoftmaxCrossEntropy,
    Tanh,
    VariationalBound,
    check_gradients,
    check_module,
    manual_seed,
)
from bprop.modules.autodiff import derive
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import Trainer
from bprop.trainers.configs import load_config, parse_config
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.tools.gradient_doctor import check_config

pytestmark = pytest.mark.jit  # as plain Python, so many numbers are drawn slowly
N = 40_000


def bound_of_one(x, mean, log_variance, w, v):
    """The bound of x = w z + noise of variance v, with the code's q, and its standard error; N draws of z."""
    code = np.tile([mean, log_variance], (N, 1))
    z = GaussianSample().to("float64").fprop(code)
    loss = VariationalBound(1, "gaussian", variance=v, reduction="sum").to("float64")
    y = np.concatenate([w * z, code], axis=1)
    each = ((y[:, 0] - x) ** 2 / v).std() / 2 / np.sqrt(N)
    return loss.fprop(y, np.full((N, 1), x)) / N, each


def test_with_the_true_posterior_the_bound_is_the_evidence():
    """Kingma and Welling 2014, eq. 1: the gap is the divergence of q from the posterior, here none."""
    x, w, v = 1.3, 0.8, 0.5
    total = w**2 + v
    evidence = (x**2 / total + np.log(2 * np.pi * total)) / 2
    bound, error = bound_of_one(x, w * x / total, np.log(v / total), w, v)
    assert abs(bound - evidence) < 4 * error
    for mean, log_variance in ((0.0, 0.0), (w * x / total, 0.0), (0.0, np.log(v / total))):
        worse, error = bound_of_one(x, mean, log_variance, w, v)
        assert worse > evidence + 4 * error


@pytest.mark.parametrize("scale", ["log_variance", "softplus"])
def test_the_divergence_is_the_integral(scale):
    z = np.linspace(-12, 12, 20_001)
    for mean, r in ((0.0, 0.0), (0.7, -1.1), (-1.5, 0.6)):
        s = np.exp(r / 2) if scale == "log_variance" else np.log1p(np.exp(r))
        log_q, log_p = -(((z - mean) / s) ** 2) / 2 - np.log(s), -(z**2) / 2
        expected = np.trapezoid(np.exp(log_q) / np.sqrt(2 * np.pi) * (log_q - log_p), z)
        loss = VariationalBound(1, scale=scale).to("float64")
        assert loss.fprop([[0.0, mean, r]], [[0.5]]) - np.log(2) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("scale", ["log_variance", "softplus"])
def test_moments_of_gaussian_units(scale):
    r = 0.4
    s = np.exp(r / 2) if scale == "log_variance" else np.log1p(np.exp(r))
    y = GaussianSample(scale).fprop(np.tile([[1.5, r]], (N, 1)))
    assert abs(y.mean() - 1.5) < 4 * s / np.sqrt(N)
    assert y.std() == pytest.approx(s, rel=0.02)


@pytest.mark.parametrize("make", [GaussianSample, lambda: BernoulliUnits(Identity())])
def test_evaluation_draws_the_same_numbers_whatever_was_drawn_before(make):
    unit, x = make(), np.zeros((30, 4))
    first = unit.eval().fprop(x)
    drawn = [unit.train().fprop(x) for _ in range(3)]
    assert all((a != b).any() for a, b in itertools.combinations([first, *drawn], 2))
    assert list(unit.counters().values())[-1] == 3
    np.testing.assert_array_equal(unit.eval().fprop(x), first)
    assert list(unit.counters().values())[-1] == 3


def test_evaluation_may_give_the_mean():
    assert not GaussianSample(evaluation="mean").eval().fprop(np.zeros((3, 4))).any()


def test_huge_log_variances_stay_finite():
    unit = GaussianSample()
    y = unit.fprop([[1.0, 1e4, 0.0, -1e4]][:1])
    assert np.isfinite(y).all()
    assert np.isfinite(unit.bprop(np.ones_like(y))).all()


def test_distributions_of_what_is_rebuilt():
    y = np.array([[0.3, -0.2, 9.0, 9.0]])
    np.testing.assert_allclose(VariationalBound(1).distribution(y).probabilities, 1 / (1 + np.exp([[-0.3, 0.2]])))
    np.testing.assert_allclose(VariationalBound(1, "gaussian", variance=4).distribution(y).std, [[2, 2]])


# -- units of 0 and 1 --------------------------------------------------------------------------------------------------

SCORES, TARGET = np.array([0.4, -0.8, 1.1]), np.array([1.3, -1.6])
STATES = np.array(list(itertools.product((0.0, 1.0), repeat=3)))


def rest():
    return [Linear(3, 2), Tanh()]


def exact_gradient(rest):
    """The gradient of the mean cost with respect to the scores, by a sum over all states."""
    y = rest.copy().fprop(STATES)
    costs = ((y - TARGET) ** 2).mean(axis=1)

    def mean_cost(x):
        p = 1 / (1 + np.exp(-x))
        return sum(cost * np.prod(np.where(s == 1, p, 1 - p)) for s, cost in zip(STATES, costs, strict=True))

    return derive(mean_cost, SCORES).bprop()["x"], derive(mean_cost, SCORES).y


BASELINES = ["none", "constant", "running", "input", "optimal"]
PROBABILITIES = np.prod(np.where(STATES == 1, 1, -1) / (1 + np.exp(-SCORES)) + (STATES == 0), axis=1)


def make_loss(baseline, **settings):
    if baseline == "constant":
        settings["constant"] = 1.1
    return Reinforce(MeanSquaredError(), baseline, units=3 if baseline == "optimal" else 1, **settings)


def expected_products(rest):
    """E[c q], E[q] and E[c] of each unit, q = (s - σ)², by a sum over all states; eq. 6.16 is E[c q] / E[q]."""
    costs = ((rest.copy().fprop(STATES) - TARGET) ** 2).mean(axis=1)
    q = (STATES - 1 / (1 + np.exp(-SCORES))) ** 2
    return PROBABILITIES @ (costs[:, None] * q), PROBABILITIES @ q, PROBABILITIES @ costs


def estimates(loss, rows, steps_before=0, extra=None):
    """(draws, each row's estimate of the gradient, the loss's value) for as many rows of the same scores."""
    manual_seed(0)
    units, x = BernoulliUnits(*rest(), per_unit=loss.units > 1).to("float64"), np.tile(SCORES, (rows, 1))
    loss.to("float64")
    if extra is None and loss.baseline == "optimal":
        extra = np.concatenate(expected_products(units.rest)[:2])
    if extra is None:
        extra = [0.23] if loss.baseline == "input" else []  # an input's baseline, the same for all
    for _ in range(steps_before + 1):
        y = units.fprop(x)
        value = loss.fprop(np.concatenate([y, np.tile(extra, (rows, 1))], axis=1), np.tile(TARGET, (rows, 1)))
        grad_y = loss.bprop()
        grad_x = units.bprop(np.ascontiguousarray(grad_y[:, : y.shape[1]]))
    return units, units._modules["_draw"].y.copy(), rows * grad_x, value, grad_y


def estimate_of_states(loss, extra=None):
    """The estimate in each of STATES, after some steps; it is a function of the state alone."""
    units, draws, each, _, _ = estimates(loss, 2000, steps_before=30, extra=extra)
    rows = []
    for s in STATES:
        mine = each[(draws == s).all(axis=1)]
        np.testing.assert_allclose(mine - mine[0], 0, atol=1e-12)
        rows.append(mine[0])
    return units, np.array(rows)


def variance_of(estimate):
    """The variance of each unit's estimate, by a sum over all states."""
    return PROBABILITIES @ estimate**2 - (PROBABILITIES @ estimate) ** 2


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_mean_of_the_estimate_over_all_states_is_the_gradient(baseline):
    units, estimate = estimate_of_states(make_loss(baseline, normalize=False))
    expected, _ = exact_gradient(units.rest)
    np.testing.assert_allclose(PROBABILITIES @ estimate, expected, rtol=1e-9)


def test_even_a_bad_baseline_of_units_has_the_right_mean():
    units, estimate = estimate_of_states(make_loss("optimal", normalize=False), extra=[-1, 9, 0.2, 1e-9, -0.5, 0.2])
    np.testing.assert_allclose(PROBABILITIES @ estimate, exact_gradient(units.rest)[0], rtol=1e-9)


def test_the_optimal_baseline_has_the_least_variance():
    """Exactly, by a sum over all states: of each unit by itself, so of all together."""
    variances = {name: variance_of(estimate_of_states(make_loss(name, normalize=False))[1]) for name in BASELINES}
    for name in BASELINES[:-1]:
        assert (variances["optimal"] < variances[name]).all(), name
    assert variances["running"].sum() < variances["constant"].sum() < variances["none"].sum()


def test_the_optimal_baseline_is_the_ratio_of_both_outputs():
    units, estimate = estimate_of_states(make_loss("optimal", normalize=False))
    products, squares, _ = expected_products(units.rest)
    costs = ((units.rest.copy().fprop(STATES) - TARGET) ** 2).mean(axis=1)
    slopes = STATES - 1 / (1 + np.exp(-SCORES))
    np.testing.assert_allclose(estimate, (costs[:, None] - products / squares) * slopes, rtol=1e-9)
    least = variance_of(estimate)
    for shift in (-0.05, 0.05):  # a stationary point of the variance, and a minimum
        assert (variance_of((costs[:, None] - products / squares - shift) * slopes) > least).all()


def test_both_outputs_of_the_optimal_baseline_learn_their_expectations():
    """By stochastic gradient descent with falling steps, from zero; and that of `input` learns the mean cost."""
    for baseline, width in (("optimal", 6), ("input", 1)):
        manual_seed(0)
        units = BernoulliUnits(*rest(), per_unit=baseline == "optimal").to("float64")
        extra, loss = np.zeros(width), make_loss(baseline, normalize=False, momentum=1e-9).to("float64")
        for step in range(60):
            y = units.fprop(np.tile(SCORES, (1000, 1)))
            loss.fprop(np.concatenate([y, np.tile(extra, (1000, 1))], axis=1), np.tile(TARGET, (1000, 1)))
            extra -= 0.5 / (1 + step) * loss.bprop()[:, y.shape[1] :].sum(axis=0)
        products, squares, cost = expected_products(units.rest)
        expected = [cost] if baseline == "input" else [*products, *squares]
        np.testing.assert_allclose(extra, expected, rtol=0.02)


def test_an_optimal_baseline_stays_between_the_costs():
    """Before both outputs have learned, their ratio may be anything."""
    loss = make_loss("optimal", normalize=False, momentum=1.0)
    units, _, _, _, _ = estimates(loss, 500, extra=np.zeros(6))
    y = np.concatenate([units.fprop(np.tile(SCORES, (4, 1))), np.tile([5, -5, 0, 1e-9, 1e-9, 0], (4, 1))], axis=1)
    loss.fprop(y, np.tile(TARGET, (4, 1)))
    costs, lowest, highest = loss.costs.copy(), loss.lowest[0], loss.highest[0]
    assert 0 < lowest < highest
    grad_y = loss.bprop()
    np.testing.assert_allclose(4 * grad_y[:, 2], costs - highest)
    np.testing.assert_allclose(4 * grad_y[:, 3], costs - lowest)
    np.testing.assert_allclose(4 * grad_y[:, 4], costs - lowest)


def test_log_p_of_units_sums_to_that_of_all():
    x = np.random.default_rng(0).standard_normal((50, 4))
    values = []
    for per_unit in (False, True):
        manual_seed(7)
        units = BernoulliUnits(Linear(4, 2), per_unit=per_unit).to("float64")
        y = units.fprop(x)
        values.append((y[:, 2:].sum(axis=1), units.bprop(np.concatenate([0 * y[:, :2], 1 + 0 * y[:, 2:]], axis=1))))
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-12)
    np.testing.assert_allclose(values[0][1], values[1][1], rtol=1e-12)


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_mean_of_the_estimate_over_draws_is_near_the_gradient(baseline):
    """Within 4 standard errors, for one seed."""
    units, _, each, value, _ = estimates(make_loss(baseline), N, steps_before=2)
    expected, cost = exact_gradient(units.rest)
    assert (abs(each.mean(axis=0) - expected) < 4 * each.std(axis=0) / np.sqrt(N)).all()
    assert value == pytest.approx(cost, rel=0.02)


def test_a_baseline_takes_variance_away():
    spread = {}
    for baseline in ("none", "running"):
        _, _, each, _, _ = estimates(Reinforce(MeanSquaredError(), baseline), 4000, steps_before=30)
        spread[baseline] = each.var(axis=0).sum()
    assert spread["running"] < 0.6 * spread["none"]


def test_estimates_are_divided_by_a_large_deviation_alone():
    for factor, divided in ((1.0, False), (100.0, True)):
        loss = Reinforce(MeanSquaredError(), "none", momentum=1.0).to("float64")
        y, target = np.array([[factor, 0.0], [3 * factor, 0.0]]), np.zeros((2, 1))
        costs = factor**2 * np.array([1.0, 9.0])
        for _ in range(2):
            loss.fprop(y, target)
            grad_y = loss.bprop()
        scale = max(1.0, np.sqrt((costs**2).mean()))
        assert (scale > 10) == divided
        np.testing.assert_allclose(grad_y[:, 1], costs / (2 * scale))


def test_the_inputs_baseline_learns_by_squared_error():
    loss = Reinforce(MeanSquaredError(), "input").to("float64")
    y, target = np.array([[2.0, -0.7, 1.5], [1.0, -0.2, 0.0]]), np.zeros((2, 1))
    assert loss.fprop(y, target) == pytest.approx(2.5)
    grad_y = loss.bprop()
    np.testing.assert_allclose(grad_y, [[2.0, 1.25, -2.5], [1.0, 0.5, -1.0]])
    assert loss.running_mean[0] == pytest.approx(0.25)


def test_straight_through_takes_the_mean_for_the_draw():
    units, x = BernoulliUnits(Identity(), estimator="straight_through").to("float64"), np.tile(SCORES, (N, 1))
    y, p = units.fprop(x), 1 / (1 + np.exp(-SCORES))
    assert set(y.ravel()) == {0, 1}
    assert (abs(y.mean(axis=0) - p) < 4 * np.sqrt(p * (1 - p) / N)).all()
    grad_y = np.random.default_rng(0).standard_normal(y.shape)
    np.testing.assert_allclose(units.bprop(grad_y), grad_y * p * (1 - p))


def test_checks_leave_estimates_out_and_say_so(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    units = BernoulliUnits(Linear(3, 2), estimator="straight_through")
    report = check_gradients(units, np.ones((4, 3)))
    assert report.ok
    assert report.verdict() == "nothing to check: an estimate"
    assert report.reference == "nothing: BernoulliUnits(straight-through) estimates the gradient by design"
    checked = check_module(units, np.ones((4, 3))).raise_if_wrong()
    assert checked.notes == (
        "gradients beside nothing: BernoulliUnits(straight-through) estimates the gradient by design",
    )

    class Changing(Module):
        jit, estimates = False, True

        def fprop(self, x):
            return 2 * x

        def bprop(self, grad_y):
            grad_y *= 2
            return grad_y

    assert check_gradients(Changing(), np.ones((4, 3))).problems == ("bprop changes grad_y",)


IRIS = """
dataset: {Iris: {standardize: true}}
model:
  - Concat:
      - Sequential:
          - Linear: {in_features: 4, out_features: 16}
          - BernoulliUnits:
              - Linear: {in_features: 16, out_features: 3}
      - Linear: {in_features: 4, out_features: 1}
loss: {Reinforce: {loss: SoftmaxCrossEntropy, baseline: input}}
optimizer: {Adam: {lr: 0.02}}
trainer: {epochs: 60, batch_size: 16}
"""


def test_random_units_learn_from_a_config(tmp_path):
    figures = train_config(parse_config(IRIS), tmp_path / "run", quiet=True)
    assert figures["test_loss"] < 0.35


OTHERS = [
    ("digits_reinforce", [], "running"),
    ("digits_reinforce", ["loss.Reinforce.baseline=none"], "none"),
    ("digits_reinforce", ["loss.Reinforce.baseline=constant", "loss.Reinforce.constant=2"], "constant"),
    ("digits_reinforce_optimal", ["loss.Reinforce.baseline=input", "model.1.Concat.1.Linear.out_features=1"], "input"),
    ("digits_reinforce_optimal", [], "optimal"),
]


@pytest.mark.parametrize(("name", "overrides", "expected"), OTHERS)
def test_packaged_configs_of_all_estimators(name, overrides, expected):
    """As their comments say; the branch learns, too."""
    experiment = load_config(name, overrides).build()
    data = ArrayDataset(*experiment.dataset.train[:64])
    model, loss, before = experiment.model, experiment.loss, experiment.model.flat_parameters.copy()
    assert loss.baseline == expected
    with uncompiled():
        trainer = Trainer(model, loss, experiment.optimizer, quiet=True)
        rows = trainer.fit(data, epochs=1, batch_size=32, metrics=experiment.settings["metrics"])
    assert np.isfinite(rows[-1]["train_loss"])
    assert 0 <= rows[-1]["train_accuracy"] <= 1
    assert (model.flat_parameters != before).mean() > 0.8


def test_digits_learn_by_the_optimal_baseline(tmp_path):
    config = load_config("digits_reinforce_optimal", ["trainer.epochs=60"])
    figures = train_config(config, tmp_path / "run", quiet=True)
    assert figures["test_accuracy"] > 0.8


def test_random_units_in_a_config_are_checked(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    report = check_config(parse_config(IRIS)).raise_if_wrong()
    assert any("Reinforce" in note for note in report.reports["loss"].notes)


REFUSED = [
    (lambda: BernoulliUnits(), "BernoulliUnits: got no layers, expected at least one module after the units"),
    (lambda: BernoulliUnits(Tanh(), estimator="gumbel"), "estimator is 'gumbel', expected 'reinforce' or"),
    (
        lambda: BernoulliUnits(Linear(4, 2)).fprop(np.ones((2, 3))),
        "Linear(4 -> 2): x has shape (2, 3), expected (N, 4)",
    ),
    (lambda: BernoulliUnits(Spread()).fprop(np.ones((2, 3))), "the layers make (2, 1, 3), expected (N, M)"),
    (lambda: BernoulliUnits(Tanh(), estimator="straight_through", per_unit=True), "per_unit is about log p, which"),
    (lambda: Reinforce(MeanSquaredError(), "mean"), "Reinforce: baseline is 'mean', expected 'none', 'constant', "),
    (lambda: Reinforce(MeanSquaredError(), constant=0.5), "Reinforce: constant is 0.5 with baseline 'running', exp"),
    (lambda: Reinforce(MeanSquaredError(), units=0), "Reinforce: units is 0, expected at least 1"),
    (lambda: Reinforce(MeanSquaredError(), momentum=0), "Reinforce: momentum is 0, expected a number above 0"),
    (lambda: Reinforce(MeanSquaredError(), momentum=2), "Reinforce: momentum is 2, expected a number of at most 1"),
    (lambda: Reinforce(SoftmaxCrossEntropy()).check_targets(np.array([7]), (1, 4)), "7"),
    (lambda: GaussianSample("std"), "GaussianSample: scale is 'std', expected 'log_variance' or 'softplus'"),
    (lambda: GaussianSample(evaluation="mode"), "GaussianSample: evaluation is 'mode', expected 'sample' or 'mean'"),
    (lambda: VariationalBound(0), "VariationalBound: latent is 0, expected at least 1"),
    (lambda: VariationalBound(2, "poisson"), "VariationalBound: likelihood is 'poisson', expected 'bernoulli' or"),
    (lambda: VariationalBound(2, scale="std"), "VariationalBound: scale is 'std', expected 'log_variance' or"),
    (lambda: VariationalBound(2, beta=-1.0), "VariationalBound: beta is -1.0, expected a number of at least 0"),
    (lambda: VariationalBound(2, variance=0.0), "VariationalBound: variance is 0.0, expected a number above 0"),
    (lambda: VariationalBound(1).check_targets(np.array([[2.0]]), (1, 3)), "target 2 in row 0, expected a number from"),
]


class Spread(Module):
    def output_shape(self, input_shape):
        return (input_shape[0], 1, *input_shape[1:])


def test_columns_that_do_not_fit_the_units_are_refused():
    loss = Reinforce(SoftmaxCrossEntropy(), "optimal", units=16)
    loss.check_shapes((4, 58), (4,), 10)
    with pytest.raises(ValueError, match=r"the model has 58 outputs, the data 10 classes") as refused:
        loss.check_shapes((4, 106), (4,), 10)  # as with 32 units
    assert refused.value.__notes__ == [f"in {loss.label()}, which takes 48 of 106 columns"]


def test_what_is_no_loss_is_refused():
    with pytest.raises(TypeError, match=r"^Reinforce: loss is Tanh\(\), expected a Loss$"):
        Reinforce(Tanh())


def test_the_distribution_is_that_of_the_other_loss():
    y = np.array([[0.1, 0.2, 0.7, -5.0]])
    p = Reinforce(SoftmaxCrossEntropy()).distribution(y).probabilities
    np.testing.assert_allclose(p, np.exp(y[:, :3]) / np.exp(y[:, :3]).sum())


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_settings_that_are_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
