"""RMSprop: steps divided by the root of a running average of squared gradients."""

from typing import Any

import numpy as np

from .checks import check_fraction, check_not_negative
from .slices import SliceOptimizer


class RMSprop(SliceOptimizer):
    """Adagrad that forgets.

        square   = alpha square + (1 - alpha) gradient²
        mean     = alpha mean + (1 - alpha) gradient                   (if centered, else mean = 0)
        velocity = momentum velocity + gradient / (√(square - mean²) + eps)
        parameter -= lr velocity

    Args: lr: learning rate; alpha: 0 to below 1; eps, momentum: at least 0; centered: divide by the estimated standard
        deviation of the gradient; common: the settings of all optimizers.
    Errors: ValueError for settings out of range.
    Numerics: square - mean² is never below 0, where rounding would make it so; PyTorch's becomes NaN there.
    Source: Goodfellow et al., Deep Learning, algorithms 8.5 and 8.6; PyTorch's torch.optim.RMSprop.
    """

    def __init__(
        self,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        **common: Any,
    ):
        super().__init__(**common)
        check_not_negative("RMSprop", lr=lr, eps=eps, momentum=momentum)
        check_fraction("RMSprop", alpha=alpha)
        self.lr, self.alpha, self.eps, self.momentum = float(lr), float(alpha), float(eps), float(momentum)
        self.centered = centered

    def start(self, parameters: np.ndarray) -> None:
        self.square, self.velocity = np.zeros_like(parameters), np.zeros_like(parameters)
        self.mean = np.zeros_like(parameters)

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients = parameters[begin:end], gradients[begin:end]
        square, velocity = self.square[begin:end], self.velocity[begin:end]
        lr, alpha, eps, momentum = self.lr, self.alpha, self.eps, self.momentum
        if self.centered:
            self.update_centered(parameters, gradients, square, self.mean[begin:end], velocity)
        elif momentum == 0:
            for i in range(parameters.size):
                square[i] = alpha * square[i] + (1 - alpha) * gradients[i] * gradients[i]
                parameters[i] -= lr * gradients[i] / (np.sqrt(square[i]) + eps)
        else:
            for i in range(parameters.size):
                square[i] = alpha * square[i] + (1 - alpha) * gradients[i] * gradients[i]
                velocity[i] = momentum * velocity[i] + gradients[i] / (np.sqrt(square[i]) + eps)
                parameters[i] -= lr * velocity[i]

    def update_centered(self, parameters, gradients, square, mean, velocity):
        alpha, eps, lr, momentum, zero = self.alpha, self.eps, self.lr, self.momentum, parameters.dtype.type(0)
        for i in range(parameters.size):
            square[i] = alpha * square[i] + (1 - alpha) * gradients[i] * gradients[i]
            mean[i] = alpha * mean[i] + (1 - alpha) * gradients[i]
        for i in range(parameters.size):
            deviation = np.sqrt(max(square[i] - mean[i] * mean[i], zero))
            velocity[i] = momentum * velocity[i] + gradients[i] / (deviation + eps)
        for i in range(parameters.size):
            parameters[i] -= lr * velocity[i]
