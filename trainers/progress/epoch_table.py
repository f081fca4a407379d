"""What is printed of each epoch: a line by itself, which a file can keep, or on a terminal a row of a table."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tqdm import tqdm

from .progress_bar import count_columns, estimate_left, format_metric

PARTS = {"train_": "training", "valid_": "validation"}
AGAIN = 40  # rows after which the head of the table is printed again
GAP = 2  # columns of the terminal between those of the table


class Column(NamedTuple):
    """A column of the table: the part above its name, its text in this row, and the order in which columns give way."""

    part: str
    name: str
    text: str
    rank: int = 0  # 0: it always stays

    @property
    def width(self) -> int:
        return max(len(self.name), len(self.text))


class EpochTable:
    """Prints the metrics of each epoch, or of some steps, to stderr.

    In a file or a pipe each is a line with its names. On a terminal it is a row of a table, with the learning rate and
    the time left; columns that the terminal has no room for are left out, metrics of the training part first.
    """

    def __init__(self) -> None:
        self._widths: dict[tuple[str, str], int] = {}
        self._rows = 0

    def print_row(
        self,
        row: Mapping[str, Any],
        scheduled: Mapping[str, Any],
        *,
        rate: float | None = None,
        rows: int = 0,
        seconds: Sequence[float] = (),
    ) -> None:
        """Print a row of metrics.

        Args: scheduled: values of settings that change; rate: the learning rate; rows: how many there will be in all;
            seconds: of those so far.
        """
        if not sys.stderr.isatty():
            print(format_line(row, scheduled), file=sys.stderr)
            return
        settings = dict(scheduled) if rate is None else {"lr": rate, **scheduled}
        columns = drop_columns(list_columns(row, settings, rows, seconds), count_columns())
        keys = [(column.part, column.name) for column in columns]
        if self._rows % AGAIN == 0 or list(self._widths) != keys:
            self._widths = {key: column.width for key, column in zip(keys, columns, strict=True)}
            for line in format_heads(columns, list(self._widths.values())):
                print(line, file=sys.stderr)
        self._rows += 1
        widths = self._widths.values()
        cells = [column.text.rjust(width) for column, width in zip(columns, widths, strict=True)]
        print((" " * GAP).join(cells), file=sys.stderr)


def format_line(row: Mapping[str, Any], scheduled: Mapping[str, Any]) -> str:
    """Format a row of metrics as a line with their names."""
    shown = {name: value for name, value in row.items() if name.startswith(tuple(PARTS))}
    figures = "  ".join(f"{name} {format_metric(value)}" for name, value in shown.items())
    figures += "".join(f"  {name} {value:.4g}" for name, value in scheduled.items())
    place = f"step {row['step']:5d}" if "step" in row else f"epoch {row['epoch']:3d}"
    return f"{place}  {figures}  {row['seconds']:.2f} s"


def list_columns(
    row: Mapping[str, Any], settings: Mapping[str, Any], rows: int, seconds: Sequence[float]
) -> list[Column]:
    """List the columns of a row: its number, metrics, settings, time, and the time left."""
    place = f"{row['epoch']:>{len(str(rows))}}/{rows}"
    columns = [Column("", "step", f"{row['step']:7d}") if "step" in row else Column("", "epoch", place)]
    for prefix, part in PARTS.items():
        names = [name for name in row if name.startswith(prefix)]
        for k, name in enumerate(names):  # the metrics of training give way first, the last of them before the others
            rank = 0 if k == 0 else 100 + k if prefix == "valid_" else 300 + k
            columns.append(Column(part, name.removeprefix(prefix), f"{format_metric(row[name]):>7}", rank))
    columns += [Column("", name, f"{value:.4g}", 200 - (name == "lr")) for name, value in settings.items()]
    columns.append(Column("", "time", f"{row['seconds']:5.2f} s", 201))
    left = estimate_left(rows - row["epoch"], seconds)
    return columns if left is None else [*columns, Column("", "left", tqdm.format_interval(round(left)), 50)]


def drop_columns(columns: list[Column], width: int) -> list[Column]:
    """Drop columns until the others have room in a width, those of the largest rank first."""
    columns = list(columns)
    while sum(column.width + GAP for column in columns) - GAP >= width:
        last = max(columns, key=lambda column: column.rank)
        if last.rank == 0:
            break
        columns.remove(last)
    return columns


def format_heads(columns: Sequence[Column], widths: Sequence[int]) -> list[str]:
    """Format the head of the table: the parts of the data, each above its columns, then the names."""
    parts = ""
    for k, column in enumerate(columns):
        if column.part and column.part not in parts:
            start = sum(widths[:k]) + k * GAP
            parts = parts.ljust(start) + column.part.rjust(widths[k])
    names = (" " * GAP).join(column.name.rjust(width) for column, width in zip(columns, widths, strict=True))
    return [line for line in (parts, names) if line.strip()]
