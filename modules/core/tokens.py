"""Tokens, the whole numbers that a model reads: which module reads them, and that none is out of its range.

Compiled code checks no index, so tokens are checked before it runs: one maximum over the minibatch, or once over a data
set.
"""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..engine.stateful import plain_python
from ..engine.tables import flatten_table

if TYPE_CHECKING:
    from .module import Module


@dataclass(frozen=True)
class TokenReader:
    """A module that reads tokens 0 to `size` - 1: the array `place` of the model's input, after slices of it."""

    module: "Module"
    size: int
    place: int = 0
    slices: tuple["Module", ...] = ()

    def select(self, x) -> np.ndarray | None:
        """Select what the module reads of the model's input; None for inputs of other shapes, refused elsewhere."""
        with contextlib.suppress(Exception), plain_python():
            array = flatten_table(x)[self.place]
            for each in self.slices:
                array = each.fprop(array)
            return array
        return None


def refuse_tokens(readers: tuple[TokenReader, ...], x, first_row: int = 0) -> None:
    """Raise ValueError that names the module, the row and the token if one of x is out of range.

    Args: x: an array, or a table of arrays, as the model's fprop gets it, tokens int64; first_row: the number of its
        first row in a data set.
    """
    for reader in readers:
        tokens = reader.select(x)
        if tokens is not None and tokens.size and tokens.view(np.uint64).max() >= reader.size:
            place = tuple(np.argwhere((tokens < 0) | (tokens >= reader.size))[0])
            row, expected = first_row + place[0], f"0..{reader.size - 1}"
            error = ValueError(f"{reader.module.label()}: token {tokens[place]} in row {row}, expected {expected}")
            reader.module.add_place(error)
            raise error
