"""Comparison of runs: differences in their configs, and their results."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ...modules.core.text_table import format_table
from ..configs.config_files import read_text
from ..configs.nodes import convert_to_plain, read_yaml
from .run_folder import find_config_file, read_summary


@dataclass(frozen=True)
class Comparison:
    """Rows by name, a value a run, None where a run has none: `config` where the runs differ, and `results`."""

    runs: list[str]
    config: dict[str, list[Any]]
    results: dict[str, list[Any]]

    def __str__(self) -> str:
        rows = [("", *self.runs)]
        for part in (self.config, self.results):
            rows += [(name, *map(format_value, values)) for name, values in part.items()]
        return "\n".join(format_table(rows))

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
    versions = {name for name, row in results.items() if name.startswith("versions.") and len({*row} - {None}) == 1}
    return Comparison(
        [str(folder) for folder in folders],
        differing,
        {name: row for name, row in results.items() if name not in versions},
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
