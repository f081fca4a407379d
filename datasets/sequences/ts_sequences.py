"""Time series of the UCR/UEA archive: .ts files for training and test."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from ..checks import check_whole_number
from ..files.ts_file import TsFile, read_ts
from .sequence_parts import SequenceDataset, Sequences, as_labels, choose_sizes, pad_sequences


class TsSequences(SequenceDataset):
    """Time series in .ts files of the UCR/UEA archive, of one or several dimensions, padded to the longest.

    Shapes: x (N, T, D) float32; y (N,) labels in the order of the file's head, or (N, 1) float32 of a regression.
    Args: path: of the training file, such as Name_TRAIN.ts; test_path: by default Name_TEST.ts beside it, if it is
        there; valid_path: of a validation file; valid_size, test_size: or a share or number of the training series, by
        default none; missing: refuse missing values, or fill in the last value before them (the first after them at the
        beginning), or zero; seed: of the split; standardize: each dimension, by the training part; with_lengths: give
        the lengths to the model, which then takes a table (x, lengths): by default if they differ.
    Errors: FileNotFoundError; ValueError that names file and line of what is no number, of missing values and unknown
        classes, and for files of different dimensions or classes.
    Source: Dau et al., The UCR time series archive (2019); Bagnall et al., The UEA multivariate time series
        classification archive (2018).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        test_path: str | Path | None = None,
        valid_path: str | Path | None = None,
        valid_size: float | None = None,
        test_size: float | None = None,
        missing: Literal["refuse", "last", "zero"] = "refuse",
        seed: int = 0,
        standardize: bool = False,
        with_lengths: bool | None = None,
    ) -> None:
        if missing not in ("refuse", "last", "zero"):
            raise ValueError(f"TsSequences: missing is {missing!r}, expected refuse, last or zero")
        self.path, self.missing, self.seed = path, missing, check_whole_number("TsSequences", "seed", seed)
        if test_path is None and test_size is None:
            test_path = find_test_file(Path(path))
        valid_size = 0 if valid_size is None and valid_path is None else valid_size
        test_size = 0 if test_size is None and test_path is None else test_size
        self.paths = {"train": path, "valid": valid_path, "test": test_path}
        self.valid_size, self.test_size = choose_sizes("TsSequences", valid_path, test_path, valid_size, test_size)
        self.standardize, self.stated_with_lengths = standardize, with_lengths

    @cached_property
    def with_lengths(self) -> bool:  # type: ignore[override]
        """Whether the model is given the lengths."""
        if self.stated_with_lengths is not None:
            return self.stated_with_lengths
        parts = [part for name in self.paths if (part := self._read(name)) is not None]
        return any((part.lengths != self.steps).any() for part in parts)

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self._files["train"].class_names

    def count_classes(self) -> int | None:
        return None if self.class_names is None else len(self.class_names)

    def read(self, part: str) -> Sequences | None:
        file = self._files.get(part)
        if file is None:
            return None
        x, lengths = pad_sequences([fill_missing(file, n, self.missing) for n in range(len(file.series))])
        if file.labels is not None and file.class_names is not None:
            return Sequences(x, lengths, as_labels(file.labels, file.class_names))
        if file.targets is None:
            raise ValueError(f"{file.path}: the series have no class, expected @classLabel true or @targetLabel true")
        return Sequences(x, lengths, file.targets[:, None].astype(np.float32))

    @cached_property
    def _files(self) -> dict[str, TsFile]:
        files = {part: read_ts(path) for part, path in self.paths.items() if path is not None}
        first = files["train"]
        for file in files.values():
            if file.class_names != first.class_names:
                raise ValueError(f"{file.path}: it has other classes than {first.path}, expected the same")
            if file.series[0].shape[1] != first.series[0].shape[1]:
                what = f"{file.series[0].shape[1]} dimensions"
                raise ValueError(
                    f"{file.path}: there are {what}, expected {first.series[0].shape[1]} as in {first.path}"
                )
        return files


def find_test_file(path: Path) -> Path | None:
    """Find the test file beside a training file of the archive; None if there is none."""
    other = path.with_name(path.name.replace("_TRAIN", "_TEST"))
    return other if other != path and other.expanduser().is_file() else None


def fill_missing(file: TsFile, n: int, missing: str) -> np.ndarray:
    """The n-th series of a file, its missing values filled, or refused with their line; `missing`: of TsSequences."""
    series = file.series[n]
    gaps = np.isnan(series)
    if not gaps.any():
        return series
    if missing == "refuse":
        hint = "'missing: last' and 'missing: zero' fill them"
        raise ValueError(f"{file.path}, line {file.lines[n]}: a value is missing, expected all; {hint}")
    return np.where(gaps, 0.0, series) if missing == "zero" else fill_with_last(series)


def fill_with_last(series: np.ndarray) -> np.ndarray:
    """Fill NaN in a series (t, D) by the last value before it, by the first after it at the beginning, else by 0."""
    filled = series.copy()
    for column in filled.T:
        known = np.flatnonzero(~np.isnan(column))
        if known.size:
            places = np.searchsorted(known, np.arange(len(column)), side="right") - 1
            column[:] = column[known[np.maximum(places, 0)]]
        else:
            column[:] = 0
    return filled
