"""Metrics that compare the predicted class, of the largest score, with the label.

`sample_weight` (N,) says what each sample counts; a sample of several labels counts as much for each.
"""

from typing import Literal

import numpy as np

from .metric import Metric, make_metric

Weights = np.ndarray | None


def flatten_scores(who: str, y: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flatten outputs and targets to scores (M, K) and labels (M,).

    Args: y (N, ..., K) with target (N, ...) labels or (N, ..., K) one-hot; or y (N,), the probability of class 1, with
        target (N,) of 0 and 1.
    """
    if y.ndim == 1 and target.shape == y.shape:
        labels = target.astype(np.int64)
        if (labels != target).any() or labels.min() < 0 or labels.max() > 1:
            raise ValueError(f"{who}: a target is neither 0 nor 1, expected one of two classes")
        return np.stack([1 - y, y], axis=-1), labels
    if target.shape not in (y.shape, y.shape[:-1]) or y.shape[-1] < 2:
        raise ValueError(f"{who}: y has shape {y.shape} and target {target.shape}, expected a score for each class")
    labels = target.argmax(axis=-1) if target.ndim == y.ndim else check_labels(who, target, y.shape[-1])
    return y.reshape(-1, y.shape[-1]), labels.reshape(-1)


def check_labels(who: str, target: np.ndarray, classes: int) -> np.ndarray:
    """Convert labels to int64; ValueError that names the first row outside 0 to classes - 1."""
    wrong = np.argwhere(~((target >= 0) & (target < classes) & (np.floor(target) == target)))
    if wrong.size:
        row, value = wrong[0][0], target[tuple(wrong[0])]
        raise ValueError(f"{who}: label {value:g} in row {row}, expected 0..{classes - 1}")
    return target.astype(np.int64)


def compute_average(values: np.ndarray, sample_weight: Weights) -> float:
    """Compute the mean of values (M,), weighted by sample; M is a multiple of the number of weights."""
    return (
        np.mean(values) if sample_weight is None else np.average(values, weights=repeat_weights(values, sample_weight))
    )


def repeat_weights(values: np.ndarray, sample_weight: Weights) -> np.ndarray:
    """Repeat the samples' weights for the values (M,), float64."""
    if sample_weight is None:
        return np.ones(len(values))
    return np.repeat(np.asarray(sample_weight, np.float64), len(values) // len(sample_weight))


@make_metric(better="max", of_classes=True)
def accuracy(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """Share of samples whose largest score is at the label. y (N, ..., K); target labels, or (N, ..., K) one-hot."""
    scores, labels = flatten_scores("accuracy", y, target)
    return compute_average(scores.argmax(axis=-1) == labels, sample_weight)


@make_metric(of_classes=True)
def error(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """1 - accuracy."""
    return 1 - accuracy(y, target, sample_weight)


class TopK(Metric):
    """Share of samples whose label is among the k largest scores; of equal scores the first counts as larger.

    Args: k: at least 1, and below the number of classes.
    Errors: ValueError for another k.
    """

    better = "max"

    def __init__(self, k: int = 5):
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"TopK: k is {k!r}, expected a whole number of at least 1")
        self.k = k

    @property
    def name(self) -> str:
        return f"top_{self.k}"

    def value(self, y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
        scores, labels = flatten_scores(self.name, y, target)
        if self.k >= scores.shape[1]:
            raise ValueError(f"{self.name}: there are {scores.shape[1]} classes, expected more than {self.k}")
        own = scores[np.arange(len(labels)), labels][:, None]
        earlier = np.arange(scores.shape[1]) < labels[:, None]
        ahead = (scores > own) | ((scores == own) & earlier)
        return compute_average(ahead.sum(axis=1) < self.k, sample_weight)


class ConfusionMatrix(Metric):
    """Counts of samples, or sums of their weights, as lists, for the end only.

    It has a row for each label and a column for each predicted class.
    """

    of_classes = True
    number = False
    name = "confusion_matrix"  # type: ignore[assignment]

    def value(self, y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> list[list[float]]:
        return count_confusion(self.name, y, target, sample_weight).tolist()


def count_confusion(who: str, y: np.ndarray, target: np.ndarray, sample_weight: Weights) -> np.ndarray:
    """Count samples (K, K) by [label, predicted class]."""
    scores, labels = flatten_scores(who, y, target)
    k = scores.shape[1]
    weights = None if sample_weight is None else repeat_weights(labels, sample_weight)
    return np.bincount(labels * k + scores.argmax(axis=-1), weights, minlength=k * k).reshape(k, k)


class Averaged(Metric):
    """Family base of `Precision`, `Recall` and `F1`: a ratio for each class, averaged.

    Args: average: macro is the mean over the classes that occur among labels or predictions; micro adds up the counts
        of all classes first; binary is the ratio of class 1 of two. 0 / 0 counts as 0.
    """

    better = "max"
    of_classes = True

    def __init__(self, average: Literal["macro", "micro", "binary"] = "macro"):
        if average not in ("macro", "micro", "binary"):
            raise ValueError(f"{type(self).__name__}: average is {average!r}, expected macro, micro or binary")
        self.average = average

    @property
    def name(self) -> str:
        return f"{type(self).__name__.lower()}_{self.average}"

    def ratio(self, hits: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numerator and denominator, from the counts of right predictions, of labels and of predictions."""
        raise NotImplementedError

    def value(self, y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
        matrix = count_confusion(self.name, y, target, sample_weight)
        if self.average == "binary" and len(matrix) != 2:
            raise ValueError(f"{self.name}: there are {len(matrix)} classes, expected 2")
        counts = np.stack([np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)])
        if self.average == "micro":
            counts = counts.sum(axis=1, keepdims=True)
        elif self.average == "binary":
            counts = counts[:, 1:]
        else:
            counts = counts[:, (counts > 0).any(axis=0)]
        above, below = self.ratio(*counts)
        return np.mean(np.divide(above, below, out=np.zeros(len(above)), where=below > 0))


class Precision(Averaged):
    """Of the predictions of a class, how many are right: TP / (TP + FP).

    Args: average: macro, micro, or binary for class 1 of two; 0 / 0 counts as 0.
    Source: Goodfellow et al., Deep Learning, section 11.1; scikit-learn's precision_score.
    """

    def ratio(self, hits, labels, predicted):
        return hits, predicted


class Recall(Averaged):
    """Of the samples of a class, how many are found: TP / (TP + FN).

    Args: average: macro, micro, or binary for class 1 of two; 0 / 0 counts as 0.
    Source: Goodfellow et al., Deep Learning, section 11.1; scikit-learn's recall_score.
    """

    def ratio(self, hits, labels, predicted):
        return hits, labels


class F1(Averaged):
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    Args: average: macro, micro, or binary for class 1 of two; 0 / 0 counts as 0.
    Source: Goodfellow et al., Deep Learning, eq. 11.1; scikit-learn's f1_score.
    """

    def ratio(self, hits, labels, predicted):
        return 2 * hits, labels + predicted
