"""Learning curves of runs: loss and metrics by epoch, with the best epoch, and the learning rate below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import larger_is_better
from .histories import Curves, name_runs
from .style import BLUE, NORMAL, RUN_COLOURS, SMALL, VERMILION, escape_name, format_number, make_figure, simplify_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEEP = 10  # a positive curve is drawn on a logarithmic scale if its largest value is this many times its smallest


def draw_curves(folders: list[Path]) -> Figure:
    """Draw training and validation metrics of one run or of several."""
    runs = [Curves.read(folder, name) for folder, name in zip(folders, name_runs(folders), strict=True)]
    figures = list(dict.fromkeys(key.split("_", 1)[1] for run in runs for key in run.columns if is_metric(key)))
    rates = any(len(np.unique(run.columns["lr"])) > 1 for run in runs if "lr" in run.columns)
    wide = 1 if len(figures) == 1 else 2
    rows = -(-len(figures) // wide)
    what = escape_name(folders[0].resolve().name) if len(runs) == 1 else f"{len(runs)} runs"
    figure = make_figure(5.4 * wide + 0.6 * (wide == 1), 3.1 * rows + 1.3 * rates + 0.9, f"{what}: learning curves")
    grid = figure.add_gridspec(rows + rates, wide, height_ratios=[1] * rows + [0.4] * rates)
    first = None
    for k, name in enumerate(figures):
        last_alone = k == len(figures) - 1 and k % wide == 0
        axes = figure.add_subplot(grid[k // wide, :] if last_alone else grid[k // wide, k % wide], sharex=first)
        first = first or axes
        draw_metric(axes, runs, name)
    if rates:
        draw_rates(figure.add_subplot(grid[rows, :], sharex=first), runs)
    for axes in figure.axes:
        axes.set_xlabel(name_time(runs), fontsize=NORMAL)
    add_legend(figure, runs)
    return figure


def draw_metric(axes: Any, runs: list[Curves], name: str) -> None:
    """Draw one metric of all runs."""
    curves = []
    for k, run in enumerate(runs):
        for part, style in (("train", "--"), ("valid", "-")):
            values = run.columns.get(f"{part}_{name}")
            if values is not None:
                colour, style = (
                    (choose_colour(k, len(runs)), style) if len(runs) > 1 else ((BLUE, VERMILION)[part == "valid"], "-")
                )
                marker = "o" if len(values) == 1 else None
                width = 1.8 if part == "valid" else 1.4
                axes.plot(run.times, values, style, color=colour, lw=width, marker=marker, ms=4)
                curves.append(values)
        if (best := run.best(name)) is not None:
            colour = (
                choose_colour(k, len(runs)) if len(runs) > 1 else VERMILION if f"valid_{name}" in run.columns else BLUE
            )
            axes.plot(*best, "o", ms=7, color=colour, mec="white", mew=1.2, zorder=5)
    simplify_axes(axes)
    axes.set_title(escape_name(name.replace("_", " ")), fontsize=NORMAL + 1, loc="left")
    if len(runs) == 1 and (best := runs[0].best(name)) is not None:
        axes.set_title(
            f"best {format_number(best[1])}, {runs[0].time} {best[0]}", fontsize=NORMAL, loc="right", color="#444444"
        )
    if not larger_is_better(name):
        set_log_scale_if_steep(axes, np.concatenate(curves))
    set_whole_epochs(axes)


def draw_rates(axes: Any, runs: list[Curves]) -> None:
    """Draw the learning rates."""
    for k, run in enumerate(runs):
        if "lr" in run.columns:
            axes.plot(
                run.times,
                run.columns["lr"],
                color=choose_colour(k, len(runs)) if len(runs) > 1 else "#444444",
                lw=1.6,
            )
    simplify_axes(axes)
    axes.set_title("learning rate", fontsize=NORMAL + 1, loc="left")
    rates = np.concatenate([run.columns["lr"] for run in runs if "lr" in run.columns])
    if np.max(rates) > STEEP * np.median(rates):  # not for one that merely ends near 0
        set_log_scale_if_steep(axes, rates)
    set_whole_epochs(axes)


def name_time(runs: list[Curves]) -> str:
    """Name what curves are drawn over: epoch, step, or both where runs differ."""
    return " or ".join(dict.fromkeys(run.time for run in runs))


def set_log_scale_if_steep(axes: Any, values: np.ndarray) -> None:
    """Set a logarithmic scale for positive values that are far apart."""
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > STEEP * values.min():
        from matplotlib.ticker import LogLocator, NullLocator

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values.max() < 300 * values.min() else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def set_whole_epochs(axes: Any) -> None:
    """Set ticks at whole epochs only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))


def add_legend(figure: Any, runs: list[Curves]) -> None:
    """Add a legend of colours and dashes below the panels."""
    from matplotlib.lines import Line2D

    validated = any(key.startswith("valid_") for run in runs for key in run.columns)
    parts = ["training", "validation"] if validated else ["training"]
    if len(runs) == 1:
        handles = [Line2D([], [], color=(BLUE, VERMILION)[k], lw=1.8, label=part) for k, part in enumerate(parts)]
    else:
        handles = [
            Line2D([], [], color=choose_colour(k, len(runs)), lw=2.5, label=run.name) for k, run in enumerate(runs)
        ]
        handles += [Line2D([], [], color="#444444", ls=("--", "-")[k], label=part) for k, part in enumerate(parts)]
    handles.append(
        Line2D([], [], color="#444444", marker="o", ls="", mec="white", ms=7, label=f"best {name_time(runs)}")
    )
    size = NORMAL if len(runs) <= 4 else SMALL
    widest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 11 / (widest + 6))))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=size, frameon=False)


def choose_colour(k: int, count: int) -> Any:
    """Choose the colour of run k; for more runs than there are clear colours, from dark to light."""
    if count <= len(RUN_COLOURS):
        return RUN_COLOURS[k]
    from matplotlib import colormaps

    return colormaps["viridis"](0.95 * k / (count - 1))


def is_metric(column: str) -> bool:
    """Whether a column is a loss or a metric."""
    return column.startswith(("train_", "valid_"))
