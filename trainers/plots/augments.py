"""What a config's augmentation makes of its pictures: each of some samples beside variants of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..augments import Augmentation
from ..configs import Config
from .style import NORMAL, SMALL, new_figure, no_ticks, shortened
from .trained_run import Unfit, is_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES, EPOCHS = 8, 9


def draw_augment(config: Config) -> Figure:
    """A row for each of the first training samples: as it is, then as it would be in some epochs.

    Errors: Unfit for a config without augmentation, and for samples that are no pictures.
    """
    experiment = config.build()
    name = config.path.stem if config.path is not None else "config"
    if not experiment.augment:
        raise Unfit(f"{config.path or name} has no augment, expected such as augment: [Shift: {{pixels: 2}}]")
    shape = tuple(experiment.dataset.input_shape)
    if not is_picture(shape):
        raise Unfit(f"an input has shape {shape}, expected a picture (C, H, W) of 1 or 3 channels")
    train = experiment.dataset.train
    x, labels = train[slice(0, min(SAMPLES, len(train)))]
    variants = [x, *variants_of(x, Augmentation(experiment.augment, config.seed))]
    what = ", then ".join(augment.label() for augment in experiment.augment)
    count, size = len(x), 0.9
    figure = new_figure(size * (EPOCHS + 1) + 1.2, size * count * shape[1] / shape[2] + 1.1, "")
    figure.suptitle(shortened(f"{name}: {what}", 100), fontsize=NORMAL + 1, fontweight="bold")
    low, high = float(x.min()), float(x.max())
    names = experiment.dataset.class_names
    panels: Any = figure.subplots(count, EPOCHS + 1, squeeze=False)
    for n, k in np.ndindex(count, EPOCHS + 1):
        axes, picture = panels[n, k], (variants[k][n].astype(np.float64) - low) / ((high - low) or 1)
        picture = np.clip(picture[0] if shape[0] == 1 else picture.transpose(1, 2, 0), 0, 1)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        no_ticks(axes)
        if n == 0:
            axes.set_title("as it is" if k == 0 else f"epoch {k}", fontsize=SMALL)
        if k == 0 and labels.ndim == 1 and train.classes is not None:
            label = str(labels[n]) if names is None else names[labels[n]]
            axes.set_ylabel(shortened(label, 12), fontsize=SMALL, rotation=0, ha="right", va="center")
    return figure


def variants_of(x: np.ndarray, augmentation: Augmentation) -> list[np.ndarray]:
    """The pictures as they would be in the first epochs, if they came first in each."""
    found = []
    for epoch in range(EPOCHS):
        augmentation.begin(epoch, x.dtype)
        found.append(augmentation(x))
    return found
