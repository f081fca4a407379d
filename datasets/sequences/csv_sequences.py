"""Sequences in a long table: a row for each time step, and a column that says of which sequence it is."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from ..checks import check_whole_number
from ..column_kinds import guess_task
from ..columns import MISSING_VALUES, normalize_spelling, read_numbers, read_words, sort_words
from ..files.csv_table import Table, check_encoding, make_spelling, read_csv
from .names_dataset import IGNORED
from .sequence_parts import SequenceDataset, Sequences, as_labels, choose_sizes, pad_sequences


class CsvSequences(SequenceDataset):
    """Sequences of unequal lengths in a table with a row for each time step, in the order of time.

    The rows of one key are one sequence, wherever they stand. Its target is the same in all of its rows; with
    `each_step`, each row has a target of its own, and padding the label `ignore_index`.

    Shapes: x (N, T, D) float32, a feature for each input column; y (N,) labels or (N, 1) float32; each_step: y (N, T)
        labels.
    Args: path: of the file; key: the column that tells the sequences apart; target: the column to predict, words or
        few whole numbers are classes; inputs: the columns to use, by default all others; each_step: a label for each
        step; ignore_index: the label of padding, by default that of the loss in a config, else -1; order: a column of
        numbers by which the rows of a sequence are sorted; missing: the number that stands for a missing value, by
        default such are refused; delimiter, decimal, thousands, encoding: as of `CsvDataset`; valid_path, test_path:
        files of other parts; valid_size, test_size: or a share or number of the sequences, by default 0.15 and 0.2;
        seed: of the split; standardize: by the training part; with_lengths: give the lengths to the model, which then
        takes a table (x, lengths).
    Errors: FileNotFoundError; ValueError that names file, line and column of a cell that is no number, the column that
        is not there, and a sequence with two targets.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        key: str,
        target: str,
        inputs: list[str] | None = None,
        each_step: bool = False,
        ignore_index: int | None = None,
        order: str | None = None,
        missing: float | None = None,
        delimiter: str = ",",
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str = "utf-8",
        valid_path: str | Path | None = None,
        test_path: str | Path | None = None,
        valid_size: float | None = None,
        test_size: float | None = None,
        seed: int = 0,
        standardize: bool = True,
        with_lengths: bool = True,
    ) -> None:
        self.paths = {"train": path, "valid": valid_path, "test": test_path}
        self.key, self.target, self.inputs, self.order, self.missing = key, target, inputs, order, missing
        self.each_step, self.ignore_index, self.delimiter = each_step, ignore_index, delimiter
        self.spelling, self.encoding = make_spelling(decimal, thousands, delimiter), check_encoding(encoding)
        self.valid_size, self.test_size = choose_sizes("CsvSequences", valid_path, test_path, valid_size, test_size)
        self.seed = check_whole_number("CsvSequences", "seed", seed)
        self.standardize, self.with_lengths = standardize, with_lengths
        named = [key, target, *(inputs or ()), *([] if order is None else [order])]
        if repeated := [name for name in named if named.count(name) > 1]:
            raise ValueError(f"CsvSequences: column {repeated[0]!r} has two uses, expected one")

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self._class_names

    def count_classes(self) -> int | None:
        return None if self._class_names is None else len(self._class_names)

    def read(self, part: str) -> Sequences | None:
        table = self._tables.get(part)
        if table is None:
            return None
        rows = self._group_rows(table)
        columns = [read_numbers(table, name, MISSING_VALUES, self.missing) for name in self._find_inputs(table)]
        numbers = np.stack(columns, axis=1).astype(np.float32)
        x, lengths = pad_sequences([numbers[each] for each in rows])
        return Sequences(x, lengths, self._read_targets(table, rows))

    @cached_property
    def _tables(self) -> dict[str, Table]:
        read = (True, self.delimiter, self.spelling, self.encoding)
        return {part: read_csv(path, *read) for part, path in self.paths.items() if path is not None}

    @cached_property
    def _class_names(self) -> tuple[str, ...] | None:
        """The classes of all files, None for a regression."""
        first, tables = self._tables["train"], self._tables.values()
        if not self.each_step and guess_task(first, self.target, MISSING_VALUES) == "regression":
            return None
        return sort_words(word for table in tables for word in read_words(table, self.target, MISSING_VALUES, None))

    def _find_inputs(self, table: Table) -> list[str]:
        first = self._tables["train"]
        others = [name for name in first.names if name not in (self.key, self.target, self.order)]
        names = others if self.inputs is None else self.inputs
        for name in (self.key, self.target, *names, *([] if self.order is None else [self.order])):
            table.position(name)
        if not names:
            raise ValueError(f"{table.source}: no column is left as input, expected at least one")
        return names

    def _group_rows(self, table: Table) -> list[np.ndarray]:
        self._find_inputs(table)
        return list(group_rows(table, self.key, self.order).values())

    def _read_targets(self, table: Table, rows: list[np.ndarray]) -> np.ndarray:
        if self._class_names is None:
            return self._select_first(table, rows, read_numbers(table, self.target, MISSING_VALUES, None))[:, None]
        labels = as_labels(read_words(table, self.target, MISSING_VALUES, None), self._class_names)
        if not self.each_step:
            return self._select_first(table, rows, labels)
        y, lengths = pad_sequences([labels[each] for each in rows], np.int64)
        y[np.arange(y.shape[1]) >= lengths[:, None]] = IGNORED if self.ignore_index is None else self.ignore_index
        return y

    def _find_ignored(self, y: np.ndarray) -> int | None:
        return (IGNORED if self.ignore_index is None else self.ignore_index) if self.each_step else None

    def _select_first(self, table: Table, rows: list[np.ndarray], values: np.ndarray) -> np.ndarray:
        for group in rows:
            if (values[group] != values[group[0]]).any():
                row = int(group[(values[group] != values[group[0]]).argmax()])
                first = f"line {table.lines[int(group[0])]}"
                raise ValueError(
                    f"{table.place(row, self.target)}: another target than in {first} of the same sequence, expected "
                    "one for each; 'each_step: true' takes one for each row"
                )
        return values[[int(group[0]) for group in rows]]


def group_rows(table: Table, key: str, order: str | None) -> dict[str, np.ndarray]:
    """Group the rows of a table by a column, in the order in which the keys appear; within one, by `order` if given.

    Errors: ValueError that names file, line and column, for a missing key, and for an order that is no number.
    """
    groups: dict[str, list[int]] = {}
    for row, cell in enumerate(table.column(key)):
        if cell in MISSING_VALUES:
            raise ValueError(f"{table.place(row, key)}: got {cell!r}, expected the key of a sequence")
        groups.setdefault(normalize_spelling(cell, table.spelling), []).append(row)
    rows = {name: np.array(group) for name, group in groups.items()}
    if order is None:
        return rows
    times = read_numbers(table, order, MISSING_VALUES, None)
    return {name: group[np.argsort(times[group], kind="stable")] for name, group in rows.items()}
