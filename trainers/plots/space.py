"""Plots of the space of the inputs beside that of the last hidden layer, each as a plane, coloured by class.

A plane of two inputs is drawn with its grid and the boundary between classes, and as the hidden units warp both.
Spaces of more dimensions are drawn by their two leading principal components.

Source: Goodfellow et al., Deep Learning, draft chapter 6, figures 6.2 and 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...modules.display.recorded_passes import RecordedPasses, is_layer
from ...modules.engine.entry_points import convert_input
from ...modules.layers.linear import Linear
from ...modules.losses.distributions import Bernoulli, Categorical
from ..metrics.probabilities import find_distribution
from .style import BLACK, NORMAL, RUN_COLOURS, SMALL, escape_name, make_figure, shorten_name, simplify_axes
from .trained_run import TrainedRun, UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_DOTS, BATCH = 2000, 256
GRID_LINES, GRID_POINTS = 17, 200  # of the plane of the inputs, each way
MAX_NAMES = 20
MARKERS = "os^DvXP<*>"  # of classes, which colours alone would not tell apart for every reader


def draw_space(run: TrainedRun) -> Figure:
    """Draw the inputs, and what the last hidden layer makes of them."""
    if not run.is_classification:
        raise UnsuitableRun("the model's outputs are no scores of classes, expected a classification")
    if run.data.classes is not None and len(run.data.target_shape):
        raise UnsuitableRun(f"a sample has labels of shape {run.data.target_shape}, expected one label")
    rows = np.unique(np.linspace(0, len(run.data) - 1, MAX_DOTS).astype(int))
    x, target = run.data[rows]
    labels, net = target.reshape(len(rows), -1)[:, 0].astype(int), HiddenLayer(run)
    hidden, outputs = net.compute(x)
    if hidden.shape[1] < 2 or x[0].size < 2:
        raise UnsuitableRun(f"a space has {min(hidden.shape[1], x[0].size)} dimension, expected at least 2")
    inputs, planes = x.reshape(len(x), -1), (Plane.fit(x.reshape(len(x), -1)), Plane.fit(hidden))
    part = f"{len(rows)} of " if len(rows) < len(run.data) else ""
    title = f"{escape_name(run.folder.resolve().name)}, {part}{len(run.data)} {run.part} samples"
    figure = make_figure(10.4, 5.4, title)
    left, right = figure.subplots(1, 2)
    classes = run.class_names(compute_shares(run, outputs).shape[1])
    names = run.feature_names if inputs.shape[1] == 2 else None
    if inputs.shape[1] == 2:
        draw_grids(left, right, run, net, inputs, planes)
    for axes, plane, values in ((left, planes[0], inputs), (right, planes[1], hidden)):
        draw_dots(axes, plane.project(values), labels, classes)
    name_axes(left, planes[0], f"input space, {inputs.shape[1]} dimensions", names)
    name_axes(right, planes[1], f"before {net.label}: {hidden.shape[1]} units", None)
    add_legend(figure, classes)
    return figure


class HiddenLayer:
    """The input of a model's last layer with weights; `last` is that layer if it gives the output, and is linear."""

    def __init__(self, run: TrainedRun):
        self.model = run.model
        self.recorded: Any = RecordedPasses(self.model, convert_input(self.model, 0, run.data[0:1][0]))
        layers = [each for each in self.recorded.forward if is_layer(each)]
        with_weights = [each for each in layers if dict(each.module.named_parameters())]
        if len(with_weights) < 2:
            raise UnsuitableRun(
                f"the model has {len(with_weights)} layer with weights, expected a hidden one before it"
            )
        self.operation: Any = with_weights[-1]
        module = self.operation.module
        self.label = module.label()
        self.last: Linear | None = None
        if isinstance(module, Linear) and self.operation.target == self.recorded.y:
            self.last = module

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the hidden values (N, D) and the model's outputs."""
        hidden, outputs = [], []
        for start in range(0, len(x), BATCH):
            self.recorded.run("fprop", "x", convert_input(self.model, 0, x[start : start + BATCH]))
            values = self.recorded.values[self.operation.arguments[0]]
            hidden.append(values.reshape(len(values), -1).astype(np.float64))
            outputs.append(self.recorded.values[self.recorded.y].copy())
        return np.concatenate(hidden), np.concatenate(outputs)

    def apply_last(self, hidden: np.ndarray) -> np.ndarray:
        """Compute the outputs from hidden values."""
        assert self.last is not None
        return self.last.fprop(hidden.astype(self.model.dtype)).copy()


@dataclass(frozen=True)
class Plane:
    """A plane in a space of D dimensions: two directions (2, D) about a mean, and the share of variance along each."""

    mean: np.ndarray
    directions: np.ndarray
    shares: np.ndarray | None

    @classmethod
    def fit(cls, values: np.ndarray) -> Plane:
        """The two leading principal components of values (N, D); the plane itself for D = 2."""
        if values.shape[1] == 2:
            return cls(np.zeros(2), np.eye(2), None)
        from sklearn.decomposition import PCA

        if not np.ptp(values, axis=0).any():
            return cls(values[0].astype(np.float64), np.eye(2, values.shape[1]), np.zeros(2))
        components = PCA(2, svd_solver="full").fit(values.astype(np.float64))
        return cls(components.mean_, components.components_, components.explained_variance_ratio_)

    def project(self, values: np.ndarray) -> np.ndarray:
        """The coordinates (N, 2) of values (N, D)."""
        return (values - self.mean) @ self.directions.T


