"""Plots of augmented images: some samples beside random variants of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..augments import Augmentation
from ..configs import Config
from .style import NORMAL, SMALL, escape_name, make_figure, remove_ticks, shorten_name
from .trained_run import UnsuitableRun, is_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES, EPOCHS = 8, 9
GAP = 2  # pixels between images


def draw_augment(config: Config) -> Figure:
    """Draw a row for each of the first training samples: the original, then variants of some epochs.

    Errors: UnsuitableRun for a config without augmentation, and for samples that are no images.
    """
    experiment = config.build()
    name = config.path.stem if config.path is not None else "config"
    if not experiment.augment:
        raise UnsuitableRun(f"{config.path or name} has no augment, expected such as augment: [Shift: {{pixels: 2}}]")
    shape = tuple(experiment.dataset.input_shape)
    if not is_image(shape):
        raise UnsuitableRun(f"an input has shape {shape}, expected an image (C, H, W) of 1 or 3 channels")
    train = experiment.dataset.train
    x, labels = train[slice(0, min(SAMPLES, len(train)))]
    variants = [x, *make_variants(x, Augmentation(experiment.augment, config.seed))]
    what = ", then ".join(augment.label() for augment in experiment.augment)
    figure = make_figure(0.95 * len(variants) + 1.2, 0.86 * len(x) * shape[1] / shape[2] + 0.75, "")
    figure.suptitle(escape_name(shorten_name(f"{name}: {what}", 100)), fontsize=NORMAL + 1, fontweight="bold")
    low, high = float(x.min()), float(x.max())
    panels: Any = figure.subplots(1, len(variants))
    for epoch, (axes, images) in enumerate(zip(panels, variants, strict=True)):
        axes.imshow(
            stack_images((images - low) / ((high - low) or 1)), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
        )
        remove_ticks(axes)
        axes.set_title(f"epoch {epoch}" if epoch else "as it is", fontsize=SMALL)
    if labels.ndim == 1 and train.classes is not None:
        names = experiment.dataset.class_names or [str(k) for k in range(train.classes)]
        middles = (shape[1] - 1) / 2 + (shape[1] + GAP) * np.arange(len(x))
        panels[0].set_yticks(middles, [escape_name(shorten_name(names[label], 12)) for label in labels], fontsize=SMALL)
        panels[0].tick_params(length=0)
    return figure


def stack_images(images: np.ndarray) -> np.ndarray:
    """Stack images (N, C, H, W) vertically, with white between them."""
    white = np.ones((*images.shape[:2], GAP, images.shape[3]))
    tall = np.concatenate([images.astype(np.float64), white], axis=2).transpose(1, 0, 2, 3)
    tall = np.clip(tall.reshape(len(tall), -1, images.shape[3])[:, :-GAP], 0, 1)
    return tall[0] if len(tall) == 1 else tall.transpose(1, 2, 0)


def make_variants(x: np.ndarray, augmentation: Augmentation) -> list[np.ndarray]:
    """Make the variants of images in the first epochs."""
    variants = []
    for epoch in range(EPOCHS):
        augmentation.begin(epoch, x.dtype)
        variants.append(augmentation(x))
    return variants
