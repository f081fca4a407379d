"""Adagrad: a learning rate for each parameter, which falls with the squares of all its gradients so far."""

from typing import Any

import numpy as np

from ...modules.kernels.threads import parallel_for
from .checks import check_not_negative
from .slices import SliceOptimizer
from .vectors import BLOCK, count_blocks, weigh_sharing


class Adagrad(SliceOptimizer):
    """Steps divided by the root of the sum of all squared gradients.

        square    += gradient²
        parameter -= lr / (1 + t lr_decay) gradient / (√square + eps)      (t = 0, 1, ...)

    Args: lr: learning rate; lr_decay, initial_accumulator_value: at least 0; eps: at least 0; common: the settings of
        all optimizers.
    Errors: ValueError for negative settings.
    Source: Goodfellow et al., Deep Learning, algorithm 8.4; Duchi et al. 2011; PyTorch's torch.optim.Adagrad.
    """

    def __init__(
        self,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **common: Any,
    ):
        super().__init__(**common)
        check_not_negative(
            "Adagrad", lr=lr, lr_decay=lr_decay, initial_accumulator_value=initial_accumulator_value, eps=eps
        )
        self.lr, self.lr_decay, self.eps = float(lr), float(lr_decay), float(eps)
        self.initial_accumulator_value = float(initial_accumulator_value)
        self.steps = 0

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.square = np.full_like(parameters, self.initial_accumulator_value)

    def count_step(self):
        self.steps += 1

    def update_slice(self, parameters, gradients, begin, end):
        parameters, gradients, square = parameters[begin:end], gradients[begin:end], self.square[begin:end]
        lr = self.lr / (1 + (self.steps - 1) * self.lr_decay)
        blocks, cost = count_blocks(parameters), weigh_sharing(parameters)
        parallel_for(adapt, blocks, cost, parameters, gradients, square, lr, self.eps)


def adapt(first, last, parameters, gradients, square, lr, eps):
    """Update some blocks."""
    begin, end = first * BLOCK, last * BLOCK
    parameters, gradients, square = parameters[begin:end], gradients[begin:end], square[begin:end]
    for i in range(parameters.size):
        square[i] += gradients[i] * gradients[i]
        parameters[i] -= lr * gradients[i] / (np.sqrt(square[i]) + eps)
