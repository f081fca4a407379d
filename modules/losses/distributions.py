"""Distributions of the target that a model's output defines: probabilities, samples, quantiles, densities in NumPy.

`loss.distribution(y)` makes one for the losses that are likelihoods: the loss's value is the mean of -log_density.
"""

import numpy as np
from scipy.special import expit, gammaln, log_softmax, logsumexp, ndtr, ndtri, pdtr, pdtrik, softmax

LOG_2_PI = float(np.log(2 * np.pi))


class Categorical:
    """A categorical distribution over K classes, for each row.

        p[k] = exp(scores[k]) / Σⱼ exp(scores[j])

    Args: scores: (N, ..., K), logarithms of the probabilities up to a constant.
    """

    def __init__(self, scores):
        self.log_probabilities = log_softmax(np.asarray(scores, np.float64), axis=-1)

    @property
    def probabilities(self) -> np.ndarray:
        """(N, ..., K), in each row adding up to 1."""
        return softmax(self.log_probabilities, axis=-1)

    def classes(self) -> np.ndarray:
        """The most probable class (N, ...)."""
        return self.log_probabilities.argmax(axis=-1)

    def sample(self, random: np.random.Generator, n: int) -> np.ndarray:
        """n draws, (n, N, ...): the largest of the scores after adding Gumbel noise."""
        noise = random.gumbel(size=(n, *self.log_probabilities.shape))
        return (self.log_probabilities + noise).argmax(axis=-1)

    def log_density(self, target) -> np.ndarray:
        """log p of labels (N, ...), or Σₖ t[k] log p[k] of distributions (N, ..., K); (N, ...)."""
        target = np.asarray(target)
        if target.ndim < self.log_probabilities.ndim:
            return np.take_along_axis(self.log_probabilities, target.astype(int)[..., None], axis=-1)[..., 0]
        terms = np.zeros(target.shape)
        np.multiply(target, self.log_probabilities, out=terms, where=target != 0)  # 0 log 0 = 0
        return terms.sum(axis=-1)


class Bernoulli:
    """A Bernoulli distribution (0 or 1) of each element.

    Args: scores: the log-odds log p / (1 - p), of any shape; probabilities: instead of them, p.
    Errors: ValueError for both of them, or none.
    """

    def __init__(self, scores=None, probabilities=None):
        if (scores is None) == (probabilities is None):
            raise ValueError("Bernoulli: got both or none of scores and probabilities, expected one of them")
        self._scores = None if scores is None else np.asarray(scores, np.float64)
        self._given = None if probabilities is None else np.asarray(probabilities, np.float64)

    @property
    def probabilities(self) -> np.ndarray:
        """The probability of 1, in the shape of the output."""
        return expit(self._scores) if self._given is None else self._given

    def classes(self, threshold: float = 0.5) -> np.ndarray:
        """1 where the probability is above the threshold, else 0."""
        return (self.probabilities > threshold).astype(np.int64)

    def sample(self, random: np.random.Generator, n: int) -> np.ndarray:
        """n draws of 0 or 1, (n, ...)."""
        p = self.probabilities
        return (random.random((n, *p.shape)) < p).astype(np.int64)

    def log_density(self, target) -> np.ndarray:
        """t log p + (1 - t) log (1 - p) of each element; the logarithms of given probabilities are at least -100."""
        t = np.asarray(target, np.float64)
        if self._given is None:
            yes, no = np.logaddexp(0, -self._scores), np.logaddexp(0, self._scores)
            with np.errstate(invalid="ignore"):  # what does not count may cost infinitely much
                return -(np.where(t == 0, 0, t * yes) + np.where(t == 1, 0, (1 - t) * no))
        with np.errstate(divide="ignore"):
            yes, no = np.maximum(np.log(self._given), -100), np.maximum(np.log1p(-self._given), -100)
        return t * yes + (1 - t) * no


