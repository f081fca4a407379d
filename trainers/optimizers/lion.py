"""Lion: steps of one size in each parameter, in the direction of an interpolated momentum."""

from typing import Any

import numpy as np

from .checks import check_fractions, check_not_negative
from .slices import SliceOptimizer


class Lion(SliceOptimizer):
    """Evolved sign momentum; its weight decay is decoupled.

        parameter -= lr sign(β₁ mean + (1 - β₁) gradient)
        mean       = β₂ mean + (1 - β₂) gradient

    Args: lr: size of the steps; betas: (β₁, β₂), 0 to below 1; common: the settings of all optimizers
        (decoupled_weight_decay is on).
    Errors: ValueError for settings out of range.
    Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        *,
        decoupled_weight_decay: bool = True,
        **common: Any,
    ):
        super().__init__(decoupled_weight_decay=decoupled_weight_decay, **common)
        check_not_negative("Lion", lr=lr)
        check_fractions("Lion", betas=betas)
        self.lr = float(lr)
        self.beta1, self.beta2 = map(float, betas)

    @property
    def betas(self) -> tuple[float, float]:
        return self.beta1, self.beta2

    def start(self, parameters: np.ndarray) -> None:
        self.mean = np.zeros_like(parameters)

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients, mean = parameters[begin:end], gradients[begin:end], self.mean[begin:end]
        lr, beta1, beta2 = self.lr, self.beta1, self.beta2
        for i in range(parameters.size):
            parameters[i] -= lr * np.sign(beta1 * mean[i] + (1 - beta1) * gradients[i])
            mean[i] = beta2 * mean[i] + (1 - beta2) * gradients[i]
