"""Reads a table of text, and names file, line and column of whatever is wrong in it. What a cell means is said
elsewhere."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .paths import expand_path


@dataclass(frozen=True)
class Table:
    """Named columns of text: `rows[i]` has a cell for each name and ends on line `lines[i]` of the file `source`."""

    source: str
    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column; ValueError if there is none of that name."""
        return self._columns[self.position(name)]

    @cached_property
    def _columns(self) -> list[tuple[str, ...]]:
        return list(zip(*self.rows, strict=True)) or [()] * len(self.names)

    def position(self, name: str) -> int:
        """Where a column stands, from 0."""
        if name not in self.names:
            close = difflib.get_close_matches(name, self.names, n=1)
            guess = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self.names)}"
            raise ValueError(f"{self.source}: there is no column {name!r}; {guess}")
        return self.names.index(name)

    def place(self, row: int, name: str) -> str:
        """`wine.csv, line 3, column 'ash'`."""
        return f"{self.line(row)}, column {name!r}"

    def line(self, row: int) -> str:
        """`wine.csv, line 3`, or `row 3` for rows that are in no file."""
        return f"{self.source}, line {self.lines[row]}" if self.source else f"row {self.lines[row]}"

    def take(self, rows: Iterable[int]) -> Table:
        """The rows of these numbers."""
        rows = list(rows)
        return Table(self.source, self.names, [self.rows[i] for i in rows], [self.lines[i] for i in rows])


def read_csv(path: str | Path, *, header: bool | Sequence[str] = True, delimiter: str = ",") -> Table:
    """The table in a file of UTF-8 text; quoted cells may hold delimiters and line ends, blank lines are left out.

    Args: header: whether the first line names the columns; False names them column1, column2...; a list of names is
        for a file without such a line.
    Errors: FileNotFoundError; ValueError that names the file and the line for anything but text, for rows of
        different lengths, for names that are empty or stand twice, and for a table without rows.
    """
    path = expand_path(path)
    records = _records(path, _text(path), delimiter)
    if not records:
        raise ValueError(f"{path}: the file is empty, expected a table")
    width = len(records[0][1])
    for line, cells in records:
        if len(cells) != width:
            raise ValueError(f"{path}, line {line}: there are {len(cells)} cells, expected {width} as in the first row")
    if header is True:
        names = _header(path, *records.pop(0))
    else:
        names = list(header or (f"column{i + 1}" for i in range(width)))
        if len(names) != width:
            raise ValueError(f"{path}: header has {len(names)} names, expected {width}, one for each column")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{path}: two columns have the name {repeated[0]!r}, expected different names")
    if not records:
        raise ValueError(f"{path}: no row follows the header, expected at least one")
    return Table(str(path), names, [cells for _, cells in records], [line for line, _ in records])


def table_of(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Table:
    """The named columns of rows such as {"age": 3, "sex": "M"}; None and NaN are empty cells."""
    cells = []
    for i, row in enumerate(rows):
        absent = [name for name in names if name not in row]
        if absent:
            raise ValueError(f"row {i}: {absent[0]!r} is missing, expected {', '.join(names)}")
        values = [row[name] for name in names]
        cells.append(["" if value is None or value != value else str(value).strip() for value in values])
    return Table("", list(names), cells, list(range(len(cells))))


def number(cell: str) -> float | None:
    """The number that a cell spells, or None: also for one of 1e30 and more, whose square is none in float32."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) < 1e30 and "_" not in cell else None


def _text(path: Path) -> str:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: byte {data[error.start]:#04x} is no UTF-8, expected text") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path}, line {line}: a null byte, expected text")
    return text


def _records(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line on which it ends, cells) of each record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        return [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}, expected comma-separated values") from None


def _header(path: Path, line: int, names: list[str]) -> list[str]:
    if "" in names:
        raise ValueError(f"{path}, line {line}: column {names.index('') + 1} has no name, expected one")
    if 2 * sum(number(name) is not None for name in names) > len(names):
        raise ValueError(f"{path}, line {line} holds numbers, expected names; 'header: false' says there are none")
    return names
