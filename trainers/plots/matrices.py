"""Plots of weights as matrices, a row for each unit of a layer and a column for each of its inputs.

Source: Domke, Automatic Differentiation and Neural Networks: the figure of the output layer's weights, 10 x 72.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...modules.core.module import Module
from ...modules.display.recorded_passes import list_layers
from .style import NORMAL, SMALL, escape_name, make_figure, shorten_middle, shorten_name, show_signed
from .trained_run import TrainedRun, UnsuitableRun, is_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_MATRICES, MAX_NAMES = 4, 40
WIDTH, MIN_HEIGHT, MAX_HEIGHT = 9.0, 1.1, 3.2  # inches


def draw_matrices(run: TrainedRun) -> Figure:
    """Draw the weight matrices of the last layers, but not the first layer's of images, whose rows are images."""
    layers = find_matrices(run)
    shapes = [get_weight(layer).shape for layer in layers]
    heights = [float(np.clip((WIDTH - 1.5) * rows / columns, MIN_HEIGHT, MAX_HEIGHT)) for rows, columns in shapes]
    figure = make_figure(WIDTH, sum(heights) + 0.7 * len(heights) + 0.3, escape_name(run.folder.resolve().name))
    panels = figure.subplots(len(layers), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, layer in zip(panels, layers, strict=True):
        weight = get_weight(layer)
        show_signed(axes, weight.astype(np.float64), bar_width=0.02)
        axes.set_aspect("auto")  # the height is that of square cells, within limits
        name = shorten_name(f"weights of {layer.path()} {layer.label()}", 90)
        axes.set_title(f"{escape_name(name)}, {weight.shape[0]} x {weight.shape[1]}", fontsize=NORMAL + 1)
        axes.set_xlabel("input of the layer; red is positive, blue negative", fontsize=NORMAL)
    name_rows(panels[-1], run, get_weight(layers[-1]))
    return figure


def find_matrices(run: TrainedRun) -> list[Module]:
    """Find the last layers with a weight matrix; UnsuitableRun if there is none."""
    layers = [layer for layer in list_layers(run.model) if get_weight(layer).ndim == 2]
    if is_image(tuple(run.experiment.dataset.input_shape)) and layers and is_first(run.model, layers[0]):
        layers = layers[1:]
    if not layers:
        raise UnsuitableRun("no layer after the first has a weight matrix")
    return layers[-MAX_MATRICES:]


def is_first(model: Module, layer: Module) -> bool:
    """Whether a layer is the first that has weights."""
    return next(other for other in list_layers(model) if get_weight(other).size) is layer


def get_weight(layer: Module) -> np.ndarray:
    """The weight of a layer, empty if it has none."""
    return dict(layer.named_parameters()).get("weight", np.empty(0))


def name_rows(axes: Any, run: TrainedRun, weight: np.ndarray) -> None:
    """Name the rows of the output layer: its classes, or numbers."""
    rows = len(weight)
    if rows > MAX_NAMES:
        return
    names = run.class_names(rows) if run.data.classes == rows else [str(k) for k in range(rows)]
    axes.set_yticks(range(rows), [shorten_middle(name) for name in names], fontsize=SMALL)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("class" if run.data.classes == rows else "output", fontsize=NORMAL)
