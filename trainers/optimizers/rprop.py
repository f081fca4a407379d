"""Rprop: each parameter has a step size of its own, which only the signs of its gradients change."""

from typing import Any

import numpy as np

from .checks import check_positive
from .optimizer import Optimizer


class Rprop(Optimizer):
    """Resilient backpropagation, for gradients of the whole training set.

        size       = clip(η size, step_sizes)      η = etas[1] where gradient and last gradient have one sign,
                                                   etas[0] where they differ, 1 where one is zero
        gradient   = 0                             where they differ
        parameter -= size sign(gradient)

    Args: lr: the first size of the steps; etas: (below 1, above 1); step_sizes: (smallest, largest); common: the
        settings of all optimizers, of which decoupled weight decay asks for a learning rate, which Rprop lacks.
    Errors: ValueError for settings out of range.
    Source: Riedmiller & Braun 1993; PyTorch's torch.optim.Rprop.
    """

    def __init__(
        self,
        lr: float = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        **common: Any,
    ):
        super().__init__(**common)
        check_positive("Rprop", lr=lr)
        if len(etas) != 2 or not 0 < etas[0] < 1 < etas[1]:
            raise ValueError(f"Rprop: etas is {tuple(etas)}, expected one number from 0 to 1 and one above 1")
        if len(step_sizes) != 2 or not 0 < step_sizes[0] <= step_sizes[1]:
            raise ValueError(f"Rprop: step_sizes is {tuple(step_sizes)}, expected a smallest and a largest one")
        self.first_size = float(lr)
        self.etas = (float(etas[0]), float(etas[1]))
        self.step_sizes = (float(step_sizes[0]), float(step_sizes[1]))

    def start(self, parameters: np.ndarray) -> None:
        self.size, self.last = np.full_like(parameters, self.first_size), np.zeros_like(parameters)

    def update(self, parameters, gradients):
        size, last, (shrink, grow), (smallest, largest) = self.size, self.last, self.etas, self.step_sizes
        for i in range(parameters.size):
            agreement = gradients[i] * np.sign(last[i])
            eta = grow if agreement > 0 else (shrink if agreement < 0 else agreement + 1)
            size[i] = min(max(eta * size[i], smallest), largest)
            last[i] = gradients[i] if agreement >= 0 else agreement - agreement
            parameters[i] -= size[i] * np.sign(last[i])

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [f"lr={self.first_size}", super().extra_repr()]))
