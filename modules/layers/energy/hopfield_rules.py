"""Rules by which a Hopfield network stores patterns of ±1 at once: Hebb's, Storkey's, and the pseudo-inverse."""

import numpy as np


def learn_by_hebb(p: np.ndarray) -> np.ndarray:
    """W = Σ p pᵀ / D for patterns (P, D) of ±1."""
    return p.T @ p / p.shape[1]


def learn_by_storkey(p: np.ndarray) -> np.ndarray:
    """W[i, j] += (p[i] p[j] - p[i] h[j, i] - h[i, j] p[j]) / D, with h[i, j] the field of i without i and j."""
    units = p.shape[1]
    weight = np.zeros((units, units))
    for pattern in p:
        field = (weight @ pattern - np.diag(weight) * pattern)[:, None] - weight * pattern
        np.fill_diagonal(field, np.diag(field) + np.diag(weight) * pattern)  # of i = j nothing is left out twice
        weight += (np.outer(pattern, pattern) - pattern[:, None] * field.T - field * pattern) / units
    return weight


def learn_by_projection(p: np.ndarray) -> np.ndarray:
    """The projection on the span of the patterns."""
    return np.linalg.pinv(p) @ p


RULES = {"hebb": learn_by_hebb, "storkey": learn_by_storkey, "pseudo_inverse": learn_by_projection}
