"""What plots of energy-based nets share: finding the net in a model, states as images, Gibbs chains of a deep one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.display.recorded_passes import list_layers
from ...modules.layers.energy import RBM, BoltzmannMachine, ClassRBM, Hopfield, SigmoidBelief
from ...modules.layers.energy.rbm_likelihood import logistic
from ...modules.layers.reshape import Flatten, Reshape
from .trained_run import TrainedRun, UnsuitableRun

KINDS = (Hopfield, BoltzmannMachine, RBM, ClassRBM)


@dataclass
class EnergyNet:
    """The module with an energy at the end of a model, and the layers of a belief net below it, the lowest first."""

    top: Any
    belief: list[Any]

    @classmethod
    def find(cls, run: TrainedRun) -> EnergyNet:
        """Find the energy-based net of a run; UnsuitableRun if the model is none."""
        layers = [each for each in list_layers(run.model) if not isinstance(each, Flatten | Reshape)]
        *belief, top = layers or [run.model]
        deep = isinstance(top, ClassRBM) and all(isinstance(each, SigmoidBelief) for each in belief)
        if not isinstance(top, KINDS) or (belief and not deep):
            raise UnsuitableRun(f"the model ends with {top.label()}, expected an energy-based net, such as an RBM")
        return cls(top, belief)

    @property
    def bottom(self) -> Module:
        return self.belief[0] if self.belief else self.top


def is_energy_net(run: TrainedRun) -> bool:
    """Whether the model of a run is an energy-based net."""
    try:
        EnergyNet.find(run)
    except (UnsuitableRun, OSError):
        return False
    return True


def read_states(run: TrainedRun, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the first samples of the plotted part as vectors (N, D), and their targets."""
    x, y = run.data[:samples]
    return x.reshape(len(x), -1).astype(np.float64), y


def shape_states(run: TrainedRun, states: np.ndarray) -> np.ndarray:
    """Shape states (N, D) as images (N, H, W): as the inputs have it, or square; UnsuitableRun where that fails."""
    shape = tuple(run.experiment.dataset.input_shape)
    if len(shape) == 3 and shape[0] == 1 and np.prod(shape) == states.shape[1]:
        return states.reshape(-1, *shape[1:])
    side = round(np.sqrt(states.shape[1]))
    if side * side != states.shape[1] or side < 3:
        raise UnsuitableRun(f"a state has {states.shape[1]} units, expected those of a grey image")
    return states.reshape(-1, side, side)


def arrange(images: list[list[np.ndarray]]) -> np.ndarray:
    """Arrange rows of images (H, W) in one, NaN between them."""
    height, width = images[0][0].shape
    zoom = max(1, 28 // max(height, width))
    height, width = height * zoom, width * zoom
    out = np.full((len(images) * (height + 1) - 1, len(images[0]) * (width + 1) - 1), np.nan)
    for i, row in enumerate(images):
        for j, image in enumerate(row):
            top, left = i * (height + 1), j * (width + 1)
            out[top : top + height, left : left + width] = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return out


def draw_bits(random: np.random.Generator, p: np.ndarray) -> np.ndarray:
    """Draw bits, 1 with probability p."""
    return (random.random(p.shape) < p).astype(np.float64)


def recognise(net: EnergyNet, x: np.ndarray) -> np.ndarray:
    """The probabilities (N, V) of the units below the top of a belief net, given states (N, D) of the lowest ones."""
    for layer in net.belief:
        weights = read_weights(layer)
        x = logistic(x @ weights["weight"].T + weights["bias"])
    return x


def dream(net: EnergyNet, x: np.ndarray, labels: np.ndarray, steps: int, random: np.random.Generator) -> np.ndarray:
    """Draw what a belief net generates for labels (N,): Gibbs steps at the top with the label held, then downwards.

    Each unit below the top begins at 1 as often as in the data x (M, D), the same for all labels: far from all data,
    as at one half, chains may stay where they begin. Returns the probabilities (N, D) of the lowest units.
    Source: Hinton, Osindero and Teh (2006), figure 8.
    """
    top = read_weights(net.top)
    pull = top["label_weight"].T[labels] + top["hidden_bias"]
    p = recognise(net, x).mean(axis=0) * np.ones((len(labels), 1))
    v = draw_bits(random, p)
    for _ in range(steps):
        h = draw_bits(random, logistic(v @ top["weight"].T + pull))
        p = logistic(h @ top["weight"] + top["visible_bias"])
        v = draw_bits(random, p)
    for layer in reversed(net.belief):
        weights = read_weights(layer)
        p = logistic(v @ weights["generative_weight"] + weights["generative_bias"])
        v = draw_bits(random, p)
    return p


def read_weights(layer: Module) -> dict[str, np.ndarray]:
    """Read a layer's weights in float64, by name."""
    return {name: value.astype(np.float64) for name, value in layer.state_dict().items()}
