"""Batch normalisation of images and volumes by channels, each of which stays in the cache for all passes over it."""

import numpy as np

from ...core.shapes import as_image_shape
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.moments import (
    channel_gradient_means,
    channel_inverse,
    channel_moments,
    normal_channel,
    normal_channel_bprop,
)
from ...kernels.threads import MOVE_FLOPS, parallel_for
from .batch_norm import BatchNorm1d, add_means


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

    needs_y = False

    def fprop(self, x):
        self.x = x
        self.y = reuse_like(self.y, x)
        planes, y, channels = self.planes(x), self.planes(self.y), self.num_features
        self.mean, self.var = reuse(self.mean, (channels,), x.dtype), reuse(self.var, (channels,), x.dtype)
        self.inverse = reuse(self.inverse, (channels,), x.dtype)
        by_batch = self.training or self.running_mean is None
        if by_batch and x.size < 2 * channels:
            raise ValueError("BatchNorm: one value a channel, expected more in training (drop_last leaves it out)")
        parallel_for(normalise, channels, 2 * MOVE_FLOPS * x.size, self, planes, y)
        if self.running_mean is not None and self.training:
            self.track(x.size // channels)
        return self.y

    def normalise(self, c, planes, y):
        """A channel of y, its mean and variance."""
        zero = planes.dtype.type(0)
        mean, var, inverse, scale, shift = zero, zero, zero, zero + 1, zero
        if self.training or self.running_mean is None:
            mean, var = channel_moments(planes, c)
            var, inverse = channel_inverse(planes, c, mean, var, self.eps)
        elif self.running_mean is not None:
            mean, var = self.running_mean[c], self.running_var[c]
            inverse = 1 / np.sqrt(var + self.eps)
        if self.weight is not None:
            scale, shift = self.weight[c], self.bias[c]
        normal_channel(planes, c, mean, inverse, scale, shift, y)
        self.mean[c], self.var[c], self.inverse[c] = mean, var, inverse

    def planes(self, x):
        """View images as (N, C, H W)."""
        return flat(x).reshape((x.shape[0], x.shape[1], x.size // (x.shape[0] * x.shape[1])))

    def bprop(self, grad_y):
        self.propagate(grad_y, self.needs_grad_x)
        if self.weight is not None and self.needs_grad_parameters:
            count = grad_y.size // self.num_features
            add_means(self.mean_grad, count, self.grad_bias, self.accumulate)
            add_means(self.mean_product, count, self.grad_weight, self.accumulate)
        return self.grad_x

    def propagate(self, grad_y, needs_grad_x):
        """Compute grad_x if it is needed, and the means of the gradient and of its products with x̂."""
        self.mean_grad = reuse_like(self.mean_grad, self.inverse)
        self.mean_product = reuse_like(self.mean_product, self.inverse)
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad, x, grad_x = self.planes(grad_y), self.planes(self.x), self.planes(self.grad_x)
        parallel_for(normalise_back, self.num_features, 2 * MOVE_FLOPS * x.size, self, grad, x, needs_grad_x, grad_x)

    def normalise_back(self, c, grad, x, needs_grad_x, grad_x):
        """A channel of grad_x, if it is needed, and the means."""
        mean, inverse, none = self.mean[c], self.inverse[c], x.dtype.type(0)
        scale = inverse if self.weight is None else inverse * self.weight[c]
        mean_grad, mean_product = channel_gradient_means(grad, x, c, mean, inverse)
        self.mean_grad[c], self.mean_product[c] = mean_grad, mean_product
        if needs_grad_x and (self.training or self.running_mean is None):
            normal_channel_bprop(grad, x, c, mean, inverse, scale, mean_grad, mean_product, grad_x)
        elif needs_grad_x:
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
        """x̂ of the last x."""
        x, zero = np.empty(self.x.shape, self.x.dtype), self.x.dtype.type(0)
        for c in range(self.num_features):
            normal_channel(self.planes(self.x), c, self.mean[c], self.inverse[c], zero + 1, zero, self.planes(x))
        return x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return as_image_shape(self, tuple(input_shape), self.num_features)


def normalise(first, last, layer, x, y):
    """Some channels of y."""
    for c in range(first, last):
        layer.normalise(c, x, y)


def normalise_back(first, last, layer, grad, x, needs_grad_x, grad_x):
    """Some channels of grad_x."""
    for c in range(first, last):
        layer.normalise_back(c, grad, x, needs_grad_x, grad_x)


class BatchNorm3d(BatchNorm2d):
    """Normalises each channel over the minibatch and all places of the volumes.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σ grad_y
        grad_weight += Σ grad_y x̂
        grad_x      = weight / √(σ² + eps) (grad_y - mean(grad_y) - x̂ mean(grad_y x̂))

    with everything else as of BatchNorm1d, n = N D H W.

    Shapes: x and y (N, C, D, H, W); weight, bias, running_mean, running_var (C,).
    Args, Errors, Numerics: as of BatchNorm1d.
    Source: Ioffe and Szegedy, Batch normalization (2015), section 3.2; PyTorch's BatchNorm3d.
    """

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return as_image_shape(self, tuple(input_shape), self.num_features, 3)
