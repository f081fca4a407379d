"""Plots of energies: free energies of training and held-out data by epoch, and of recalls update by update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...modules.layers.energy import RBM, Hopfield
from ...modules.layers.energy.rbm_likelihood import free_energy, sample_visible
from .curves import choose_colour, set_whole_epochs
from .energy_nets import EnergyNet, read_states
from .histories import Curves
from .patterns import MOST, NOISE, flip
from .style import BLUE, GREEN, NORMAL, VERMILION, escape_name, make_figure, simplify_axes
from .trained_run import TrainedRun, UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 1000
STEPS = 1000  # of Gibbs sampling
COLUMNS = {"free_energy.train": BLUE, "free_energy.valid": VERMILION}


def draw_energy(run: TrainedRun) -> Figure:
    """Draw the energies of an RBM's or a Hopfield network's run."""
    top = EnergyNet.find(run).top
    if isinstance(top, Hopfield):
        return draw_recalls(run, top)
    if isinstance(top, RBM):
        return draw_free_energies(run, top)
    raise UnsuitableRun(f"{top.label()} has no free energy of its inputs alone, expected an RBM or a Hopfield network")


def draw_free_energies(run: TrainedRun, rbm: RBM) -> Figure:
    """Draw free energies by epoch, if FreeEnergies has written them, and their distributions with the last weights."""
    columns = read_columns(run)
    name = escape_name(run.folder.resolve().name)
    figure = make_figure(6.4, 5.8 if columns else 3.6, f"{name}: free energies of {rbm.label()}")
    plots = list(figure.subplots(2 if columns else 1, 1, squeeze=False)[:, 0])
    if columns:
        axes, epochs = plots[0], columns["epoch"]
        for key, colour in COLUMNS.items():
            if key in columns:
                label = "training" if key.endswith("train") else "validation"
                marker = "o" if len(epochs) == 1 else None
                style = "-" if key.endswith("train") else "--"  # they often lie on each other
                axes.plot(epochs, columns[key], style, color=colour, lw=1.6, marker=marker, ms=4, label=label)
        axes.set_title("mean free energy by epoch", fontsize=NORMAL + 1, loc="left")
        if len(COLUMNS.keys() & columns.keys()) == 2:
            gap = columns["free_energy.valid"][-1] - columns["free_energy.train"][-1]
            axes.set_title(f"validation - training: {gap:.2f}", fontsize=NORMAL, loc="right", color="#444444")
        axes.set_xlabel("epoch", fontsize=NORMAL)
        axes.legend(fontsize=NORMAL, frameon=False)
        set_whole_epochs(axes)
    parts = {"training": run.experiment.dataset.train[:SAMPLES][0]}
    if run.part != "train":
        parts[run.part] = run.data[:SAMPLES][0]
    parts = {part: x.reshape(len(x), -1).astype(np.float64) for part, x in parts.items()}
    start = parts["training"][:SAMPLES]
    parts[f"samples, {STEPS} steps"] = sample_visible(rbm, start, STEPS, random=np.random.default_rng(0))
    energies = {part: free_energy(rbm, x) for part, x in parts.items()}
    edges = np.linspace(min(e.min() for e in energies.values()), max(e.max() for e in energies.values()) + 1e-9, 50)
    axes = plots[-1]
    for (part, values), colour in zip(energies.items(), (BLUE, VERMILION, GREEN), strict=False):
        axes.hist(
            values, edges, density=True, histtype="step", lw=1.6, color=colour, label=f"{part}: {values.mean():.1f}"
        )
    axes.set_title("distribution of the free energy, with its mean", fontsize=NORMAL + 1, loc="left")
    axes.set_xlabel("free energy", fontsize=NORMAL)
    axes.legend(fontsize=NORMAL, frameon=False)
    for axes in plots:
        simplify_axes(axes)
    return figure


def read_columns(run: TrainedRun) -> dict[str, np.ndarray]:
    """Read the free energies by epoch; empty where the run has none."""
    try:
        columns = Curves.read(run.folder, "").columns
    except UnsuitableRun:
        return {}
    return columns if COLUMNS.keys() & columns.keys() else {}


def draw_recalls(run: TrainedRun, net: Hopfield) -> Figure:
    """Draw the energy after each update of recalls from noisy patterns, one unit at a time."""
    x, y = read_states(run, MOST)
    energies = net.recall(flip(x, net.states), seed=0).energies
    stored = net.recall(x, seed=0).energies[0]
    names = run.experiment.dataset.class_names
    figure = make_figure(6.4, 4.2, f"{escape_name(run.folder.resolve().name)}: energy of recalls by {net.label()}")
    axes = figure.subplots()
    for k in range(len(x)):
        colour = choose_colour(k, len(x))
        label = escape_name(names[y[k]]) if names is not None else str(k)
        axes.step(np.arange(len(energies)), energies[:, k], where="post", color=colour, lw=1.6, label=label)
        axes.axhline(stored[k], color=colour, lw=0.8, ls=":")
    simplify_axes(axes)
    axes.set_xlabel(f"updates of one unit at a time, from {NOISE:.0%} flipped units", fontsize=NORMAL)
    axes.set_ylabel("energy; dotted: of the pattern", fontsize=NORMAL)
    figure.legend(loc="outside lower center", ncols=min(12, len(x)), fontsize=NORMAL, frameon=False)
    return figure
