"""What a column of text holds: numbers or words, classes or amounts. What cannot be told is refused, not guessed."""

from __future__ import annotations

from collections.abc import Collection

from .files.csv_table import Table, starts_like_number

MAX_CATEGORIES = 100  # more different words are names or free text, unless the user says otherwise
NEARLY = 0.9  # of all words
FEW_ROWS = 20  # fewer may all be different


def is_categorical(table: Table, name: str, missing: Collection[str], stated: bool) -> bool:
    """Whether an input is a column of words, as the user stated or the cells say."""
    cells = collect_cells(table, name, missing)
    if len(cells) < 2:
        raise ValueError(f"{table.source}: column {name!r} has one value only, which says nothing; drop it")
    return stated or holds_words(table, name, cells, "name the column under categorical")


def guess_task(table: Table, name: str, missing: Collection[str]) -> str:
    """Infer `classification` or `regression` from the target's cells."""
    cells = collect_cells(table, name, missing)
    if holds_words(table, name, cells, "state the task"):
        return "classification"
    if len(cells) > MAX_CATEGORIES or not all(table.spelling.is_whole(cell) for cell in cells):
        return "regression"
    raise ValueError(
        f"{table.source}: column {name!r} holds whole numbers, which may be classes or amounts; "
        f"expected task to be classification or regression"
    )


def collect_cells(table: Table, name: str, missing: Collection[str]) -> dict[str, int]:
    """Collect the different cells that are not missing, each with its first row."""
    cells: dict[str, int] = {}
    missing = frozenset(missing)
    for n, cell in enumerate(table.column(name)):
        if cell not in missing:
            cells.setdefault(cell, n)
    return cells


def holds_words(table: Table, name: str, cells: dict[str, int], remedy: str) -> bool:
    """Whether no cell is a number; ValueError if only some are, or if there are too many different words."""
    odd = [cell for cell in cells if table.spelling.number(cell) is None]
    if odd and len(odd) < len(cells):
        raise ValueError(
            f"{table.place(cells[odd[0]], name)}: got {odd[0]!r}, expected a number below 1e30 as in other rows; "
            f"or list the word under missing_values, or {remedy}"
        )
    if len(odd) > MAX_CATEGORIES:
        raise ValueError(
            f"{table.source}: column {name!r} has {len(odd)} different words, expected at most {MAX_CATEGORIES}; "
            f"drop it, or {remedy}"
        )
    if odd:
        refuse_numeric_words(table, name, odd, cells[odd[0]], remedy)
    return bool(odd)


def refuse_numeric_words(table: Table, name: str, words: list[str], row: int, remedy: str) -> None:
    """Raise ValueError for words that look like numbers, or are nearly all different: no categories."""
    like_numbers = sum(map(starts_like_number, words))
    if like_numbers >= NEARLY * len(words):
        raise ValueError(
            f"{table.place(row, name)}: got {words[0]!r}, and nearly every word of the column begins like a number; "
            f"decimal and thousands say how numbers are spelled, or drop the column, or {remedy}"
        )
    if len(table) >= FEW_ROWS and len(words) >= NEARLY * len(table):
        raise ValueError(
            f"{table.source}: column {name!r} has {len(words)} different words in {len(table)} rows, which are no "
            f"categories; drop it, or {remedy}"
        )
