"""Plots of patterns that energy-based nets recall from noise, or complete from a half."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...modules.layers.energy import RBM, BoltzmannMachine, Hopfield
from ...modules.layers.energy.rbm_likelihood import hidden_probabilities, logistic
from .energy_nets import EnergyNet, draw_bits, read_states, shape_states
from .samples import reconstruct, show_rows
from .trained_run import TrainedRun, UnsuitableRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # patterns that are shown
NOISE = 0.15  # the share of units that are flipped
STEPS = 200  # of Gibbs sampling, of which the second half is averaged


def draw_patterns(run: TrainedRun) -> Figure:
    """Draw patterns, what is left of them, and what the net makes of that."""
    top = EnergyNet.find(run).top
    x, _ = read_states(run, MOST)
    if isinstance(top, Hopfield):
        noisy = flip(x, top.states)
        recalled = top.recall(noisy, seed=0).states
        right = int((recalled == x).all(axis=1).sum())
        names = ["pattern", "noisy", "recalled"]
        what = f"{NOISE:.0%} of the units are flipped; {right} of {len(x)} patterns are recalled exactly"
        parts, title = (x, noisy, recalled), f"patterns of {top.label()}"
    elif isinstance(top, RBM | BoltzmannMachine):
        known = np.arange(x.shape[1]) < x.shape[1] // 2
        names, title = ["data", "upper half", "completed"], f"completed by {top.label()}"
        what = f"the lower half is drawn by {STEPS} Gibbs steps with the upper half held"
        parts = (x, np.where(known, x, x.min()), complete(top, x, known))
    else:
        raise UnsuitableRun(f"{top.label()} has labels, expected a Hopfield network, an RBM or a Boltzmann machine")
    images = [shape_states(run, part) for part in parts]
    return show_rows(run, [list(image) for image in images], [], title, what, names)


def flip(x: np.ndarray, states: str) -> np.ndarray:
    """Flip some units of states (N, D), of each as many."""
    random, noisy = np.random.default_rng(0), x.copy()
    for row in noisy:
        chosen = random.choice(row.size, max(1, round(NOISE * row.size)), replace=False)
        row[chosen] = -row[chosen] if states == "bipolar" else 1 - row[chosen]
    return noisy


def complete(machine, x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Complete states (N, D) of which these units are known: the mean of what Gibbs sampling draws."""
    random, total = np.random.default_rng(0), np.zeros_like(x)
    if isinstance(machine, BoltzmannMachine):
        held = tuple(int(unit) for unit in np.flatnonzero(known))
        return machine.draw(x, STEPS, held=held, seed=0)[:, : machine.visible]
    weight, bias = machine.weight.astype(np.float64), machine.visible_bias.astype(np.float64)
    state = np.where(known, x, draw_bits(random, np.full(x.shape, 0.5)))
    for step in range(STEPS):
        scores = draw_bits(random, hidden_probabilities(machine, state)) @ weight + bias
        drawn = scores + random.standard_normal(x.shape) if machine.gaussian else draw_bits(random, logistic(scores))
        state = np.where(known, x, drawn)
        if step >= STEPS // 2:
            total += reconstruct(machine, state)
    return np.where(known, x, total / (STEPS - STEPS // 2))
