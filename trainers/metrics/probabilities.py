"""Inputs of metrics: the rows that count, as scores or as probabilities."""

import numpy as np

from ...modules.losses.distributions import Bernoulli, Categorical, Gaussian, Mixture, Poisson
from ...modules.losses.loss import Loss
from .metric import Metric


def move_classes_last(
    loss: Loss, y: np.ndarray, target: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Move the class axis of outputs to the end: outputs (M, K), targets and weights."""
    moved = loss.move_classes_last(y)
    if moved is y:
        return y, target, weights
    rows = moved.reshape(-1, moved.shape[-1])
    target = loss.move_classes_last(target).reshape(rows.shape) if target.ndim == y.ndim else target.reshape(-1)
    return rows, target, None if weights is None else np.repeat(weights, len(rows) // max(1, len(y)))


def drop_ignored(
    loss: Loss, y: np.ndarray, target: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Drop samples of weight 0 and rows whose label the loss ignores."""
    if weights is not None:
        y, target, weights = y[weights > 0], target[weights > 0], weights[weights > 0]
    ignored = getattr(loss, "ignore_index", None)
    if ignored is None or target.shape != y.shape[:-1]:
        return y, target, weights
    mask = target != ignored
    if weights is not None:
        weights = np.repeat(weights, mask[:1].size).reshape(mask.shape)[mask]
    return y[mask], target[mask], weights


def select_samples(
    loss: Loss, y: np.ndarray, target: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Select the samples of a weight above 0, each whole: labels that the loss ignores become -1."""
    y = loss.move_classes_last(y)
    if weights is not None:
        y, target, weights = y[weights > 0], target[weights > 0], weights[weights > 0]
    ignored = getattr(loss, "ignore_index", None)
    return y, target if ignored is None else np.where(target == ignored, -1, target), weights


def compute_means(loss: Loss, y: np.ndarray) -> np.ndarray:
    """Compute the means of the distributions that a loss defines by outputs; other outputs stay."""
    distribution = find_distribution(loss, y)
    return distribution.mean if isinstance(distribution, Gaussian | Mixture | Poisson) else y


def compute_scores(metric: Metric, loss: Loss, y: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute scores or probabilities of classes, and targets; those of binary losses are flat.

    Errors: ValueError for a metric of probabilities and a loss that gives none.
    """
    if not metric.of_probabilities and not (metric.of_classes and y.shape == target.shape):
        return y, target
    distribution = find_distribution(loss, y)
    if isinstance(distribution, Bernoulli):
        return distribution.probabilities.reshape(-1), target.reshape(-1)
    if not metric.of_probabilities:
        return y, target
    if not isinstance(distribution, Categorical):
        raise ValueError(f"{metric.name}: {loss} gives no probabilities of classes, which this metric needs")
    return distribution.probabilities, target


def find_distribution(loss: Loss, y: np.ndarray) -> object:
    """Find the distribution that the loss defines by outputs, or None."""
    try:
        with np.errstate(all="ignore"):  # NaN stays NaN
            return loss.distribution(y)
    except ValueError:
        return None
