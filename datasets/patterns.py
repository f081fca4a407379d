"""Small patterns: letters of 6 x 6 pixels and triplets of bits, for energy-based nets, and two curves in a plane."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np

from .array_dataset import ArrayDataset
from .dataset import Dataset

LETTERS = {
    "A": ".####. #....# #....# ###### #....# #....#",
    "C": ".##### #..... #..... #..... #..... .#####",
    "E": "###### #..... ####.. #..... #..... ######",
    "F": "###### #..... ####.. #..... #..... #.....",
    "H": "#....# #....# ###### ###### #....# #....#",
    "I": "..##.. ..##.. ..##.. ..##.. ..##.. ..##..",
    "J": "....## ....## ....## ....## ##..## .####.",
    "L": "##.... ##.... ##.... ##.... ###### ######",
    "O": ".####. #....# #....# #....# #....# .####.",
    "T": "###### ###### ..##.. ..##.. ..##.. ..##..",
    "U": "#....# #....# #....# #....# #....# .####.",
    "X": "#....# .#..#. ..##.. ..##.. .#..#. #....#",
}
COUNTS = {(0, 1, 1): 15, (0, 0, 1): 2, (1, 1, 1): 3}  # of 20


class Characters(Dataset):
    """Letters of 6 x 6 pixels, each once, to be stored rather than generalised: the parts are one and the same.

    Shapes: x (N, 36) float32, ink 1 and paper -1 (`bipolar`) or 0 (`binary`); y (N,) int64, the place of the letter.
    Args: letters: some of A C E F H I J L O T U X; states: bipolar or binary.
    Errors: ValueError for other letters, one that is given twice, or none, and for other states.
    Source: Géron, Hands-On Machine Learning, appendix E, whose Hopfield network recalls such letters.
    """

    input_shape = (36,)
    target_shape = ()

    def __init__(self, *, letters: str = "HIJLX", states: Literal["bipolar", "binary"] = "bipolar") -> None:
        if not letters or len(set(letters)) < len(letters) or not set(letters) <= set(LETTERS):
            raise ValueError(f"Characters: letters is {letters!r}, expected some of {''.join(LETTERS)}, each once")
        if states not in ("bipolar", "binary"):
            raise ValueError(f"Characters: states is {states!r}, expected 'bipolar' or 'binary'")
        self.letters, self.states = letters, states

    @property
    def classes(self) -> int:
        return len(self.letters)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.letters)

    @cached_property
    def train(self) -> ArrayDataset:
        ink = np.array([[pixel == "#" for pixel in LETTERS[each].replace(" ", "")] for each in self.letters])
        x = np.where(ink, 1, 0 if self.states == "binary" else -1).astype(np.float32)
        return ArrayDataset(x, np.arange(len(x)))

    @property
    def test(self) -> ArrayDataset:
        return self.train


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


class TwoCurves(Dataset):
    """Points of two curves in a plane that no straight line separates, as one lies in the other's bend; one part.

    Point i of a curve has x1 = -1 + 2i/(n - 1), and x2 = 0.6 cos(πx1) plus (label 1) or minus (label 0) half the gap.

    Shapes: x (N, 2) float32; y (N, 1) float32, the label.
    Args: samples: an even number from 4 on, half of it on each curve; gap: x2 of the upper curve less that of the lower
        one, above 0.
    Errors: ValueError for others.
    Source: Goodfellow et al., Deep Learning, draft chapter 6, figure 6.2; the plots are those of Olah, Neural Networks,
        Manifolds, and Topology (2014).
    """

    input_shape = (2,)
    target_shape = (1,)
    classes = None  # the targets are those of a logistic output
    class_names = ("lower", "upper")

    def __init__(self, *, samples: int = 200, gap: float = 0.5) -> None:
        if isinstance(samples, bool) or samples < 4 or samples % 2:
            raise ValueError(f"TwoCurves: samples is {samples}, expected an even number of at least 4")
        if not 0 < gap < np.inf:
            raise ValueError(f"TwoCurves: gap is {gap}, expected a number above 0")
        self.samples, self.gap = samples, float(gap)

    @cached_property
    def train(self) -> ArrayDataset:
        along = np.linspace(-1, 1, self.samples // 2)
        curves = [(along, 0.6 * np.cos(np.pi * along) + side * self.gap / 2) for side in (-1, 1)]
        x = np.concatenate([np.stack(curve, axis=1) for curve in curves]).astype(np.float32)
        return ArrayDataset(x, np.repeat(np.array([[0], [1]], np.float32), len(along), axis=0))

    @property
    def test(self) -> ArrayDataset:
        return self.train
