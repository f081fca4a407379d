"""Gaussian negative log-likelihood, with a precision that is fixed, learned, or an output of the model."""

from typing import Literal

import numpy as np

from ..core.module import Module
from ..core.parameter import Parameter
from ..kernels.buffers import as_rows, reuse, reuse_like
from ..kernels.elementary_functions import softplus
from ..kernels.sample_weights import fill_scales, weight_of
from ..kernels.softplus_precision import (
    FLOOR,
    floored_ratio,
    floored_softplus,
    gaussian_changes,
    log_softplus,
    power_changes,
    softplus_ratio,
)
from ..kernels.sums import as_double
from .distributions import Gaussian
from .loss import Loss, Reduction, check_at_least

Parametrization = Literal["precision", "variance", "std"]
POWERS = {"precision": None, "variance": -1.0, "std": -2.0}  # of the positive output, in the precision; None for 1


class GaussianNLL(Loss):
    """Negative log-likelihood of real targets t under Gaussians of mean m and precision (1 / variance) p.

        value  = Σ (p (m - t)² - log p + log 2π) / 2 size
        grad_m = p (m - t) / size
        grad_r = σ(r) ((m - t)² - 1 / p) / 2 size,   p = softplus(r)

    With `variance` a number, y is the means alone. Without it y is the means m and beside them as many raw precisions
    r: outputs of the model that depend on x, or one learned for all x by a LearntPrecision at the model's end.

    The other parametrizations are there to compare: r then gives the variance v, or the standard deviation s, as
    softplus(r) + 1e-6, with p = 1 / v or 1 / s². Their gradients divide by what may be small:

        variance   grad_r = σ(r) (1 / v - (m - t)² / v²) / 2 size
        std        grad_r = σ(r) (1 / s - (m - t)² / s³) / size

    Shapes: y (N, ..., D) with a variance, else (N, ..., 2D): first all means; target (N, ..., D); sample_weight (N,).
        size is N ... D, the number of targets; for a sum it is 1. Without reduction the values have
        the shape of the target.
    Args: variance: above 0, or None; full: with log 2π / 2, so that the value is -log density (PyTorch leaves it out
        by default); reduction: mean, sum or none; parametrization: what softplus(r) is: precision, variance or std.
    Numerics: for a very negative r, log p = r - exp(r) / 2 + ..., so that no raw precision gives an infinite value.
    Errors: ValueError for settings out of range, for a parametrization beside a variance, and for shapes that do not
        fit.
    Source: Goodfellow et al., Deep Learning, section 6.2.2.4 (draft 6.3.2; why the precision); PyTorch's
        GaussianNLLLoss.
    """

    takes_sample_weight = True
    has_values = True
    metrics = ()

    def __init__(
        self,
        variance: float | None = None,
        full: bool = True,
        reduction: Reduction = "mean",
        parametrization: Parametrization = "precision",
    ):
        super().__init__(reduction)
        self.variance = (
            None if variance is None else check_at_least("GaussianNLL", "variance", variance, 0, strictly=True)
        )
        if parametrization not in POWERS:
            known = "'precision', 'variance' or 'std'"
            raise ValueError(f"GaussianNLL: parametrization is {parametrization!r}, expected {known}")
        if variance is not None and parametrization != "precision":
            raise ValueError(f"GaussianNLL: got variance={variance} and parametrization, expected one of them")
        self.full, self.parametrization, self.power = full, parametrization, POWERS[parametrization]
        self.grad_y, self.scales = np.empty((0, 0)), np.empty(0)

    def fprop(self, y, target, sample_weight=None):
        self.grad_y = reuse_like(self.grad_y, y)
        rows, targets, grad_rows = as_rows(y), as_rows(target), as_rows(self.grad_y)
        if self.each is not None:
            return self.compute_values(rows, target, targets, y.shape[0], sample_weight, grad_rows)
        self.scales = reuse(self.scales, (rows.shape[0],), y.dtype)
        fill_scales(self.scales, y.shape[0], sample_weight, self.averages)
        total = np.float64(0)
        for n in range(rows.shape[0]):
            scale = self.scales[n]
            if self.averages:
                scale /= targets.shape[1]
            if scale == 0:
                grad_rows[n].fill(0)
            else:
                total += as_double(scale * self.row(rows[n], targets[n], grad_rows[n], scale, 0, targets.shape[1]))
        return y.dtype.type(total)

    def compute_values(self, rows, target, targets, samples, sample_weight, grad_rows):
        """-log density of each target, times its sample's weight; writes grad_y likewise."""
        self.values, count = reuse_like(self.values, target), rows.shape[0] // samples
        values = as_rows(self.values)
        for n in range(rows.shape[0]):
            weight = rows.dtype.type(weight_of(sample_weight, n // count))
            for i in range(values.shape[1]):
                values[n, i] = 0
            grad_rows[n].fill(0)
            for i in range(values.shape[1] if weight != 0 else 0):
                values[n, i] = weight * self.row(rows[n], targets[n], grad_rows[n], weight, i, i + 1)
        return self.values

    def row(self, y, target, grad_y, scale, first, last):
        """-Σ log density of some targets of one row; writes their grad_y, times the scale."""
        features, total = target.size, y.dtype.type(0)
        if self.full:
            total += (last - first) * 0.9189385332046727  # log 2π / 2
        for i in range(first, last):
            difference = y[i] - target[i]
            if self.variance is None and self.power is not None:
                raw = y[features + i]
                log_p = self.power * np.log(floored_softplus(raw))
                p = np.exp(log_p)
                total += (p * difference * difference - log_p) / 2
                slope = self.power * floored_ratio(raw) * (p * difference * difference - 1)
                grad_y[features + i] = scale * slope / 2
                grad_y[i] = scale * p * difference
            elif self.variance is None:
                raw = y[features + i]
                p = softplus(raw)
                total += (p * difference * difference - log_softplus(raw)) / 2
                slope = p * softplus_ratio(raw) * difference * difference - softplus_ratio(raw)
                grad_y[features + i] = scale * slope / 2
                grad_y[i] = scale * p * difference
            else:
                total += (difference * difference / self.variance + np.log(self.variance)) / 2
                grad_y[i] = scale * difference / self.variance
        return total

    def hessian_times(self, y, target, v):
        """p v_m + σ(r) (m - t) v_r,   σ(r) (m - t) v_m + (σ' (m - t)² - (σ / p)') v_r / 2, over size"""
        out, features = np.empty(v.shape, v.dtype), target.shape[-1]
        rows, targets, v_rows, change = as_rows(y), as_rows(target), as_rows(v), as_rows(out)
        for n in range(rows.shape[0]):
            scale = self.scales[n]
            if self.averages:
                scale /= features
            for i in range(features):
                if self.variance is None:
                    difference, raw = rows[n, i] - targets[n, i], rows[n, features + i]
                    if self.power is not None:
                        a, b = power_changes(difference, raw, self.power, v_rows[n, i], v_rows[n, features + i])
                    else:
                        a, b = gaussian_changes(difference, raw, v_rows[n, i], v_rows[n, features + i])
                    change[n, i], change[n, features + i] = scale * a, scale * b
                else:
                    change[n, i] = scale * v_rows[n, i] / self.variance
        return out

    def bprop(self, grad_values=None):
        if grad_values is not None:
            self.grad_each = reuse_like(self.grad_each, self.grad_y)
            rows, out, values = as_rows(self.grad_y), as_rows(self.grad_each), as_rows(grad_values)
            for n in range(rows.shape[0]):
                for i in range(rows.shape[1]):
                    out[n, i] = rows[n, i] * values[n, i % values.shape[1]]
            return self.grad_each
        return self.grad_y

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        width = 2 if self.variance is None else 1
        if len(y_shape) < 2 or tuple(y_shape) != (*target_shape[:-1], width * target_shape[-1] if target_shape else 0):
            raws = {"precision": "precisions", "variance": "variances", "std": "stds"}[self.parametrization]
            expected = f"y (N, 2D): means, raw {raws}; target (N, D)" if width == 2 else "the same shape (N, D)"
            raise ValueError(f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected {expected}")
        return ()

    def distribution(self, y) -> Gaussian:
        y = np.asarray(y, np.float64)
        if self.variance is not None:
            return Gaussian(y, np.log(self.variance) / 2)
        mean, raw = np.split(y, 2, axis=-1)
        if self.power is not None:
            return Gaussian(mean, -self.power * np.log(np.logaddexp(0, raw) + FLOOR) / 2)
        return Gaussian(mean, -log_softplus(raw) / 2)


class LearntPrecision(Module):
    """Puts a learned raw precision beside each mean, the same for every sample: the end of a model with GaussianNLL.

        y        = [x, r]
        grad_x   = grad_y[:, :features]
        grad_raw += Σₙ grad_y[n, features:]

    Shapes: x (N, ..., features), y (N, ..., 2 features), raw (features,).
    Args: features: at least 1; precision: the initial softplus(r), above 0 (the variance or standard deviation with a
        GaussianNLL of that parametrization).
    Errors: ValueError for sizes below 1 and for an x whose last axis is not `features`.
    Source: Goodfellow et al., Deep Learning, section 6.2.2.4, in the draft 6.3.2: a precision that does not depend
        on x.
    """

    def __init__(self, features: int, precision: float = 1.0):
        super().__init__()
        if features < 1:
            raise ValueError(f"LearntPrecision: features is {features}, expected at least 1")
        precision = check_at_least("LearntPrecision", "precision", precision, 0, strictly=True)
        self.features = features
        self.raw = Parameter(np.full(features, precision + np.log(-np.expm1(-precision))))  # the inverse of softplus
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (2 * self.features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        x, y = as_rows(x), as_rows(self.y)
        for n in range(x.shape[0]):
            for i in range(self.features):
                y[n, i], y[n, self.features + i] = x[n, i], self.raw[i]
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad_x, grad_y = as_rows(self.grad_x), as_rows(grad_y)
        for n in range(grad_x.shape[0]):
            for i in range(self.features):
                grad_x[n, i] = grad_y[n, i]
                self.grad_raw[i] += grad_y[n, self.features + i]
        return self.grad_x

    def jvp(self, v):
        """[v, v_raw]"""
        out = np.empty(self.y.shape, v.dtype)
        rows, v = as_rows(out), as_rows(v)
        for n in range(v.shape[0]):
            for i in range(self.features):
                rows[n, i], rows[n, self.features + i] = v[n, i], self.v_raw[i]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """The bprop of r_grad_y, since y is linear in x and r."""
        return self.bprop(r_grad_y).copy()

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) < 2 or input_shape[-1] != self.features:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, {self.features})")
        return (*input_shape[:-1], 2 * self.features)

    def extra_repr(self) -> str:
        return f"{self.features}"
