"""Batch normalisation: each channel gets mean 0 and variance 1 over the minibatch, and then a learned scale and shift.

A sample's numbers stand in a row of C channels of L places, so all below is about rows, columns and channels.
"""

import math

import numpy as np

from ...core.module import Module
from ...core.parameter import Buffer, Parameter
from ...core.shapes import check_sizes
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.matmul.gemm import add_to_rows
from ...kernels.moments import (
    add_directions,
    batch_rbprop,
    centred,
    channel_inverse,
    channel_means,
    inverse_root,
    scaled,
    spread,
)
from ...kernels.sums import column_means, column_products


class BatchNorm1d(Module):
    """Normalises each channel over the minibatch.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σ grad_y
        grad_weight += Σ grad_y x̂
        grad_x      = weight / √(σ² + eps) (grad_y - mean(grad_y) - x̂ mean(grad_y x̂))

    with sums and means over the samples and places of a channel, and μ, σ² of the minibatch in training. In evaluation
    they are the running ones, and grad_x = weight / √(σ² + eps) grad_y.

        running_mean = (1 - momentum) running_mean + momentum μ
        running_var  = (1 - momentum) running_var + momentum σ² n / (n - 1),   n = N L

    Shapes: x and y (N, C) or (N, C, L); weight, bias, running_mean, running_var (C,).
    Args: num_features: C; eps: at least 0; momentum: 0 to 1, or None for the mean of all; affine: with weight
        and bias; track_running_stats: else evaluation takes the minibatch's statistics, too.
    Errors: ValueError for other shapes and settings, and for one value a channel in training.
    Numerics: the variance in a second pass, from x - μ.
    Source: Ioffe and Szegedy, Batch normalization (2015), algorithm 1 and section 3; PyTorch's BatchNorm1d.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__()
        check_sizes(self, num_features=num_features)
        if not eps >= 0:
            raise ValueError(f"{type(self).__name__}: eps is {eps}, expected at least 0")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"{type(self).__name__}: momentum is {momentum}, expected 0 to 1 or None")
        self.num_features, self.eps = num_features, float(eps)
        self.momentum = None if momentum is None else float(momentum)
        self.weight = Parameter(np.ones(num_features)) if affine else None
        self.bias = Parameter(np.zeros(num_features)) if affine else None
        self.running_mean = Buffer(np.zeros(num_features)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features)) if track_running_stats else None
        self.num_batches_tracked = Buffer(0) if track_running_stats else None
        self.mean, self.var, self.inverse = (np.zeros(num_features) for _ in range(3))
        self.mean_grad, self.mean_product = np.zeros(num_features), np.zeros(num_features)
        self.columns = self.scale = np.empty(0)
        self.normal = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        rows = flat(x).reshape((x.shape[0], x.size // x.shape[0]))
        self.columns = reuse(self.columns, rows.shape[1:], x.dtype)
        self.scale = reuse(self.scale, rows.shape[1:], x.dtype)
        self.normal, self.y = reuse_like(self.normal, rows), reuse_like(self.y, rows)
        self.inverse = reuse(self.inverse, (self.num_features,), x.dtype)
        if self.running_mean is None:
            self.centre_by_batch(rows)
        elif self.training:
            self.centre_by_batch(rows)
            self.track(rows.size // self.num_features)
        else:
            spread(self.running_mean, self.columns)
            centred(rows, self.columns, self.normal)
            inverse_root(self.running_var, self.eps, self.inverse)
        spread(self.inverse, self.columns)
        scaled(self.normal, self.columns, self.normal)
        if self.weight is None:
            return self.normal.reshape(x.shape)
        spread(self.weight, self.scale)
        scaled(self.normal, self.scale, self.y)
        spread(self.bias, self.columns)
        add_to_rows(self.y, self.columns)
        return self.y.reshape(x.shape)

    def centre_by_batch(self, rows):
        """Subtract the minibatch's mean from the rows; returns its variance."""
        if rows.size < 2 * self.num_features:
            raise ValueError("BatchNorm: one value a channel, expected more in training (drop_last leaves it out)")
        self.mean = reuse(self.mean, (self.num_features,), rows.dtype)
        self.var = reuse(self.var, (self.num_features,), rows.dtype)
        column_means(rows, self.columns)
        channel_means(self.columns, self.mean)
        spread(self.mean, self.columns)
        centred(rows, self.columns, self.normal)
        column_products(self.normal, self.normal, self.columns, False)
        channel_means(self.columns, self.var)
        for c in range(self.num_features):
            self.var[c] /= rows.shape[0]
        planes = self.normal.reshape((rows.shape[0], self.num_features, rows.shape[1] // self.num_features))
        for c in range(self.num_features):
            self.var[c], self.inverse[c] = channel_inverse(planes, c, self.var.dtype.type(0), self.var[c], self.eps)

    def track(self, count):
        """Update the running statistics by those of the minibatch."""
        self.num_batches_tracked[()] += 1
        share = 1 / self.num_batches_tracked[()] if self.momentum is None else self.momentum
        correction = count / (count - 1)
        for c in range(self.num_features):
            self.running_mean[c] += share * (self.mean[c] - self.running_mean[c])
            self.running_var[c] += share * (self.var[c] * correction - self.running_var[c])

    def bprop(self, grad_y):
        rows = flat(grad_y).reshape(self.normal.shape)
        count = rows.size // self.num_features
        self.measure_gradient(rows)
        if self.weight is not None and self.needs_grad_parameters:
            add_means(self.mean_grad, count, self.grad_bias, self.accumulate)
            add_means(self.mean_product, count, self.grad_weight, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, rows)
        if self.needs_grad_x:
            self.write_grad_x(rows)
        return self.grad_x.reshape(grad_y.shape)

    def measure_gradient(self, rows):
        """Compute the means of a gradient, and of its products with x̂."""
        self.mean_grad = reuse_like(self.mean_grad, self.inverse)
        self.mean_product = reuse_like(self.mean_product, self.inverse)
        column_means(rows, self.columns)
        channel_means(self.columns, self.mean_grad)
        column_products(rows, self.normal, self.columns, False)
        channel_means(self.columns, self.mean_product)
        for c in range(self.num_features):
            self.mean_product[c] /= rows.shape[0]

    def jvp(self, v):
        """J v + v_weight x̂ + v_b, where J v = Jᵀ v, since a channel's J is symmetric."""
        rows = flat(v).reshape(self.normal.shape)
        self.measure_gradient(rows)
        self.grad_x = reuse_like(self.grad_x, rows)
        self.write_grad_x(rows)
        if self.weight is not None:
            spread(self.v_weight, self.scale)
            add_directions(self.normal, self.scale, self.grad_x)
            spread(self.v_bias, self.columns)
            add_to_rows(self.grad_x, self.columns)
        return self.grad_x.reshape(v.shape).copy()

    def rbprop(self, v, grad_y, r_grad_y):
        """The change of all gradients along v, v_weight and r_grad_y: see batch_rbprop."""
        shape = (v.shape[0], self.num_features, v.size // (v.shape[0] * self.num_features))
        out, by_batch = np.empty(shape, v.dtype), self.training or self.running_mean is None
        images, grad, r_grad = flat(v).reshape(shape), flat(grad_y).reshape(shape), flat(r_grad_y).reshape(shape)
        normal = self.x_hat().reshape(shape)
        if self.weight is None:
            none = self.inverse  # stands for vectors that there are not
            batch_rbprop(images, grad, r_grad, normal, self.inverse, None, None, by_batch, none, none, out)
        else:
            batch_rbprop(
                images, grad, r_grad, normal, self.inverse, self.weight, self.v_weight, by_batch,
                self.grad_weight, self.grad_bias, out,
            )  # fmt: skip
        return out.reshape(v.shape)

    def x_hat(self):
        return self.normal

    def write_grad_x(self, grad_y):
        """Write grad_x from the rows of grad_y: scaled, and centred where the statistics are the minibatch's."""
        if self.running_mean is None or self.training:
            spread(self.mean_grad, self.columns)
            centred(grad_y, self.columns, self.grad_x)
            spread(self.mean_product, self.columns)
            for n in range(grad_y.shape[0]):
                for k in range(grad_y.shape[1]):
                    self.grad_x[n, k] -= self.normal[n, k] * self.columns[k]
            grad_y = self.grad_x
        spread(self.inverse, self.columns)
        scaled(grad_y, self.columns, self.grad_x)
        if self.weight is not None:
            spread(self.weight, self.scale)
            scaled(self.grad_x, self.scale, self.grad_x)

    def check_minibatch(self, input_shape: tuple[int, ...]) -> None:
        by_batch = self.training or self.running_mean is None
        if by_batch and math.prod(input_shape) < 2 * self.num_features:
            raise ValueError(
                f"{self.label()}: x has shape {input_shape}, one value a channel, expected more in training"
            )

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) not in (2, 3) or input_shape[1] != self.num_features:
            expected = f"(N, {self.num_features}) or (N, {self.num_features}, L)"
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected {expected}")
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps:g}, momentum={self.momentum}"


def add_means(means, count, out, add):
    """out = count means, or out += it."""
    if not add:
        out[:] = 0
    for c in range(out.size):
        out[c] += count * means[c]
