"""Reads the tables that are packed into scikit-learn, without importing it. The import takes more than a
second, which is longer than reading, splitting and learning the sets."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np


def find_data_file(name: str) -> Path:
    """Find a file in scikit-learn's folder of data sets.

    Errors: ModuleNotFoundError if scikit-learn is not installed; FileNotFoundError if this release has
        no such file.
    """
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"scikit-learn is not installed, but packs {name}: run 'pip install scikit-learn'")
    path = Path(spec.submodule_search_locations[0], "datasets", "data", name)
    if not path.is_file():
        raise FileNotFoundError(f"the installed scikit-learn has no file {path}, expected one of release 1.5 or later")
    return path


def read_table(name: str, *, delimiter: str | None = ",", header_lines: int = 0) -> np.ndarray:
    """Read a table of numbers, plain or gzipped, as float64 (rows, columns); delimiter None means white space."""
    return np.loadtxt(find_data_file(name), delimiter=delimiter, skiprows=header_lines, ndmin=2)


def read_labelled_table(name: str, *, header_lines: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Read a CSV file with the label last, as x (rows, columns - 1) float64 and y (rows,) int64."""
    table = read_table(name, header_lines=header_lines)
    return table[:, :-1], table[:, -1].astype(np.int64)
