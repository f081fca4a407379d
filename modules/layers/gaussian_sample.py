"""Gaussian stochastic units inside a model (reparametrised), with noise from a counter-based generator.

Written as mean + scale times noise, a sample has derivatives with respect to both (the reparametrisation trick).
"""

from typing import Literal

import numpy as np

from ..kernels.buffers import as_rows, reuse, reuse_like
from ..kernels.elementary_functions import sigmoid, softplus
from ..kernels.philox import normal
from .noise import EVALUATION, Noise

Scale = Literal["log_variance", "softplus"]
HIGHEST = 60.0  # of a log-variance: float32 ends near 88


class GaussianSample(Noise):
    """A normal number for each pair of a mean and a scale.

        y        = m + s z,   [m, r] = x,   z[i] ~ N(0, 1),   s = exp(r / 2) or softplus(r)
        grad_x   = [grad_y, grad_y z ds/dr],   ds/dr = s / 2 or σ(r)

    Beside a VariationalBound it makes a variational autoencoder (configs/digits_vae.yaml).

    Shapes: x (N, ..., 2D): means, then scales; y (N, ..., D).
    Args: scale: r is the log-variance, or s its softplus; evaluation: whether evaluation mode draws numbers, too, the
        same in each run, or gives the mean.
    Errors: ValueError for other words, and for an x whose last axis is not even.
    Numerics: a log-variance counts as 60 at most, so that a scale stays finite.
    Source: Kingma and Welling, Auto-encoding variational Bayes (2014), section 2.4; Goodfellow et al., Deep Learning,
        section 20.9.
    """

    def __init__(self, scale: Scale = "log_variance", evaluation: Literal["sample", "mean"] = "sample"):
        super().__init__()
        check_choice(self, "scale", scale, ("log_variance", "softplus"))
        check_choice(self, "evaluation", evaluation, ("sample", "mean"))
        self.scale, self.evaluation = scale, evaluation
        self.noise = np.empty(0)
        self.y = self.slope = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x, half = x, x.shape[-1] // 2
        self.y = reuse(self.y, x.shape[:-1] + (half,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        self.slope, self.grad_x = reuse_like(self.slope, self.y), reuse_like(self.grad_x, x)
        self.noise = reuse(self.noise, (self.y.size + self.y.size % 2,), x.dtype)
        if self.training or self.evaluation == "sample":
            normal(self.key, self.step if self.training else EVALUATION, self.noise)
        else:
            self.noise[:] = 0
        if self.training:
            self.step += 1
        x, y, slope = as_rows(x), as_rows(self.y), as_rows(self.slope)
        for n in range(y.shape[0]):
            for k in range(half):
                r, z = x[n, half + k], self.noise[n * half + k]
                if self.scale == "softplus":
                    y[n, k] = x[n, k] + softplus(r) * z
                    slope[n, k] = sigmoid(r) * z
                else:
                    shift = np.exp(np.minimum(r, HIGHEST) / 2) * z
                    y[n, k] = x[n, k] + shift
                    slope[n, k] = shift / 2 if r < HIGHEST else 0
        return self.y

    def bprop(self, grad_y):
        grad_y, slope, grad_x = as_rows(grad_y), as_rows(self.slope), as_rows(self.grad_x)
        half = slope.shape[1]
        for n in range(slope.shape[0]):
            for k in range(half):
                grad_x[n, k] = grad_y[n, k]
                grad_x[n, half + k] = grad_y[n, k] * slope[n, k]
        return self.grad_x

    def jvp(self, v):
        """v_m + z ds/dr v_r"""
        out = np.empty(self.y.shape, v.dtype)
        v, rows, slope = as_rows(v), as_rows(out), as_rows(self.slope)
        half = slope.shape[1]
        for n in range(slope.shape[0]):
            for k in range(half):
                rows[n, k] = v[n, k] + slope[n, k] * v[n, half + k]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """[r_grad_y, r_grad_y z ds/dr + grad_y z d²s/dr² v_r]"""
        out = np.empty(v.shape, v.dtype)
        x, v, rows, slope = as_rows(self.x), as_rows(v), as_rows(out), as_rows(self.slope)
        grad_y, r_grad_y = as_rows(grad_y), as_rows(r_grad_y)
        half = slope.shape[1]
        for n in range(slope.shape[0]):
            for k in range(half):
                bend = slope[n, k] / 2
                if self.scale == "softplus":
                    bend = slope[n, k] * sigmoid(-x[n, half + k])
                rows[n, k] = r_grad_y[n, k]
                rows[n, half + k] = r_grad_y[n, k] * slope[n, k] + grad_y[n, k] * bend * v[n, half + k]
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) < 2 or input_shape[-1] % 2:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, ..., 2D): means, then scales")
        return (*input_shape[:-1], input_shape[-1] // 2)

    def extra_repr(self) -> str:
        settings = [self.scale] * (self.scale != "log_variance")
        return ", ".join([*settings, *[f"evaluation={self.evaluation}"] * (self.evaluation != "sample")])


def check_choice(module, name: str, value, words) -> None:
    """Raise ValueError unless a setting is one of some words."""
    if value not in words:
        expected = " or ".join(map(repr, words))
        raise ValueError(f"{type(module).__name__}: {name} is {value!r}, expected {expected}")
