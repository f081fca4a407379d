"""Nonlinear conjugate gradients: each direction keeps what the last ones have gained, at the price of two vectors."""

from typing import Literal

import numpy as np

from .full_batch import FullBatch
from .vectors import dot


class ConjugateGradient(FullBatch):
    """Conjugate gradients with a line search.

        direction  = -gradient + β last_direction
        β          = max(0, gradientᵀ(gradient - last) / lastᵀlast)      "polak-ribiere"; last: the last gradient
        β          = gradientᵀgradient / lastᵀlast                       "fletcher-reeves"
        parameter += a direction

    Args: beta: which β; max_iter: iterations an epoch; tolerance_grad, tolerance_change: see FullBatch.
    Errors: ValueError for settings out of range.
    Source: Nocedal & Wright, Numerical Optimization, algorithm 5.4, eq. 5.44 and 5.45; Goodfellow et al., Deep
        Learning, section 8.6.2.
    """

    c2 = 0.1

    def __init__(
        self,
        beta: Literal["polak-ribiere", "fletcher-reeves"] = "polak-ribiere",
        max_iter: int = 20,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
    ):
        super().__init__(max_iter, tolerance_grad, tolerance_change)
        if beta not in ("polak-ribiere", "fletcher-reeves"):
            raise ValueError(f"ConjugateGradient: beta is {beta!r}, expected 'polak-ribiere' or 'fletcher-reeves'")
        self.beta = beta

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        memory = self._memory
        direction = -gradient
        if memory:
            last = memory["gradient"]
            change = gradient - last if self.beta == "polak-ribiere" else gradient
            direction += max(dot(gradient, change) / dot(last, last), 0) * memory["direction"]
        slope = float(dot(gradient, direction))
        if slope < 0:
            first = memory["step"] * memory["slope"] / slope if memory else 1 / float(np.abs(gradient).sum())
            memory.update(gradient=gradient.copy(), direction=direction, slope=slope, step=first)
        return direction

    def first_step(self, gradient: np.ndarray, slope: float) -> float:
        return self._memory["step"]

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        direction = self._memory["direction"]
        self._memory["step"] = float(dot(step, direction) / dot(direction, direction))
