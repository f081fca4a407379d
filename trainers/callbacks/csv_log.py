"""A training's metrics in a CSV file that grows with it."""

import csv
import io
import os
from typing import Any

from ...datasets.files.paths import expand_path
from ..files.atomic_files import append_text, write_atomically
from .callback import Callback


class CsvLog(Callback):
    """Writes each epoch's metrics to a CSV file as soon as they are known.

    Args: path: the file, replaced if it exists.
    """

    first_rank_only = True

    def __init__(self, path: str | os.PathLike):
        self.path = expand_path(path)

    def on_fit_start(self, trainer) -> None:
        self._history, self._first = trainer.history, len(trainer.history)
        self._rewrite()

    def on_epoch_end(self, trainer, row: dict) -> None:
        append_text(
            self.path, format_csv(list(self._history[self._first]), [row], header=len(self._history) == self._first + 1)
        )

    def on_fit_end(self, trainer) -> None:
        """Write all rows again: Ctrl-C may have come before the last one, and a metric may have appeared late."""
        self._rewrite()

    def state_dict(self) -> dict[str, Any]:
        return {"first": self._first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._first = state["first"]
        self._rewrite()

    def _rewrite(self) -> None:
        rows = self._history[self._first :]
        write_atomically(
            self.path, format_csv(list(dict.fromkeys(name for row in rows for name in row)), rows, header=True)
        )


def format_csv(names: list[str], rows: list[dict[str, Any]], header: bool) -> str:
    """Format rows as CSV, with the columns `names`; a word that a spreadsheet would compute is quoted."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if names and header:
        writer.writerow(map(escape_formula, names))
    writer.writerows([escape_formula(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def escape_formula(cell: Any) -> Any:
    """Put an apostrophe before a cell that a spreadsheet would take for a formula.

    Source: OWASP, CSV Injection.
    """
    if not isinstance(cell, str) or len(cell) < 2 or cell[0] not in "=+-@\t\r\n＝＋－＠":
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
