"""From a table of text to numbers that a model can learn from, fitted on training rows and kept for new ones. A
fitted preprocessing is plain JSON; reading it executes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .columns import MISSING_VALUES, Categorical, Numeric, read_numbers, read_words
from .files.csv_table import Table, make_table, starts_like_number
from .files.paths import expand_path


@dataclass(frozen=True)
class NumberTarget:
    """A number to predict, as (value - mean) / std."""

    kind: Literal["number"]
    name: str
    mean: float
    std: float


@dataclass(frozen=True)
class ClassTarget:
    """A class to predict; label k means `classes[k]`."""

    kind: Literal["class"]
    name: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Preprocessing:
    """How rows of a table become inputs and targets.

    Shapes: inputs (N, features) float32; targets (N,) int64 labels, or (N, 1) float32.
    Args: columns: the inputs in order; target: what is predicted; missing_values: words for a missing value; unseen:
        refuse a category that the training rows lack, or encode it as zeros.
    Errors: ValueError that names file, line and column of a cell that is missing, no number, or an unseen category.
    """

    columns: tuple[Numeric | Categorical, ...]
    target: NumberTarget | ClassTarget
    missing_values: tuple[str, ...] = MISSING_VALUES
    unseen: Literal["refuse", "zeros"] = "refuse"

    @property
    def features(self) -> list[str]:
        """A name for each input: `age`, or `sex=M` for a category."""
        names: list[str] = []
        for column in self.columns:
            one_hot = column.categories if isinstance(column, Categorical) else None
            names += [column.name] if one_hot is None else [f"{column.name}={word}" for word in one_hot]
        return names

    def transform(self, rows: Table | Iterable[Mapping[str, Any]]) -> np.ndarray:
        """Transform a table, or rows such as {"age": 3, "sex": "M"}, to inputs (N, features)."""
        table = rows if isinstance(rows, Table) else make_table(rows, [column.name for column in self.columns])
        parts = [np.zeros((len(table), 0))]
        for column in self.columns:
            if isinstance(column, Numeric):
                parts.append(self._numbers(table, column))
            else:
                parts.append(self._one_hot(table, column))
        with np.errstate(over="ignore"):
            x = np.hstack(parts).astype(np.float32)
        if not np.isfinite(x).all():
            n, k = np.argwhere(~np.isfinite(x))[0]
            raise ValueError(f"{table.line(n)}: {self.features[k]} is too large for float32")
        return x

    def targets(self, table: Table) -> np.ndarray:
        """Convert the targets of a table: labels (N,), or standardised numbers (N, 1)."""
        target = self.target
        if isinstance(target, NumberTarget):
            values = read_numbers(table, target.name, self.missing_values, None)
            return ((values - target.mean) / target.std).astype(np.float32).reshape(-1, 1)
        cells = read_words(table, target.name, self.missing_values, None)
        place = {word: k for k, word in enumerate(target.classes)}
        self._known(table, target.name, cells, place, "refuse", "a class")
        return np.array([place[cell] for cell in cells], dtype=np.int64)

    def restore(self, y: np.ndarray) -> np.ndarray | list[str]:
        """Convert a model's outputs back: numbers at the original scale, or the class of the largest score."""
        if isinstance(self.target, NumberTarget):
            return np.asarray(y) * self.target.std + self.target.mean
        return [self.target.classes[k] for k in np.asarray(y).argmax(axis=-1)]

    def save(self, path: str | Path) -> None:
        """Write all of it as JSON."""
        expand_path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps({"format": "bprop preprocessing", **asdict(self)}, indent=2, ensure_ascii=False)

    @classmethod
    def load(cls, path: str | Path) -> Preprocessing:
        """What `save` wrote. Errors: FileNotFoundError; ValueError that names the file and what is wrong in it."""
        return cls.from_json(expand_path(path).read_bytes(), str(path))

    @classmethod
    def from_json(cls, text: str | bytes, path: str = "preprocessing") -> Preprocessing:
        """What `to_json` wrote. Errors: ValueError, as of `load`."""
        from pydantic import TypeAdapter, ValidationError  # imported here, as it takes 100 ms

        try:
            content = json.loads(text)
            if not isinstance(content, dict) or content.pop("format", None) != "bprop preprocessing":
                raise ValueError("it is no preprocessing")
            return TypeAdapter(cls).validate_json(json.dumps(content, allow_nan=False), strict=True, extra="forbid")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{path}: {where}: {first['msg']}, expected what Preprocessing.save writes") from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}, expected what Preprocessing.save writes") from None

    def _numbers(self, table: Table, column: Numeric) -> np.ndarray:
        values = read_numbers(table, column.name, self.missing_values, column.fill)
        return ((values - column.mean) / column.std).reshape(-1, 1)

    def _one_hot(self, table: Table, column: Categorical) -> np.ndarray:
        cells = read_words(table, column.name, self.missing_values, column.fill)
        place = {word: k for k, word in enumerate(column.categories)}
        self._known(table, column.name, cells, place, self.unseen, "a category")
        one_hot = np.zeros((len(cells), len(place)))
        for n, cell in enumerate(cells):
            if cell in place:
                one_hot[n, place[cell]] = 1
        return one_hot

    def _known(self, table: Table, name: str, cells: list[str], known: Mapping, unseen: str, what: str) -> None:
        for n, cell in enumerate(cells):
            if unseen == "refuse" and cell not in known:
                advised = what == "a category" and not starts_like_number(cell)
                hint = "; 'unseen: zeros' encodes such a category as zeros" if advised else ""
                raise ValueError(f"{table.place(n, name)}: {cell!r} is not {what} of the training rows{hint}")