def draw_grids(
    left: Any, right: Any, run: TrainedRun, net: HiddenLayer, inputs: np.ndarray, planes: tuple[Plane, Plane]
) -> None:
    """Draw the classes' regions, and a grid in the plane of two inputs and as the hidden layer warps it."""
    low, high = widen(inputs)
    for axis in (0, 1):
        for place in np.linspace(low[axis], high[axis], GRID_LINES):
            line = np.linspace(low, high, GRID_POINTS)
            line[:, axis] = place
            hidden, _ = net.compute(line.astype(inputs.dtype))
            for axes, plane, values in ((left, planes[0], line), (right, planes[1], hidden)):
                axes.plot(*plane.project(values).T, color="#9a9a9a", lw=0.6, zorder=1)
    regions = draw_regions(left, run, low, high, lambda points: net.compute(points.astype(inputs.dtype))[1])
    left.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    right.margins(0.04)
    if planes[1].shares is None and net.last is not None:
        x_limits, y_limits = right.get_xlim(), right.get_ylim()
        corners = np.array([x_limits, y_limits]).T
        draw_regions(right, run, corners[0], corners[1], net.apply_last)
        right.set(xlim=x_limits, ylim=y_limits)
        return
    for path in regions:  # what the hidden layer makes of the boundary
        hidden, _ = net.compute(path.astype(inputs.dtype))
        right.plot(*planes[1].project(hidden).T, color=BLACK, lw=1.6, zorder=3)


def draw_regions(axes: Any, run: TrainedRun, low: np.ndarray, high: np.ndarray, outputs: Any) -> list[np.ndarray]:
    """Draw the regions of a plane by their classes, and the boundary; returns its pieces (K, 2)."""
    grid = [np.linspace(low[k], high[k], GRID_POINTS) for k in (0, 1)]
    points = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2)
    shares = compute_shares(run, outputs(points)).reshape(GRID_POINTS, GRID_POINTS, -1)
    colours, pieces = choose_colours(shares.shape[2]), []
    for k in range(shares.shape[2]):
        lead = shares[:, :, k] - np.delete(shares, k, axis=2).max(axis=2)
        if not lead.max() > 0:
            continue
        axes.contourf(*grid, lead, levels=[0, 2], colors=[colours[k]], alpha=0.16, zorder=0)
        if lead.min() < 0:
            contour = axes.contour(*grid, lead, levels=[0], colors=BLACK, linewidths=1.6, zorder=3)
            pieces += [piece for piece in contour.allsegs[0] if len(piece) > 1]
    return pieces


def compute_shares(run: TrainedRun, outputs: np.ndarray) -> np.ndarray:
    """The probability of each class (N, K) by the outputs, or the outputs themselves as scores."""
    distribution = find_distribution(run.loss, outputs.astype(run.model.dtype))
    if isinstance(distribution, Categorical):
        return distribution.probabilities
    if isinstance(distribution, Bernoulli):
        yes = distribution.probabilities.reshape(len(outputs), -1)[:, :1]
        return np.hstack([1 - yes, yes])
    return outputs.reshape(len(outputs), -1)


def draw_dots(axes: Any, points: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    """Draw a dot for each sample, in the colour and shape of its class, and the names of classes in their midst."""
    colours = choose_colours(len(classes))
    size = 11 if len(points) > 500 else 18
    for label in np.unique(labels):
        look = {"color": [colours[label]], "marker": MARKERS[label % len(MARKERS)], "s": size, "alpha": 0.75}
        axes.scatter(*points[labels == label].T, **look, linewidths=0, zorder=4, rasterized=True)
    if 3 < len(classes) <= MAX_NAMES:
        from matplotlib.patheffects import withStroke

        for label in np.unique(labels):
            middle = np.median(points[labels == label], axis=0)
            style = {"fontsize": NORMAL + 2, "fontweight": "bold", "ha": "center", "va": "center", "zorder": 5}
            around = [withStroke(linewidth=2.5, foreground="white")]
            axes.text(*middle, shorten_name(classes[label], 10), path_effects=around, **style)
    simplify_axes(axes)
    axes.set_box_aspect(1)


def name_axes(axes: Any, plane: Plane, title: str, names: list[str] | None) -> None:
    """Label the axes: by the inputs or units, or by components and how much of the variance they hold."""
    axes.set_title(title, fontsize=NORMAL + 1)
    if plane.shares is None:
        labels = ["unit 1", "unit 2"] if names is None else ["x1", "x2"] if names == ["0", "1"] else names
    else:
        labels = [f"component {k + 1}, {share:.0%} of the variance" for k, share in enumerate(plane.shares)]
    axes.grid(visible=False)
    axes.set_xlabel(shorten_name(labels[0]), fontsize=NORMAL)
    axes.set_ylabel(shorten_name(labels[1]), fontsize=NORMAL)


def add_legend(figure: Any, classes: list[str]) -> None:
    """Add a legend of the classes, unless there are too many."""
    from matplotlib.lines import Line2D

    if len(classes) > MAX_NAMES:
        return
    handles = [
        Line2D([], [], ls="", marker=MARKERS[k % len(MARKERS)], color=colour, label=shorten_name(name, 20))
        for k, (name, colour) in enumerate(zip(classes, choose_colours(len(classes)), strict=True))
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(classes), 10), fontsize=SMALL, frameon=False
    )


def choose_colours(count: int) -> list[Any]:
    """Choose a colour for each class; of more than there are clear colours some share one, and differ in shape."""
    from matplotlib import colormaps

    if count <= MAX_NAMES:
        return [RUN_COLOURS[k % len(RUN_COLOURS)] for k in range(count)]
    return [colormaps["viridis"](k / (count - 1)) for k in range(count)]


def widen(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range of points (N, 2), a little widened."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    edge = 0.12 * (high - low) + 1e-9
    return low - edge, high + edge