class Gaussian:
    """A normal distribution of each element.

    Args: mean: of any shape; log_std: logarithm of the standard deviation, of that shape or a number.
    Errors: ValueError from `quantile` and `interval` for no probability.
    """

    def __init__(self, mean, log_std):
        self.mean = np.asarray(mean, np.float64)
        self._log_std = np.broadcast_to(np.asarray(log_std, np.float64), self.mean.shape)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation; infinite beyond the range of float64."""
        with np.errstate(over="ignore"):
            return np.exp(self._log_std)

    def sample(self, random: np.random.Generator, n: int) -> np.ndarray:
        """n draws, (n, N, ...)."""
        return self.mean + self.std * random.standard_normal((n, *self.mean.shape))

    def quantile(self, q: float) -> np.ndarray:
        """The value below which the target lies with probability q, 0 < q < 1."""
        return self.mean + self.std * ndtri(check_probability("Gaussian", "q", q))

    def interval(self, coverage: float) -> tuple[np.ndarray, np.ndarray]:
        """The central interval (low, high) that holds the target with probability `coverage`."""
        outside = (1 - check_probability("Gaussian", "coverage", coverage)) / 2
        return self.quantile(outside), self.quantile(1 - outside)

    def log_density(self, target) -> np.ndarray:
        """log p of each element."""
        difference = np.asarray(target, np.float64) - self.mean
        return gaussian_log_density(difference, self._log_std)


class MultivariateGaussian:
    """A normal distribution of vectors, with a full covariance for each row.

    Args: mean: (N, D); covariance: (N, D, D), positive definite.
    """

    def __init__(self, mean, covariance):
        self.mean = np.asarray(mean, np.float64)
        self.covariance = np.asarray(covariance, np.float64)
        self._factor = np.linalg.cholesky(self.covariance)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation (N, D) of each element."""
        return np.sqrt(np.diagonal(self.covariance, axis1=-2, axis2=-1))

    @property
    def correlation(self) -> np.ndarray:
        """Correlation coefficients (N, D, D) of the elements."""
        return self.covariance / (self.std[..., None] * self.std[..., None, :])

    def sample(self, random: np.random.Generator, n: int) -> np.ndarray:
        """n draws, (n, N, D)."""
        return self.mean + np.einsum("nij,snj->sni", self._factor, random.standard_normal((n, *self.mean.shape)))

    def log_density(self, target) -> np.ndarray:
        """log p of targets (N, D); (N,)."""
        difference = np.asarray(target, np.float64) - self.mean
        z = np.linalg.solve(self._factor, difference[..., None])[..., 0]
        logs = np.log(np.diagonal(self._factor, axis1=-2, axis2=-1))
        return -(z * z / 2 + logs + LOG_2_PI / 2).sum(axis=-1)


