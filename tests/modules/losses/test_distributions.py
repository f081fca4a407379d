"""What a loss says about the target: densities that agree with its value, quantiles and samples with them."""

import numpy as np
import pytest
from bprop.modules import (
    Bernoulli,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    Categorical,
    Focal,
    Gaussian,
    GaussianNLL,
    Hinge,
    KLDivergence,
    MeanSquaredError,
    Mixture,
    MixtureDensity,
    MultivariateGaussian,
    MultivariateGaussianNLL,
    NegativeLogLikelihood,
    Poisson,
    PoissonNLL,
    SoftmaxCrossEntropy,
    Triplet,
)
from scipy import stats

from ..cases import LOSSES

LIKELIHOODS = [
    (SoftmaxCrossEntropy(), (6, 3), lambda random: random.integers(0, 3, 6)),
    (SoftmaxCrossEntropy(), (6, 2, 3), lambda random: random.integers(0, 3, (6, 2))),
    (SoftmaxCrossEntropy(), (6, 3), lambda random: random.dirichlet(np.ones(3), 6)),
    (BinaryCrossEntropyWithLogits(), (6, 3), lambda random: random.random((6, 3))),
    (PoissonNLL(), (6, 3), lambda random: random.poisson(2, (6, 3))),
    (GaussianNLL(), (6, 4), lambda random: random.standard_normal((6, 2))),
    (GaussianNLL(0.3), (6, 2), lambda random: random.standard_normal((6, 2))),
    (GaussianNLL(parametrization="variance"), (6, 4), lambda random: random.standard_normal((6, 2))),
    (GaussianNLL(parametrization="std"), (6, 4), lambda random: random.standard_normal((6, 2))),
    (MultivariateGaussianNLL(2), (6, 6), lambda random: random.standard_normal((6, 2))),
    (MixtureDensity(3, 2), (6, 15), lambda random: random.standard_normal((6, 2))),
]


@pytest.mark.parametrize("huge", [1, 300])
@pytest.mark.parametrize(("loss", "shape", "draw"), LIKELIHOODS, ids=[f"{loss} {s}" for loss, s, _ in LIKELIHOODS])
def test_the_loss_is_the_mean_of_minus_log_density(loss, shape, draw, huge, random):
    y, target = huge * random.standard_normal(shape), draw(random)
    if huge > 1 and isinstance(loss, PoissonNLL):
        y = y / 10
    value = loss.copy().to("float64").fprop(y, target)
    assert np.mean(-loss.distribution(y).log_density(target)) == pytest.approx(value, rel=1e-10)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # as plain Python, NumPy warns
def test_losses_of_probabilities_and_rates(random):
    p, t = random.random((6, 3)), random.integers(0, 2, (6, 3))
    p[0] = [0, 1, 0]
    loss = BinaryCrossEntropy().to("float64")
    assert np.mean(-loss.distribution(p).log_density(t)) == pytest.approx(loss.fprop(p, t), rel=1e-12)
    log_p, labels = np.log(random.dirichlet(np.ones(3), 6)), random.integers(0, 3, 6)
    loss = NegativeLogLikelihood().to("float64")
    assert np.mean(-loss.distribution(log_p).log_density(labels)) == pytest.approx(loss.fprop(log_p, labels), rel=1e-12)
    rate, counts = random.random((6, 3)) + 0.1, random.poisson(1, (6, 3))
    loss = PoissonNLL(log_input=False, eps=0).to("float64")
    assert np.mean(-loss.distribution(rate).log_density(counts)) == pytest.approx(loss.fprop(rate, counts), rel=1e-12)


def test_other_classifiers_have_probabilities(random):
    y = random.standard_normal((4, 3))
    np.testing.assert_allclose(Focal().distribution(y).probabilities, 1 / (1 + np.exp(-y)))
    np.testing.assert_allclose(KLDivergence().distribution(y).probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("loss", [MeanSquaredError(), Hinge(), Triplet()])
def test_other_losses_are_no_likelihoods(loss):
    with pytest.raises(ValueError, match=rf"^{type(loss).__name__}\(\): is not the likelihood of a distribution"):
        loss.distribution(np.zeros((2, 2)))


def test_every_distribution_comes_from_a_loss():
    made = set()
    for case in LOSSES:
        try:
            made.add(type(case.make().distribution(case.arguments()[0])))
        except ValueError:
            continue
    assert made == {Bernoulli, Categorical, Gaussian, Mixture, MultivariateGaussian, Poisson}


def test_categorical(random):
    scores = np.array([[1e4, -1e4, 0.0], [1.0, 2.0, 3.0]])
    categorical = Categorical(scores)
    np.testing.assert_allclose(categorical.probabilities[0], [1, 0, 0])
    np.testing.assert_array_equal(categorical.classes(), [0, 2])
    drawn = categorical.sample(random, 20000)
    assert drawn.shape == (20000, 2)
    frequencies = [(drawn[:, 1] == k).mean() for k in range(3)]
    np.testing.assert_allclose(frequencies, categorical.probabilities[1], atol=0.02)
    assert Categorical([[0.0, -np.inf]]).log_density([[1.0, 0.0]]) == 0


def test_bernoulli(random):
    bernoulli = Bernoulli([[1e4, -1e4, 1.0]])
    np.testing.assert_allclose(bernoulli.probabilities[0, :2], [1, 0])
    np.testing.assert_array_equal(bernoulli.classes(), [[1, 0, 1]])
    np.testing.assert_array_equal(bernoulli.classes(0.9), [[1, 0, 0]])
    assert bernoulli.sample(random, 20000)[:, 0, 2].mean() == pytest.approx(bernoulli.probabilities[0, 2], abs=0.02)
    with pytest.raises(ValueError, match=r"^Bernoulli: got both or none of scores and probabilities, expected one"):
        Bernoulli()


def test_gaussian(random):
    gaussian = Gaussian([[1.0, -2.0]], np.log([[0.5, 2.0]]))
    expected = stats.norm([[1.0, -2.0]], [[0.5, 2.0]])
    np.testing.assert_allclose(gaussian.quantile(0.1), expected.ppf(0.1))
    np.testing.assert_allclose(gaussian.log_density(np.zeros((1, 2))), expected.logpdf(0))
    np.testing.assert_allclose(gaussian.interval(0.9), expected.interval(0.9))
    drawn = gaussian.sample(random, 20000)
    np.testing.assert_allclose(drawn.mean(axis=0), gaussian.mean, atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), gaussian.std, rtol=0.05)


