"""What data sets of sequences of unequal lengths share: padding, standardisation by the real steps, and parts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..array_dataset import ArrayDataset
from ..dataset import Dataset
from ..split import split_rows, split_sizes


@dataclass(frozen=True)
class Sequences:
    """Padded sequences x (N, T, D), how many steps of each are real, (N,), and a target of each, or of each step."""

    x: np.ndarray
    lengths: np.ndarray
    y: np.ndarray

    def take(self, rows: np.ndarray) -> Sequences:
        """The sequences of these rows."""
        return Sequences(self.x[rows], self.lengths[rows], self.y[rows])


class SequenceDataset(Dataset):
    """Family base of `NpzSequences`, `CsvSequences` and `TsSequences`: sequences become parts, padded to one length.

    Parts that have no file are split off the first one, at random by the seed, by class where there are classes.
    Whole numbers that a model reads as tokens stay as they are; other features may be standardised.
    """

    valid_size: float
    test_size: float
    seed: int
    standardize: bool
    with_lengths: bool
    ignore_index: int | None = None
    shared = ("steps", "with_lengths", "_moments")

    @abstractmethod
    def read(self, part: str) -> Sequences | None:
        """Read the sequences of train, valid or test from their file; None if it has none."""

    @abstractmethod
    def count_classes(self) -> int | None:
        """Count the classes of all files, None for a regression."""

    @cached_property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.steps, *self._whole.x.shape[2:])

    @cached_property
    def target_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self._whole.y.shape[1:]

    @property
    def has_lengths(self) -> bool:  # type: ignore[override]
        """Whether a model gets tables (x, lengths)."""
        return self.with_lengths

    @cached_property
    def classes(self) -> int | None:  # type: ignore[override]
        return self.count_classes()

    @cached_property
    def steps(self) -> int:
        """The number of steps of the longest sequence in all files, to which all are padded."""
        return max(part.x.shape[1] for name in ("train", "valid", "test") if (part := self._read(name)) is not None)

    @cached_property
    def feature_mean(self) -> np.ndarray:
        """The mean of each feature (D,) over the real steps of the training part; 0 if it is not standardised."""
        return self._moments[0]

    @cached_property
    def feature_std(self) -> np.ndarray:
        """The standard deviation of each feature (D,), likewise; 1 for a feature that is constant."""
        return self._moments[1]

    @cached_property
    def train(self) -> ArrayDataset:
        return self._make_part(self._whole.take(self._rows[0]))

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return self._find_part("valid", self._rows[1])

    @cached_property
    def test(self) -> ArrayDataset | None:
        return self._find_part("test", self._rows[2])

    # -- inside ------------------------------------------------------------------------------------------------

    @cached_property
    def _parts(self) -> dict[str, Sequences | None]:
        return {}

    def _read(self, part: str) -> Sequences | None:
        if part not in self._parts:
            sequences = self.read(part)
            if part != "train" and sequences is not None and sequences.x.shape[2:] != self._whole.x.shape[2:]:
                features, expected = sequences.x.shape[2:], self._whole.x.shape[2:]
                name = f"{type(self).__name__}: the steps of the {part} file"
                raise ValueError(f"{name} have shape {features}, expected {expected} as in the training file")
            self._parts[part] = sequences
        return self._parts[part]

    @property
    def _whole(self) -> Sequences:
        whole = self._read("train")
        assert whole is not None
        return whole

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, sizes = len(self._whole.x), (self.valid_size, self.test_size)
        split_sizes(type(self).__name__, n, *sizes)
        if not any(sizes):
            return np.arange(n), np.arange(0), np.arange(0)
        labels = self._whole.y if self.classes is not None and self._whole.y.ndim == 1 else None
        return split_rows(n, valid_size=sizes[0], test_size=sizes[1], seed=self.seed, labels=labels)

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        x = self._whole.x
        if not self.standardize or x.dtype.kind in "iu":
            return np.zeros(x.shape[2:]), np.ones(x.shape[2:])
        train = self._whole.take(self._rows[0])
        real = train.x[find_real_steps(train)].astype(np.float64)
        std = real.std(axis=0)
        return real.mean(axis=0), np.where(std > 0, std, 1.0)

    def _find_part(self, part: str, rows: np.ndarray) -> ArrayDataset | None:
        if len(rows):
            return self._make_part(self._whole.take(rows))
        sequences = self._read(part)
        return None if sequences is None else self._make_part(sequences)

    def _find_ignored(self, y: np.ndarray) -> int | None:
        """Find the label of padding, if targets are labels of steps."""
        return self.ignore_index if y.ndim > 1 and y.dtype.kind in "iu" else None

    def _make_part(self, part: Sequences) -> ArrayDataset:
        x = part.x
        if x.shape[1] < self.steps:
            x = np.concatenate([x, np.zeros((len(x), self.steps - x.shape[1], *x.shape[2:]), x.dtype)], axis=1)
        if x.dtype.kind == "f":
            x = standardize_steps(x, self.feature_mean, self.feature_std)
            x[~find_real_steps(Sequences(x, part.lengths, part.y))] = 0
        lengths = part.lengths if self.with_lengths else None
        return ArrayDataset(x, part.y, lengths=lengths, classes=self.classes, ignore_index=self._find_ignored(part.y))


def find_real_steps(sequences: Sequences) -> np.ndarray:
    """Find the steps (N, T) that are not padding."""
    return np.arange(sequences.x.shape[1]) < sequences.lengths[:, None]


def standardize_steps(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(x - mean) / std of each step, float32; x (N, T, D), mean and std (D,)."""
    with np.errstate(over="ignore"):
        return ((x - mean) / std).astype(np.float32)


def pad_sequences(sequences: Sequence[np.ndarray], dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Pad arrays (tₙ, D) with zeros to x (N, max tₙ, D); returns x and the lengths (N,)."""
    lengths = np.array([len(each) for each in sequences], np.int64)
    x = np.zeros((len(sequences), int(lengths.max()), *sequences[0].shape[1:]), dtype)
    for n, each in enumerate(sequences):
        x[n, : len(each)] = each
    return x, lengths


def check_lengths(who: str, lengths: np.ndarray, n: int, steps: int) -> np.ndarray:
    """Check the lengths of n sequences; ValueError that names the first one that is not from 1 to `steps`."""
    if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
        raise ValueError(f"{who}: lengths is {lengths.dtype} {lengths.shape}, expected whole numbers ({n},)")
    wrong = np.flatnonzero((lengths < 1) | (lengths > steps))
    if wrong.size:
        raise ValueError(f"{who}: row {wrong[0]} of lengths is {lengths[wrong[0]]}, expected 1 to {steps}")
    return lengths.astype(np.int64)


def choose_sizes(
    who: str,
    valid_path: str | Path | None,
    test_path: str | Path | None,
    valid_size: float | None,
    test_size: float | None,
) -> tuple[float, float]:
    """Choose what is split off: by default 0.15 and 0.2, and nothing for a part with a file of its own."""
    for part, path, size in (("valid", valid_path, valid_size), ("test", test_path, test_size)):
        if path is not None and size is not None:
            raise ValueError(f"{who}: both {part}_path and {part}_size are given, expected one of them")
    return (
        (0.15 if valid_path is None else 0.0) if valid_size is None else valid_size,
        (0.2 if test_path is None else 0.0) if test_size is None else test_size,
    )


def as_labels(words: list[str], names: tuple[str, ...]) -> np.ndarray:
    """Convert words to their places among `names`."""
    place = {word: k for k, word in enumerate(names)}
    return np.array([place[word] for word in words], np.int64)
