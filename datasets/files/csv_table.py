"""Reads a table of text, and names file, line and column of whatever is wrong in it. What a cell means is said
elsewhere."""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .paths import expand_path

MISSING_VALUES = ("", "NA", "N/A", "NaN", "nan", "null", "?")
GZIP = b"\x1f\x8b"  # how such files begin
NUMBER_IN_OTHER_SIGNS = re.compile(r"[\s+\-−–$€£¥(<>~]*[\d.,'’\s]*\d[\d.,'’\s]*[%‰)$€£¥\s]*")
CODE_AND_NUMBER = re.compile(r"[A-Z]{3}\s+\d")  # EUR 5


@dataclass(frozen=True)
class Spelling:
    """How a table spells numbers: the sign before the fraction, and the one between groups of three digits, if any."""

    decimal: str = "."
    thousands: str | None = None

    def number(self, cell: str) -> float | None:
        """Parse a number in this spelling, or None."""
        if self.thousands is not None and self.thousands in cell:
            whole, point, fraction = cell.partition(self.decimal)
            if re.fullmatch(rf"[+-]?\d{{1,3}}({re.escape(self.thousands)}\d{{3}})+", whole) is None:
                return None
            cell = whole.replace(self.thousands, "") + point + fraction
        if self.decimal != ".":
            if "." in cell:
                return None
            cell = cell.replace(self.decimal, ".")
        return parse_number(cell)

    def is_whole(self, cell: str) -> bool:
        """Whether a cell is a whole number, spelled without a fraction."""
        plain = cell if self.thousands is None else cell.replace(self.thousands, "")
        return plain.lstrip("+-").isdecimal()


PLAIN = Spelling()


def make_spelling(decimal: str, thousands: str | None, delimiter: str) -> Spelling:
    """Make the spelling of numbers; ValueError for signs that cannot be told apart."""
    signs = [sign for sign in (decimal, thousands) if sign is not None]
    usable = all(len(sign) == 1 and not sign.isalnum() and sign not in "+-" for sign in signs)
    if not usable or len({*signs, delimiter}) < len(signs) + 1:
        message = f"decimal is {decimal!r}, thousands {thousands!r} and delimiter {delimiter!r}"
        raise ValueError(f"CsvDataset: {message}, expected different single characters")
    return Spelling(decimal, thousands)


def check_encoding(name: str) -> str:
    """Check an encoding of text; ValueError for one that Python does not know."""
    try:
        codecs.lookup(name)
    except LookupError:
        expected = "one such as utf-8, utf-16, latin-1 or cp1252"
        raise ValueError(f"CsvDataset: encoding is {name!r}, expected {expected}") from None
    return name


@dataclass(frozen=True)
class Table:
    """Named columns of text: `rows[i]` has a cell for each name and ends on line `lines[i]` of the file `source`."""

    source: str
    names: list[str]
    rows: list[list[str]]
    lines: list[int]
    spelling: Spelling = PLAIN

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> tuple[str, ...]:
        """Get the cells of a column; ValueError if there is none of that name."""
        return self._columns[self.position(name)]

    @cached_property
    def _columns(self) -> list[tuple[str, ...]]:
        return list(zip(*self.rows, strict=True)) or [()] * len(self.names)

    def position(self, name: str) -> int:
        """Find the position of a column, from 0."""
        if name not in self.names:
            close = difflib.get_close_matches(name, self.names, n=1)
            guess = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self.names)}"
            raise ValueError(f"{self.source}: there is no column {name!r}; {guess}")
        return self.names.index(name)

    def place(self, row: int, name: str) -> str:
        """Format `wine.csv, line 3, column 'ash'`."""
        return f"{self.line(row)}, column {name!r}"

    def line(self, row: int) -> str:
        """Format `wine.csv, line 3`, or `row 3` for rows that are in no file."""
        return f"{self.source}, line {self.lines[row]}" if self.source else f"row {self.lines[row]}"

    def take(self, rows: Iterable[int]) -> Table:
        """Select the rows of these numbers."""
        rows = list(rows)
        return Table(
            self.source, self.names, [self.rows[i] for i in rows], [self.lines[i] for i in rows], self.spelling
        )


def read_csv(
    path: str | Path,
    header: bool | Sequence[str] = True,
    delimiter: str = ",",
    spelling: Spelling = PLAIN,
    encoding: str = "utf-8",
) -> Table:
    """Read the table in a text file, which may be compressed by gzip; see `parse_csv`.

    Errors: FileNotFoundError; ValueError that names the file and the line for anything but text, and those of
        `parse_csv`.
    """
    path = expand_path(path)
    text = decode_text(str(path), path.read_bytes(), encoding)
    return parse_csv(str(path), text, header=header, delimiter=delimiter, spelling=spelling)


