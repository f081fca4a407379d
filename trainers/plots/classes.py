"""Plots of a classifier's errors: the confusion matrix, and the worst mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...modules.losses.distributions import Categorical
from ..metrics import ConfusionMatrix, compute_metrics
from .style import LARGE, NORMAL, SMALL, make_figure, remove_ticks, shorten_name
from .trained_run import TrainedRun, UnsuitableRun, find_image_shape, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NUMBERS, MAX_NAMES = 20, 40  # classes whose numbers, and whose names, are written
MAX_MISTAKES = 24
RIGHT, WRONG = "Blues", "Oranges"


def compute_confusion(run: TrainedRun) -> np.ndarray:
    """Count samples (K, K): a row for each label, a column for each predicted class."""
    if not run.is_classification:
        raise UnsuitableRun("the model's outputs are no scores of classes, expected a classification")
    data = run.data
    try:
        metrics = compute_metrics({"it": ConfusionMatrix()}, run.loss, run.outputs, data.y, data, data.sample_weight)[
            "it"
        ]
    except ValueError as error:
        raise UnsuitableRun(str(error)) from None
    return np.array(metrics)


def draw_confusion(run: TrainedRun) -> Figure:
    """Draw the confusion matrix: right predictions in blue, wrong ones in orange, with counts and shares."""
    counts = compute_confusion(run)
    k = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    right = np.trace(counts) / counts.sum()
    size = float(np.clip(0.62 * k, 3.0, 11.0))
    figure = make_figure(size + 2.2, size + 1.9, run.title)
    axes = figure.subplots()
    on = np.eye(k, dtype=bool)
    worst = shares[~on].max() or 1.0
    axes.imshow(np.where(on, shares, np.nan), cmap=RIGHT, vmin=0, vmax=1.15)
    axes.imshow(np.where(on | (counts == 0), np.nan, shares), cmap=WRONG, vmin=0, vmax=1.3 * worst)
    if k <= MAX_NUMBERS:
        for i, j in np.ndindex(k, k):
            if counts[i, j]:
                dark = shares[i, j] > (0.6 if i == j else 0.7 * worst)
                text = f"{counts[i, j]:g}\n{format_percent(shares[i, j])}"
                axes.text(j, i, text, ha="center", va="center", fontsize=SMALL, color="white" if dark else "black")
    axes.set_facecolor("#f5f5f5")
    name_classes(axes, run.class_names(k))
    axes.set_title(f"{right:.2%} are right: counts, and shares of each label", fontsize=NORMAL + 1)
    return figure


def name_classes(axes: Any, names: list[str]) -> None:
    """Label rows and columns by classes, with thin lines between the cells."""
    k = len(names)
    axes.set_xlabel("predicted class", fontsize=NORMAL)
    axes.set_ylabel("label", fontsize=NORMAL)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if k <= MAX_NAMES:
        names = [shorten_name(name, 14) for name in names]
        slanted = max(map(len, names)) > 4
        axes.set_xticks(
            range(k), names, fontsize=SMALL, rotation=45 if slanted else 0, ha="right" if slanted else "center"
        )
        axes.set_yticks(range(k), names, fontsize=SMALL)
        axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)


def format_percent(value: float) -> str:
    """Format a share in percent, with one more digit where it is small."""
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"


def draw_mistakes(run: TrainedRun) -> Figure:
    """Draw the wrongly classified samples with the smallest probability of their label, the smallest first."""
    find_image_shape(run)
    rows, guesses, confidence = find_mistakes(run)
    if not len(rows):
        raise UnsuitableRun(f"there is no mistake among the {len(run.data)} samples of the {run.part} part")
    count = min(len(rows), MAX_MISTAKES)
    wide = min(count, 6)
    high = -(-count // wide)
    names = run.class_names(run.outputs.shape[-1])
    figure = make_figure(max(1.7 * wide, 5.0), 2.15 * high + 0.8, "")
    head = (
        "the one mistake"
        if len(rows) == 1
        else f"{len(rows)} mistakes"
        if count == len(rows)
        else (f"the {count} worst of {len(rows)} mistakes")
    )
    figure.suptitle(f"{run.title}: {head}", fontsize=LARGE, fontweight="bold")
    panels = figure.subplots(high, wide, squeeze=False).ravel()
    for axes, n, guess, p in zip(panels, rows, guesses, confidence, strict=False):
        show_image(axes, run.data.x[n])
        remove_ticks(axes)
        prediction, label = (shorten_name(names[k], 12) for k in (guess, run.data.y[n]))
        axes.set_title(f"predicted {prediction}{p}\nis {label}", fontsize=SMALL, pad=3)
        axes.set_xlabel(f"sample {n}", fontsize=SMALL, color="#555555", labelpad=2)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure


def find_mistakes(run: TrainedRun) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Find the wrongly classified samples, worst first; with predicted classes and their probabilities as text."""
    y, labels = run.outputs, run.data.y
    if not run.is_classification or y.ndim != 2 or labels.ndim != 1:
        raise UnsuitableRun("the model's outputs are no scores of classes, a row a sample")
    guesses = y.argmax(axis=1)
    counted = (labels >= 0) & (labels < y.shape[1]) & (labels != getattr(run.loss, "ignore_index", None))
    wrong = np.flatnonzero((guesses != labels) & counted)
    if isinstance(run.distribution, Categorical):
        logs = run.distribution.log_probabilities
        texts = [f" ({np.exp(logs[n, guesses[n]]):.0%})" for n in wrong]
    else:
        logs, texts = y - y.max(axis=1, keepdims=True), [""] * len(wrong)
    order = np.argsort(logs[wrong, labels[wrong]], kind="stable")
    return wrong[order], guesses[wrong[order]], [texts[k] for k in order]
