"""Regression with several answers: the target's distribution is a mixture whose parameters are the model's outputs."""

import numpy as np

from ..kernels.buffers import reuse, reuse_like
from ..kernels.elementary_functions import softplus
from ..kernels.softmax import log_mass, log_share, log_sum_exp
from ..kernels.softplus_precision import gaussian_changes, log_softplus, softplus_ratio
from .distributions import Mixture
from .loss import Reduction
from .loss_bases import SampleLoss


class MixtureDensity(SampleLoss):
    """Negative log-likelihood of t under a mixture of K Gaussians with diagonal covariances.

        value       = -Σₙ log Σₖ πₖ Nₖ / N,   π = softmax(a),   Nₖ = Πᵢ N(tᵢ; mₖᵢ, 1 / pₖᵢ),   p = softplus(r)
        grad_a[k]   = (πₖ - γₖ) / N,   γₖ = πₖ Nₖ / Σⱼ πⱼ Nⱼ the responsibilities
        grad_m[k,i] = γₖ pₖᵢ (mₖᵢ - tᵢ) / N
        grad_r[k,i] = γₖ σ(rₖᵢ) ((mₖᵢ - tᵢ)² - 1 / pₖᵢ) / 2N

    The model's outputs y[n] are, one after the other: K scores a, K rows of D means m, K rows of D raw precisions r.

    Shapes: y (N, K (1 + 2 D)), target (N, D), sample_weight (N,).
    Args: components: K, at least 1; dims: D, at least 1; reduction: mean (N counts samples) or sum (N is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Numerics: log-sum-exp throughout, and log p is exact for a precision that underflows: outputs of ±1e4 give finite
        values and gradients, and a component that is far from everything just gets none.
    Source: Bishop and Bishop, Deep Learning, section 6.5 (eq. 6.44 to 6.47); Goodfellow et al., section 6.2.2.4, in the
        draft 6.3.2, whose precision form keeps the gradient from growing as 1 / variance.
    """

    def __init__(self, components: int, dims: int = 1, reduction: Reduction = "mean"):
        super().__init__(reduction)
        for name, size in (("components", components), ("dims", dims)):
            if size < 1:
                raise ValueError(f"MixtureDensity: {name} is {size}, expected at least 1")
        self.components, self.dims = components, dims
        self.get_op = self.turns = np.empty(0)

    def of_sample(self, y, target, grad_y):
        self.get_op = reuse(self.get_op, (self.components,), y.dtype)
        largest, mass = log_mass(y[: self.components])
        for k in range(self.components):
            self.get_op[k] = log_share(y[k], largest, mass) + self.log_density(y, target, k)
        total = log_sum_exp(self.get_op)
        for k in range(self.components):
            responsibility = np.exp(self.get_op[k] - total)
            grad_y[k] = np.exp(log_share(y[k], largest, mass)) - responsibility
            self.write_slopes(y, target, k, responsibility, grad_y)
        return -total

    def log_density(self, y, target, k):
        """log N of component k."""
        means = self.components + k * self.dims
        raws = means + self.components * self.dims
        total = y.dtype.type(0)
        for i in range(self.dims):
            difference = y[means + i] - target[i]
            p, log_p = softplus(y[raws + i]), log_softplus(y[raws + i])
            total += (log_p - p * difference * difference) / 2 - 0.9189385332046727  # log 2π / 2
        return total

    def write_slopes(self, y, target, k, responsibility, grad_y):
        """Write the gradients of component k's means and raw precisions."""
        means = self.components + k * self.dims
        raws = means + self.components * self.dims
        for i in range(self.dims):
            difference = y[means + i] - target[i]
            p, ratio = softplus(y[raws + i]), softplus_ratio(y[raws + i])
            grad_y[means + i] = responsibility * p * difference
            grad_y[raws + i] = responsibility * ratio * (p * difference * difference - 1) / 2

    def change_of_sample(self, y, target, v, change):
        """π' - γ', (γ p d)' and (γ σ (d² - 1 / p) / 2)' by the product rule: γ' = γ (l' - Σ γ l'), l = log π N."""
        self.get_op, self.turns = reuse(self.get_op, (self.components,), y.dtype), reuse_like(self.turns, self.get_op)
        (largest, mass), mean = log_mass(y[: self.components]), y.dtype.type(0)
        for k in range(self.components):
            mean += np.exp(log_share(y[k], largest, mass)) * v[k]
        for k in range(self.components):
            self.get_op[k] = log_share(y[k], largest, mass) + self.log_density(y, target, k)
            self.turns[k] = v[k] - mean
            change[k] = np.exp(log_share(y[k], largest, mass)) * self.turns[k]
            self.turns[k] -= self.along_slopes(y, target, k, v)
        total, mean = log_sum_exp(self.get_op), y.dtype.type(0)
        for k in range(self.components):
            mean += np.exp(self.get_op[k] - total) * self.turns[k]
        for k in range(self.components):
            responsibility = np.exp(self.get_op[k] - total)
            turn = responsibility * (self.turns[k] - mean)
            change[k] -= turn
            self.write_changes(y, target, k, responsibility, turn, v, change)

    def along_slopes(self, y, target, k, v):
        """Compute how -log N of component k changes along v."""
        means = self.components + k * self.dims
        raws, total = means + self.components * self.dims, y.dtype.type(0)
        for i in range(self.dims):
            difference = y[means + i] - target[i]
            p, ratio = softplus(y[raws + i]), softplus_ratio(y[raws + i])
            total += p * difference * v[means + i] + ratio * (p * difference * difference - 1) / 2 * v[raws + i]
        return total

    def write_changes(self, y, target, k, responsibility, turn, v, change):
        """Write the changes of component k's gradients, where `turn` is that of its responsibility."""
        means = self.components + k * self.dims
        raws = means + self.components * self.dims
        self.write_slopes(y, target, k, turn, change)
        for i in range(self.dims):
            difference = y[means + i] - target[i]
            a, b = gaussian_changes(difference, y[raws + i], v[means + i], v[raws + i])
            change[means + i] += responsibility * a
            change[raws + i] += responsibility * b

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        width = self.components * (1 + 2 * self.dims)
        if len(y_shape) != 2 or y_shape[1] != width or tuple(target_shape) != (y_shape[0], self.dims):
            raise ValueError(
                f"{self.label()}: y has shape {y_shape} and target {target_shape}, "
                f"expected y (N, {width}) and target (N, {self.dims})"
            )
        return ()

    def distribution(self, y) -> Mixture:
        y, size = np.asarray(y, np.float64), self.components * self.dims
        scores, means, raws = np.split(y, [self.components, self.components + size], axis=-1)
        shape = (len(y), self.components, self.dims)
        return Mixture(scores, means.reshape(shape), -log_softplus(raws.reshape(shape)) / 2)
