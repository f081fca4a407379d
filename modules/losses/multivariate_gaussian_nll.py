"""Gaussian negative log-likelihood with a full covariance that is an output of the model."""

import numpy as np

from ..kernels.buffers import reuse
from ..kernels.cholesky import factorize, invert, solve, view_as_doubles
from ..kernels.sums import as_double
from .distributions import MultivariateGaussian
from .loss import Reduction, check_at_least
from .loss_bases import SampleLoss


class MultivariateGaussianNLL(SampleLoss):
    """Negative log-likelihood of target vectors t under Gaussians of mean m and covariance Σ = B Bᵀ + ε I.

        value  = Σₙ (dᵀ w + log det Σ + D log 2π) / 2 N,   d = m - t,   w = Σ⁻¹ d
        grad_m = w / N
        grad_B = (Σ⁻¹ - w wᵀ) B / N

    The model's outputs y[n] are, one after the other: D means m, then the D rows of B, R numbers each. B is
    unconstrained, and Σ is positive definite for any B; with R < D it has R directions of large variance.

    Shapes: y (N, D (1 + R)), target (N, D), sample_weight (N,). N counts samples, and is 1 for a sum.
    Args: dims: D, at least 1; columns: R, at least 1, by default D; eps: ε, the smallest variance, at least 0, with
        which Σ is the book's B Bᵀ and the value of a singular B infinite; full: with D log 2π / 2, so that the value is
        -log density; reduction: mean or sum.
    Numerics: a Cholesky factor of Σ in double precision, of about D²(R + D / 3) operations a sample. Where B is nearly
        singular the gradient is up to ε^(-3/2): let B start at I, such as by the last layer's
        `bias_init=Constant([0, 0, 1, 0, 0, 1])` for D = 2, and clip the gradient.
    Errors: ValueError for settings out of range and shapes that do not fit.
    Source: Goodfellow et al., Deep Learning, section 6.2.2.4 (draft 6.3.2): a covariance B Bᵀ of an unconstrained B;
        PyTorch's LowRankMultivariateNormal.
    """

    def __init__(
        self,
        dims: int,
        columns: int | None = None,
        eps: float = 1e-6,
        full: bool = True,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        for name, size in (("dims", dims), ("columns", columns or (dims if columns is None else 0))):
            if size < 1:
                raise ValueError(f"MultivariateGaussianNLL: {name} is {size}, expected at least 1")
        self.dims, self.rank = dims, columns or dims
        self.eps, self.full = check_at_least("MultivariateGaussianNLL", "eps", eps, 0), full
        self.scratch = np.empty(0)

    @property
    def columns(self) -> int | None:
        """R, or None where it is D."""
        return None if self.rank == self.dims else self.rank

    def of_sample(self, y, target, grad_y):
        D, R = self.dims, self.rank
        inverse, w, log_determinant = self.invert_covariance(y, target)
        total = log_determinant + 1.8378770664093453 * D if self.full else log_determinant  # log 2π
        for i in range(D):
            total += (as_double(y[i]) - as_double(target[i])) * w[i]
            grad_y[i] = w[i]
        grad_y[D:] = 0
        add_product(inverse, w, w, y[D:], R, grad_y[D:])
        return y.dtype.type(total / 2)

    def change_of_sample(self, y, target, v, change):
        """w' = Σ⁻¹ (d' - Σ' w) and ((Σ⁻¹)' - w' wᵀ - w w'ᵀ) B + (Σ⁻¹ - w wᵀ) V, Σ' = V Bᵀ + B Vᵀ."""
        D, R = self.dims, self.rank
        inverse, w, _ = self.invert_covariance(y, target)
        b, of_b = y[D:], v[D:]
        covariance, turned = np.empty((D, D)), np.empty((D, D))
        for i in range(D):
            for k in range(D):
                total = np.float64(0)
                for j in range(R):
                    total += as_double(of_b[i * R + j]) * as_double(b[k * R + j])
                    total += as_double(b[i * R + j]) * as_double(of_b[k * R + j])
                covariance[i, k] = total
        w_change, moved = np.empty(D), np.empty(D)
        for i in range(D):
            moved[i] = v[i]
            for k in range(D):
                moved[i] -= covariance[i, k] * w[k]
        multiply_vector(inverse, moved, w_change)
        for i in range(D):
            change[i] = w_change[i]
        multiply_matrices(inverse, covariance, turned)
        multiply_matrices(turned, inverse, covariance)  # Σ⁻¹ Σ' Σ⁻¹ = -(Σ⁻¹)'
        for i in range(D):
            for k in range(D):
                covariance[i, k] = -covariance[i, k] - w_change[i] * w[k]
        add_product(covariance, w, w_change, b, R, change[D:])
        add_product(inverse, w, w, of_b, R, change[D:])

    def invert_covariance(self, y, target):
        """Compute Σ⁻¹ (D, D), w = Σ⁻¹ (m - t) (D,) and log det Σ of a sample, in double precision."""
        D, R = self.dims, self.rank
        self.scratch = reuse(self.scratch, (2 * D * (2 * D + 1),), y.dtype)
        doubles = view_as_doubles(self.scratch)
        factor, inverse = doubles[: D * D].reshape((D, D)), doubles[D * D : 2 * D * D].reshape((D, D))
        w = doubles[2 * D * D : 2 * D * D + D]
        for i in range(D):
            for k in range(i + 1):
                total = np.float64(0)
                for j in range(R):
                    total += as_double(y[D + i * R + j]) * as_double(y[D + k * R + j])
                factor[i, k] = total
            factor[i, i] += self.eps
            w[i] = as_double(y[i]) - as_double(target[i])
        log_determinant = factorize(factor, self.eps)
        solve(factor, w)
        invert(factor, inverse)
        return inverse, w, log_determinant

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        width = self.dims * (1 + self.rank)
        if len(y_shape) != 2 or y_shape[1] != width or tuple(target_shape) != (y_shape[0], self.dims):
            raise ValueError(
                f"{self.label()}: y has shape {tuple(y_shape)} and target {tuple(target_shape)}, "
                f"expected y (N, {width}): {self.dims} means, {self.dims} x {self.rank} numbers of B; "
                f"and target (N, {self.dims})"
            )
        return ()

    def distribution(self, y) -> MultivariateGaussian:
        y = np.asarray(y, np.float64)
        mean, factor = y[:, : self.dims], y[:, self.dims :].reshape(len(y), self.dims, self.rank)
        return MultivariateGaussian(mean, factor @ factor.swapaxes(1, 2) + self.eps * np.eye(self.dims))


def add_product(matrix, a, b, factor, R, out):
    """Add (matrix - a bᵀ) factor to out; factor and out are (D, R), row by row as vectors."""
    for i in range(a.size):
        for j in range(R):
            total = np.float64(0)
            for k in range(b.size):
                total += (matrix[i, k] - a[i] * b[k]) * as_double(factor[k * R + j])
            out[i * R + j] += total


def multiply_vector(matrix, x, out):
    """out = matrix x."""
    for i in range(x.size):
        out[i] = 0
        for k in range(x.size):
            out[i] += matrix[i, k] * x[k]


def multiply_matrices(a, b, out):
    """out = a b, all (D, D)."""
    for j in range(a.shape[0]):
        multiply_vector(a, b[:, j], out[:, j])
