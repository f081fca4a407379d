"""Plots of one sample in all layers of a model: the input, each layer's output, and the prediction.

Source: Domke, Automatic Differentiation and Neural Networks, whose figures show models on MNIST in this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...modules.display.recorded_passes import RecordedPasses, is_layer
from ...modules.engine.entry_points import convert_input
from ...modules.losses.distributions import Bernoulli, Categorical, Gaussian, Mixture
from ..metrics.probabilities import find_distribution
from .style import (
    BLACK,
    BLUE,
    GREEN,
    NORMAL,
    SMALL,
    VERMILION,
    escape_name,
    make_figure,
    make_mosaic,
    remove_ticks,
    shorten_middle,
    shorten_name,
    show_signed,
    simplify_axes,
)
from .trained_run import TrainedRun, UnsuitableRun, is_image, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_MAPS, MAX_BARS = 64, 40


def draw_features(run: TrainedRun, sample: int) -> Figure:
    """Draw the panels of one sample."""
    if not 0 <= sample < len(run.data):
        raise UnsuitableRun(f"the sample is {sample}, expected 0 to {len(run.data) - 1} of the {run.part} part")
    x, target = run.data[sample : sample + 1]
    stages, output = compute_features(run.model, x)
    count = len(stages) + 2
    wide = count if count <= 4 else min((4, 5, 3), key=lambda n: -count % n)
    rows = -(-count // wide)
    figure = make_figure(3.1 * wide, 3.1 * rows + 0.5, f"{run.folder.resolve().name}: {run.part} sample {sample}")
    panels = figure.subplots(rows, wide, squeeze=False).ravel()
    show_input(panels[0], x[0], run.feature_names)
    for axes, (label, y) in zip(panels[1:], stages, strict=False):
        show_layer(axes, y, shorten_name(label, 28))
    show_output(panels[count - 1], run, output, target)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure


def compute_features(model: Any, x: np.ndarray) -> tuple[list[tuple[str, np.ndarray]], np.ndarray]:
    """Compute each hidden layer's output for one sample, with its name, and the model's output (1, ...)."""
    stages, output = compute_stages(model, x)
    return [(label, y[0]) for label, y in stages], output


def compute_stages(model: Any, x: np.ndarray) -> tuple[list[tuple[str, np.ndarray]], np.ndarray]:
    """Compute each hidden layer's output (N, ...), with its name, and the model's output (N, ...).

    Layers that pass on what they get are left out; those in graphs and branches are told as they run.
    """
    recorded = RecordedPasses(model, x := convert_input(model, 0, x))
    recorded.run("fprop", "x", x)
    output, stages = recorded.values[recorded.y], []
    for operation in filter(is_layer, recorded.forward):
        y, layer_input = (recorded.values[name] for name in (operation.target, operation.arguments[0]))
        if not any(
            y.size == other.size and np.array_equal(y.ravel(), other.ravel()) for other in (layer_input, output)
        ):
            stages.append((escape_name(operation.module.label()), y.copy()))
    return stages, output.copy()


def show_input(axes: Any, x: np.ndarray, names: list[str]) -> None:
    """Draw the input of the model: an image, or a bar for each feature."""
    axes.set_title("input", fontsize=NORMAL)
    if is_image(x.shape):
        show_image(axes, x)
        remove_ticks(axes)
    elif x.ndim == 1 and len(x) <= MAX_BARS:
        show_bars(axes, x, names, [BLUE] * len(x))
    else:
        show_layer(axes, x, "input")


def show_layer(axes: Any, y: np.ndarray, label: str, largest: float = 0.0) -> None:
    """Draw one layer's output: units as a square of pixels, or feature maps as a mosaic.

    Args: largest: where the scale of colours ends, by default at the largest number.
    """
    if y.ndim == 3:
        label += f", {MAX_MAPS} of {len(y)} maps" if len(y) > MAX_MAPS else ""
        image = make_mosaic(y[:MAX_MAPS])
    else:
        image = y if y.ndim == 2 else reshape_to_square(y.ravel())
    show_signed(axes, image, largest)
    axes.set_title(label, fontsize=NORMAL)


def reshape_to_square(y: np.ndarray) -> np.ndarray:
    """Reshape a vector to rows of pixels, as square as its size allows, or with NaN at the end."""
    height = next((n for n in range(int(np.sqrt(y.size)), 0, -1) if y.size % n == 0), 1)
    if y.size > 3 * height * height:
        height = int(np.ceil(np.sqrt(y.size)))
    width = -(-y.size // height)
    return np.append(y, np.full(height * width - y.size, np.nan)).reshape(height, width)


def show_output(axes: Any, run: TrainedRun, output: np.ndarray, target: np.ndarray) -> None:
    """Draw the output as bars, and the target."""
    if output.ndim != 2 or output.shape[1] > MAX_BARS:
        show_layer(axes, output[0], "output")
        return
    values, colours = output[0].astype(np.float64), [BLUE] * output.shape[1]
    names, title = [str(k) for k in range(len(values))], "output"
    distribution = find_distribution(run.loss, output)
    if isinstance(distribution, Gaussian | Mixture) and target.size == 1:
        show_density(axes, run, distribution, target.item())
        return
    if isinstance(distribution, Categorical) and target.shape == (1,):
        names = run.class_names(len(values))
        guess, label = int(values.argmax()), int(target[0])
        colours[label] = GREEN
        colours[guess] = GREEN if guess == label else VERMILION
        verdict = "right" if guess == label else f"is {shorten_name(names[label], 12)}"
        title = f"predicts {shorten_name(names[guess], 12)} ({distribution.probabilities[0, guess]:.0%}): {verdict}"
        for k, p in enumerate(distribution.probabilities[0]):
            if p < 0.005:
                continue
            side = "left" if values[k] >= 0 else "right"
            axes.annotate(
                f"{p:.0%}",
                (values[k], k),
                (3 if side == "left" else -3, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=SMALL,
            )
        axes.margins(x=0.28)  # for the percentages beside the bars
    elif target.shape == output.shape:
        axes.plot(target[0], range(len(values)), "|", color=BLACK, ms=14, mew=2.5, zorder=5)
        title = "output, and the target in black"
        if isinstance(distribution, Bernoulli):
            values, title = distribution.probabilities[0], "probability, and the target in black"
    show_bars(axes, values, names, colours)
    axes.set_title(title, fontsize=NORMAL)


def show_density(axes: Any, run: TrainedRun, distribution: Gaussian | Mixture, target: float) -> None:
    """Draw the predicted density of the target, and the target, at the original scale."""
    std, middle = run.data.target_std, run.data.target_mean
    edges = [target, *(distribution.quantile(q).item() for q in (0.001, 0.999))]
    places = np.linspace(min(edges), max(edges), 300)
    logs = np.array([distribution.log_density(np.full((1, 1), place)).item() for place in places])
    axes.fill_between(places * std + middle, np.exp(logs) / std, color=BLUE, alpha=0.35, linewidth=0)
    axes.plot(places * std + middle, np.exp(logs) / std, color=BLUE, lw=1.5)
    axes.axvline(target * std + middle, color=BLACK, lw=2.5)
    axes.set_ylim(0)
    simplify_axes(axes)
    axes.set_xlabel(run.target_name, fontsize=NORMAL)
    axes.set_title("output: a density, and the target in black", fontsize=NORMAL)


def show_bars(axes: Any, values: np.ndarray, names: list[str], colours: list[str]) -> None:
    """Draw named numbers from top to bottom."""
    axes.barh(range(len(values)), values, color=colours, height=0.75)
    axes.axvline(0, color=BLACK, lw=0.8)
    axes.set_yticks(range(len(values)), [shorten_middle(name) for name in names], fontsize=SMALL)
    spare = max(0.0, (5 - len(values)) / 2)  # so that few bars are not too thick
    axes.set_ylim(len(values) - 0.4 + spare, -0.6 - spare)
    simplify_axes(axes)
    axes.tick_params(axis="y", labelsize=SMALL if len(values) <= 20 else 5)
