"""A column of a table as numbers: what is fitted to it, and how its cells are read. A cell that does not fit is
refused by file, line and column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .embedded import compute_mean_and_std
from .files.csv_table import MISSING_VALUES as MISSING_VALUES
from .files.csv_table import PLAIN, Spelling, Table, parse_number, starts_like_number


@dataclass(frozen=True)
class Numeric:
    """A column of numbers: (value - mean) / std; `fill` stands for a missing value, None refuses it."""

    kind: Literal["numeric"]
    name: str
    mean: float
    std: float
    fill: float | None


@dataclass(frozen=True)
class Categorical:
    """A column of words: one-hot in the order of `categories`; `fill` stands for a missing one, None refuses it."""

    kind: Literal["categorical"]
    name: str
    categories: tuple[str, ...]
    fill: str | None


def read_numbers(table: Table, name: str, missing: Collection[str], fill: float | None) -> np.ndarray:
    """Read a column as float64, missing values filled."""
    values, missing = np.empty(len(table)), frozenset(missing)
    for n, cell in enumerate(table.column(name)):
        value = fill if cell in missing else table.spelling.number(cell)
        if value is None:
            hint = "; decimal and thousands say how numbers are spelled" if starts_like_number(cell) else ""
            raise ValueError(
                f"{table.place(n, name)}: {describe_odd_cell(cell, missing)}, expected a number below 1e30{hint}"
            )
        values[n] = value
    return values


def read_words(table: Table, name: str, missing: Collection[str], fill: str | None) -> list[str]:
    """Read a column of words, missing ones filled; numbers are spelled in one way (3, 3.0 and 03 as 3)."""
    words, missing = [], frozenset(missing)
    for n, cell in enumerate(table.column(name)):
        word = fill if cell in missing else normalize_spelling(cell, table.spelling)
        if word is None:
            raise ValueError(f"{table.place(n, name)}: {describe_odd_cell(cell, missing)}, expected a word")
        words.append(word)
    return words


def normalize_spelling(cell: str, spelling: Spelling = PLAIN) -> str:
    """Spell 3, 3.0 and 03 as `3`; other words stay."""
    value = spelling.number(cell)
    return cell if value is None else repr(int(value)) if value.is_integer() else repr(value)


def fit_numeric(table: Table, name: str, missing: Collection[str], how: str, standardize: bool) -> Numeric:
    """Fit a column of numbers to a table."""
    values = read_numbers(table, name, missing, None if how == "refuse" else np.nan)
    numbers = values[~np.isnan(values)]
    if not numbers.size:
        raise ValueError(f"{table.source}: column {name!r} has no value in the training rows; drop it")
    fill = {"mean": float(numbers.mean()), "median": float(np.median(numbers))}.get(how)
    filled = values if fill is None else np.nan_to_num(values, nan=fill)
    mean, std = map(float, compute_mean_and_std(filled)) if standardize else (0.0, 1.0)
    return Numeric("numeric", name, mean, std, fill)


def fit_categorical(table: Table, name: str, missing: Collection[str], how: str) -> Categorical:
    """Fit a column of words to a table."""
    counts = Counter(normalize_spelling(cell, table.spelling) for cell in table.column(name) if cell not in missing)
    if not counts:
        raise ValueError(f"{table.source}: column {name!r} has no value in the training rows; drop it")
    categories = sort_words(counts)
    fill = max(categories, key=lambda word: counts[word]) if how in ("mean", "median") else None
    return Categorical("categorical", name, categories, fill)


def sort_words(words: Iterable[str]) -> tuple[str, ...]:
    """Sort words alphabetically, numbers by value."""
    words = set(words)
    if all(parse_number(word) is not None for word in words):
        return tuple(sorted(words, key=float))
    return tuple(sorted(words))


def describe_odd_cell(cell: str, missing: Collection[str]) -> str:
    """Describe what is wrong with a cell."""
    return f"got {cell!r}, which means a missing value" if cell in missing else f"got {cell!r}"
