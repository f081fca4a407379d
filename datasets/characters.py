"""Letters of 6 x 6 pixels, as an associative memory stores them."""

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
