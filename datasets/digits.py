"""Handwritten digits small enough to learn in a second. The set is packed into scikit-learn."""

from __future__ import annotations

import numpy as np

from .array_dataset import Pair
from .embedded import EmbeddedDataset
from .files.scikit_learn import read_labelled_table


class Digits(EmbeddedDataset):
    """1797 grey images of the digits 0 to 9, 8 by 8 pixels of 0 to 16.

    The pixels stay uint8 in memory and are minibatched as pixel / 16, or as standardised float32.

    Shapes: x (N, 1, 8, 8), y (N,) labels 0..9.
    Args: valid_size, test_size: a fraction of the set (float) or a number of samples (int), 0 for none; standardize:
        subtract from each feature its mean and divide by its standard deviation, both of the training part; seed: of
        the split, which is stratified by class.
    Errors: ValueError for sizes that leave nothing to train on, and for a seed that is no whole number.
    Source: Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI repository (1998), the
        test part.
    """

    input_shape = (1, 8, 8)
    target_shape = ()
    classes = 10
    samples = 1797
    scale = 1 / 16

    def __init__(
        self,
        *,
        valid_size: float = 0.15,
        test_size: float = 0.2,
        standardize: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(valid_size=valid_size, test_size=test_size, standardize=standardize, seed=seed)

    def read(self) -> Pair:
        x, y = read_labelled_table("digits.csv.gz", header_lines=0)
        return x.astype(np.uint8).reshape(-1, *self.input_shape), y
