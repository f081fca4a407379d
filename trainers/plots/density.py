"""Plots of the predicted density of the target over the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...modules.losses.distributions import Gaussian, Mixture
from ..metrics.probabilities import find_distribution
from ..optimizers import SGD
from ..training.trainer import Trainer
from .style import BLACK, NORMAL, VERMILION, add_bar, make_figure, simplify_axes
from .trained_run import TrainedRun, UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLACES = 300  # of the grid, along each axis
MAX_DOTS = 2000
STRONGEST = 0.99  # the share of the densities that the scale of colours reaches


def draw_density(run: TrainedRun) -> Figure:
    """Draw the density as an image over the input, with the data and the mean, at the target's original scale."""
    if tuple(run.experiment.dataset.input_shape) != (1,):
        raise UnsuitableRun(
            f"an input has shape {tuple(run.experiment.dataset.input_shape)}, expected one number, (1,)"
        )
    if not isinstance(run.distribution, Gaussian | Mixture) or run.data.y[0].size != 1:
        raise UnsuitableRun("the loss reads no density of one number into the outputs, expected such as MixtureDensity")
    data = run.data
    x, target = data[:][0][:, 0].astype(np.float64), data.y.reshape(-1).astype(np.float64)
    grid, places = widen_range(x), widen_range(target)
    density, mean = compute_densities(run, grid, places)
    factor, offset = run.source_input
    std, middle = data.target_std, data.target_mean
    grid, places, x = grid * factor + offset, places * std + middle, x * factor + offset
    figure = make_figure(7.6, 5.2, run.title)
    from matplotlib.colors import PowerNorm

    axes = figure.subplots()
    density = density / std
    scale = PowerNorm(0.5, 0, np.quantile(density, STRONGEST) or 1)  # so that broad branches show beside narrow ones
    image = axes.pcolormesh(grid, places, density, cmap="Blues", norm=scale, rasterized=True)
    dots = slice(None, None, max(1, len(x) // MAX_DOTS))
    axes.scatter(x[dots], target[dots] * std + middle, s=5, color=BLACK, alpha=0.45, linewidths=0, label="data")
    axes.plot(grid, mean * std + middle, color=VERMILION, lw=1.8, label="mean")
    axes.set_xlim(grid[0], grid[-1])
    axes.set_ylim(places[0], places[-1])
    simplify_axes(axes)
    axes.set_xlabel(run.input_name, fontsize=NORMAL)
    axes.set_ylabel(run.target_name, fontsize=NORMAL)
    axes.set_title(f"density of {run.target_name}, given {run.input_name}", fontsize=NORMAL + 1)
    add_bar(axes, image, "density", extend="max")
    figure.legend(loc="outside lower center", ncols=2, fontsize=NORMAL, frameon=False)
    return figure


def compute_densities(run: TrainedRun, grid: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute p(place | x) for x of the grid, (places, grid), and the mean for each x."""
    x = grid.astype(run.model.dtype)[:, None]
    y = Trainer(run.model, run.loss, SGD(lr=0.0), rule=run.rule, quiet=True).predict(x)
    distribution = find_distribution(run.loss, y)
    assert isinstance(distribution, Gaussian | Mixture)
    logs = [distribution.log_density(np.full((len(grid), 1), place)).reshape(-1) for place in places]
    return np.exp(np.array(logs)), distribution.mean.reshape(-1)


def widen_range(values: np.ndarray) -> np.ndarray:
    """Widen the range of values a little."""
    low, high = values.min(), values.max()
    edge = 0.05 * (high - low) or 1.0
    return np.linspace(low - edge, high + edge, PLACES)
