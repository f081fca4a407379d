"""The results of a sweep, from its folder: the keys that differ between its runs, and the figures of each."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..configs.config_files import read_text
from ..configs.nodes import Entries, convert_to_plain, read_yaml
from ..files.suggest import format_suggestion
from ..metrics import larger_is_better
from .sweep import DESCRIPTION, DONE, RESULTS
from .sweep_keys import find_varying_keys, format_key_value, shorten_keys

NOT_FIGURES = ("run", "status", "seed")  # columns of the table

__all__ = ["SweepResults", "is_sweep", "list_run_folders"]


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / DESCRIPTION).is_file()


def list_run_folders(folder: Path) -> list[Path]:
    """List the folders of a sweep's runs that have begun an epoch.

    Errors: ValueError where no run has.
    """
    folders = sorted(path.parent for path in folder.glob("*/metrics.csv") if path.parent.name.isdigit())
    if not folders:
        raise ValueError(f"{folder}: no run of the sweep has begun yet, expected some to draw")
    return folders


@dataclass(frozen=True)
class SweepResults:
    """The runs of a sweep that are done.

    `keys`: a short name for each key that differs between runs; `runs`: their folders' names; `values` of all their
    keys; `figures` of each: losses, metrics, parameters, seconds...; `count`: of all runs, done or not.
    """

    folder: Path
    keys: dict[str, str]
    runs: list[str]
    values: list[dict[str, Any]]
    figures: list[dict[str, float]]
    count: int

    @classmethod
    def read(cls, folder: Path) -> SweepResults:
        """Read the folder of a sweep.

        Errors: FileNotFoundError for another folder; ValueError for one without a run that is done.
        """
        if not is_sweep(folder):
            raise FileNotFoundError(f"{folder} is no folder of a sweep: there is no {folder / DESCRIPTION}")
        node = read_yaml(read_text(folder / DESCRIPTION), str(folder / DESCRIPTION), [])
        settings = convert_to_plain(node.nodes["sweep"]) if isinstance(node, Entries) and "sweep" in node.nodes else []
        values = {f"{k:03}": run for k, run in enumerate(settings) if isinstance(run, dict)}
        rows = read_rows(folder / RESULTS)
        done = [row for row in rows if row.get("status") == DONE and row.get("run") in values]
        if not done:
            raise ValueError(f"{folder}: no run of the sweep is done yet, expected some to draw")
        own = [values[row["run"]] for row in done]
        figures = [
            {
                name: number
                for name, text in row.items()
                if name not in run and name not in NOT_FIGURES and (number := parse(text)) is not None
            }
            for row, run in zip(done, own, strict=True)
        ]
        keys = shorten_keys(find_varying_keys([*values.values()]))
        return cls(folder, keys, [row["run"] for row in done], own, figures, len(values))

    @property
    def figure_names(self) -> list[str]:
        """The names of all figures."""
        return list(dict.fromkeys(name for run in self.figures for name in run))

    def find_metric(self, name: str | None) -> str:
        """Find a figure by its name; by default a metric of the test part, or of another, rather than a loss.

        Errors: ValueError for one that no run has.
        """
        known = self.figure_names
        if name is not None:
            if name not in known:
                hint = format_suggestion(name, known) or f"; metrics: {', '.join(known)}"
                raise ValueError(f"sweep: there is no metric {name!r}{hint}")
            return name
        losses = [f"{part}_loss" for part in ("test", "valid", "train")]
        measured = [name for part in ("test_", "valid_", "train_") for name in known if name.startswith(part)]
        better = [name for name in measured if larger_is_better(name.split("_", 1)[1])]
        return next(name for name in [*better, *losses, *measured, *known] if name in known)

    def find_key(self, name: str) -> str:
        """Find a key that differs between runs, by its path or its short name.

        Errors: ValueError for one that does not differ, or that the sweep has not.
        """
        by_name = {short: key for key, short in self.keys.items()} | {key: key for key in self.keys}
        if name in by_name:
            return by_name[name]
        ends = [key for key in self.keys if f".{key}".endswith(f".{name}")]
        if len(ends) == 1:
            return ends[0]
        hint = format_suggestion(name, by_name) or f"; keys that do: {', '.join(self.keys.values()) or 'none'}"
        raise ValueError(f"sweep: no key {name!r} differs between the runs{hint}")

    def find_axis(self, name: str) -> str:
        """Find a key, or a figure such as `parameters`.

        Errors: ValueError for a name that is neither.
        """
        if name in self.figure_names and name not in self.keys and name not in self.keys.values():
            return name
        try:
            return self.find_key(name)
        except ValueError:
            known = [*self.keys.values(), *self.figure_names]
            hint = format_suggestion(name, known) or f"; known: {', '.join(known)}"
            raise ValueError(f"sweep: there is no key or figure {name!r}{hint}") from None

    def column(self, name: str) -> list[Any]:
        """The value of a key or a figure in each run, None where a run has none."""
        if name in self.keys:
            return [values.get(name) for values in self.values]
        return [figures.get(name) for figures in self.figures]

    def label(self, name: str) -> str:
        """The short name of a key, or the name of a figure."""
        return self.keys.get(name, name)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the table of results, none where it is not there yet."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return [{key: text or "" for key, text in row.items() if key} for row in csv.DictReader(file)]


def parse(text: str) -> float | None:
    """Parse a number, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def is_numeric(column: Iterable[Any]) -> bool:
    """Whether all values are finite numbers."""
    return all(type(value) in (int, float) and math.isfinite(value) for value in column)


def group_runs(columns: list[list[Any]], count: int) -> dict[tuple[str, ...], list[int]]:
    """Group the runs with equal values in all columns: the numbers of the runs, by the texts of the values."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for k in range(count):
        groups.setdefault(tuple(format_key_value(column[k]) for column in columns), []).append(k)
    return groups
