"""Pairs of handwritten digits, to learn when two images show the same one: the data of a siamese model."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np

from .array_dataset import ArrayDataset
from .dataset import Dataset
from .digits import Digits
from .order import epoch_order


class DigitPairs(Dataset):
    """Each image of `Digits` twice: beside another of the same digit, and beside one of another digit.

    The parts are those of `Digits`, so that no image stands in two of them.

    Shapes: x (N, 2, 1, 8, 8), y (N,): for "signs" 1.0 where both are the same digit and -1.0 where not, for "labels"
        the classes 1 and 0.
    Args: targets: signs, as the losses of pairs want them, or labels; valid_size, test_size, seed: as of Digits.
    Errors: ValueError for other targets; those of Digits.
    Source: Bromley et al., Signature verification using a siamese time delay neural network (1993); the images: see
        Digits.
    """

    input_shape = (2, 1, 8, 8)
    target_shape = ()

    def __init__(
        self,
        *,
        targets: Literal["signs", "labels"] = "signs",
        valid_size: float = 0.15,
        test_size: float = 0.2,
        seed: int = 0,
    ) -> None:
        if targets not in ("signs", "labels"):
            raise ValueError(f"DigitPairs: targets is {targets!r}, expected signs or labels")
        self.targets, self.seed = targets, seed
        self.digits = Digits(valid_size=valid_size, test_size=test_size, seed=seed)

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        return None if self.targets == "signs" else 2

    @cached_property
    def train(self) -> ArrayDataset:
        return self._pairs(self.digits.train)

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return None if self.digits.valid is None else self._pairs(self.digits.valid)

    @cached_property
    def test(self) -> ArrayDataset | None:
        return None if self.digits.test is None else self._pairs(self.digits.test)

    def _pairs(self, part: ArrayDataset) -> ArrayDataset:
        first, second = find_partners(part.y, self.seed)
        same = part.y[first] == part.y[second]
        y = same.astype(np.int64) if self.targets == "labels" else np.where(same, 1.0, -1.0).astype(np.float32)
        return ArrayDataset(
            np.stack([part.x[first], part.x[second]], axis=1), y, scale=part.scale, classes=self.classes
        )


def find_partners(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Find row numbers (2 n,) of n rows and their partners: first of the same label, then of another one.

    Sorted by label, in a random order within each, the next row of the label is the one, and the row as many places on
    as the largest label has rows is the other.

    Errors: ValueError if more than half of all rows have one label.
    """
    order = epoch_order(len(labels), seed=seed, epoch=0)
    order = order[np.argsort(labels[order], kind="stable")]
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    if 2 * counts.max() > len(labels):
        raise ValueError(f"partners: {counts.max()} of {len(labels)} rows have one label, expected at most half")
    start, count = np.repeat(starts, counts), np.repeat(counts, counts)
    places = np.arange(len(labels))
    same = start + (places - start + 1) % count
    other = (places + counts.max()) % len(labels)
    return np.tile(order, 2), np.concatenate([order[same], order[other]])
