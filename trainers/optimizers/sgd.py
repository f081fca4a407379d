"""Stochastic gradient descent, with PyTorch's update exactly."""

import numpy as np

from .optimizer import Optimizer, not_negative


class SGD(Optimizer):
    """Gradient descent with momentum.

        g        = gradient + weight_decay parameter
        velocity = momentum velocity + (1 - dampening) g      (velocity = g in the first step)
        g        = g + momentum velocity if nesterov else velocity
        parameter -= lr g

    Args: lr: learning rate; momentum, dampening, weight_decay: at least 0; nesterov: needs momentum and no dampening.
    Errors: ValueError for negative settings and for nesterov without momentum or with dampening.
    Source: Goodfellow et al., Deep Learning, algorithms 8.1 to 8.3; PyTorch's torch.optim.SGD.
    """

    def __init__(
        self,
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__()
        not_negative("SGD", lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov with momentum {momentum} and dampening {dampening}, "
                "expected momentum > 0 and no dampening"
            )
        self.lr, self.momentum, self.dampening = float(lr), float(momentum), float(dampening)
        self.weight_decay, self.nesterov = float(weight_decay), nesterov
        self.steps = 0

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.velocity = np.zeros_like(parameters)

    def update(self, parameters, gradients):
        momentum, decay, lr, velocity = self.momentum, self.weight_decay, self.lr, self.velocity
        share = 1 - self.dampening if self.steps > 0 else 1.0
        self.steps += 1
        if momentum == 0:
            for i in range(parameters.size):
                parameters[i] -= lr * (gradients[i] + decay * parameters[i])
        elif self.nesterov:
            for i in range(parameters.size):
                g = gradients[i] + decay * parameters[i]
                velocity[i] = momentum * velocity[i] + share * g
                parameters[i] -= lr * (g + momentum * velocity[i])
        else:
            for i in range(parameters.size):
                velocity[i] = momentum * velocity[i] + share * (gradients[i] + decay * parameters[i])
                parameters[i] -= lr * velocity[i]

    def extra_repr(self) -> str:
        return f"lr={self.lr}, momentum={self.momentum}"
