"""Which key of a sweep becomes the axis of a plot, which ones its lines, and where the points lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..runs.compare import format_value
from ..runs.sweep_keys import format_key_value
from ..runs.sweep_results import SweepResults, group_runs, is_numeric

MAX_PANELS = 6
LOG_RANGE = 8  # an axis may be logarithmic if its largest value is this many times its smallest


@dataclass(frozen=True)
class Line:
    """A line of a plot: x and the mean metric there, and `dots`, (x, metric) of each single run."""

    label: str
    x: np.ndarray
    y: np.ndarray
    dots: np.ndarray


@dataclass(frozen=True)
class Panel:
    """A plot of a metric against `x`; `categories` are the names at 0, 1, ... where x is no number.

    `scattered`: the other keys differ from point to point, so that no line leads from one to the next.
    """

    x: str
    lines: list[Line]
    categories: list[str] | None
    scattered: bool


def choose_panels(results: SweepResults, metric: str, x: str | None, lines: list[str]) -> list[Panel]:
    """Choose the panels of a sweep: one, or one for each key where every run has values of its own.

    Args: x: a key or a figure, by default the number with the most values; lines: keys, by default all that are neither
        x nor follow from it; runs that differ in their seeds alone are averaged.
    """
    keys = [key for key in results.keys if not is_seed(key)] or [*results.keys]
    chosen = x or max(
        keys, key=lambda key: (is_numeric(results.column(key)), count_values(results, key)), default="parameters"
    )
    if lines:
        return [make_panel(results, metric, chosen, lines)]
    panel = make_panel(results, metric, chosen, choose_lines(results, keys, chosen))
    if len(panel.lines) == 1 or any(len(line.x) > 1 for line in panel.lines):
        return [panel]
    return [make_panel(results, metric, key, [], scattered=True) for key in ([x] if x else keys[:MAX_PANELS])]


def choose_lines(results: SweepResults, keys: list[str], x: str | None) -> list[str]:
    """Choose the keys whose values become lines; of a figure as x, the number with the most values runs along them."""
    if x in results.keys:
        return [key for key in keys if key != x and not follows(results, key, x)]
    numbers = [key for key in keys if is_numeric(results.column(key))]
    along = max(numbers, key=lambda key: count_values(results, key)) if numbers else None
    return [key for key in keys if along is not None and key != along and not follows(results, key, along)]


def follows(results: SweepResults, key: str, x: str) -> bool:
    """Whether a key goes along with x, as in a zip: each x has one value of it, and these do not go to and fro."""
    columns = [results.column(x), results.column(key)]
    if len(group_runs(columns, len(results.runs))) > count_values(results, x):
        return False
    if all(map(is_numeric, columns)):
        steps = np.diff(np.array(columns[1], np.float64)[np.argsort(columns[0], kind="stable")])
        return bool((steps >= 0).all() or (steps <= 0).all())
    return count_values(results, key) == count_values(results, x)


def make_panel(results: SweepResults, metric: str, x: str, lines: list[str], scattered: bool = False) -> Panel:
    """Make a panel: a line for each combination of the values of `lines`."""
    pairs = enumerate(zip(results.column(x), results.column(metric), strict=True))
    has_both = [k for k, (a, b) in pairs if b is not None and (a is not None or x in results.keys)]
    column = [results.column(x)[k] for k in has_both]
    metrics = np.array([results.column(metric)[k] for k in has_both])
    categories = None
    if not is_numeric(column):
        names = list(dict.fromkeys(map(format_category, column)))
        categories, column = names, [names.index(format_category(value)) for value in column]
    places = np.array(column, dtype=np.float64)
    by_line = [[results.column(key)[k] for k in has_both] for key in lines]
    groups = sort_groups(group_runs(by_line, len(has_both)), by_line)
    made = [
        make_line(name_line(results, lines, [column[group[0]] for column in by_line]), places[group], metrics[group])
        for group in groups
    ]
    return Panel(x, made, categories, scattered)


def make_line(label: str, x: np.ndarray, y: np.ndarray) -> Line:
    """Make a line through the mean at each x."""
    places = np.unique(x)
    means = np.array([y[x == place].mean() for place in places])
    return Line(label, places, means, np.stack([x, y], axis=1))


def sort_groups(groups: dict[tuple[str, ...], list[int]], columns: list[list[Any]]) -> list[list[int]]:
    """Sort groups of runs by their values, where all of them are numbers."""
    if not all(map(is_numeric, columns)):
        return list(groups.values())
    return sorted(groups.values(), key=lambda group: tuple(column[group[0]] for column in columns))


def name_line(results: SweepResults, lines: list[str], values: list[Any]) -> str:
    """Name a line by its values."""
    return ", ".join(f"{results.label(key)} {format_category(value)}" for key, value in zip(lines, values, strict=True))


def format_category(value: Any) -> str:
    """Format a value of a key: of one class, its name and arguments."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, arguments),) = value.items()
        if isinstance(arguments, dict):
            return f"{name}({', '.join(f'{key}={format_category(item)}' for key, item in arguments.items())})"
    return format_value(value)


def is_seed(key: str) -> bool:
    """Whether a key is a seed, whose values repeat an experiment."""
    return key.split(".")[-1] == "seed"


def count_values(results: SweepResults, key: str) -> int:
    """The number of different values of a key."""
    return len({format_key_value(value) for value in results.column(key)})


def prefers_log(values: np.ndarray) -> bool:
    """Whether values are spread more evenly on a logarithmic axis: 8, 16, 32, 64 are, 1, 2, 3 are not."""
    values = np.unique(values[np.isfinite(values)])
    if len(values) < 2 or values[0] <= 0 or values[-1] < LOG_RANGE * values[0]:
        return False
    return spread_of_gaps(np.log(values)) < spread_of_gaps(values) if len(values) > 2 else values[-1] >= 10 * values[0]


def spread_of_gaps(values: np.ndarray) -> float:
    """The standard deviation of the gaps between sorted values, divided by their mean."""
    gaps = np.diff(values)
    return float(gaps.std() / gaps.mean())
