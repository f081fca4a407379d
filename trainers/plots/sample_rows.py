"""Plots of several samples in all layers of a model: a row each, first the input, then each layer's output.

Source: Domke, Automatic Differentiation and Neural Networks, whose figures show the features of several digits so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .features import compute_stages, show_input, show_layer, show_output
from .style import NORMAL, make_figure, shorten_name
from .trained_run import TrainedRun, UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SAMPLES = 20
SIDE = 2.5  # inches of a panel


def draw_sample_rows(run: TrainedRun, samples: Sequence[int]) -> Figure:
    """Draw a row of panels for each sample; a layer's colours mean the same in all rows."""
    if len(samples) > MAX_SAMPLES:
        raise UnsuitableRun(f"there are {len(samples)} samples, expected at most {MAX_SAMPLES}")
    for sample in samples:
        if not 0 <= sample < len(run.data):
            raise UnsuitableRun(f"the sample is {sample}, expected 0 to {len(run.data) - 1} of the {run.part} part")
    x, target = run.data[np.array(samples)]
    stages, output = compute_stages(run.model, x)
    largest = [float(np.nanmax(np.abs(np.where(np.isfinite(y), y, np.nan)), initial=0.0)) for _, y in stages]
    columns = len(stages) + 2
    title = f"{run.folder.resolve().name}: {run.part} samples {', '.join(map(str, samples))}"
    figure = make_figure(SIDE * columns, SIDE * len(samples) + 0.6, shorten_name(title, 12 * columns))
    grid = figure.subplots(len(samples), columns, squeeze=False)
    for k, panels in enumerate(grid):
        show_input(panels[0], x[k], run.feature_names)
        panels[0].set_ylabel(f"sample {samples[k]}", fontsize=NORMAL)
        for axes, (label, y), end in zip(panels[1:-1], stages, largest, strict=True):
            show_layer(axes, y[k], shorten_name(label, 28), end)
        show_output(panels[-1], run, output[k : k + 1], target[k : k + 1])
        for axes in panels[:-1] if k else ():
            axes.set_title("")
    return figure
