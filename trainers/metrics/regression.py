"""Regression metrics, summed in float64, at the original scale of the target."""

import numpy as np

from .classification import Weights, compute_average
from .metric import make_metric


def compute_differences(who: str, y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute y - target (N, outputs) in float64, without broadcasting."""
    if y.shape != target.shape:
        raise ValueError(f"{who}: y has shape {y.shape} and target {target.shape}, expected the same shape")
    with np.errstate(invalid="ignore"):  # inf - inf is NaN
        return np.subtract(y, target, dtype=np.float64).reshape(len(y), -1)


@make_metric(of_numbers=True, in_units=True)
def rmse(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """Root of the mean squared difference; y and target of one shape."""
    return np.sqrt(compute_average(np.square(compute_differences("rmse", y, target)).reshape(-1), sample_weight))


@make_metric(of_numbers=True, in_units=True)
def mae(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """Mean of the differences without their sign; y and target of one shape."""
    return compute_average(np.abs(compute_differences("mae", y, target)).reshape(-1), sample_weight)


@make_metric(better="max", of_numbers=True)
def r2(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """Share of the target's variance that is explained: 1 - Σ (y - t)² / Σ (t - mean t)², averaged over outputs.

    NaN where a target does not vary.
    """
    w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    residual = w @ np.square(compute_differences("r2", y, target))
    target = target.reshape(len(target), -1).astype(np.float64)
    total = w @ np.square(target - np.average(target, axis=0, weights=w))
    return np.mean(1 - residual / total) if (total > 0).all() else np.nan
