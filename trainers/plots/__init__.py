"""Plots of runs, drawn by matplotlib: learning curves, weights, features, confusion, mistakes, regression, density,
spaces, sweeps.

A file for each kind of plot; each function takes a `TrainedRun` and returns a matplotlib figure, or raises
`UnsuitableRun`, with the reason, where such a plot does not fit the model. Drawings of a model as a graph are in
`modules/display`.
"""

from .draw import PLOTS, UnsuitableRun, plot_augment, plot_runs, plot_sweep

__all__ = ["PLOTS", "UnsuitableRun", "plot_augment", "plot_runs", "plot_sweep"]
