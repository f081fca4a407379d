"""Derivatives of models beyond the gradient: jvp, vjp, Jacobians, Hessian and Gauss-Newton products, curvature.

They differentiate fprop and bprop as they are written: a module may add `jvp` and `rbprop`, and finite differences
stand in for those that are missing. Differentiation of plain NumPy code is in `autodiff`, the check of a gradient in
`checks`.
"""

from .curvature import Curvature, hvp
from .inverse_outer_product import inverse_outer_product
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
from .spsa import make_loss_function, spsa_gradient
from .tangent import jvp, vjp

__all__ = [
    "Curvature",
    "fisher_diagonal",
    "fisher_matrix",
    "gauss_newton_matrix",
    "hessian",
    "hessian_diagonal",
    "hvp",
    "inverse_outer_product",
    "jacobian",
    "jvp",
    "lacking",
    "linear_operator",
    "make_loss_function",
    "output_variance",
    "sample_jacobians",
    "spsa_gradient",
    "top_eigenvalues",
    "vjp",
]
