"""Derivatives of nets beyond the gradient: along directions, of single samples, second ones and their products.

All are for the modules as they are written, fprop and bprop by hand: a module may add `jvp` and `rbprop`.
"""

from .curvature import Curvature, hvp
from .jacobians import jacobian, output_variance, sample_jacobians
from .matrices import (
    fisher_diagonal,
    fisher_matrix,
    gauss_newton_matrix,
    hessian,
    hessian_diagonal,
    linear_operator,
    top_eigenvalues,
)
from .passes import lacking
from .tangent import jvp, vjp

__all__ = [
    "Curvature",
    "fisher_diagonal",
    "fisher_matrix",
    "gauss_newton_matrix",
    "hessian",
    "hessian_diagonal",
    "hvp",
    "jacobian",
    "jvp",
    "lacking",
    "linear_operator",
    "output_variance",
    "sample_jacobians",
    "top_eigenvalues",
    "vjp",
]