def test_multivariate_gaussian(random):
    covariance = np.array([[1.0, 1.2], [1.2, 4.0]])
    gaussian = MultivariateGaussian([[1.0, -2.0]], covariance[None])
    expected = stats.multivariate_normal([1.0, -2.0], covariance)
    np.testing.assert_allclose(gaussian.log_density([[0.3, 0.7]]), expected.logpdf([0.3, 0.7]))
    np.testing.assert_allclose(gaussian.std, [[1, 2]])
    np.testing.assert_allclose(gaussian.correlation[0], [[1, 0.6], [0.6, 1]])
    drawn = gaussian.sample(random, 40000)
    assert drawn.shape == (40000, 1, 2)
    np.testing.assert_allclose(drawn.mean(axis=0), gaussian.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn[:, 0].T), covariance, atol=0.08)


def mixtures(random, dims):
    scores, means = random.standard_normal((4, 3)), 3 * random.standard_normal((4, 3, dims))
    return Mixture(scores, means, random.standard_normal((4, 3, dims)) / 3)


def test_mixture_moments_and_samples(random):
    mixture = mixtures(random, 2)
    drawn = mixture.sample(random, 40000)
    assert drawn.shape == (40000, 4, 2)
    np.testing.assert_allclose(drawn.mean(axis=0), mixture.mean, atol=0.08)


def test_mixture_quantiles_are_those_of_its_samples(random):
    mixture = mixtures(random, 1)
    drawn = np.sort(mixture.sample(random, 40000), axis=0)
    for q in (0.1, 0.5, 0.9):
        below = (drawn < mixture.quantile(q)).mean(axis=0)
        np.testing.assert_allclose(below, q, atol=0.01)


def test_mixture_mode_is_the_highest_point(random):
    mixture = mixtures(random, 1)
    grid = np.linspace(-12, 12, 20001)
    densities = np.array([mixture.log_density(np.full((4, 1), place)) for place in grid])
    np.testing.assert_allclose(mixture.mode()[:, 0], grid[densities.argmax(axis=0)], atol=2e-3)
    assert np.trapezoid(np.exp(densities), grid, axis=0) == pytest.approx(np.ones(4), abs=1e-3)


def test_mixture_of_one_component_is_its_gaussian(random):
    mean, log_std, t = random.standard_normal((3, 4, 1))
    mixture, gaussian = Mixture(np.zeros((4, 1)), mean[:, None], log_std[:, None]), Gaussian(mean, log_std)
    np.testing.assert_allclose(mixture.quantile(0.3), gaussian.quantile(0.3))
    np.testing.assert_allclose(mixture.log_density(t), gaussian.log_density(t)[:, 0])
    np.testing.assert_allclose(mixture.mode(), mean)


def test_poisson(random):
    poisson, expected = Poisson(np.log([[0.1, 3.0, 50.0]])), stats.poisson([[0.1, 3.0, 50.0]])
    for q in (0.01, 0.3, 0.5, 0.99):
        np.testing.assert_array_equal(poisson.quantile(q), expected.ppf(q))
    np.testing.assert_allclose(poisson.log_density([[0, 2, 60]]), expected.logpmf([[0, 2, 60]]))
    np.testing.assert_allclose(poisson.sample(random, 20000).mean(axis=0), poisson.rate, rtol=0.1)


def test_probabilities_outside_are_refused(random):
    for q in (0, 1, np.nan):
        with pytest.raises(ValueError, match=r"^Gaussian: q is .*, expected a number between 0 and 1$"):
            Gaussian([0.0], 0).quantile(q)
        with pytest.raises(ValueError, match=r"^Gaussian: coverage is "):
            Gaussian([0.0], 0).interval(q)
        with pytest.raises(ValueError, match=r"^Poisson: q is "):
            Poisson([0.0]).quantile(q)
        with pytest.raises(ValueError, match=r"^Mixture: q is "):
            mixtures(random, 1).quantile(q)
    with pytest.raises(ValueError, match=r"^Mixture: a quantile of 2 dimensions, expected 1$"):
        mixtures(random, 2).quantile(0.5)
