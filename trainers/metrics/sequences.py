"""Metrics of sequences: of the probabilities of tokens, and of whole sequences."""

import numpy as np

from .classification import Weights, check_labels, compute_average
from .metric import make_metric
from .probabilistic import compute_cost


@make_metric(of_probabilities=True)
def perplexity(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """exp of the mean of -log p[label] over all tokens: among how many equally likely ones the model would choose.

    y (N, ..., K) probabilities; target (N, ...) labels. Tokens with the loss's ignore_index are left out.
    Source: Goodfellow et al., Deep Learning, section 12.4; Jelinek et al. (1977).
    """
    return float(np.exp(compute_cost("perplexity", y, target, sample_weight)))


@make_metric(of_probabilities=True)
def bits_per_character(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """The mean of -log₂ p[label] over all tokens, which are characters: what a character costs when it is coded.

    y (N, ..., K) probabilities; target (N, ...) labels. Tokens with the loss's ignore_index are left out.
    Source: Goodfellow et al., Deep Learning, section 3.13; Graves, Generating sequences with recurrent neural networks
        (2013), section 3.
    """
    return float(compute_cost("bits_per_character", y, target, sample_weight) / np.log(2))


@make_metric(better="max", whole_samples=True)
def sequence_accuracy(y: np.ndarray, target: np.ndarray, sample_weight: Weights = None) -> float:
    """Share of samples all of whose tokens are right: whose largest scores are at the labels.

    y (N, ..., K); target (N, ...) labels. Tokens with the loss's ignore_index, -1 here, count nothing; a sample
    of nothing else is left out.
    """
    if target.shape != y.shape[:-1] or y.ndim < 2 or y.shape[-1] < 2:
        shapes = f"y has shape {y.shape} and target {target.shape}"
        raise ValueError(f"sequence_accuracy: {shapes}, expected a score for each class, and labels")
    counts = target != -1
    labels = check_labels("sequence_accuracy", np.where(counts, target, 0), y.shape[-1])
    right = ((y.argmax(axis=-1) == labels) | ~counts).reshape(len(y), -1).all(axis=1)
    chosen = counts.reshape(len(y), -1).any(axis=1)
    if not chosen.any():
        return np.nan
    return float(compute_average(right[chosen], None if sample_weight is None else sample_weight[chosen]))
