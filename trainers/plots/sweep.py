"""Plots of sweeps: a metric against a swept key, or against a figure such as the number of parameters.

Source: Goodfellow et al., Deep Learning, draft chapter 6, figures 6.9 and 6.10 (6.6 and 6.7 of the published book).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import larger_is_better
from ..runs.sweep_results import SweepResults
from .curves import choose_colour, set_log_scale_if_steep
from .style import BLUE, NORMAL, SMALL, escape_name, format_number, make_figure, shorten_name, simplify_axes
from .sweep_axes import Line, Panel, choose_panels, prefers_log
from .trained_run import UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LEGEND, MAX_TICKS, LONG_NAME = 24, 9, 12


def draw_sweep(
    folder: Path, metric: str | None = None, x: str | None = None, lines: list[str] | None = None
) -> tuple[str, Figure]:
    """Draw a metric of a sweep's runs that are done; returns a name for the file, too.

    Args: metric: a figure, by default a metric of the test part; x: a key that differs between runs, or a figure;
        lines: keys with a line for each value; runs that differ in other keys, such as seeds, are averaged.
    Errors: ValueError for unknown names, for a key that does not differ, and for a sweep without a run that is done.
    """
    results = SweepResults.read(folder)
    y = results.find_metric(metric)
    place = None if x is None else results.find_axis(x)
    by_line = [results.find_key(name) for name in lines or []]
    if place in by_line:
        raise ValueError(f"sweep: {results.label(place)} is both the axis and a line, expected another")  # type: ignore[arg-type]
    panels = choose_panels(results, y, place, by_line)
    if not any(len(line.x) for panel in panels for line in panel.lines):
        raise UnsuitableRun(f"no run of {folder} has both {y} and {results.label(panels[0].x)}")
    name = f"{y}-by-{'-'.join(results.label(panel.x) for panel in panels)}".replace("/", "_")
    return shorten_name(name, 100), draw_panels(results, y, panels)


def draw_panels(results: SweepResults, metric: str, panels: list[Panel]) -> Figure:
    """Draw panels side by side, with a legend of the lines."""
    what = metric.replace("_", " ") + (f" by {results.label(panels[0].x)}" if len(panels) == 1 else "")
    part = f", {len(results.runs)} of {results.count} runs" if len(results.runs) < results.count else ""
    title = escape_name(f"{shorten_name(results.folder.resolve().name)}: {what}{part}")
    wide = min(3, len(panels))
    rows = -(-len(panels) // wide)
    figure = make_figure(6.4 if wide == 1 else 3.8 * wide, (4.4 if rows == 1 else 3.4 * rows) + 0.3, title)
    grid = figure.subplots(rows, wide, squeeze=False, sharey=True).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        draw_panel(axes, results, metric, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if len(panels[0].lines) > 1:
        add_legend(figure, panels[0])
    return figure


def draw_panel(axes: Any, results: SweepResults, metric: str, panel: Panel) -> None:
    """Draw one panel."""
    for k, line in enumerate(panel.lines):
        colour = choose_colour(k, len(panel.lines)) if len(panel.lines) > 1 else BLUE
        draw_line(axes, line, panel, colour, (k + 0.5) / len(panel.lines) - 0.5)
    simplify_axes(axes)
    axes.set_xlabel(escape_name(results.label(panel.x)), fontsize=NORMAL)
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel(escape_name(metric.replace("_", " ")), fontsize=NORMAL)
    if panel.categories is None:
        set_ticks(axes, np.concatenate([line.x for line in panel.lines]))
    else:
        set_categories(axes, panel.categories)
    dots = np.concatenate([line.dots for line in panel.lines])
    rising = larger_is_better(metric.split("_", 1)[-1])
    if metric.endswith("loss"):
        set_log_scale_if_steep(axes, dots[:, 1])
    if metric.startswith(("train_", "valid_", "test_")) and np.isfinite(dots[:, 1]).any():
        best = dots[np.nanargmax(dots[:, 1]) if rising else np.nanargmin(dots[:, 1])]
        where = format_number(best[0]) if panel.categories is None else panel.categories[int(best[0])]
        axes.set_title(
            escape_name(f"best {format_number(best[1])} at {shorten_name(where, 24)}"),
            fontsize=NORMAL,
            loc="right",
            color="#444444",
        )


def draw_line(axes: Any, line: Line, panel: Panel, colour: Any, offset: float) -> None:
    """Draw a line through the means, and a dot for each run where several were averaged."""
    shift = 0.5 * offset if panel.categories else 0.0  # so that the dots of one category lie side by side
    repeated = len(line.dots) > len(line.x)
    if repeated or panel.scattered:
        axes.plot(
            line.dots[:, 0] + shift,
            line.dots[:, 1],
            "o",
            ms=5,
            mew=0,
            color=colour,
            alpha=0.7 if panel.scattered else 0.4,
        )
    if panel.scattered:
        return
    if panel.categories:
        marker = {"marker": "_", "ms": 14, "mew": 2.5} if repeated else {"marker": "o", "ms": 7}
        axes.plot(line.x + shift, line.y, ls="", color=colour, **marker)
    else:
        axes.plot(line.x, line.y, "-o", ms=5, lw=1.6, color=colour)


def set_ticks(axes: Any, values: np.ndarray) -> None:
    """Set a linear or a logarithmic axis, with a tick at each value if there are few."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

    values = np.unique(values)
    log = prefers_log(values)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    places = np.log(values) if log else values
    narrowest = np.diff(places).min() / np.ptp(places) if len(values) > 1 else 1.0
    if len(values) <= MAX_TICKS and narrowest > 0.06:
        axes.xaxis.set_major_locator(FixedLocator([*values]))
    elif log:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values[-1] < 300 * values[0] else (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:g}")


def set_categories(axes: Any, names: list[str]) -> None:
    """Set a tick for each category, with longer names aslant."""
    aslant = max(map(len, names)) > max(LONG_NAME, 60 // len(names))
    texts = [escape_name(shorten_name(name, 30)) for name in names]
    axes.set_xticks(range(len(names)), texts, rotation=25 if aslant else 0, ha="right" if aslant else "center")
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.grid(visible=False, axis="x")


def add_legend(figure: Any, panel: Panel) -> None:
    """Add a legend of the lines below, of the first ones if there are too many."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=choose_colour(k, len(panel.lines)), lw=2.5, label=escape_name(shorten_name(line.label, 50))
        )
        for k, line in enumerate(panel.lines[:MAX_LEGEND])
    ]
    if len(panel.lines) > MAX_LEGEND:
        handles.append(Line2D([], [], lw=0, label=f"and {len(panel.lines) - MAX_LEGEND} more"))
    widest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(figure.get_figwidth() * 11 / (widest + 6))))
    size = NORMAL if len(handles) <= 8 else SMALL
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=size, frameon=False)
