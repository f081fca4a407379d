"""The probabilities that a loss reads into a net's outputs."""

import numpy as np

from ...modules.loss import Loss
from ...modules.softmax_cross_entropy import SoftmaxCrossEntropy


def probabilities(who: str, loss: Loss, y: np.ndarray) -> np.ndarray:
    """Of the classes (N, ..., K), or (N, ...) of class 1; ValueError for a loss that is not about classes."""
    if hasattr(loss, "distribution"):
        p = getattr(loss.distribution(y), "probabilities", None)
    else:
        p = softmax(y) if isinstance(loss, SoftmaxCrossEntropy) else None
    if p is None:
        raise ValueError(f"{who}: {loss} gives no probabilities of classes, which this metric needs")
    return p


def softmax(y: np.ndarray) -> np.ndarray:
    """exp(y) / Σ exp(y) over the last axis."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN
        p = np.exp(y - y.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
