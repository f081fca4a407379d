"""Figures of merit of a whole set of predictions, computed once an epoch."""

from collections.abc import Callable, Iterable

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], float]


def accuracy(y: np.ndarray, target: np.ndarray) -> float:
    """Share of samples whose largest score is at the label. y (N, ..., K); target labels, or (N, ..., K) one-hot."""
    if target.shape not in (y.shape, y.shape[:-1]) or y.shape[-1] < 2:
        raise ValueError(f"accuracy: y has shape {y.shape} and target {target.shape}, expected a score for each class")
    labels = target.argmax(axis=-1) if target.ndim == y.ndim else target
    return float(np.mean(y.argmax(axis=-1) == labels))


def error(y: np.ndarray, target: np.ndarray) -> float:
    """1 - accuracy."""
    return 1 - accuracy(y, target)


def rmse(y: np.ndarray, target: np.ndarray) -> float:
    """Root of the mean squared difference; y and target of one shape."""
    if y.shape != target.shape:
        raise ValueError(f"rmse: y has shape {y.shape} and target {target.shape}, expected the same shape")
    return float(np.sqrt(np.mean(np.square(y - target, dtype=np.float64))))


METRICS: dict[str, Metric] = {"accuracy": accuracy, "error": error, "rmse": rmse}


def find_metrics(names: Iterable[str]) -> dict[str, Metric]:
    """The metrics of these names; ValueError for a name that there is not."""
    names = list(names)
    for name in names:
        if name not in METRICS:
            raise ValueError(f"Trainer: there is no metric {name!r}, expected some of {', '.join(METRICS)}")
    return {name: METRICS[name] for name in names}
