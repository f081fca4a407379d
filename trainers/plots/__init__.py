"""Plots of runs, drawn by matplotlib: learning curves, weights, features, confusion, mistakes, regression, density.

A file for each kind of plot; each function takes a `TrainedRun` and returns a matplotlib figure, or raises
`UnsuitableRun`, with the reason, where such a plot does not fit the model. Drawings of a model as a graph are in
`modules/display`.
"""

from .draw import PICTURES, UnsuitableRun, plot_augment, plot_runs

__all__ = ["PICTURES", "UnsuitableRun", "plot_augment", "plot_runs"]
