"""A seeded split into training, validation and test rows, stratified by class. Written in NumPy because
importing scikit-learn's takes longer than training on the sets it would split."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .checks import count_samples
from .order import epoch_order

SPLIT_EPOCH = 2**64 - 1  # an epoch that no training reaches, so that the split has random numbers of its own


def split_sizes(who: str, n: int, valid_size: float, test_size: float) -> tuple[int, int]:
    """Compute the numbers of validation and test samples in a set of n.

    Errors: ValueError for a size that `part_size` refuses, or if no sample is left for training.
    """
    valid = count_samples(who, "valid_size", valid_size, n)
    test = count_samples(who, "test_size", test_size, n)
    if valid + test >= n:
        raise ValueError(
            f"{who}: valid_size {valid_size} and test_size {test_size} take {valid + test} of {n} samples, "
            f"expected at least one to be left for training"
        )
    return valid, test


def split_rows(
    n: int,
    *,
    valid_size: float = 0.15,
    test_size: float = 0.2,
    seed: int = 0,
    labels: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make row numbers (train, valid, test) of a split of n samples: int64, shuffled, together every row once.

    With labels, the rows are put in an order of which every stretch holds the classes in the proportions
    of the whole set: of the n_c members of class c, shuffled, member r stands at (r + 1/2) / n_c. The
    first stretch is the test part and the next one the validation part, so the test part does not depend
    on valid_size.

    Args: n: number of samples; valid_size, test_size: a fraction (float) or a number of samples (int), 0
        for none; seed: whole number; labels (n,): classes to stratify by, numbers or strings.
    Errors: ValueError for sizes that leave no row for training, and for labels of another length.
    """
    valid, test = split_sizes("split_rows", n, valid_size, test_size)
    order = epoch_order(n, seed=seed, epoch=SPLIT_EPOCH)
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != (n,):
            raise ValueError(f"split_rows: labels has shape {labels.shape}, expected ({n},)")
        order = spread_classes(order, labels)
    return order[test + valid :], order[test : test + valid], order[:test]


def spread_classes(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Order the rows so that every slice has the classes in the proportions of all."""
    return order[np.argsort(_position_in_class(labels[order]), kind="stable")]


def _position_in_class(labels: np.ndarray) -> np.ndarray:
    """(r + 1/2) / n_c of each label, float64: 0 is before the first member of its class, 1 after the last."""
    labels = np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(labels)
    firsts = np.cumsum(counts) - counts
    by_class = np.argsort(labels, kind="stable")
    rank = np.empty(len(labels))
    rank[by_class] = np.arange(len(labels)) - firsts[labels[by_class]]
    return (rank + 0.5) / counts[labels]
