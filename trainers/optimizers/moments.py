"""The base of Adam and its relatives: running averages of the gradient and of its square, whose settings they share."""

from typing import Any

import numpy as np

from .checks import check_fractions, check_not_negative
from .slices import SliceOptimizer


class MomentOptimizer(SliceOptimizer):
    """Family base of Adam, Adamax, NAdam and RAdam: lr, two decay rates, eps, and the number of steps so far.

    A leaf defines `update_slice`, and `start` if it keeps other arrays than `mean` and `square`: all of it, since the
    names of the state are read from its text.
    """

    def __init__(self, lr: float, betas: tuple[float, float], eps: float, **common: Any):
        super().__init__(**common)
        check_not_negative(type(self).__name__, lr=lr, eps=eps)
        check_fractions(type(self).__name__, betas=betas)
        self.lr, self.eps = float(lr), float(eps)
        self.beta1, self.beta2 = map(float, betas)
        self.steps = 0

    @property
    def betas(self) -> tuple[float, float]:
        return self.beta1, self.beta2

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.mean, self.square = np.zeros_like(parameters), np.zeros_like(parameters)

    def count_step(self):
        self.steps += 1
