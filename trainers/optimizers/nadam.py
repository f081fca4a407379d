"""NAdam: Adam with Nesterov's momentum."""

from typing import Any

import numpy as np

from .adam import MomentOptimizer
from .checks import check_not_negative


class NAdam(MomentOptimizer):
    """Adam that looks one step of momentum ahead.

        μₜ         = β₁ (1 - 0.96^(t momentum_decay) / 2)
        mean       = β₁ mean + (1 - β₁) gradient
        square     = β₂ square + (1 - β₂) gradient²
        m          = μₜ₊₁ mean / (1 - μ₁ ⋯ μₜ₊₁) + (1 - μₜ) gradient / (1 - μ₁ ⋯ μₜ)
        parameter -= lr m / (√(square / (1 - β₂ᵗ)) + eps)      (t = 1, 2, ...)

    Args: lr: learning rate; betas: (β₁, β₂), 0 to below 1; eps, momentum_decay: at least 0; common: the settings of all
        optimizers.
    Errors: ValueError for settings out of range.
    Source: Dozat 2016, algorithm 2; PyTorch's torch.optim.NAdam.
    """

    def __init__(
        self,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        momentum_decay: float = 4e-3,
        **common: Any,
    ):
        super().__init__(lr, betas, eps, **common)
        check_not_negative("NAdam", momentum_decay=momentum_decay)
        self.momentum_decay, self.product = float(momentum_decay), 1.0

    def start(self, parameters: np.ndarray) -> None:
        self.steps, self.product = 0, 1.0
        self.mean, self.square = np.zeros_like(parameters), np.zeros_like(parameters)

    def count_step(self):
        self.steps += 1
        self.product = self.product * compute_momentum(self.steps, self.beta1, self.momentum_decay)

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients = parameters[begin:end], gradients[begin:end]
        mean, square, beta1, beta2, eps = self.mean[begin:end], self.square[begin:end], self.beta1, self.beta2, self.eps
        mu = compute_momentum(self.steps, beta1, self.momentum_decay)
        mu_next = compute_momentum(self.steps + 1, beta1, self.momentum_decay)
        root = 1 / np.sqrt(1 - np.float64(beta2) ** self.steps)
        now = self.lr * (1 - mu) / (1 - self.product)
        ahead = self.lr * mu_next / (1 - self.product * mu_next)
        for i in range(parameters.size):
            mean[i] = beta1 * mean[i] + (1 - beta1) * gradients[i]
            square[i] = beta2 * square[i] + (1 - beta2) * gradients[i] * gradients[i]
            parameters[i] -= (now * gradients[i] + ahead * mean[i]) / (root * np.sqrt(square[i]) + eps)


def compute_momentum(t, beta1, momentum_decay):
    """Compute μₜ of NAdam's equations."""
    return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
