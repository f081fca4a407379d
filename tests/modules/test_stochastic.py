"""Stochastic units: their numbers have the moments that they should, and bounds are bounds."""

import re

import numpy as np
import pytest
from bprop.modules import GaussianSample, VariationalBound

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
        wanted = np.trapezoid(np.exp(log_q) / np.sqrt(2 * np.pi) * (log_q - log_p), z)
        loss = VariationalBound(1, scale=scale).to("float64")
        assert loss.fprop([[0.0, mean, r]], [[0.5]]) - np.log(2) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("scale", ["log_variance", "softplus"])
def test_moments_of_gaussian_units(scale):
    r = 0.4
    s = np.exp(r / 2) if scale == "log_variance" else np.log1p(np.exp(r))
    y = GaussianSample(scale).fprop(np.tile([[1.5, r]], (N, 1)))
    assert abs(y.mean() - 1.5) < 4 * s / np.sqrt(N)
    assert y.std() == pytest.approx(s, rel=0.02)


def test_evaluation_draws_without_counting():
    unit, x = GaussianSample(), np.zeros((3, 4))
    first = unit.eval().fprop(x)
    np.testing.assert_array_equal(unit.fprop(x), first)
    assert unit.step == 0
    np.testing.assert_array_equal(unit.train().fprop(x), first)
    assert unit.step == 1
    assert (unit.fprop(x) != first).any()
    assert not GaussianSample(evaluation="mean").eval().fprop(x).any()


def test_huge_log_variances_stay_finite():
    unit = GaussianSample()
    y = unit.fprop([[1.0, 1e4, 0.0, -1e4]][:1])
    assert np.isfinite(y).all()
    assert np.isfinite(unit.bprop(np.ones_like(y))).all()


def test_distributions_of_what_is_rebuilt():
    y = np.array([[0.3, -0.2, 9.0, 9.0]])
    np.testing.assert_allclose(VariationalBound(1).distribution(y).probabilities, 1 / (1 + np.exp([[-0.3, 0.2]])))
    np.testing.assert_allclose(VariationalBound(1, "gaussian", variance=4).distribution(y).std, [[2, 2]])


REFUSED = [
    (lambda: GaussianSample("std"), "GaussianSample: scale is 'std', expected 'log_variance' or 'softplus'"),
    (lambda: GaussianSample(evaluation="mode"), "GaussianSample: evaluation is 'mode', expected 'sample' or 'mean'"),
    (lambda: VariationalBound(0), "VariationalBound: latent is 0, expected at least 1"),
    (lambda: VariationalBound(2, "poisson"), "VariationalBound: likelihood is 'poisson', expected 'bernoulli' or"),
    (lambda: VariationalBound(2, scale="std"), "VariationalBound: scale is 'std', expected 'log_variance' or"),
    (lambda: VariationalBound(2, beta=-1.0), "VariationalBound: beta is -1.0, expected a number of at least 0"),
    (lambda: VariationalBound(2, variance=0.0), "VariationalBound: variance is 0.0, expected a number above 0"),
    (lambda: VariationalBound(1).check_targets(np.array([[2.0]]), (1, 3)), "target 2 in row 0, expected a number from"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_settings_that_are_refused(make, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        make()
