"""Progress output of a training: a live line with the time that is left, and messages where something is slow."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from statistics import median_low
from typing import Any

from tqdm import tqdm

DELAY = 0.2  # seconds before a live line appears: quicker epochs are rows of the table alone
ROWS = 24  # of a terminal, for tqdm: it shows nothing on one that says that it has none, as some in containers do
FRAME = 14  # columns of the percentage, the signs around the bar, and a short bar
PATIENCE = 0.5  # seconds; finding a compiled step in the cache takes less than 0.1


class print_if_slow:
    """Context in which `text` is printed to stderr once more than `patience` seconds (PATIENCE) have passed.

    Compiling takes seconds, finding the compiled code in the cache does not; only afterwards is it known which it was.
    """

    def __init__(self, text: str, *, quiet: bool = False, patience: float | None = None):
        self._text, self._quiet, self._patience = text, quiet, PATIENCE if patience is None else patience

    def __enter__(self) -> None:
        if not self._quiet:
            self._timer = threading.Timer(self._patience, lambda: tqdm.write(self._text, file=sys.stderr))
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *exception) -> None:
        if not self._quiet:
            self._timer.cancel()


class LiveLine(tqdm):
    """tqdm's bar with a text of its own beside it."""

    status = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        """The values of the format, with `status`, and with the columns that there are now."""
        return {**super().format_dict, "status": self.status, "ncols": count_columns() - 1}


class ProgressBar:
    """The live line of a row of metrics: its name, a bar, the mean loss so far, the learning rate, and the time left.

    It is shown on a terminal only, and not if `quiet`; on a narrow one samples per second, rate and loss give way.

    Args: title: such as `epoch 3/20`; samples: of the row; first: how many of them are done; rows_left: how many rows,
        with this one; seconds: of the rows so far; get_rate: gives the present learning rate, or None.
    """

    def __init__(
        self,
        title: str,
        samples: int,
        *,
        first: int = 0,
        rows_left: int = 1,
        seconds: Sequence[float] = (),
        get_rate: Callable[[], float | None] = lambda: None,
        quiet: bool = False,
    ):
        self._first, self._rows_left, self._seconds, self._get_rate = first, rows_left, seconds, get_rate
        form = {
            "bar_format": "{desc} {percentage:3.0f}%|{bar}| {status}",
            "leave": False,
            "nrows": ROWS,
            "delay": DELAY,
        }
        self._bar = (
            None
            if quiet
            else LiveLine(total=samples, initial=first, desc=title, disable=None, ncols=count_columns() - 1, **form)
        )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, loss: float) -> None:
        """Update the line by the number of samples done, and their mean loss."""
        if self._bar is not None and not self._bar.disable:
            self._bar.status = self._describe(done, loss)
            self._bar.update(done - self._bar.n)

    def _describe(self, done: int, loss: float) -> str:
        """What stands beside the bar."""
        assert self._bar is not None
        shown, rate = self._bar.format_dict, self._get_rate()
        speed = (done - self._first) / max(shown["elapsed"], 1e-9)
        left = estimate_left(self._rows_left - done / shown["total"], self._seconds)
        if left is None and speed > 0:
            left = (self._rows_left * shown["total"] - done) / speed
        words = {
            "loss": f"loss {format_metric(loss)}",
            "rate": "" if rate is None else f"lr {rate:.4g}",
            "speed": f"{tqdm.format_sizeof(speed)} samples/s",
            "left": "" if left is None else f"{tqdm.format_interval(round(left))} left",
        }
        room = shown["ncols"] - len(self._bar.desc) - FRAME
        for name in ("speed", "rate", "loss"):
            if len(line := "  ".join(filter(None, words.values()))) <= room:
                break
            del words[name]
        return line if len(line) <= room else "  ".join(filter(None, words.values()))


def count_columns() -> int:
    """Count the columns of the terminal that stderr is; $COLUMNS wins, and 80 are assumed where nobody knows."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def estimate_left(rows_left: float, seconds: Sequence[float]) -> float | None:
    """Estimate the seconds that the rows which are left take, as long each as the last ones.

    Of two, the shorter one: the first row compiles. None without any row.
    """
    return max(0.0, rows_left) * median_low(seconds[-5:]) if seconds else None


def format_metric(value: float) -> str:
    """Format a loss or a metric in the width of most."""
    return f"{value:{'.4f' if abs(value) < 1e6 else '.4g'}}"
