"""Metrics of a classifier's probabilities: ranking and calibration."""

import numpy as np

from .classification import Weights, compute_average, flatten_scores, repeat_weights
from .metric import Metric, make_metric


@make_metric(better="max", of_probabilities=True)
def roc_auc(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """The chance that a sample of a class gets a higher probability of it than one of another class; ties count half.

    Of class 1 where there are two, else the mean over the classes, each against the rest. Classes without samples, and
    those that all samples have, are left out; NaN if none remains.
    Source: Fawcett, An introduction to ROC analysis (2006), section 7; scikit-learn's roc_auc_score.
    """
    p, labels = flatten_scores("roc_auc", y, target)
    weights = repeat_weights(labels, sample_weight)
    areas = [compute_area(p[:, k], labels == k, weights) for k in ([1] if p.shape[1] == 2 else range(p.shape[1]))]
    areas = [value for value in areas if not np.isnan(value)]
    return float(np.mean(areas)) if areas else np.nan


def compute_area(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    """Compute Mann and Whitney's statistic: for each score, how many are below it, and half of those equal to it."""
    _, place = np.unique(score, return_inverse=True)
    yes, no = np.bincount(place, weights * positive), np.bincount(place, weights * ~positive)
    if yes.sum() == 0 or no.sum() == 0:
        return np.nan
    return yes @ (np.cumsum(no) - no / 2) / (yes.sum() * no.sum())


@make_metric(of_probabilities=True)
def log_loss(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """Mean of -log p[label]; a probability counts as at least the spacing of numbers at 1, so that it is finite."""
    return compute_cost("log_loss", y, target, sample_weight)


def compute_cost(who: str, y: np.ndarray, target: np.ndarray, sample_weight: Weights) -> float:
    """Compute the mean of -log p[label]."""
    p, labels = flatten_scores(who, y, target)
    own = np.maximum(p[np.arange(len(labels)), labels], np.finfo(p.dtype).eps)
    return -compute_average(np.log(own, dtype=np.float64), sample_weight)


@make_metric(of_probabilities=True)
def brier(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """Mean over samples of Σₖ (p[k] - one_hot[k])², half of it for two classes.

    Source: Brier, Verification of forecasts expressed in terms of probability (1950).
    """
    p, labels = flatten_scores("brier", y, target)
    squares = np.square(p - np.eye(p.shape[1])[labels], dtype=np.float64).sum(axis=1)
    return compute_average(squares, sample_weight) / (2 if p.shape[1] == 2 else 1)


class CalibrationError(Metric):
    """How far confidence and accuracy lie apart: Σ_b n_b / N |accuracy_b - confidence_b|.

    The confidence of a sample is its largest probability; the bins b are equally wide, from 0 to 1.

    Args: bins: how many, at least 1.
    Errors: ValueError for other bins.
    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017), eq. 3.
    """

    of_probabilities = True
    name = "calibration_error"  # type: ignore[assignment]

    def __init__(self, bins: int = 15):
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise ValueError(f"CalibrationError: bins is {bins!r}, expected a whole number of at least 1")
        self.bins = bins

    def value(self, y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
        p, labels = flatten_scores(self.name, y, target)
        confidence, right = p.max(axis=1).astype(np.float64), p.argmax(axis=1) == labels
        place = np.clip(np.nan_to_num(np.ceil(confidence * self.bins)) - 1, 0, self.bins - 1).astype(np.int64)
        weights = repeat_weights(labels, sample_weight)
        gaps = np.bincount(place, weights * (right - confidence), minlength=self.bins)
        return np.abs(gaps).sum() / weights.sum()
