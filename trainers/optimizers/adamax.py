"""Adamax: Adam with the largest of the recent gradients in the place of their mean square."""

from typing import Any

import numpy as np

from .adam import MomentOptimizer


class Adamax(MomentOptimizer):
    """Adam by the infinity norm.

        mean       = β₁ mean + (1 - β₁) gradient
        largest    = max(β₂ largest, |gradient| + eps)
        parameter -= lr / (1 - β₁ᵗ) mean / largest      (t = 1, 2, ...)

    Args: lr: learning rate; betas: (β₁, β₂), 0 to below 1; eps: more than 0; common: the settings of all optimizers.
    Errors: ValueError for settings out of range.
    Source: Kingma & Ba 2015, algorithm 2; PyTorch's torch.optim.Adamax.
    """

    def __init__(self, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, **common: Any):
        super().__init__(lr, betas, eps, **common)

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.mean, self.largest = np.zeros_like(parameters), np.zeros_like(parameters)

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients, mean = parameters[begin:end], gradients[begin:end], self.mean[begin:end]
        largest, beta1, beta2, eps = self.largest[begin:end], self.beta1, self.beta2, self.eps
        step = self.lr / (1 - np.float64(beta1) ** self.steps)
        for i in range(parameters.size):
            mean[i] = beta1 * mean[i] + (1 - beta1) * gradients[i]
            largest[i] = max(beta2 * largest[i], abs(gradients[i]) + eps)
            parameters[i] -= step * mean[i] / largest[i]
