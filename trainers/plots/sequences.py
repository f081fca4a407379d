"""Plots of models of sequences: hidden states over time, attention maps, and embeddings in the plane.

Sources: Karpathy et al., Visualizing and understanding recurrent networks (2016), for states over time; Vaswani et al.,
Attention is all you need (2017), figures 3 to 5, for attention; Bengio et al., A neural probabilistic language model
(2003), for embeddings, whose plane is that of their two leading principal components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...modules.display.recorded_passes import RecordedPasses, is_layer
from ...modules.engine.entry_points import convert_input
from .space import Plane, name_axes
from .style import (
    BLUE,
    NORMAL,
    SMALL,
    add_bar,
    escape_name,
    make_figure,
    remove_ticks,
    shorten_name,
    show_signed,
    simplify_axes,
)
from .trained_run import TrainedRun, UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_STEPS, MAX_UNITS, MAX_LAYERS = 64, 128, 12
MAX_NAMED = 300  # tokens whose names are drawn
STEP = 0.1  # inches of a step in a map of attention
SIGNS = {repr(" "): "␣", repr("\n"): "↵", repr("\t"): "⇥"}


def draw_states(run: TrainedRun, sample: int) -> Figure:
    """Draw what each layer makes of each step of one sequence: time from left to right, a row of pixels for a unit."""
    x, steps = select_sequence(run, sample)
    recorded = record(run, x)
    layers = [
        (each, recorded.values[each.target][0])
        for each in recorded.forward
        if is_layer(each) and recorded.values[each.target].ndim == 3 and recorded.values[each.target].shape[1] == steps
    ]
    if not layers:
        raise UnsuitableRun("no layer makes a vector for each step, expected a model of sequences (N, T, D)")
    carrying = [layer for layer in layers if has_context(layer[0].module)]
    layers = (carrying or layers)[:MAX_LAYERS]
    shown = min(steps, MAX_STEPS)
    names = name_steps(run, x, shown)
    heights = [min(len(y[0]), MAX_UNITS) / 40 + 0.7 for _, y in layers]
    figure = make_figure(max(5.0, 0.16 * shown + 2), sum(heights) + 1.0, title_of(run, sample))
    panels = figure.subplots(len(layers), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, (operation, y) in zip(panels, layers, strict=True):
        values = y[:shown, :MAX_UNITS].T
        show_signed(axes, values, bar_width=0.02)
        axes.set_aspect("auto")
        units = f"{MAX_UNITS} of {y.shape[1]} units" if y.shape[1] > MAX_UNITS else f"{y.shape[1]} units"
        axes.set_title(f"{shorten_name(escape_name(operation.module.label()), 60)}, {units}", fontsize=NORMAL)
        label_steps(axes, names)
    return figure


def draw_attention(run: TrainedRun, sample: int) -> Figure:
    """Draw how much each step attends to each other one, for every head of every layer of attention."""
    x, steps = select_sequence(run, sample)
    recorded = record(run, x)
    maps = []
    for each in recorded.forward:
        weights = compute_attention(each.module, [recorded.values[name] for name in each.arguments])
        if weights is not None:
            maps.append((each.module, weights))
    if not maps:
        raise UnsuitableRun("the model has no layer of attention")
    shown, heads = min(steps, MAX_STEPS), max(len(each) for _, each in maps)
    names, side = name_steps(run, x, shown), max(2.2, STEP * shown)
    figure = make_figure(side * heads + 0.8, (side + 0.3) * len(maps) + 0.6, title_of(run, sample))
    panels = figure.subplots(len(maps), heads, squeeze=False)
    image = None
    for k, (row, (_, weights)) in enumerate(zip(panels, maps, strict=True)):
        for head, axes in enumerate(row):
            if head >= len(weights):
                axes.set_axis_off()
                continue
            image = axes.imshow(weights[head, :shown, :shown], cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
            remove_ticks(axes)
            axes.set_title(f"layer {k + 1}, head {head + 1}", fontsize=NORMAL)
            label_steps(axes, names, 0.85 * 72 * STEP)
            if names is not None and head == 0:
                axes.set_yticks(range(shown), names, fontsize=min(SMALL, 0.85 * 72 * STEP))
                axes.tick_params(length=0)
    add_bar(panels[0, -1], image, width=0.045)
    return figure


def compute_attention(module: Any, arguments: Sequence[np.ndarray]) -> np.ndarray | None:
    """Compute the weights (heads, T, T) of one sequence in self-attention that has just run; None for other layers.

    A layer of one's own may say them by `attention_weights(*arguments)`, (N, heads, T, T).
    """
    if hasattr(module, "attention_weights"):
        return np.asarray(module.attention_weights(*arguments))[0]
    if not (hasattr(module, "qkv") and hasattr(module, "num_kv_heads")):
        return None
    rows = np.asarray(module.qkv, np.float64)  # of each real step, after rotary positions
    heads, size = module.num_heads, module.head_dim
    width, steps = heads * size, len(rows)
    q = rows[:, :width].reshape(steps, heads, size)
    k = rows[:, width : width + module.num_kv_heads * size].reshape(steps, -1, size)
    scores = module.scale * np.einsum("ihd,jhd->hij", q, k.repeat(heads // module.num_kv_heads, axis=1))
    distance = np.arange(steps)[:, None] - np.arange(steps)
    if module.alibi:
        scores -= np.asarray(module.slopes)[:, None, None] * np.abs(distance)
    if module.score_bias is not None:
        scores += module.score_bias[..., :steps, :steps]
    if module.causal:
        scores[:, distance < 0] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def draw_embeddings(run: TrainedRun) -> Figure:
    """Draw the vectors of the first embedding in the plane of their two leading principal components."""
    weight, label = find_embedding(run)
    if weight.shape[1] < 2 or len(weight) < 2:
        raise UnsuitableRun(f"the embedding has shape {weight.shape}, expected at least 2 tokens of 2 dimensions")
    plane = Plane.fit(weight)
    points = plane.project(weight)
    figure = make_figure(7.4, 7.4, escape_name(run.folder.resolve().name))
    axes = figure.subplots()
    names = run.token_names
    if names is None or len(names) != len(points) or len(points) > MAX_NAMED:
        axes.scatter(points[:, 0], points[:, 1], s=12, color=BLUE, linewidths=0)
    else:
        axes.scatter(points[:, 0], points[:, 1], s=1, color="white")  # sets the limits
        for name, (across, up) in zip(names, points.tolist(), strict=True):
            sign = escape_name(shorten_name(SIGNS.get(name, name), 12))
            axes.text(across, up, sign, fontsize=NORMAL, ha="center", va="center", color=BLUE)
    simplify_axes(axes)
    axes.margins(0.06)
    name_axes(axes, plane, f"{label}: {len(weight)} tokens, {weight.shape[1]} dimensions", None)
    return figure


def find_embedding(run: TrainedRun) -> tuple[np.ndarray, str]:
    """Find the weights (V, D) of the first layer that reads tokens, and its label."""
    for module in run.model.all_modules():
        if has_embedding(module):
            return module.weight, escape_name(module.label())
    raise UnsuitableRun("the model has no embedding of tokens")


def select_sequence(run: TrainedRun, sample: int) -> tuple[Any, int]:
    """Select one sequence of the data, as the model takes it, and the number of its steps."""
    if not 0 <= sample < len(run.data):
        raise UnsuitableRun(f"the sample is {sample}, expected 0 to {len(run.data) - 1} of the {run.part} part")
    if len(run.data.input_shape) > 2:
        raise UnsuitableRun(f"an input has shape {run.data.input_shape}, expected a sequence (T, D) or tokens (T,)")
    return run.data.inputs(slice(sample, sample + 1), whole=0 in run.model.label_arguments), run.data.input_shape[0]


def record(run: TrainedRun, x: Any) -> RecordedPasses:
    """Run the model on one sequence, with all that its layers make."""
    x = convert_input(run.model, 0, x)
    recorded = RecordedPasses(run.model, x)
    recorded.run("fprop", "x", x)
    return recorded


def has_context(module: Any) -> bool:
    """Whether what a layer makes of a step depends on others, and can be computed step by step."""
    return hasattr(module, "decode")


def name_steps(run: TrainedRun, x: Any, count: int) -> list[str] | None:
    """Name the first steps of a sequence of tokens; None for other sequences."""
    tokens, names = x[0] if isinstance(x, tuple) else x, run.token_names
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or names is None:
        return None
    return [
        escape_name(shorten_name(SIGNS.get(names[int(token)], names[int(token)]), 8)) for token in tokens[0, :count]
    ]


def label_steps(axes: Any, names: Sequence[str] | None, size: float = SMALL) -> None:
    """Label the steps below an image by the tokens, in letters of this size at most."""
    if names is not None:
        turned = 90 if max(map(len, names)) > 1 else 0
        axes.set_xticks(range(len(names)), names, fontsize=min(SMALL, size), rotation=turned)
        axes.tick_params(length=0)


def title_of(run: TrainedRun, sample: int) -> str:
    """The title of a plot of one sample."""
    return f"{escape_name(run.folder.resolve().name)}: {run.part} sample {sample}"


def is_sequence_model(run: TrainedRun) -> bool:
    """Whether a model reads tokens or steps: it has an embedding, or layers that can be computed step by step."""
    try:
        modules = run.model.all_modules()
    except OSError:  # it has no weights yet
        return False
    return any(hasattr(each, "decode") or has_embedding(each) for each in modules)


def has_embedding(module: Any) -> bool:
    """Whether a layer reads tokens and has a vector for each."""
    return 0 in module.label_arguments and getattr(getattr(module, "weight", None), "ndim", 0) == 2
