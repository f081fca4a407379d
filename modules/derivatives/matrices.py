"""Curvature matrices of small models, their diagonals, and extreme eigenvalues for models of any size.

A matrix of P columns takes P products, each of about three gradients: what SciPy does with products alone is cheaper.
"""

from typing import Any, Literal

import numpy as np

from .curvature import Curvature

Kind = Literal["hvp", "gauss_newton", "fisher"]
KINDS = ("hvp", "gauss_newton", "fisher")


def hessian(curvature: Curvature) -> np.ndarray:
    """H (P, P), symmetric to rounding. Source: Bishop and Bishop, Deep Learning, section 8.1.6."""
    return build_matrix(curvature, "hvp")


def gauss_newton_matrix(curvature: Curvature) -> np.ndarray:
    """Jᵀ H_L J (P, P), also called the outer product approximation, or that of Levenberg and Marquardt.

        squared error      Σₙ 2/N bₙ bₙᵀ,   bₙ = ∂y[n]/∂w        (with the factor of the loss)
        logistic           Σₙ y[n] (1 - y[n]) bₙ bₙᵀ / N,   y the probability, bₙ the gradient of the score
        softmax            Σₙ Bₙᵀ (diag p[n] - p[n] p[n]ᵀ) Bₙ / N

    For a negative log-likelihood in its natural parameters it is the Fisher information of the model's own targets.

    Source: Bishop and Bishop, Deep Learning, eq. 8.40 and 8.41.
    """
    return build_matrix(curvature, "gauss_newton")


def fisher_matrix(curvature: Curvature) -> np.ndarray:
    """Σₙ gₙ gₙᵀ / N (P, P): the empirical Fisher matrix, of the samples' own targets."""
    gradients = curvature.sample_gradients()
    return gradients.T @ gradients / len(gradients)


def fisher_diagonal(curvature: Curvature) -> np.ndarray:
    """Σₙ gₙ² / N (P,)."""
    return (curvature.sample_gradients() ** 2).mean(axis=0)


def hessian_diagonal(curvature: Curvature, probes: int | None = None, seed: int = 0) -> np.ndarray:
    """The diagonal of H (P,): exact by P products, or an unbiased estimate by `probes` of them.

        diag H = E[z (H z)],   z of random signs

    Errors: ValueError for probes below 1.
    Source: Bishop and Bishop, Deep Learning, section 8.1.6; Bekas et al., An estimator for the diagonal (2007).
    """
    size = curvature.size
    if probes is None:
        return np.array([curvature.hvp(unit)[i] for i, unit in enumerate(np.eye(size))])
    if probes < 1:
        raise ValueError(f"hessian_diagonal: probes is {probes}, expected at least 1")
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (probes, size))
    return sum(z * curvature.hvp(z) for z in signs) / probes


def linear_operator(curvature: Curvature, kind: Kind = "hvp", damping: float = 0.0) -> Any:
    """Wrap the matrix plus `damping` I in a SciPy LinearOperator, for `cg`, `minres` or `eigsh`.

    Errors: ValueError for another kind.
    """
    from scipy.sparse.linalg import LinearOperator

    product = get_product(curvature, kind)
    size = (curvature.size, curvature.size)
    return LinearOperator(size, lambda v: product(np.ravel(v)) + damping * np.ravel(v), dtype=np.float64)


def top_eigenvalues(
    curvature: Curvature, k: int = 1, kind: Kind = "hvp", tolerance: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the k eigenvalues of largest absolute value, in order, and their vectors (P, k), by Lanczos' method.

    Errors: ValueError for another kind, and unless 1 <= k < P.
    Source: Goodfellow et al., Deep Learning, section 8.2.1 (ill-conditioning); SciPy's eigsh.
    """
    from scipy.sparse.linalg import eigsh

    if not 1 <= k < curvature.size:
        raise ValueError(f"top_eigenvalues: k is {k}, expected 1 to {curvature.size - 1}, less than the parameters")
    start = np.random.default_rng(0).standard_normal(curvature.size)
    values, vectors = eigsh(linear_operator(curvature, kind), k, which="LM", v0=start, tol=tolerance)
    order = np.argsort(-np.abs(values))
    return values[order], vectors[:, order]


def build_matrix(curvature: Curvature, kind: Kind) -> np.ndarray:
    """Build a matrix column by column."""
    product = get_product(curvature, kind)
    return np.stack([product(unit) for unit in np.eye(curvature.size)], axis=1)


def get_product(curvature: Curvature, kind: str):
    """Get the method of this name."""
    if kind not in KINDS:
        raise ValueError(f"Curvature: kind is {kind!r}, expected one of {', '.join(KINDS)}")
    return getattr(curvature, kind)