def parse_csv(
    source: str,
    text: str,
    *,
    header: bool | Sequence[str] | None = True,
    delimiter: str = ",",
    spelling: Spelling = PLAIN,
) -> Table:
    """Parse the table in a text; quoted cells may hold delimiters and line ends, blank lines are left out.

    A first column without a name whose cells all differ is an index, as pandas writes it, and left out with a line on
    stderr.

    Args: source: what errors call it; header: whether the first line names the columns; False names them column1,
        column2...; None looks whether it does; a list of names is for a file without such a line.
    Errors: ValueError for rows of different lengths, for names that are empty or stand twice, and for a table without
        rows.
    """
    records = _read_records(source, text, delimiter)
    if not records:
        raise ValueError(f"{source}: the file is empty, expected a table")
    width = len(records[0][1])
    for line, cells in records:
        if len(cells) != width:
            raise ValueError(
                f"{source}, line {line}: there are {len(cells)} cells, expected {width} as in the first row"
            )
    if header is None:
        header = is_header(records[0][1])
    if header is True:
        line, names = records.pop(0)
        names, records = drop_index(source, names, records)
        names = _header(source, line, names)
    else:
        names = list(header or (f"column{i + 1}" for i in range(width)))
        if len(names) != width:
            raise ValueError(f"{source}: header has {len(names)} names, expected {width}, one for each column")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{source}: two columns have the name {repeated[0]!r}, expected different names")
    if not records:
        raise ValueError(f"{source}: no row follows the header, expected at least one")
    return Table(source, names, [cells for _, cells in records], [line for line, _ in records], spelling)


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row names the columns: no cell is a number, in whatever signs, and not all are missing."""
    numeric = any(parse_number(cell) is not None or NUMBER_IN_OTHER_SIGNS.fullmatch(cell) for cell in cells)
    return not numeric and not all(cell in MISSING_VALUES for cell in cells)


def find_delimiter(text: str) -> str:
    """Find the delimiter of a table of numbers: a semicolon or a tab if the first line has one, else a comma."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return next((sign for sign in (";", "\t") if sign in first), ",")


def starts_like_number(word: str) -> bool:
    """Whether a word is a number in another spelling, or begins with one: 5%, $1.50, −3, 2024-01-05, EUR 5."""
    signs = next((k for k, sign in enumerate(word) if sign.isalnum()), None)
    return signs is not None and (word[signs].isnumeric() or CODE_AND_NUMBER.match(word) is not None)


def drop_index(source: str, names: list[str], records: list[tuple[int, list[str]]]):
    """Drop an index column in front, as pandas writes it: without a name, and all cells different."""
    first = [cells[0] for _, cells in records]
    if len(names) < 2 or names[0] != "" or "" in names[1:] or len(set(first)) < len(first):
        return names, records
    if sys.stderr is not None:
        print(f"{source}: the first column has no name and is left out, as the index of the rows", file=sys.stderr)
    return names[1:], [(line, cells[1:]) for line, cells in records]


def make_table(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Table:
    """Make the table of rows such as {"age": 3, "sex": "M"}; None and NaN are empty cells."""
    cells = []
    for i, row in enumerate(rows):
        absent = [name for name in names if name not in row]
        if absent:
            raise ValueError(f"row {i}: {absent[0]!r} is missing, expected {', '.join(names)}")
        values = [row[name] for name in names]
        cells.append(["" if value is None or value != value else str(value).strip() for value in values])
    return Table("", list(names), cells, list(range(len(cells))))


def parse_number(cell: str) -> float | None:
    """Parse a number, or None: also for one of 1e30 and more, whose square overflows in float32."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) < 1e30 and "_" not in cell else None


def decode_text(source: str, data: bytes, encoding: str = "utf-8") -> str:
    """Decode bytes, which may be compressed by gzip; ValueError that names the line for anything but text."""
    if data.startswith(GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{source}: {error}, expected a whole file compressed by gzip") from None
    try:
        text = data.decode("utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte, name = f"byte {data[error.start]:#04x}", encoding.upper()
        hint = "; 'encoding: cp1252' or another may read it" if name == "UTF-8" else ""
        raise ValueError(f"{source}, line {line}: {byte} is no {name}, expected text{hint}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{source}, line {line}: a null byte, expected text")
    return text


def _read_records(path: str, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Read (last line, cells) of each record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        return [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if is_not_blank(cells)]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}, expected comma-separated values") from None


def is_not_blank(cells: Sequence[str]) -> bool:
    """Whether a line is not blank."""
    return len(cells) > 1 or (len(cells) == 1 and bool(cells[0].strip()))


def _header(path: str, line: int, names: list[str]) -> list[str]:
    if "" in names:
        raise ValueError(f"{path}, line {line}: column {names.index('') + 1} has no name, expected one")
    if 2 * sum(parse_number(name) is not None for name in names) > len(names):
        raise ValueError(f"{path}, line {line} holds numbers, expected names; 'header: false' says there are none")
    return names
