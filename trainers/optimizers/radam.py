"""RAdam: Adam that steps without the adaptive scale until enough gradients have been seen to trust it."""

from typing import Any

import numpy as np

from .adam import MomentOptimizer


class RAdam(MomentOptimizer):
    """Adam with the variance of its adaptive rate rectified.

        mean, square as in Adam;  ρ∞ = 2 / (1 - β₂) - 1;  ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
        r          = √((ρ - 4)(ρ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρ))
        parameter -= lr r mean / (1 - β₁ᵗ) √(1 - β₂ᵗ) / (√square + eps)      if ρ > 5
        parameter -= lr mean / (1 - β₁ᵗ)                                     otherwise

    Args: lr: learning rate; betas: (β₁, β₂), 0 to below 1; eps: at least 0; common: the settings of all optimizers.
    Errors: ValueError for settings out of range.
    Source: Liu et al. 2020, algorithm 2; PyTorch's torch.optim.RAdam.
    """

    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, **common: Any):
        super().__init__(lr, betas, eps, **common)

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients = parameters[begin:end], gradients[begin:end]
        mean, square, beta1, beta2, eps = self.mean[begin:end], self.square[begin:end], self.beta1, self.beta2, self.eps
        power = np.float64(beta2) ** self.steps
        step = self.lr / (1 - np.float64(beta1) ** self.steps)
        limit = 2 / (1 - np.float64(beta2)) - 1
        rho = limit - 2 * self.steps * power / (1 - power)
        if rho > 5:
            rectified = np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
            scale = step * rectified * np.sqrt(1 - power)
            for i in range(parameters.size):
                mean[i] = beta1 * mean[i] + (1 - beta1) * gradients[i]
                square[i] = beta2 * square[i] + (1 - beta2) * gradients[i] * gradients[i]
                parameters[i] -= scale * mean[i] / (np.sqrt(square[i]) + eps)
        else:
            for i in range(parameters.size):
                mean[i] = beta1 * mean[i] + (1 - beta1) * gradients[i]
                square[i] = beta2 * square[i] + (1 - beta2) * gradients[i] * gradients[i]
                parameters[i] -= step * mean[i]
