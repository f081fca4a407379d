"""Plots of the first layer's weights as images, like its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...modules.core.module import Module
from ...modules.display.recorded_passes import list_layers
from ...modules.layers.noise import Noise
from ...modules.layers.reshape import Flatten, Reshape
from .energy_nets import is_energy_net, shape_states
from .style import NORMAL, escape_name, make_figure, make_mosaic, remove_ticks, shorten_name, show_signed
from .trained_run import TrainedRun, UnsuitableRun, find_image_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 144  # units that are shown
SCALE = 0.998  # the share of the weights that the scale of colours reaches, so that one of them does not pale the rest


def draw_weights(run: TrainedRun) -> Figure:
    """Draw a mosaic of the weights of the first layer that has any."""
    channels, *_ = shape = find_shape(run)
    layer = find_first_layer(run.model)
    images = make_weight_images(layer, shape)
    selection = select_strongest(images)
    largest = float(np.quantile(np.abs(images[selection]), SCALE)) or 1.0
    if channels == 1:
        image, scale = make_mosaic(images[selection, 0]), "red is positive, blue negative"
    else:
        coloured = np.clip(0.5 + 0.5 * images[selection].transpose(0, 2, 3, 1) / largest, 0, 1)
        image = np.nan_to_num(make_mosaic(coloured), nan=1.0)
        scale = f"grey is 0, a colour's full strength {largest:.2g}"
    width = min(10.0, 3.5 + 0.6 * np.sqrt(len(selection)))
    figure = make_figure(width, (width - 1) * image.shape[0] / image.shape[1] + 0.9, run.folder.resolve().name)
    axes = figure.subplots()
    if channels == 1:
        show_signed(axes, image, largest)
    else:
        axes.imshow(image, interpolation="nearest")
        remove_ticks(axes)
    axes.set_title(
        escape_name(shorten_name(f"weights of {layer.path()} {layer.label()}", int(11 * width))), fontsize=NORMAL + 1
    )
    what = (
        "each tile is a unit"
        if len(selection) == len(images)
        else f"the {len(selection)} largest of {len(images)} units"
    )
    axes.set_xlabel(f"{what}; {scale}", fontsize=NORMAL)
    return figure


def find_shape(run: TrainedRun) -> tuple[int, int, int]:
    """Find the shape of the images: that of the inputs; an energy-based net's vectors may be square ones."""
    shape = tuple(run.experiment.dataset.input_shape)
    if len(shape) == 1 and is_energy_net(run):
        return (1, *shape_states(run, np.zeros((1, *shape))).shape[1:])
    return find_image_shape(run)


def find_first_layer(model: Module) -> Module:
    """Find the first module with weights; UnsuitableRun unless it gets the image unchanged."""
    for module in list_layers(model):
        if "weight" in dict(module.named_parameters()):
            return module
        if not isinstance(module, Flatten | Reshape | Noise):
            raise UnsuitableRun(f"the model begins with {module.label()}, expected a layer whose weights see the image")
    raise UnsuitableRun("no layer of the model has weights")


def make_weight_images(layer: Module, shape: tuple[int, int, int]) -> np.ndarray:
    """Make images (K, C, H, W) of the weights of each unit: of the whole input, or of a filter."""
    weight = dict(layer.named_parameters())["weight"]
    if weight.ndim == 4 and weight.shape[1] == shape[0]:
        return weight
    if weight.ndim >= 2 and weight.shape[-1] == np.prod(shape):
        return weight.reshape(-1, *shape)
    raise UnsuitableRun(
        f"the weights of {layer.label()} have shape {weight.shape}, expected some for each of {shape} pixels"
    )


def select_strongest(images: np.ndarray) -> np.ndarray:
    """Select the units with the largest weights, in their order, where there are too many."""
    sizes = np.square(images.reshape(len(images), -1)).sum(axis=1)
    return np.sort(np.argsort(-sizes, kind="stable")[:MOST])
