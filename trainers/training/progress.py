"""Progress output of a training: a progress bar, a line for each epoch, and messages where something is slow."""

import sys
import threading
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tqdm import tqdm

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


class ProgressBar:
    """The progress bar of a row of metrics, such as `epoch 3`, with the mean loss so far.

    It is shown on a terminal only, and not if `quiet`.
    """

    def __init__(self, title: str, samples: int, *, quiet: bool = False):
        form = {"unit": " samples", "unit_scale": True, "leave": False}
        self._bar = None if quiet else tqdm(total=samples, desc=title, disable=None, **form)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, done: int, loss: float) -> None:
        """Update the bar by the number of samples done, and their mean loss."""
        if self._bar is not None and not self._bar.disable:
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)


def make_title(place: str, rows_left: int, seconds: Sequence[float]) -> str:
    """The title of a progress bar: which row of metrics, and the time that all those left will take.

    Args: seconds: of the rows so far, whose last ones tell how long one takes; without any, no time is told.
    """
    if not seconds:
        return place
    return f"{place}, {tqdm.format_interval(round(rows_left * median(seconds[-5:])))} left"


def print_epoch(row: Mapping[str, Any], scheduled: Mapping[str, Any]) -> None:
    """Print the metrics of an epoch, or of some steps, and the values of scheduled settings, to stderr."""
    shown = {name: value for name, value in row.items() if name.startswith(("train_", "valid_"))}
    figures = "  ".join(f"{name} {value:{'.4f' if abs(value) < 1e6 else '.4g'}}" for name, value in shown.items())
    figures += "".join(f"  {k} {v:.4g}" for k, v in scheduled.items())
    place = f"step {row['step']:5d}" if "step" in row else f"epoch {row['epoch']:3d}"
    print(f"{place}  {figures}  {row['seconds']:.2f} s", file=sys.stderr)
