"""Adadelta: steps in the units of the parameters, from running averages of squared gradients and squared steps."""

from typing import Any

import numpy as np

from .checks import check_fraction, check_not_negative
from .slices import SliceOptimizer


class Adadelta(SliceOptimizer):
    """Steps scaled by the size of the last steps over that of the last gradients.

        square     = rho square + (1 - rho) gradient²
        step       = √(travel + eps) / √(square + eps) gradient
        travel     = rho travel + (1 - rho) step²
        parameter -= lr step

    Args: lr: multiplies the steps; rho: 0 to below 1; eps: at least 0; common: the settings of all optimizers.
    Errors: ValueError for settings out of range.
    Source: Zeiler 2012, algorithm 1; PyTorch's torch.optim.Adadelta.
    """

    def __init__(self, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, **common: Any):
        super().__init__(**common)
        check_not_negative("Adadelta", lr=lr, eps=eps)
        check_fraction("Adadelta", rho=rho)
        self.lr, self.rho, self.eps = float(lr), float(rho), float(eps)

    def start(self, parameters: np.ndarray) -> None:
        self.square, self.travel = np.zeros_like(parameters), np.zeros_like(parameters)

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients, square = parameters[begin:end], gradients[begin:end], self.square[begin:end]
        travel, lr, rho, eps = self.travel[begin:end], self.lr, self.rho, self.eps
        for i in range(parameters.size):
            square[i] = rho * square[i] + (1 - rho) * gradients[i] * gradients[i]
            step = np.sqrt(travel[i] + eps) / np.sqrt(square[i] + eps) * gradients[i]
            travel[i] = rho * travel[i] + (1 - rho) * step * step
            parameters[i] -= lr * step
