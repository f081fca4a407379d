"""Newton-CG: Newton's method with the linear system solved by products with the curvature."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from ...modules.core.module import Module
from .checks import check_count, check_not_negative
from .full_batch import FullBatch
from .vectors import dot

KINDS = {"gauss_newton": "gauss_newton", "hessian": "hvp"}


class NewtonCG(FullBatch):
    """Truncated Newton method, also called Hessian-free, with a line search.

        (B + damping I) direction = -gradient      by conjugate gradients, until |residual| <= η |gradient|
        parameter += a direction

    with B = Jᵀ H_L J, the Gauss-Newton matrix, or the Hessian, and η = min(½, √|gradient|). Where a direction of no or
    negative curvature turns up, the sum so far is taken (at first: the negative gradient).

    In a Trainer the products are exact, a few gradients each, and cut into shards as gradients are; by hand,
    `minimize(net, closure)` takes differences of the gradient unless it is given `product(kind, v)`.

    Args: max_iter: steps an epoch; tolerance_grad, tolerance_change: see FullBatch; curvature: which B; damping: at
        least 0, Levenberg and Marquardt's λ; max_products: at most so many products a step.
    Errors: ValueError for settings out of range, and in a Trainer for weights of samples.
    Source: Nocedal & Wright, Numerical Optimization, algorithm 7.1; Martens, Deep learning via Hessian-free
        optimization (2010); Bishop and Bishop, Deep Learning, section 8.1.6 (Levenberg-Marquardt).
    """

    def __init__(
        self,
        max_iter: int = 5,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        curvature: Literal["gauss_newton", "hessian"] = "gauss_newton",
        damping: float = 1e-4,
        max_products: int = 50,
    ):
        super().__init__(max_iter, tolerance_grad, tolerance_change)
        if curvature not in KINDS:
            raise ValueError(f"NewtonCG: curvature is {curvature!r}, expected 'gauss_newton' or 'hessian'")
        check_not_negative("NewtonCG", damping=damping)
        check_count("NewtonCG", 1, max_products=max_products)
        self.curvature, self.damping, self.max_products = curvature, float(damping), max_products

    def minimize(self, net: Module, closure: Callable[[], float], product=None) -> float:
        if product is None:

            def product(kind, v):
                return compute_difference(net, closure, v)

        return super().minimize(net, closure, product)

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        d, residual = np.zeros_like(gradient), -gradient
        size = float(dot(gradient, gradient)) ** 0.5
        small, p, square = min(0.5, size**0.5) * size, residual.copy(), size * size
        for _ in range(self.max_products):
            q = self._product(KINDS[self.curvature], p) + self.damping * p
            curvature = float(dot(p, q))
            if not curvature > 0:
                break
            a = square / curvature
            d += a * p
            residual -= a * q
            before, square = square, float(dot(residual, residual))
            if not square > small * small:
                break
            p = residual + square / before * p
        return d if d.any() else -gradient

    def first_step(self, gradient: np.ndarray, slope: float) -> float:
        return 1.0


def compute_difference(net: Module, closure: Callable[[], float], v: np.ndarray) -> np.ndarray:
    """Compute the Hessian times v by two gradients: (g(x + h v) - g(x - h v)) / 2h."""
    x, gradients = net.flat_parameters, []
    before = x.copy()
    h = float(np.finfo(x.dtype).eps) ** (1 / 3) * (1 + float(np.abs(x).max())) / max(float(np.abs(v).max()), 1e-30)
    for step in (h, -h):
        x[:] = before + x.dtype.type(step) * v
        closure()
        gradients.append(net.flat_gradients.copy())
    x[:] = before
    return (gradients[0] - gradients[1]) / (2 * h)
