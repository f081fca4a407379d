"""Four tables of measurements: three to classify, one to predict a number from. All are packed into
scikit-learn."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .array_dataset import ArrayDataset, Pair
from .embedded import EmbeddedDataset, compute_mean_and_std
from .files.scikit_learn import read_labelled_table, read_table


class Iris(EmbeddedDataset):
    """150 flowers: 4 lengths in cm; setosa 0, versicolor 1, virginica 2.

    Shapes: x (N, 4) float32, y (N,) labels.
    Args: valid_size, test_size: a fraction of the set (float) or a number of samples (int), 0 for none; standardize:
        subtract from each feature its mean and divide by its standard deviation, both of the training part; seed: of
        the split, which is stratified by class.
    Errors: ValueError for sizes that leave nothing to train on, and for a seed that is no whole number.
    Source: Fisher, The use of multiple measurements in taxonomic problems (1936).
    """

    input_shape = (4,)
    target_shape = ()
    classes = 3
    samples = 150
    class_names = ("setosa", "versicolor", "virginica")

    def read(self) -> Pair:
        return read_labelled_table("iris.csv")


class Wine(EmbeddedDataset):
    """178 wines: 13 chemical measurements; three growers.

    Shapes: x (N, 13) float32, y (N,) labels.
    Args: valid_size, test_size: a fraction of the set (float) or a number of samples (int), 0 for none; standardize:
        subtract from each feature its mean and divide by its standard deviation, both of the training part; seed: of
        the split, which is stratified by class.
    Errors: ValueError for sizes that leave nothing to train on, and for a seed that is no whole number.
    Source: Aeberhard and Forina, Wine, UCI repository (1991).
    """

    input_shape = (13,)
    target_shape = ()
    classes = 3
    samples = 178

    def read(self) -> Pair:
        return read_labelled_table("wine_data.csv")


class BreastCancer(EmbeddedDataset):
    """569 tumours: 30 measurements of their cells; malignant 0, benign 1.

    Shapes: x (N, 30) float32, y (N,) labels.
    Args: valid_size, test_size: a fraction of the set (float) or a number of samples (int), 0 for none; standardize:
        subtract from each feature its mean and divide by its standard deviation, both of the training part; seed: of
        the split, which is stratified by class.
    Errors: ValueError for sizes that leave nothing to train on, and for a seed that is no whole number.
    Source: Wolberg, Mangasarian, Street and Street, Breast cancer Wisconsin (diagnostic), UCI repository
        (1995).
    """

    input_shape = (30,)
    target_shape = ()
    classes = 2
    samples = 569
    class_names = ("malignant", "benign")

    def read(self) -> Pair:
        return read_labelled_table("breast_cancer.csv")


class Diabetes(EmbeddedDataset):
    """442 patients: 10 measurements, and how far the disease went in a year (25 to 346). A regression.

    With `standardize` the target is standardised too; `y * target_std + target_mean` is at its original
    scale, and so are the trainer's metrics such as rmse.

    Shapes: x (N, 10) float32, y (N, 1) float32.
    Args: valid_size, test_size: a fraction of the set (float) or a number of samples (int), 0 for none; standardize:
        subtract from each feature its mean and divide by its standard deviation, both of the training part; seed: of
        the split, which is not stratified.
    Errors: ValueError for sizes that leave nothing to train on, and for a seed that is no whole number.
    Source: Efron, Hastie, Johnstone and Tibshirani, Least angle regression (2004).
    """

    input_shape = (10,)
    target_shape = (1,)
    classes = None
    samples = 442

    def read(self) -> Pair:
        return read_table("diabetes_data_raw.csv.gz", delimiter=None), read_table("diabetes_target.csv.gz")

    @property
    def target_mean(self) -> float:
        """What was subtracted from the target: 0 without `standardize`."""
        return self._target_mean_and_std[0]

    @property
    def target_std(self) -> float:
        """What the target was divided by: 1 without `standardize`."""
        return self._target_mean_and_std[1]

    @cached_property
    def _target_mean_and_std(self) -> tuple[float, float]:
        if not self.standardize:
            return 0.0, 1.0
        mean, std = compute_mean_and_std(self._whole[1][self._rows[0]])
        return mean.item(), std.item()

    def _part(self, rows: np.ndarray) -> ArrayDataset:
        part = super()._part(rows)
        return ArrayDataset(part.x, part.y, target_mean=self.target_mean, target_std=self.target_std)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        return ((y - self.target_mean) / self.target_std).astype(np.float32)
