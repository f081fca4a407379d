"""Plots of a regression: predictions against targets, and residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics.probabilities import compute_means
from .style import BLACK, BLUE, NORMAL, VERMILION, format_number, make_figure, simplify_axes
from .trained_run import TrainedRun, UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_TARGETS = 4


def collect_predictions(run: TrainedRun) -> tuple[np.ndarray, np.ndarray]:
    """Collect predictions and targets (N, D), at the original scale."""
    data = run.data
    y, target = compute_means(run.loss, run.outputs), data.y
    if run.is_classification or y.size != target.size:
        raise UnsuitableRun("the model's outputs are no numbers like the targets, expected a regression")
    y, target = (np.asarray(values, np.float64).reshape(len(data), -1) for values in (y, target))
    if y.shape[1] > MAX_TARGETS:
        raise UnsuitableRun(f"a target has {y.shape[1]} numbers, expected at most {MAX_TARGETS}")
    return y * data.target_std + data.target_mean, target * data.target_std + data.target_mean


def draw_regression(run: TrainedRun) -> Figure:
    """Draw a row of panels for each predicted number."""
    predicted, expected = collect_predictions(run)
    rows = predicted.shape[1]
    figure = make_figure(9.6, 4.2 * rows + 0.5, run.title)
    for k, (near, left) in enumerate(figure.subplots(rows, 2, squeeze=False)):
        name = run.target_name if rows == 1 else f"{run.target_name} {k}"
        draw_predictions(near, predicted[:, k], expected[:, k], name)
        draw_residuals(left, predicted[:, k], expected[:, k], name)
    return figure


def draw_predictions(axes: Any, predicted: np.ndarray, expected: np.ndarray, name: str) -> None:
    """Draw each sample as a dot; right ones are on the diagonal."""
    draw_dots(axes, expected, predicted)
    low, high = min(expected.min(), predicted.min()), max(expected.max(), predicted.max())
    axes.axline((low, low), (high, high) if high > low else None, slope=None if high > low else 1, color=BLACK, lw=1)
    axes.set_aspect("equal")
    axes.set_box_aspect(1)
    simplify_axes(axes)
    axes.set_xlabel(name, fontsize=NORMAL)
    axes.set_ylabel(f"predicted {name}", fontsize=NORMAL)
    spread = ((expected - expected.mean()) ** 2).sum()
    r2 = f", R² {1 - ((expected - predicted) ** 2).sum() / spread:.3f}" if spread > 0 else ""
    axes.set_title(f"predictions{r2}; the line is where they are right", fontsize=NORMAL + 1)


def draw_residuals(axes: Any, predicted: np.ndarray, expected: np.ndarray, name: str) -> None:
    """Draw residuals against predictions, and their histogram."""
    residuals = expected - predicted
    draw_dots(axes, predicted, residuals)
    axes.axhline(0, color=BLACK, lw=1)
    simplify_axes(axes)
    axes.set_xlabel(f"predicted {name}", fontsize=NORMAL)
    axes.set_ylabel(f"{name}, less predicted", fontsize=NORMAL)
    axes.set_title(f"residuals: rmse {format_number(np.sqrt((residuals**2).mean()))}", fontsize=NORMAL + 1)
    beside = axes.inset_axes([1.02, 0, 0.16, 1], sharey=axes)
    beside.hist(residuals, bins=int(np.clip(np.sqrt(len(residuals)), 5, 40)), orientation="horizontal", color=VERMILION)
    beside.set_axis_off()


def draw_dots(axes: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Draw a dot for each sample, smaller and paler for more samples."""
    many = len(x) > 1000
    size = 3 if many else 14
    axes.scatter(x, y, s=size, color=BLUE, alpha=0.35 if many else 0.6, linewidths=0, rasterized=True)
