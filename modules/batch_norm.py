"""Batch normalisation: each channel gets mean 0 and variance 1 over the minibatch, and then a learnt scale and shift.

A sample's numbers stand in a row of C channels of L places, so all below is about rows, columns and channels.
"""

import numpy as np

from .kernels.buffers import flat, reuse, reuse_like
from .kernels.products import add_to_rows
from .kernels.statistics import (
    add_directions,
    batch_rbprop,
    centred,
    channel_gradient_means,
    channel_means,
    channel_moments,
    column_means,
    column_products,
    inverse_root,
    normal_channel,
    normal_channel_bprop,
    scaled,
    spread,
)
from .module import Module
from .parameter import Buffer, Parameter
from .sizes import check_sizes, image_shape


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
        """The rows less the minibatch's mean, and its variance."""
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
        inverse_root(self.var, self.eps, self.inverse)

    def track(self, count):
        """Move the running statistics towards those of the minibatch."""
        self.num_batches_tracked[()] += 1
        share = 1 / self.num_batches_tracked[()] if self.momentum is None else self.momentum
        for c in range(self.num_features):
            self.running_mean[c] += share * (self.mean[c] - self.running_mean[c])
            self.running_var[c] += share * (self.var[c] * count / (count - 1) - self.running_var[c])

    def bprop(self, grad_y):
        rows = flat(grad_y).reshape(self.normal.shape)
        count = rows.size // self.num_features
        self.measure_gradient(rows)
        if self.weight is not None:
            add_means(self.mean_grad, count, self.grad_bias, self.accumulate)
            add_means(self.mean_product, count, self.grad_weight, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, rows)
        if self.needs_grad_x:
            self.write_grad_x(rows)
        return self.grad_x.reshape(grad_y.shape)

    def measure_gradient(self, rows):
        """The means of a gradient, and of its products with x̂."""
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
        """grad_x of the rows of grad_y: centred where the statistics are the minibatch's, and scaled."""
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

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) not in (2, 3) or input_shape[1] != self.num_features:
            expected = f"(N, {self.num_features}) or (N, {self.num_features}, L)"
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected {expected}")
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps:g}, momentum={self.momentum}"


class BatchNorm2d(BatchNorm1d):
    """Normalises each channel over the minibatch and all places of the images.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σ grad_y
        grad_weight += Σ grad_y x̂
        grad_x      = weight / √(σ² + eps) (grad_y - mean(grad_y) - x̂ mean(grad_y x̂))

    with everything else as of BatchNorm1d, n = N H W.

    Shapes: x and y (N, C, H, W); weight, bias, running_mean, running_var (C,).
    Args, Errors, Numerics: as of BatchNorm1d.
    Source: Ioffe and Szegedy, Batch normalization (2015), section 3.2; PyTorch's BatchNorm2d.
    """

    def fprop(self, x):
        self.x = x
        self.y = reuse_like(self.y, x)
        planes, y, channels = self.planes(x), self.planes(self.y), self.num_features
        self.mean, self.var = reuse(self.mean, (channels,), x.dtype), reuse(self.var, (channels,), x.dtype)
        self.inverse = reuse(self.inverse, (channels,), x.dtype)
        by_batch = self.training or self.running_mean is None
        if by_batch and x.size < 2 * channels:
            raise ValueError("BatchNorm: one value a channel, expected more in training (drop_last leaves it out)")
        for c in range(channels):
            mean, var, scale, shift = self.zero(), self.zero(), self.zero() + 1, self.zero()
            if by_batch:
                mean, var = channel_moments(planes, c)
            elif self.running_mean is not None:
                mean, var = self.running_mean[c], self.running_var[c]
            inverse = 1 / np.sqrt(var + self.eps)
            if self.weight is not None:
                scale, shift = self.weight[c], self.bias[c]
            normal_channel(planes, c, mean, inverse, scale, shift, y)
            self.mean[c], self.var[c], self.inverse[c] = mean, var, inverse
        if self.running_mean is not None and self.training:
            self.track(x.size // channels)
        return self.y

    def zero(self):
        return self.x.dtype.type(0)

    def planes(self, x):
        """Images as (N, C, H W)."""
        return flat(x).reshape((x.shape[0], x.shape[1], x.size // (x.shape[0] * x.shape[1])))

    def bprop(self, grad_y):
        self.propagate(grad_y, self.needs_grad_x)
        if self.weight is not None:
            count = grad_y.size // self.num_features
            add_means(self.mean_grad, count, self.grad_bias, self.accumulate)
            add_means(self.mean_product, count, self.grad_weight, self.accumulate)
        return self.grad_x

    def propagate(self, grad_y, wanted):
        """grad_x if it is wanted, and the means of the gradient and of its products with x̂, a channel at a time."""
        self.mean_grad = reuse_like(self.mean_grad, self.inverse)
        self.mean_product = reuse_like(self.mean_product, self.inverse)
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad, x, grad_x = self.planes(grad_y), self.planes(self.x), self.planes(self.grad_x)
        by_batch = self.training or self.running_mean is None
        for c in range(self.num_features):
            mean, inverse, none = self.mean[c], self.inverse[c], self.zero()
            scale = inverse if self.weight is None else inverse * self.weight[c]
            mean_grad, mean_product = channel_gradient_means(grad, x, c, mean, inverse)
            self.mean_grad[c], self.mean_product[c] = mean_grad, mean_product
            if wanted and by_batch:
                normal_channel_bprop(grad, x, c, mean, inverse, scale, mean_grad, mean_product, grad_x)
            elif wanted:
                normal_channel(grad, c, none, scale, none + 1, none, grad_x)

    def jvp(self, v):
        """J v + v_weight x̂ + v_b, where J v = Jᵀ v, since a channel's J is symmetric."""
        self.propagate(v, True)
        out, normal = self.planes(self.grad_x), self.planes(self.x_hat())
        if self.weight is not None:
            for n in range(len(out)):
                for c in range(self.num_features):
                    for p in range(out.shape[2]):
                        out[n, c, p] += self.v_weight[c] * normal[n, c, p] + self.v_bias[c]
        return self.grad_x.copy()

    rbprop = BatchNorm1d.rbprop

    def x_hat(self):
        x = np.empty(self.x.shape, self.x.dtype)
        for c in range(self.num_features):
            one = self.zero() + 1
            normal_channel(self.planes(self.x), c, self.mean[c], self.inverse[c], one, self.zero(), self.planes(x))
        return x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return image_shape(self, tuple(input_shape), self.num_features)


def add_means(means, count, out, add):
    """out = count means, or out += it."""
    if not add:
        out[:] = 0
    for c in range(out.size):
        out[c] += count * means[c]
