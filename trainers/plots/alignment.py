"""The angle and the ratio between a learning rule's updates and the gradient, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .curves import choose_colour, set_log_scale_if_steep, set_whole_epochs
from .histories import Curves, name_runs
from .style import NORMAL, escape_name, make_figure, simplify_axes
from .trained_run import UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT = 90.0  # degrees, beyond which an update raises the loss


def was_trained_by_rule(folder: Path) -> bool:
    """Whether a run's metrics have the angles of a learning rule."""
    try:
        return any(name.startswith("angle.") for name in Curves.read(folder, "").columns)
    except UnsuitableRun:
        return False


def draw_alignment(folder: Path) -> Figure:
    """Draw the columns `angle.*` and `ratio.*` of a run's metrics by epoch."""
    run = Curves.read(folder, name_runs([folder])[0])
    layers = [name.removeprefix("angle.") for name in run.columns if name.startswith("angle.")]
    if not layers:
        raise UnsuitableRun(f"{folder} was trained by backprop: there is no learning rule to compare with it")
    figure = make_figure(6.4, 5.6, f"{escape_name(folder.resolve().name)}: updates beside the gradient")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for k, layer in enumerate(layers):
        colour = choose_colour(k, len(layers))
        style = {"color": colour, "lw": 1.6, "marker": "o" if len(run.times) == 1 else None, "ms": 4}
        upper.plot(run.times, run.columns[f"angle.{layer}"], label=layer, **style)
        lower.plot(run.times, run.columns[f"ratio.{layer}"], **style)
    upper.axhline(RIGHT, color="#888888", lw=1, ls=":")
    upper.set_ylim(0, max(100.0, *upper.get_ylim()))
    upper.set_title("angle to the gradient, in degrees", fontsize=NORMAL + 1, loc="left")
    lower.axhline(1, color="#888888", lw=1, ls=":")
    lower.set_title("size of the update by that of the gradient", fontsize=NORMAL + 1, loc="left")
    ratios = [value for layer in layers for value in run.columns[f"ratio.{layer}"]]
    set_log_scale_if_steep(lower, np.array(ratios))
    lower.set_xlabel(run.time, fontsize=NORMAL)
    for axes in (upper, lower):
        simplify_axes(axes)
        set_whole_epochs(axes)
    figure.legend(loc="outside lower center", ncols=min(6, len(layers)), fontsize=NORMAL, frameon=False)
    return figure