class Mixture:
    """A sum of K Gaussians with diagonal covariances: Σₖ weights[k] Πᵢ N(t[i]; means[k, i], scales[k, i]).

    Args: scores: (N, K), logarithms of the weights up to a constant; means: (N, K, D); log_scales: (N, K, D).
    Errors: ValueError from `quantile` for no probability, and for D above 1.
    """

    def __init__(self, scores, means, log_scales):
        self._log_weights = log_softmax(np.asarray(scores, np.float64), axis=-1)
        self.means = np.asarray(means, np.float64)
        self._log_scales = np.asarray(log_scales, np.float64)

    @property
    def weights(self) -> np.ndarray:
        """(N, K), in each row adding up to 1."""
        return np.exp(self._log_weights)

    @property
    def scales(self) -> np.ndarray:
        """Standard deviations (N, K, D)."""
        with np.errstate(over="ignore"):
            return np.exp(self._log_scales)

    @property
    def mean(self) -> np.ndarray:
        """Σₖ weights[k] means[k], (N, D): between two branches it may be a value that never occurs."""
        return np.einsum("nk,nkd->nd", self.weights, self.means)

    def mode(self, steps: int = 100) -> np.ndarray:
        """The highest point of the density, (N, D), found by climbing from each component's mean.

        Source: Carreira-Perpiñán, Mode-finding for mixtures of Gaussian distributions (2000): the fixed point
            t = Σₖ rₖ pₖ mₖ / Σₖ rₖ pₖ for responsibilities r and precisions p never goes down.
        """
        log_precisions = -2 * self._log_scales[:, None]
        t = self.means
        for _ in range(steps):
            parts = log_softmax(self._log_joint(t), axis=-1)[..., None] + log_precisions  # (N, starts, K, D)
            t = np.einsum("nskd,nkd->nsd", softmax(parts, axis=2), self.means)
        best = logsumexp(self._log_joint(t), axis=-1).argmax(axis=1)
        return np.take_along_axis(t, best[:, None, None], axis=1)[:, 0]

    def sample(self, random: np.random.Generator, n: int) -> np.ndarray:
        """n draws, (n, N, D)."""
        chosen = (self._log_weights + random.gumbel(size=(n, *self._log_weights.shape))).argmax(axis=-1)
        rows = np.arange(len(self.means))
        means, scales = self.means[rows, chosen], self.scales[rows, chosen]
        return means + scales * random.standard_normal(means.shape)

    def log_density(self, target) -> np.ndarray:
        """log p of targets (N, D); (N,)."""
        return logsumexp(self._log_joint(np.asarray(target, np.float64)[:, None]), axis=-1)[:, 0]

    def quantile(self, q: float) -> np.ndarray:
        """The value (N, 1) below which the target lies with probability q, by bisection; for D = 1."""
        q = check_probability("Mixture", "q", q)
        if self.means.shape[-1] != 1:
            raise ValueError(f"Mixture: a quantile of {self.means.shape[-1]} dimensions, expected 1")
        each = self.means[..., 0] + self.scales[..., 0] * ndtri(q)  # the quantile lies between the components' own
        low, high = each.min(axis=1), each.max(axis=1)
        for _ in range(200):
            middle = (low + high) / 2
            below = (self.weights * ndtr((middle[:, None] - self.means[..., 0]) / self.scales[..., 0])).sum(axis=1)
            low, high = np.where(below < q, middle, low), np.where(below < q, high, middle)
        return ((low + high) / 2)[:, None]

    def _log_joint(self, t) -> np.ndarray:
        """log weights[k] N(t; k) at places t (N, places, D); (N, places, K)."""
        densities = gaussian_log_density(t[:, :, None] - self.means[:, None], self._log_scales[:, None])
        return self._log_weights[:, None] + densities.sum(axis=-1)


class Poisson:
    """A Poisson distribution of each element: counts 0, 1, 2, ...

    Args: log_rate: logarithm of the expected number, of any shape.
    Errors: ValueError from `quantile` for no probability.
    """

    def __init__(self, log_rate):
        self._log_rate = np.asarray(log_rate, np.float64)

    @property
    def rate(self) -> np.ndarray:
        """The expected number, which is the variance too."""
        return np.exp(self._log_rate)

    @property
    def mean(self) -> np.ndarray:
        """The expected number."""
        return self.rate

    def sample(self, random: np.random.Generator, n: int) -> np.ndarray:
        """n draws, (n, N, ...)."""
        return random.poisson(self.rate, (n, *self._log_rate.shape))

    def quantile(self, q: float) -> np.ndarray:
        """The smallest count that is not exceeded with a probability of at least q."""
        q = check_probability("Poisson", "q", q)
        count = np.maximum(np.ceil(pdtrik(q, self.rate)), 0)
        return np.where((count > 0) & (pdtr(np.maximum(count - 1, 0), self.rate) >= q), count - 1, count)

    def log_density(self, target) -> np.ndarray:
        """log p of each count."""
        t = np.asarray(target, np.float64)
        return np.where(t == 0, 0, t * self._log_rate) - self.rate - gammaln(t + 1)


def gaussian_log_density(difference, log_std):
    """log N(difference; 0, std²); a difference of 0 has z = 0, whatever the deviation."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = np.where(difference == 0, 0, difference * np.exp(-log_std))
        return -z * z / 2 - log_std - LOG_2_PI / 2


def check_probability(who: str, name: str, q: float) -> float:
    """Check a probability q; ValueError unless it lies between 0 and 1."""
    if not 0 < q < 1:
        raise ValueError(f"{who}: {name} is {q}, expected a number between 0 and 1")
    return q
