"""A table in a file of comma-separated values as a data set: numbers standardised, words one-hot, both fitted to
the training part alone. Whatever cannot be read or understood is refused by file, line and column."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

import numpy as np

from .array_dataset import ArrayDataset
from .checks import check_whole_number
from .column_kinds import guess_task, is_categorical
from .columns import (
    MISSING_VALUES,
    Categorical,
    Numeric,
    fit_categorical,
    fit_numeric,
    read_numbers,
    read_words,
    sort_words,
)
from .embedded import compute_mean_and_std
from .files.csv_table import Table, check_encoding, make_spelling, read_csv
from .preprocessing import ClassTarget, NumberTarget, Preprocessing
from .split import split_rows, split_sizes
from .split_dataset import SplitDataset, ThreeParts


class CsvDataset(SplitDataset):
    """Rows of a table: one column is the target, one may hold weights, the others are the inputs.

    A column whose values are numbers is numeric, one without any number is categorical; a mixture is refused, as it is
    most often a mistake in one cell, and so are words that begin like numbers, such as 5% and 1,5. An index without a
    name, as `df.to_csv()` writes it, is left out. `preprocessing` is what was fitted: it encodes new rows, and is saved
    with a run.

    Shapes: x (N, features) float32: one for a numeric column, one for each category of another;
        y (N,) labels, or (N, 1) float32.
    Args: path: of the file; target: name or position of the column to predict; task: None says by the column: words are
        classes, numbers with fractions or of more than 100 values a regression, other whole numbers need the word;
        header: false for a file without names, or a list of names for it; delimiter: one character; decimal, thousands:
        the signs before the fraction of a number and between groups of three digits, such as "," and "."; encoding: of
        the text, which may be compressed by gzip; inputs: the columns
        to use, or drop: those not to; sample_weight: the column that says how much each row counts; categorical:
        columns of numbers that mean categories; missing: refuse a missing value, drop its row, or fill in the mean or
        median of the column (its most frequent word, if it is categorical); missing_values: what stands for one;
        unseen: refuse a category that the training part lacks, or encode it as zeros; standardize: take off the mean of
        numeric inputs and divide by their standard deviation; standardize_target: the same for a number to predict,
        while metrics such as rmse stay in the table's units; valid_path, test_path: files of their own in place of
        parts of the first; valid_size, test_size: a fraction or a number of rows, by default 0.15 and 0.2, 0 for none;
        seed: of the split, which is stratified by class.
    Errors: ValueError for settings and cells that are no such thing; FileNotFoundError.
    """

    split_independent = ("_table", "_target_values")
    shared = ("preprocessing",)

    def __init__(
        self,
        path: str | Path,
        *,
        target: str | int,
        task: Literal["classification", "regression"] | None = None,
        header: bool | list[str] = True,
        delimiter: str = ",",
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str = "utf-8",
        inputs: list[str] | None = None,
        drop: list[str] | None = None,
        sample_weight: str | None = None,
        categorical: list[str] | None = None,
        missing: Literal["refuse", "drop", "mean", "median"] = "refuse",
        missing_values: Sequence[str] = MISSING_VALUES,
        unseen: Literal["refuse", "zeros"] = "refuse",
        standardize: bool = True,
        standardize_target: bool = True,
        valid_path: str | Path | None = None,
        test_path: str | Path | None = None,
        valid_size: float | None = None,
        test_size: float | None = None,
        seed: int = 0,
    ) -> None:
        check_choice("task", task, (None, "classification", "regression"))
        check_choice("missing", missing, ("refuse", "drop", "mean", "median"))
        check_choice("unseen", unseen, ("refuse", "zeros"))
        if len(delimiter) != 1:
            raise ValueError(f"CsvDataset: delimiter is {delimiter!r}, expected one character")
        self.spelling, self.encoding = make_spelling(decimal, thousands, delimiter), check_encoding(encoding)
        if inputs is not None and drop is not None:
            raise ValueError("CsvDataset: both inputs and drop are given, expected one of them")
        for part, file, size in (("valid", valid_path, valid_size), ("test", test_path, test_size)):
            if file is not None and size is not None:
                raise ValueError(f"CsvDataset: both {part}_path and {part}_size are given, expected one of them")
        self.path, self.target, self.task, self.header, self.delimiter = path, target, task, header, delimiter
        self.inputs, self.drop, self.categorical = inputs, drop, categorical or []
        self.sample_weight = sample_weight
        self.missing, self.missing_values, self.unseen = missing, tuple(missing_values), unseen
        self.standardize, self.standardize_target = standardize, standardize_target
        self.valid_path, self.test_path, self.seed = (
            valid_path,
            test_path,
            check_whole_number("CsvDataset", "seed", seed),
        )
        self.valid_size = (0.15 if valid_path is None else 0) if valid_size is None else valid_size
        self.test_size = (0.2 if test_path is None else 0) if test_size is None else test_size

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (len(self.preprocessing.features),)

    @property
    def target_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return () if isinstance(self.preprocessing.target, ClassTarget) else (1,)

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        target = self.preprocessing.target
        return len(target.classes) if isinstance(target, ClassTarget) else None

    @property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        target = self.preprocessing.target
        return target.classes if isinstance(target, ClassTarget) else None

    @cached_property
    def valid(self) -> ArrayDataset | None:
        return super().valid if self.valid_path is None else self._encoded(self._read(self.valid_path))

    @cached_property
    def test(self) -> ArrayDataset | None:
        return super().test if self.test_path is None else self._encoded(self._read(self.test_path))

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """What turns rows of the table into inputs and targets, fitted to the training part."""
        train = self._table.take(self._rows[0])
        columns = tuple(self._fitted(train, name) for name in self._input_names)
        return Preprocessing(columns, self._fitted_target(train), self.missing_values, self.unseen)

    # -- inside ------------------------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> Table:
        return self._read(self.path)

    def _read(self, path: str | Path) -> Table:
        how = self.header, self.delimiter, self.spelling, self.encoding
        table = read_csv(path, *how)
        if len(table.names) < 2:
            raise ValueError(f"{path}: there is one column, expected more; is the delimiter {self.delimiter!r}?")
        if self.missing != "drop":
            return table
        weight = [] if self.sample_weight is None else [self.sample_weight]
        used = [table.position(name) for name in (*self._names(table)[1], self._names(table)[0], *weight)]
        rows = [n for n, row in enumerate(table.rows) if not any(row[i] in self.missing_values for i in used)]
        if not rows:
            raise ValueError(f"{path}: each row has a missing value, expected some that have none")
        return table.take(rows)

    def _names(self, table: Table) -> tuple[str, list[str]]:
        """Find the names of the target and of the inputs."""
        if isinstance(self.target, str):
            target = table.names[table.position(self.target)]
        elif -len(table.names) <= self.target < len(table.names):
            target = table.names[self.target]
        else:
            raise ValueError(f"{table.source}: target is {self.target}, expected a position among {len(table.names)}")
        weight = [] if self.sample_weight is None else [self.sample_weight]
        for name in (*(self.inputs or ()), *(self.drop or ()), *self.categorical, *weight):
            table.position(name)
        for name, what in ((target, "the target"), *((name, "sample_weight") for name in weight)):
            if name in (self.inputs or ()):
                raise ValueError(f"{table.source}: column {name!r} is {what}, expected no input of that name")
        if target in weight:
            raise ValueError(f"{table.source}: column {target!r} is the target, expected another as sample_weight")
        names = table.names if self.inputs is None else self.inputs
        inputs = [name for name in names if name not in (target, *weight, *(self.drop or ()))]
        if not inputs:
            raise ValueError(f"{table.source}: no column is left as input, expected at least one")
        return target, inputs

    @property
    def _target_name(self) -> str:
        return self._names(self._table)[0]

    @property
    def _input_names(self) -> list[str]:
        return self._names(self._table)[1]

    @cached_property
    def _target_values(self) -> np.ndarray | list[str]:
        """The target of each row: numbers of a regression, names of classes."""
        name, table = self._target_name, self._table
        if (self.task or guess_task(table, name, self.missing_values)) == "regression":
            return read_numbers(table, name, self.missing_values, None)
        return read_words(table, name, self.missing_values, None)

    @cached_property
    def _rows(self) -> ThreeParts:
        n, sizes = len(self._table), (self.valid_size, self.test_size)
        split_sizes(str(self.path), n, *sizes)
        return split_rows(n, valid_size=sizes[0], test_size=sizes[1], seed=self.seed, labels=self._labels)

    @property
    def _labels(self) -> list[str] | None:
        return self._target_values if isinstance(self._target_values, list) else None

    def with_rows(self, train: np.ndarray, valid: np.ndarray) -> CsvDataset:
        other = cast(CsvDataset, super().with_rows(train, valid))
        other.valid_path = None  # the rows take its place
        return other

    def _fitted(self, train: Table, name: str) -> Numeric | Categorical:
        if is_categorical(self._table, name, self.missing_values, name in self.categorical):
            return fit_categorical(train, name, self.missing_values, self.missing)
        return fit_numeric(train, name, self.missing_values, self.missing, self.standardize)

    def _fitted_target(self, train: Table) -> NumberTarget | ClassTarget:
        name, values = self._target_name, self._target_values
        if len(set(values)) < 2:
            raise ValueError(f"{self.path}: column {name!r} has one value only, expected several to tell apart")
        if isinstance(values, list):
            return ClassTarget("class", name, sort_words(values))
        mean, std = map(float, compute_mean_and_std(values[self._rows[0]])) if self.standardize_target else (0.0, 1.0)
        return NumberTarget("number", name, mean, std)

    def _part(self, rows: np.ndarray) -> ArrayDataset:
        return self._encoded(self._table.take(rows))

    def _encoded(self, table: Table) -> ArrayDataset:
        fitted, target = self.preprocessing, self.preprocessing.target
        x, y = fitted.transform(table), fitted.targets(table)
        weights = None if self.sample_weight is None else self._weights(table, self.sample_weight)
        if isinstance(target, ClassTarget):
            return ArrayDataset(x, y, weights, classes=len(target.classes))
        return ArrayDataset(x, y, weights, target_mean=target.mean, target_std=target.std)

    def _weights(self, table: Table, name: str) -> np.ndarray:
        weights = read_numbers(table, name, self.missing_values, None)
        if (weights < 0).any():
            n = int((weights < 0).argmax())
            raise ValueError(f"{table.place(n, name)}: got {weights[n]:g}, expected a weight of at least 0")
        return weights.astype(np.float32)


def check_choice(name: str, value: str | None, known: Sequence[str | None]) -> None:
    """Raise ValueError for a setting that is none of these."""
    if value not in known:
        words = ", ".join(str(word) for word in known)
        raise ValueError(f"CsvDataset: {name} is {value!r}, expected one of {words}")
