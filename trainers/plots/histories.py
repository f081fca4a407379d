"""Learning curves from the tables of runs, and names of runs."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..metrics import larger_is_better
from ..runs.compare import compare_runs, format_value, read_config_values
from ..runs.sweep_keys import shorten_keys
from .style import escape_name, shorten_name
from .trained_run import UnsuitableRun


@dataclass(frozen=True)
class Curves:
    """The columns of a run's metrics.csv; NaN where a row has no number.

    `time` is the column over which they are drawn: the step, if the training counts steps, else the epoch.
    """

    name: str
    columns: dict[str, np.ndarray]

    @property
    def time(self) -> str:
        """`step` or `epoch`."""
        steps = self.columns.get("step")
        return "epoch" if steps is None or np.isnan(steps).any() else "step"

    @property
    def times(self) -> np.ndarray:
        """The column `time`."""
        return self.columns[self.time]

    @classmethod
    def read(cls, folder: Path, name: str) -> Curves:
        """Read the table of a run folder; with the learning rate of the config where none is logged."""
        rate = [
            value for key, value in read_config_values(folder).items() if key.endswith(".lr") and key.count(".") == 2
        ]
        path = folder / "metrics.csv"
        if not path.is_file():
            raise UnsuitableRun(f"there is no {path}")
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise UnsuitableRun(f"{path} has no epoch yet")
        if not all(np.isfinite(parse_number(row.get("epoch"))) for row in rows):
            raise UnsuitableRun(f"{path} is damaged: a row has no epoch")
        columns = {key: np.array([parse_number(row[key]) for row in rows]) for key in rows[0] if key}
        if "lr" not in columns and len(rate) == 1 and isinstance(rate[0], int | float):
            columns["lr"] = np.full(len(rows), float(rate[0]))
        return cls(name, columns)

    def best(self, figure: str) -> tuple[int, float] | None:
        """Find the best epoch, or step, of a metric, of the validation part if possible, and its value there."""
        values = self.columns.get(f"valid_{figure}", self.columns.get(f"train_{figure}"))
        if values is None or np.isnan(values).all():
            return None
        k = int(np.nanargmax(values) if larger_is_better(figure) else np.nanargmin(values))
        return int(self.times[k]), float(values[k])


def parse_number(text: str | None) -> float:
    """Parse a cell of the table, NaN if it has no number, as in a row that is being written."""
    try:
        return float(text or "nan")
    except ValueError:
        return np.nan


def name_runs(folders: list[Path]) -> list[str]:
    """Name each run: by the settings in which it differs from the others, or by its folder."""
    own = [folder.resolve().name for folder in folders]
    if len(folders) == 1:
        return [*map(escape_name, own)]
    rows: dict[str, list[Any]] = {}
    for path, values in compare_runs(folders).config.items():
        if values not in rows.values():  # of settings that change together, the first says it
            rows[path] = values
    words = shorten_keys(rows)
    names = [", ".join(f"{words[path]} {format_value(row[k])}" for path, row in rows.items()) for k in range(len(own))]
    clear = len(set(names)) == len(names) and len(rows) <= 3
    return [escape_name(shorten_name(name, 60)) for name in (names if clear else own)]
