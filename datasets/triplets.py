"""Triplets of bits in given proportions, for a Boltzmann machine to reproduce."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .array_dataset import ArrayDataset
from .dataset import Dataset

COUNTS = {(0, 1, 1): 15, (0, 0, 1): 2, (1, 1, 1): 3}  # of 20


class Triplets(Dataset):
    """Three bits: (0, 1, 1) in 75 % of the samples, (0, 0, 1) in 10 % and (1, 1, 1) in 15 %; the parts are one.

    Shapes: x (N, 3) float32, 0 or 1; y (N,) int64, 0, 1 or 2 for the three kinds.
    Args: samples: a multiple of 20, so that the shares are exact.
    Errors: ValueError for another number.
    Source: Géron, Hands-On Machine Learning, appendix E, whose Boltzmann machine generates such triplets.
    """

    input_shape = (3,)
    target_shape = ()
    classes = len(COUNTS)

    def __init__(self, *, samples: int = 20) -> None:
        if isinstance(samples, bool) or samples < 20 or samples % 20:
            raise ValueError(f"Triplets: samples is {samples}, expected a multiple of 20")
        self.samples = samples

    @cached_property
    def train(self) -> ArrayDataset:
        counts = np.array(list(COUNTS.values())) * (self.samples // 20)
        y = np.repeat(np.arange(len(COUNTS)), counts)
        return ArrayDataset(np.array(list(COUNTS), np.float32)[y], y)

    @property
    def test(self) -> ArrayDataset:
        return self.train
