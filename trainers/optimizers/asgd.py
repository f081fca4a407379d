"""Averaged stochastic gradient descent: the mean of the weights on the way is better than the last ones."""

from typing import Any

import numpy as np

from .checks import check_not_negative
from .optimizer import Optimizer


class ASGD(Optimizer):
    """Gradient descent with a falling rate, and the average of its weights in `mean`.

        parameter -= ηₜ (lambd parameter + gradient)      ηₜ = lr / (1 + lambd lr t)^alpha      (t = 0, 1, ...)
        mean      += (parameter - mean) / max(1, t - t0)

    Args: lr: learning rate; lambd: decay; alpha: power of the rate's fall; t0: step at which averaging starts; common:
        the settings of all optimizers.
    Errors: ValueError for negative settings.
    Source: Polyak & Juditsky 1992; Bottou 2010, section 2.3; PyTorch's torch.optim.ASGD.
    """

    def __init__(self, lr: float = 0.01, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6, **common: Any):
        super().__init__(**common)
        check_not_negative("ASGD", lr=lr, lambd=lambd, alpha=alpha, t0=t0)
        self.lr, self.lambd, self.alpha, self.t0 = float(lr), float(lambd), float(alpha), float(t0)
        self.steps = 0

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.mean = np.zeros_like(parameters)

    def update(self, parameters, gradients):
        mean, lambd = self.mean, self.lambd
        eta = self.lr / (1 + lambd * self.lr * self.steps) ** self.alpha
        decay = 1 - lambd * eta
        share = 1 / max(1.0, self.steps - self.t0)
        self.steps += 1
        for i in range(parameters.size):
            parameters[i] = decay * parameters[i] - eta * gradients[i]
            mean[i] = parameters[i] if share == 1 else mean[i] + share * (parameters[i] - mean[i])
