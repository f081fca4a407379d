"""Bases for losses in a few lines: by a function of each element, or of each sample."""

import numpy as np

from ..kernels.buffers import flat, reuse, reuse_like
from ..kernels.sample_weights import fill_scales, multiply_parts, repeated, weight_of
from ..kernels.sums import BLOCK, as_double
from .loss import Loss, Reduction


class ElementwiseLoss(Loss):
    """Base of losses that are a mean over elements: value = Σᵢ l(yᵢ, tᵢ) / size, grad_y[i] = l'(yᵢ, tᵢ) / size.

    A loss defines two methods of scalars, compiled into the loops below:
    `function(self, y, target) -> l` and `derivative(self, y, target) -> dl/dy`; with a third,
    `second_derivative(self, y, target)`, products with the Hessian of a model (see `hvp`) are exact.

    With `self.column_weights`, an array (K,) or (1,), elements count so much, by their place along the last axis.

    Shapes: y and target of one and the same shape (N, ...); sample_weight (N,); values, without reduction, that of y.
    Args: reduction: mean, sum, or none, which gives a value for each element.
    """

    takes_sample_weight = True
    has_values = True

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.column_weights: np.ndarray | None = None
        self.grad_y, self.scales = np.empty((0, 0)), np.empty(0)

    def function(self, y, target):
        """l(y, target) of one element."""
        raise NotImplementedError(f"{type(self).__name__} has no function: write `def function(self, y, target)`")

    def derivative(self, y, target):
        """dl/dy of one element."""
        raise NotImplementedError(f"{type(self).__name__} has no derivative: write `def derivative(self, y, target)`")

    def fprop(self, y, target, sample_weight=None):
        self.grad_y = reuse_like(self.grad_y, y)
        if self.each is not None:
            return self.compute_values(y, target, sample_weight)
        if sample_weight is None:
            scale = y.dtype.type(1)
            if self.averages:
                scale /= y.size
            return scale * self.sum_over(flat(y), flat(target), flat(self.grad_y), scale)
        samples, total = y.shape[0], np.float64(0)
        self.scales = reuse(self.scales, (y.size,), y.dtype)
        fill_scales(self.scales, samples, sample_weight, self.averages)
        y, target, grad_y = flat(y), flat(target), flat(self.grad_y)
        size = y.size // samples
        for i in range(0, y.size, size):
            scale, end = self.scales[i], i + size
            if scale == 0:
                grad_y[i:end].fill(0)
            else:
                total += as_double(scale * self.sum_over(y[i:end], target[i:end], grad_y[i:end], scale))
        return self.grad_y.dtype.type(total)

    def sum_over(self, y, target, grad_y, scale):
        """Σᵢ l(yᵢ, tᵢ) of vectors; writes grad_y[i] = scale l'(yᵢ, tᵢ)."""
        total = np.float64(0)
        if self.column_weights is not None:
            for i in range(y.size):
                weight = self.column_weights[i % self.column_weights.size]
                total += as_double(weight * self.function(y[i], target[i]))
                grad_y[i] = scale * weight * self.derivative(y[i], target[i])
            return y.dtype.type(total)
        for begin in range(0, y.size, BLOCK):
            end = begin + BLOCK
            total += as_double(self.sum_block(y[begin:end], target[begin:end], grad_y[begin:end], scale))
        return y.dtype.type(total)

    def compute_values(self, y, target, sample_weight):
        """l(yᵢ, tᵢ) of each element, times its weights; writes grad_y likewise."""
        self.values, size = reuse_like(self.values, y), y.size // y.shape[0]
        y, target, grad_y, values = flat(y), flat(target), flat(self.grad_y), flat(self.values)
        for i in range(y.size):
            weight = weight_of(sample_weight, i // size) * repeated(self.column_weights, i)
            if weight == 0:
                values[i], grad_y[i] = 0, 0
            else:
                values[i] = weight * self.function(y[i], target[i])
                grad_y[i] = weight * self.derivative(y[i], target[i])
        return self.values

    def sum_block(self, y, target, grad_y, scale):
        """The sum of a few elements; writes grad_y."""
        total = y.dtype.type(0)
        for i in range(y.size):
            total += self.function(y[i], target[i])
            grad_y[i] = scale * self.derivative(y[i], target[i])
        return total

    def hessian_times(self, y, target, v):
        """l''(yᵢ, tᵢ) vᵢ / size: the change of grad_y along v, without weights."""
        out, scale = np.empty(v.shape, v.dtype), y.dtype.type(1)
        if self.averages:
            scale /= y.size
        y, target, v, change = flat(y), flat(target), flat(v), flat(out)
        for i in range(y.size):
            weight = scale * repeated(self.column_weights, i)
            change[i] = weight * self.second_derivative(y[i], target[i]) * v[i]
        return out

    def bprop(self, grad_values=None):
        if grad_values is not None:
            self.grad_each = reuse_like(self.grad_each, self.grad_y)
            multiply_parts(self.grad_y, grad_values, self.grad_each)
            return self.grad_each
        return self.grad_y


class SampleLoss(Loss):
    """Base of losses that are a mean over samples: value = Σₙ l(y[n], t[n]) / N.

    A loss defines one method, compiled into the loop below:
    `of_sample(self, y, target, grad_y) -> l`, which writes dl/dy of one sample into grad_y; with a second,
    `change_of_sample(self, y, target, v, change)`, which writes how dl/dy changes along v into `change` (zeros
    before), products with the Hessian of a model (see `hvp`) are exact.

    Shapes: y (N, ...) of at least two axes, target (N, ...), sample_weight (N,); `of_sample` sees y[n] and target[n];
        values, without reduction, (N,).
    Args: reduction: mean, sum, or none, which gives a value for each sample.
    Errors: ValueError for a y of fewer than two axes, and for shapes that do not fit.
    """

    takes_sample_weight = True
    has_values = True

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.grad_y, self.scales = np.empty((0, 0)), np.empty(0)

    def of_sample(self, y, target, grad_y):
        """l of one sample; writes dl/dy into grad_y."""
        raise NotImplementedError(
            f"{type(self).__name__} has no of_sample: write `def of_sample(self, y, target, grad_y)`"
        )

    def fprop(self, y, target, sample_weight=None):
        self.grad_y = reuse_like(self.grad_y, y)
        if self.each is not None:
            return self.compute_values(y, target, sample_weight)
        self.scales = reuse(self.scales, (y.shape[0],), y.dtype)
        fill_scales(self.scales, y.shape[0], sample_weight, self.averages)
        rows, total = self.grad_y.reshape((y.shape[0], y.size // y.shape[0])), np.float64(0)
        for n in range(y.shape[0]):
            scale = self.scales[n]
            if scale == 0:
                rows[n].fill(0)
            else:
                total += as_double(scale * self.of_sample(y[n], target[n], self.grad_y[n]))
                for i in range(rows.shape[1]):
                    rows[n, i] *= scale
        return y.dtype.type(total)

    def compute_values(self, y, target, sample_weight):
        """l of each sample, times its weight; writes grad_y likewise."""
        self.values = reuse(self.values, (y.shape[0],), y.dtype)
        rows = self.grad_y.reshape((y.shape[0], y.size // y.shape[0]))
        for n in range(y.shape[0]):
            weight = weight_of(sample_weight, n)
            if weight == 0:
                self.values[n] = 0
                rows[n].fill(0)
            else:
                self.values[n] = weight * self.of_sample(y[n], target[n], self.grad_y[n])
                for i in range(rows.shape[1]):
                    rows[n, i] *= weight
        return self.values

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        if len(y_shape) < 2:
            raise ValueError(f"{self.label()}: y has shape {tuple(y_shape)}, expected (N, ...) of at least two axes")
        return super().check_arguments(y_shape, target_shape, weight_shape)

    def hessian_times(self, y, target, v):
        """The change of grad_y along v, sample by sample, by `change_of_sample`."""
        out = np.zeros(v.shape, v.dtype)
        rows = out.reshape((y.shape[0], y.size // y.shape[0]))
        for n in range(y.shape[0]):
            if self.scales[n] != 0:
                self.change_of_sample(y[n], target[n], v[n], out[n])
                for i in range(rows.shape[1]):
                    rows[n, i] *= self.scales[n]
        return out

    def bprop(self, grad_values=None):
        if grad_values is not None:
            self.grad_each = reuse_like(self.grad_each, self.grad_y)
            multiply_parts(self.grad_y, grad_values, self.grad_each)
            return self.grad_each
        return self.grad_y
