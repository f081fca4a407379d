"""What the sets have in common that are one table, split by seed into three parts."""

from __future__ import annotations

import copy
from abc import abstractmethod
from functools import cached_property

import numpy as np

from .array_dataset import ArrayDataset
from .dataset import Dataset

ThreeParts = tuple[np.ndarray, np.ndarray, np.ndarray]


class SplitDataset(Dataset):
    """Family base: a leaf gives the row numbers of the parts, and a part from its row numbers.

    What is fitted, such as means, must be cached properties computed from the training rows.
    """

    split_independent: tuple[str, ...] = ()  # cached properties that do not depend on the split

    @property
    @abstractmethod
    def _rows(self) -> ThreeParts:
        """Row numbers (train, valid, test)."""

    @property
    @abstractmethod
    def _labels(self) -> np.ndarray | list[str] | None:
        """The class of each row, None for a regression."""

    @abstractmethod
    def _part(self, rows: np.ndarray) -> ArrayDataset:
        """Make the part of these rows."""

    @cached_property
    def train(self) -> ArrayDataset:
        return self._part(self._rows[0])

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return self._part(self._rows[1]) if self._rows[1].size else None

    @cached_property
    def test(self) -> ArrayDataset | None:
        return self._part(self._rows[2]) if self._rows[2].size else None

    def with_rows(self, train: np.ndarray, valid: np.ndarray) -> SplitDataset:
        """Make the same set with other training and validation rows; means and the like are fitted anew."""
        test = self._rows[2]
        other = copy.copy(self)
        cached = {name for cls in type(self).__mro__ for name, value in vars(cls).items() if is_cached(value)}
        for name in cached - set(self.split_independent):
            vars(other).pop(name, None)
        vars(other)["_rows"] = (train, valid, test)
        return other


def is_cached(value: object) -> bool:
    """Whether a class attribute is a cached property."""
    return isinstance(value, cached_property)
