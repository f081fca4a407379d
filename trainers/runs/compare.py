"""Comparison of runs: differences in their configs, and their results."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ...modules.core.text_table import format_table
from ..configs.config_files import read_text
from ..configs.nodes import convert_to_plain, read_yaml
from .run_folder import find_config_file, read_summary

WIDTH = 100  # characters of a line
NARROWEST = 12  # characters of a column whose values are wrapped
FEATURES = "instruction_set.features"
SAME_PARTS = ("versions.", "instruction_set.")  # of results, which are left out where all runs have the same


@dataclass(frozen=True)
class Comparison:
    """Rows by name, a value a run, None where a run has none: `config` where the runs differ, and `results`."""

    runs: list[str]
    config: dict[str, list[Any]]
    results: dict[str, list[Any]]

    def __str__(self) -> str:
        return "\n".join(self.format_lines(WIDTH))

    def format_lines(self, width: int) -> list[str]:
        """Format the table; to keep lines within `width`, runs are numbered and long values wrapped."""
        rows = [[name, *map(format_value, values)] for name, values in self.config.items()]
        for name, values in self.results.items():
            shown = keep_differences(values) if name == FEATURES else values
            rows.append([f"{name}, others" if shown is not values else name, *map(format_value, shown)])
        lines = format_table([["", *self.runs], *rows])
        if max(map(len, lines)) <= width:
            return lines
        numbers = [str(k) for k in range(1, len(self.runs) + 1)]
        legend = format_table(list(zip(numbers, self.runs, strict=True)))
        return [*legend, "", *format_within([["", *numbers], *rows], width)]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"runs": self.runs, "config": self.config, "results": self.results}


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Compare the run folders; nothing of them is executed.

    Errors: FileNotFoundError for a folder without a run; ConfigError for a config that cannot be read.
    """
    folders = [expand_path(folder) for folder in folders]
    configs = [read_config_values(folder) for folder in folders]
    summaries = [dict(iterate_values(read_summary(folder) or {})) for folder in folders]
    differing = {name: row for name, row in transpose_columns(configs).items() if any(value != row[0] for value in row)}
    results = {name: row for name, row in transpose_columns(summaries).items() if name not in ("run", "seed", "dtype")}
    same = {name for name, row in results.items() if name.startswith(SAME_PARTS) and len({*row} - {None}) == 1}
    return Comparison(
        [str(folder) for folder in folders],
        differing,
        {name: row for name, row in results.items() if name not in same},
    )


def read_config_values(folder: Path) -> dict[str, Any]:
    """Read all plain values of a run's config, by path."""
    path = find_config_file(folder)
    return dict(iterate_values(convert_to_plain(read_yaml(read_text(path), str(path), []))))


def transpose_columns(columns: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Transpose columns by name to rows by name."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def iterate_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over (path, value) of all plain values: `model.0.Linear.out_features`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None or not value:
        yield path, value
        return
    for key, item in items:
        yield from iterate_values(item, f"{path}.{key}" if path else str(key))


def format_value(value: Any) -> str:
    """Format a value in a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def keep_differences(values: Sequence[str | None]) -> list[str | None]:
    """Keep of each list, whose parts stand between commas, what the others lack."""
    parts = [set() if value is None else set(value.split(",")) for value in values]
    common = set.intersection(*(each for each, value in zip(parts, values, strict=True) if value is not None))
    return [
        None if value is None else ", ".join(sorted(each - common)) or "no more"
        for each, value in zip(parts, values, strict=True)
    ]


def format_within(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Format a table in lines of at most `width` characters: long values are wrapped, columns put below each other."""
    names, *columns = zip(*rows, strict=True)
    first = max(map(len, names))
    room = max(NARROWEST, (width - first) // len(columns) - 2)
    widths = [min(max(map(len, column)), room) for column in columns]
    count = max(1, (width - first) // (max(widths) + 2))  # columns side by side
    lines: list[str] = []
    for begin in range(0, len(columns), count):
        block = []
        for row in rows:
            cells = row[1:][begin : begin + count]
            wrapped = [textwrap.wrap(c, w, break_on_hyphens=False) for c, w in zip(cells, widths[begin:], strict=False)]
            block += [list(each) for each in zip_longest([row[0]], *wrapped, fillvalue="")]
        lines += [*([""] if lines else []), *format_table(block)]
    return lines
