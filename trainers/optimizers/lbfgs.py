"""L-BFGS: Newton's method with a curvature that the last few steps have shown, never a matrix."""

import numpy as np

from .checks import check_count
from .full_batch import FullBatch
from .vectors import dot


class LBFGS(FullBatch):
    """Limited-memory BFGS with a line search.

        direction = -H gradient      H: the inverse Hessian's BFGS estimate from the last steps s and changes y of the
                                     gradient, begun with H₀ = (sᵀy / yᵀy) I
        parameter += a direction

    Args: max_iter: iterations an epoch; tolerance_grad, tolerance_change: see FullBatch; history_size: how many steps
        are remembered.
    Errors: ValueError for settings out of range.
    Numerics: steps along which the gradient does not grow, sᵀy <= 1e-10 yᵀy, are not remembered: H stays positive.
    Source: Nocedal & Wright, Numerical Optimization, algorithms 7.4 and 7.5; Goodfellow et al., Deep Learning,
        section 8.6.3; PyTorch's torch.optim.LBFGS with line_search_fn="strong_wolfe".
    """

    def __init__(
        self,
        max_iter: int = 20,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 20,
    ):
        super().__init__(max_iter, tolerance_grad, tolerance_change)
        check_count("LBFGS", 1, history_size=history_size)
        self.history_size = history_size

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        q = -gradient
        if not self._memory:
            return q
        steps, changes = self._memory["steps"], self._memory["changes"]
        products = np.array([dot(s, y) for s, y in zip(steps, changes, strict=True)], q.dtype)
        alphas = np.zeros_like(products)
        for k in reversed(range(len(steps))):
            alphas[k] = dot(steps[k], q) / products[k]
            q -= alphas[k] * changes[k]
        q *= products[-1] / dot(changes[-1], changes[-1])
        for k in range(len(steps)):
            q += (alphas[k] - dot(changes[k], q) / products[k]) * steps[k]
        return q

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        if not dot(step, change) > 1e-10 * dot(change, change):
            return
        for name, vector in (("steps", step), ("changes", change)):
            old = self._memory.get(name, np.empty((0, vector.size), vector.dtype))
            self._memory[name] = np.concatenate([old[max(0, len(old) + 1 - self.history_size) :], vector[None]])
