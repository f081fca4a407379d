"""Pictures of runs: how they learnt, what their nets have become, and what those make of the data.

A file a kind of picture; each function takes a `TrainedRun` and returns a matplotlib figure, or raises `Unfit`, with
the reason, where the picture is none of such a net.
"""

from .draw import PICTURES, Unfit, plot_augment, plot_runs

__all__ = ["PICTURES", "Unfit", "plot_augment", "plot_runs"]
