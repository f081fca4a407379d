"""What the small sets that come with scikit-learn have in common: a seeded split and standardised
features. Each set adds its shapes and how to read its table."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import ClassVar

import numpy as np

from .array_dataset import ArrayDataset, Pair
from .checks import check_whole_number
from .split import split_rows, split_sizes
from .split_dataset import SplitDataset, ThreeParts


class EmbeddedDataset(SplitDataset):
    """Family base of `Digits`, `Iris`, `Wine`, `BreastCancer` and `Diabetes`.

    Args: valid_size, test_size: a fraction of the set (float) or a number of samples (int), 0 for none;
        standardize: subtract from each feature its mean and divide by its standard deviation, both of the
        training part; seed: of the split, which is stratified by class.
    Errors: ValueError for sizes that leave nothing to train on, and for a seed that is no whole number.
    """

    samples: ClassVar[int]
    scale: ClassVar[float] = 1.0
    split_independent = ("_whole",)

    def __init__(
        self,
        *,
        valid_size: float = 0.15,
        test_size: float = 0.2,
        standardize: bool = True,
        seed: int = 0,
    ) -> None:
        who = type(self).__name__
        split_sizes(who, self.samples, valid_size, test_size)
        self.valid_size = valid_size
        self.test_size = test_size
        self.standardize = standardize
        self.seed = check_whole_number(who, "seed", seed)

    @abstractmethod
    def read(self) -> Pair:
        """The whole set: x (samples, *input_shape) uint8 or float64, y (samples, *target_shape) int64 or
        float64."""

    @property
    def feature_mean(self) -> np.ndarray:
        """What was subtracted from each input, float64 of input_shape: zeros without `standardize`."""
        return self._feature_mean_and_std[0]

    @property
    def feature_std(self) -> np.ndarray:
        """What each input was divided by, float64 of input_shape: ones without `standardize`."""
        return self._feature_mean_and_std[1]

    @cached_property
    def _whole(self) -> Pair:
        return self.read()

    @cached_property
    def _rows(self) -> ThreeParts:
        return split_rows(
            self.samples, valid_size=self.valid_size, test_size=self.test_size, seed=self.seed, labels=self._labels
        )

    @property
    def _labels(self) -> np.ndarray | None:
        return None if self.classes is None else self._whole[1]

    @cached_property
    def _feature_mean_and_std(self) -> Pair:
        if not self.standardize:
            return np.zeros(self.input_shape), np.ones(self.input_shape)
        return compute_mean_and_std(self._whole[0][self._rows[0]])

    def _part(self, rows: np.ndarray) -> ArrayDataset:
        x, y = self._whole[0][rows], self._targets(self._whole[1][rows])
        if self.standardize:
            x = (x - self.feature_mean) / self.feature_std
        if x.dtype == np.uint8:
            return ArrayDataset(x, y, scale=self.scale, classes=self.classes)
        return ArrayDataset(x.astype(np.float32), y, classes=self.classes)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """Convert targets for the model; class labels stay as they are."""
        return y


def compute_mean_and_std(x: np.ndarray) -> Pair:
    """Compute mean and standard deviation of x (N, ...) over its first axis; std is 1 where all samples are equal."""
    std = x.std(axis=0)
    return x.mean(axis=0), np.where((x.max(axis=0) == x.min(axis=0)) | (std == 0), 1.0, std)
