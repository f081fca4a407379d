"""What a restricted Boltzmann machine says of states: probabilities, samples, the partition function.

These run as plain NumPy in float64, from a trained RBM; nothing of them is compiled or differentiated.
"""

import itertools

import numpy as np

from ...core.shapes import check_matrix_shape
from ...initializers.initializers import get_generator
from .rbm import RBM

MOST = 22  # units of the smaller side, whose states are enumerated
ROWS = 1 << 14  # states that are looked at together


def get_weights(rbm: RBM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W (H, V), hidden bias (H,) and visible bias (V,) in float64."""
    weight, hidden_bias, visible_bias = (
        vars(rbm)[name].astype(np.float64) for name in ("weight", "hidden_bias", "visible_bias")
    )
    return weight, hidden_bias, visible_bias


def as_states(rbm: RBM, x) -> np.ndarray:
    """Convert visible states to float64. Errors: ValueError for another shape than (N, V)."""
    x = np.asarray(x, np.float64)
    check_matrix_shape(rbm, x.shape, rbm.visible)
    return x


def hidden_probabilities(rbm: RBM, x) -> np.ndarray:
    """σ(c + W x) (N, H), the features of x (N, V)."""
    weight, hidden_bias, _ = get_weights(rbm)
    return logistic(as_states(rbm, x) @ weight.T + hidden_bias)


def free_energy(rbm: RBM, x) -> np.ndarray:
    """F(x) (N,) of visible states x (N, V): log p(x) = -F(x) - log Z."""
    weight, hidden_bias, visible_bias = get_weights(rbm)
    x = as_states(rbm, x)
    visible = 0.5 * ((x - visible_bias) ** 2).sum(axis=1) if rbm.gaussian else -x @ visible_bias
    return visible - np.logaddexp(0, x @ weight.T + hidden_bias).sum(axis=1)


def sample_visible(rbm: RBM, x, steps: int, *, beta: float = 1.0, random: np.random.Generator | None = None):
    """Draw visible states (N, V) by so many steps of Gibbs sampling from x (N, V)."""
    weights, random, x = get_weights(rbm), random or get_generator(), as_states(rbm, x)
    for _ in range(steps):
        x = draw_visible(rbm, weights, beta * (x @ weights[0].T + weights[1]), beta, random)
    return x


def draw_visible(rbm: RBM, weights, scores: np.ndarray, beta: float, random: np.random.Generator) -> np.ndarray:
    """Draw hidden units of probability σ(scores) (N, H), and visible units (N, V) for them, at the inverse beta."""
    weight, _, visible_bias = weights
    scores = beta * ((random.random(scores.shape) < logistic(scores)) @ weight) + visible_bias
    if rbm.gaussian:
        return scores + random.standard_normal(scores.shape)
    return (random.random(scores.shape) < logistic(scores)).astype(np.float64)


def log_partition(rbm: RBM) -> float:
    """log Z, exactly, by all states of the smaller side. Errors: ValueError if that has more than 22 units."""
    weight, hidden_bias, visible_bias = get_weights(rbm)
    by_visible = not rbm.gaussian and rbm.visible < rbm.hidden
    units = rbm.visible if by_visible else rbm.hidden
    if units > MOST:
        raise ValueError(f"{rbm.label()}: {units} units have too many states to add up, {MOST} at most")
    parts = []
    for first in range(0, 1 << units, ROWS):
        numbers = np.arange(first, min(first + ROWS, 1 << units))
        states = (numbers[:, None] >> np.arange(units) & 1).astype(np.float64)
        if by_visible:
            terms = -free_energy(rbm, states)
        elif rbm.gaussian:
            pulls = states @ weight
            terms = states @ hidden_bias + pulls @ visible_bias + 0.5 * (pulls**2).sum(axis=1)
            terms += rbm.visible / 2 * np.log(2 * np.pi)
        else:
            terms = states @ hidden_bias + np.logaddexp(0, states @ weight + visible_bias).sum(axis=1)
        parts.append(np.logaddexp.reduce(terms))
    return float(np.logaddexp.reduce(parts))


def estimate_log_partition(
    rbm: RBM, runs: int = 100, temperatures: int = 1000, *, random: np.random.Generator | None = None
) -> tuple[float, float, float]:
    """Estimate log Z by annealed importance sampling from independent visible units.

    Returns the estimate, and bounds of three standard errors of the mean weight below and above.

    Source: Salakhutdinov and Murray, On the quantitative analysis of deep belief networks (2008).
    """
    parameters = weight, hidden_bias, visible_bias = get_weights(rbm)
    random = random or get_generator()
    if rbm.gaussian:
        x = visible_bias + random.standard_normal((runs, rbm.visible))
        start = rbm.visible / 2 * np.log(2 * np.pi)
    else:
        x = (random.random((runs, rbm.visible)) < logistic(visible_bias)).astype(np.float64)
        start = np.logaddexp(0, visible_bias).sum()
    weights, betas = np.zeros(runs), np.linspace(0, 1, temperatures + 1)
    for before, beta in itertools.pairwise(betas):
        scores = x @ weight.T + hidden_bias
        weights += (np.logaddexp(0, beta * scores) - np.logaddexp(0, before * scores)).sum(axis=1)
        x = draw_visible(rbm, parameters, beta * scores, beta, random)
    largest = weights.max()
    ratios = np.exp(weights - largest)
    mean, error = ratios.mean(), 3 * ratios.std(ddof=1) / np.sqrt(runs)
    base = start + rbm.hidden * np.log(2) + largest
    low = np.log(mean - error) if error < mean else -np.inf
    return float(base + np.log(mean)), float(base + low), float(base + np.log(mean + error))


def pseudo_log_likelihood(rbm: RBM, x, *, random: np.random.Generator | None = None) -> np.ndarray:
    """Σᵢ log p(x[i] | all others) (N,) of binary states x (N, V), estimated by one unit a sample.

    Errors: ValueError for Gaussian visible units.
    Source: Besag, Statistical analysis of non-lattice data (1975).
    """
    if rbm.gaussian:
        raise ValueError(f"{rbm.label()}: the pseudo-likelihood is that of binary units, these are Gaussian")
    x, random = as_states(rbm, x), random or get_generator()
    rows, units = np.arange(len(x)), random.integers(0, rbm.visible, len(x))
    flipped = x.copy()
    flipped[rows, units] = 1 - flipped[rows, units]
    return -rbm.visible * np.logaddexp(0, free_energy(rbm, x) - free_energy(rbm, flipped))


def logistic(x: np.ndarray) -> np.ndarray:
    """σ(x) in float64."""
    return 0.5 * (1 + np.tanh(0.5 * x))
