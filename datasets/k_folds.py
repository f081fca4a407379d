"""Cross-validation: k data sets, each of which validates on another k-th of the samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .array_dataset import ArrayDataset
from .checks import check_whole_number
from .dataset import Dataset
from .order import epoch_order
from .split import SPLIT_EPOCH, spread_classes
from .split_dataset import SplitDataset


def k_folds(data: Dataset | ArrayDataset, k: int, *, seed: int = 0, stratify: bool = True) -> Iterator[Dataset]:
    """k data sets of the same samples: fold i trains on all but the i-th of k parts and validates on that part.

        errors = [Trainer(...).fit(fold)[-1]["valid_error"] for fold in k_folds(Iris(), 5)]

    The samples are those of the training and the validation part; the test part stays as it is. A set that is split by
    seed (`Iris`, `CsvDataset` and their like) fits its means and categories anew to each fold's training part.

    Args: k: from 2 to the number of samples; seed: of the parts; stratify: classes in proportion in each part.
    Errors: ValueError for another k, at the call.
    Source: Goodfellow et al., Deep Learning, algorithm 5.1.
    """
    if isinstance(data, SplitDataset):
        rows = np.sort(np.concatenate([data._rows[0], data._rows[1]]))
        labels = None if data._labels is None else np.asarray(data._labels)[rows]
        parts = make_fold_rows(len(rows), k, seed, labels if stratify else None)
        return (data.with_rows(rows[train], rows[valid]) for train, valid in parts)
    pool = join_samples(data.train, data.valid) if isinstance(data, Dataset) else data
    test = data.test if isinstance(data, Dataset) else None
    parts = make_fold_rows(len(pool), k, seed, pool.y if stratify and pool.classes is not None else None)
    return (Fold(pool, train, valid, test) for train, valid in parts)


def make_fold_rows(n: int, k: int, seed: int, labels: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Make row numbers (train, valid) of each fold."""
    k = check_whole_number("k_folds", "k", k, least=2, most=n)
    order = epoch_order(n, seed=seed, epoch=SPLIT_EPOCH)
    order = order if labels is None else spread_classes(order, labels)
    parts = np.array_split(order, k)
    return ((np.concatenate(parts[:i] + parts[i + 1 :]), parts[i]) for i in range(k))


def join_samples(train: ArrayDataset, valid: ArrayDataset | None) -> ArrayDataset:
    """Join the samples of both, copied."""
    if valid is None:
        return train
    weights = [np.ones(len(part)) if part.sample_weight is None else part.sample_weight for part in (train, valid)]
    weighted = train.sample_weight is not None or valid.sample_weight is not None
    sequences = train.has_lengths or valid.has_lengths
    lengths = [
        np.full(len(part), part.x.shape[1]) if part.lengths is None else part.lengths
        for part in ((train, valid) if sequences else ())
    ]
    return ArrayDataset(
        np.concatenate([train.x, valid.x]),
        np.concatenate([train.y, valid.y]),
        np.concatenate(weights) if weighted else None,
        lengths=np.concatenate(lengths) if lengths else None,
        scale=train.scale,
        shift=train.shift,
        classes=train.classes,
        target_mean=train.target_mean,
        target_std=train.target_std,
    )


class Fold(Dataset):
    """Rows of one set that train and rows that validate, copied when they are asked for."""

    def __init__(self, pool: ArrayDataset, train: np.ndarray, valid: np.ndarray, test: ArrayDataset | None) -> None:
        self._pool, self._train, self._valid, self._test = pool, train, valid, test

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self._pool.input_shape

    @property
    def target_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self._pool.target_shape

    @property
    def has_lengths(self) -> bool:  # type: ignore[override]
        return self._pool.has_lengths

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        return self._pool.classes

    @property
    def train(self) -> ArrayDataset:
        return self._pool.take(self._train)

    @property
    def valid(self) -> ArrayDataset:
        return self._pool.take(self._valid)

    @property
    def test(self) -> ArrayDataset | None:
        return self._test
