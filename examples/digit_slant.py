"""A custom data set with two targets: the digits of scikit-learn, and how much each of them leans.

`bprop train examples/two_heads.yaml` trains one model for both.
"""

from functools import cached_property

import numpy as np
from bprop.datasets import ArrayDataset, Dataset, Digits


def slant(images: np.ndarray) -> np.ndarray:
    """How many pixels to the right the ink moves from one row of (N, 1, H, W) to the row below, by least squares."""
    ink = images[:, 0].astype(np.float64)
    ink /= ink.sum(axis=(1, 2), keepdims=True)
    rows, columns = np.indices(ink.shape[1:])
    row, column = ((ink * places).sum(axis=(1, 2), keepdims=True) for places in (rows, columns))
    both = (ink * (rows - row) * (columns - column)).sum(axis=(1, 2))
    return both / (ink * (rows - row) ** 2).sum(axis=(1, 2))


class DigitsWithSlant(Dataset):
    """x (N, 1, 8, 8) as in Digits; y (N, 2): the digit, and ten times its slant."""

    input_shape, target_shape, classes = (1, 8, 8), (2,), None

    def __init__(self) -> None:
        self.digits = Digits()

    def with_slant(self, part: ArrayDataset) -> ArrayDataset:
        y = np.stack([part.y, 10 * slant(part.x)], axis=1)
        return ArrayDataset(part.x, y.astype(np.float32), scale=part.scale)

    @cached_property
    def train(self) -> ArrayDataset:
        return self.with_slant(self.digits.train)

    @cached_property
    def valid(self) -> ArrayDataset:
        return self.with_slant(self.digits.valid)

    @cached_property
    def test(self) -> ArrayDataset:
        return self.with_slant(self.digits.test)
