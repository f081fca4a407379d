"""The loss of variational autoencoders: reconstruction error and KL divergence of the code."""

from typing import Literal

import numpy as np

from ..kernels.buffers import flat
from ..kernels.elementary_functions import sigmoid, softplus
from ..kernels.softplus_precision import binary_cost, log_softplus, ratio_slope, softplus_ratio
from ..layers.gaussian_sample import HIGHEST, Scale, check_choice
from .distributions import Bernoulli, Gaussian
from .loss import Reduction, check_at_least, refuse_targets
from .loss_bases import SampleLoss


class VariationalBound(SampleLoss):
    """The negative of the evidence lower bound of each sample: -log p(t) is at most its mean over the noise.

        value    = Σₙ (-log p(t[n] | y[n]) + beta KL(q[n])) / N
        KL(q)    = Σₖ (m[k]² + s[k]² - 1) / 2 - log s[k]          of N(m, s²) from N(0, 1)
        grad_m   = beta m / N
        grad_r   = beta (s - 1 / s) ds/dr / N,   which for a log-variance is beta (s² - 1) / 2N
        grad_out = (σ(out) - t) / N for Bernoulli,   (out - t) / variance N for Gaussian

    y = [out, m, r] is what a decoder makes of a sample, beside the means and scales that it was drawn with:
    `Concat(Sequential(GaussianSample(), decoder), Identity())`. The constants of log p are in the value, in nats.

    Shapes: y (N, M + 2 latent), target (N, ...) of M numbers, for Bernoulli from 0 to 1; sample_weight (N,).
    Args: latent: numbers of a code; likelihood: bernoulli (out are scores) or gaussian (out are means); variance: of
        the Gaussian; scale: as that of GaussianSample; beta: how much the second term counts, at least 0, and may
        change between steps; reduction: mean (N counts samples) or sum (N is 1).
    Errors: ValueError for such settings, shapes and targets.
    Numerics: beyond a log-variance of 60, s² goes on as its tangent; log(1 + exp(out)) never overflows.
    Source: Kingma and Welling, Auto-encoding variational Bayes (2014), eq. 10; Higgins et al., beta-VAE (2017);
        Goodfellow et al., Deep Learning, section 20.10.3.
    """

    def __init__(
        self,
        latent: int,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        variance: float = 1.0,
        scale: Scale = "log_variance",
        beta: float = 1.0,
        reduction: Reduction = "mean",
    ):
        super().__init__(reduction)
        if latent < 1:
            raise ValueError(f"VariationalBound: latent is {latent}, expected at least 1")
        check_choice(self, "likelihood", likelihood, ("bernoulli", "gaussian"))
        check_choice(self, "scale", scale, ("log_variance", "softplus"))
        self.latent, self.likelihood, self.scale = latent, likelihood, scale
        self.variance = check_at_least("VariationalBound", "variance", variance, 0, strictly=True)
        self.beta = check_at_least("VariationalBound", "beta", beta, 0)

    def of_sample(self, y, target, grad_y):
        target = flat(target)
        outputs, total = target.size, y.dtype.type(0)
        for i in range(outputs):
            t = target[i]
            if self.likelihood == "bernoulli":
                total += binary_cost(t, 1 - t, y[i])
                grad_y[i] = sigmoid(y[i]) - t
            else:
                total += ((y[i] - t) * (y[i] - t) / self.variance + np.log(6.283185307179586 * self.variance)) / 2
                grad_y[i] = (y[i] - t) / self.variance
        return total + self.beta * self.divergence(y[outputs:], grad_y[outputs:])

    def divergence(self, code, grad):
        """KL of [m, r]; writes its gradient, times beta."""
        total = code.dtype.type(0)
        for k in range(self.latent):
            m, r = code[k], code[self.latent + k]
            grad[k] = self.beta * m
            if self.scale == "softplus":
                s = softplus(r)
                total += (m * m + s * s - 1) / 2 - log_softplus(r)
                grad[self.latent + k] = self.beta * (s * sigmoid(r) - softplus_ratio(r))
            else:
                variance = np.exp(np.minimum(r, HIGHEST))
                total += (m * m + variance * (1 + np.maximum(r - HIGHEST, 0)) - 1 - r) / 2
                grad[self.latent + k] = self.beta * (variance - 1) / 2
        return total

    def change_of_sample(self, y, target, v, change):
        """σ' v or v / variance;   beta v_m,   beta s² v_r / 2 or beta (σ² + s σ' - (σ / s)') v_r, σ' = σ(r) σ(-r)"""
        outputs = target.size
        for i in range(outputs):
            if self.likelihood == "bernoulli":
                change[i] = sigmoid(y[i]) * sigmoid(-y[i]) * v[i]
            else:
                change[i] = v[i] / self.variance
        for k in range(outputs, outputs + self.latent):
            r = y[self.latent + k]
            change[k] = self.beta * v[k]
            if self.scale == "softplus":
                bend = sigmoid(r) * (sigmoid(r) + softplus(r) * sigmoid(-r)) - ratio_slope(r)
            else:
                bend = np.exp(r) / 2 if r < HIGHEST else 0 * r
            change[self.latent + k] = self.beta * bend * v[self.latent + k]

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        numbers = int(np.prod(target_shape[1:]))
        if len(y_shape) != 2 or y_shape[:1] != target_shape[:1] or y_shape[1] != numbers + 2 * self.latent:
            expected = f"y (N, {numbers} + {2 * self.latent})"
            raise ValueError(f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected {expected}")
        return ()

    def check_targets(self, target, output_shape) -> None:
        if self.likelihood == "bernoulli":
            refuse_targets(self, target, (np.asarray(target) >= 0) & (np.asarray(target) <= 1), "a number from 0 to 1")

    def distribution(self, y) -> Bernoulli | Gaussian:
        outputs = np.asarray(y, np.float64)[:, : -2 * self.latent]
        return Bernoulli(outputs) if self.likelihood == "bernoulli" else Gaussian(outputs, np.log(self.variance) / 2)
