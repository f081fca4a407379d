"""Reads .ts files of the UCR/UEA archive of time series. What is wrong in one is refused by file and line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .csv_table import decode_text, parse_number
from .paths import expand_path

YES, NO = "true", "false"
LARGEST = 1e30  # so that float32 can hold the squares of scaled numbers


@dataclass(frozen=True)
class TsFile:
    """The series of a .ts file: arrays (tₙ, D) float64, NaN where a value is missing; the class of each, or None.

    `class_names` are the classes that the head of the file names, `targets` the numbers of a regression.
    """

    path: str
    series: list[np.ndarray]
    lines: list[int]
    labels: list[str] | None
    class_names: tuple[str, ...] | None
    targets: np.ndarray | None


def read_ts(path: str | Path) -> TsFile:
    """Read a .ts file.

    Errors: FileNotFoundError; ValueError that names file and line for a head that is not understood, values that are no
        numbers, dimensions of different lengths or number, and classes that the head does not name.
    """
    path = expand_path(path)
    lines = decode_text(str(path), path.read_bytes()).splitlines()
    head, first = read_head(str(path), lines)
    series, numbers, last, width = [], [], [], None
    for number, line in enumerate(lines[first:], start=first + 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.strip().split(":")
        where = f"{path}, line {number}"
        if head.has_last:
            if len(cells) < 2:
                raise ValueError(f"{where}: there is no ':', expected a class or target after one")
            last.append(cells.pop().strip())
        width = width or head.dimensions or len(cells)
        if len(cells) != width:
            raise ValueError(f"{where}: there are {len(cells)} dimensions, expected {width}")
        series.append(parse_series(where, cells))
        numbers.append(number)
    if not series:
        raise ValueError(f"{path}: no series follows @data, expected at least one")
    if head.class_names is not None:
        for number, label in zip(numbers, last, strict=True):
            if label not in head.class_names:
                known = ", ".join(head.class_names)
                raise ValueError(f"{path}, line {number}: the class is {label!r}, expected one of {known}")
        return TsFile(str(path), series, numbers, last, head.class_names, None)
    targets = None
    if head.has_last:
        values = [parse_number(cell) for cell in last]
        if None in values:
            row = values.index(None)
            raise ValueError(f"{path}, line {numbers[row]}: the target is {last[row]!r}, expected a number")
        targets = np.array(values, np.float64)
    return TsFile(str(path), series, numbers, None, None, targets)


@dataclass
class Head:
    """What the head of a file says: the number of dimensions, if it does, the classes, or a number to predict."""

    dimensions: int | None = None
    class_names: tuple[str, ...] | None = None
    has_target: bool = False

    @property
    def has_last(self) -> bool:
        """Whether a class or a number follows the dimensions of each series."""
        return self.class_names is not None or self.has_target


def read_head(path: str, lines: list[str]) -> tuple[Head, int]:
    """Read the head; returns it, and the number of its lines, up to @data."""
    head = Head()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        name, where = words[0].lower(), f"{path}, line {number}"
        if name == "@data":
            return head, number
        if not name.startswith("@"):
            raise ValueError(f"{where}: {line[:40]!r}, expected @data before the series")
        if name == "@timestamps" and words[1:2] != [NO]:
            raise ValueError(f"{where}: the values have time stamps, expected 'timeStamps false'")
        if name in ("@dimensions", "@dimension"):
            if len(words) != 2 or not words[1].isdecimal() or int(words[1]) < 1:
                raise ValueError(f"{where}: {line.strip()!r}, expected the number of dimensions")
            head.dimensions = int(words[1])
        if name == "@classlabel" and words[1:2] == [YES]:
            if len(words) < 4:
                raise ValueError(f"{where}: {line.strip()!r}, expected the names of two classes at least")
            head.class_names = tuple(words[2:])
        if name == "@targetlabel" and words[1:2] == [YES]:
            head.has_target = True
    raise ValueError(f"{path}: there is no @data, expected a .ts file of the UCR/UEA archive")


def parse_series(where: str, cells: list[str]) -> np.ndarray:
    """Parse the dimensions of one series as an array (t, D); `?` and `NaN` are missing values."""
    columns = []
    for k, cell in enumerate(cells):
        words = [word.strip() for word in cell.split(",")]
        try:
            column = np.array(["nan" if word == "?" else word for word in words], np.float64)
        except ValueError:
            wrong = next(word for word in words if word != "?" and parse_number(word) is None)
            raise ValueError(f"{where}, dimension {k + 1}: got {wrong!r}, expected a number") from None
        if (large := np.flatnonzero(np.abs(column) >= LARGEST)).size:
            raise ValueError(
                f"{where}, dimension {k + 1}: got {column[large[0]]:g}, expected numbers below {LARGEST:g}"
            )
        columns.append(column)
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(str(len(column)) for column in columns)
        raise ValueError(f"{where}: its dimensions have {counts} values, expected as many in each")
    return np.stack(columns, axis=1)
