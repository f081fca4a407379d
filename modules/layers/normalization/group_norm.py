"""Normalisation of each sample by itself, over groups of its channels and all places."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import as_image_shape, check_sizes
from ...kernels.buffers import flat, reuse
from ...kernels.moments import normal_rows, normal_rows_bprop, normal_rows_rbprop
from ...kernels.sums import dot, sum_of
from .layer_norm import check_eps


class GroupNorm(Module):
    """Normalises groups of channels of each sample, and then scales and shifts each channel.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σ grad_y
        grad_weight += Σ grad_y x̂
        grad_x      = (g - mean(g) - x̂ mean(g x̂)) / √(σ² + eps),   g = weight grad_y

    with μ, σ² and means over the channels of a group and their places, sums over the samples and places of a channel.

    Shapes: x and y (N, C, ...); weight, bias (C,).
    Args: num_groups: divides num_channels; num_channels: C; eps: at least 0; affine: with weight and bias.
    Errors: ValueError for other shapes and settings, and for groups of one number.
    Numerics: the variance in a second pass, from x - μ.
    Source: Wu and He, Group normalization (2018), eq. 1 to 7; PyTorch's GroupNorm.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True):
        super().__init__()
        check_sizes(self, num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            expected = f"a multiple of num_groups, {num_groups}"
            raise ValueError(f"{type(self).__name__}: num_channels is {num_channels}, expected {expected}")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, check_eps(self, eps)
        self.weight = Parameter(np.ones(num_channels)) if affine else None
        self.bias = Parameter(np.zeros(num_channels)) if affine else None
        self.inverse = np.empty(0)
        self.normal = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        groups = x.shape[0] * self.num_groups
        rows = flat(x).reshape((groups, x.size // groups))
        self.inverse = reuse(self.inverse, (groups,), x.dtype)
        self.normal = reuse(self.normal, rows.shape, x.dtype)
        normal_rows(rows, self.eps, self.normal, self.inverse)
        if self.weight is None:
            return self.normal.reshape(x.shape)
        self.y = reuse(self.y, rows.shape, x.dtype)
        normal, y = self.planes(self.normal), self.planes(self.y)
        for m in range(y.shape[0]):
            scale, shift = self.weight[m % self.num_channels], self.bias[m % self.num_channels]
            for p in range(y.shape[1]):
                y[m, p] = scale * normal[m, p] + shift
        return self.y.reshape(x.shape)

    def bprop(self, grad_y):
        rows = flat(grad_y).reshape(self.normal.shape)
        self.grad_x = reuse(self.grad_x, rows.shape, rows.dtype)
        if self.weight is None:
            normal_rows_bprop(rows, self.normal, self.inverse, self.grad_x)
        else:
            self.through_channels(self.planes(rows), self.planes(self.normal), self.planes(self.grad_x))
            normal_rows_bprop(self.grad_x, self.normal, self.inverse, self.grad_x)
        return self.grad_x.reshape(grad_y.shape)

    def jvp(self, v):
        """weight S v + v_weight x̂ + v_b, with S = dx̂/dx, which is symmetric."""
        out = np.empty(self.normal.shape, v.dtype)
        normal_rows_bprop(flat(v).reshape(self.normal.shape), self.normal, self.inverse, out)
        if self.weight is not None:
            y, normal = self.planes(out), self.planes(self.normal)
            for m in range(y.shape[0]):
                c = m % self.num_channels
                for p in range(y.shape[1]):
                    y[m, p] = self.weight[c] * y[m, p] + self.v_weight[c] * normal[m, p] + self.v_bias[c]
        return out.reshape(v.shape)

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} from g, R{g} = weight r_grad_y + v_weight grad_y; R{grad_weight} += Σ r_grad_y x̂ + grad_y R{x̂}"""
        shape, out = self.normal.shape, np.empty(self.normal.shape, v.dtype)
        rows, g, r = flat(v).reshape(shape), flat(grad_y).reshape(shape), flat(r_grad_y).reshape(shape)
        if self.weight is not None:
            q = np.empty(shape, v.dtype)
            normal_rows_bprop(rows, self.normal, self.inverse, q)
            g, r = self.directions_through_channels(self.planes(g), self.planes(r), self.planes(q))
            g, r = g.reshape(shape), r.reshape(shape)
        normal_rows_rbprop(rows, g, r, self.normal, self.inverse, out)
        return out.reshape(v.shape)

    def directions_through_channels(self, grad_y, r_grad_y, q):
        """g and R{g}, and the changes of the gradients of weight and bias; all (N C, P)."""
        g, r, normal = np.empty(q.shape, q.dtype), np.empty(q.shape, q.dtype), self.planes(self.normal)
        for m in range(q.shape[0]):
            c = m % self.num_channels
            self.grad_bias[c] += sum_of(r_grad_y[m])
            self.grad_weight[c] += dot(r_grad_y[m], normal[m]) + dot(grad_y[m], q[m])
            for p in range(q.shape[1]):
                g[m, p] = self.weight[c] * grad_y[m, p]
                r[m, p] = self.weight[c] * r_grad_y[m, p] + self.v_weight[c] * grad_y[m, p]
        return g, r

    def through_channels(self, grad_y, normal, out):
        """out = weight grad_y, and the gradients of weight and bias; all (N C, P)."""
        if not self.accumulate:
            self.grad_weight[:] = 0
            self.grad_bias[:] = 0
        for m in range(out.shape[0]):
            c = m % self.num_channels
            self.grad_bias[c] += sum_of(grad_y[m])
            self.grad_weight[c] += dot(grad_y[m], normal[m])
            for p in range(out.shape[1]):
                out[m, p] = self.weight[c] * grad_y[m, p]

    def planes(self, rows):
        """Groups' rows as channels' rows, (N C, P)."""
        channels = rows.shape[0] // self.num_groups * self.num_channels
        return rows.reshape((channels, rows.size // channels))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = tuple(input_shape)
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ValueError(f"{self.label()}: x has shape {shape}, expected (N, {self.num_channels}, ...)")
        if np.prod(shape[1:]) == self.num_groups:
            raise ValueError(f"{self.label()}: x has shape {shape}, expected more than one number in a group")
        return shape

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps:g}"


class InstanceNorm2d(GroupNorm):
    """Normalises each channel of each image over its places: contrast and brightness are taken out.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σ grad_y
        grad_weight += Σ grad_y x̂
        grad_x      = (g - mean(g) - x̂ mean(g x̂)) / √(σ² + eps),   g = weight grad_y

    with μ, σ² and means over the places of a channel of a sample: GroupNorm with a group for each channel.

    Shapes: x and y (N, C, H, W); weight, bias (C,).
    Args: num_features: C; eps: at least 0; affine: with weight and bias.
    Errors, Numerics: as of GroupNorm.
    Source: Ulyanov, Vedaldi and Lempitsky, Instance normalization (2016); PyTorch's InstanceNorm2d.
    """

    axes = 2

    def __init__(self, num_features: int, eps: float = 1e-5, *, affine: bool = False):
        check_sizes(self, num_features=num_features)
        super().__init__(num_features, num_features, eps, affine)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape, channels = tuple(input_shape), self.num_channels
        as_image_shape(self, shape, channels, self.axes)
        return super().output_shape(shape)

    def extra_repr(self) -> str:
        return f"{self.num_channels}, eps={self.eps:g}" + (", affine=True" if self.weight is not None else "")


class InstanceNorm1d(InstanceNorm2d):
    """Normalises each channel of each signal over its places.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σ grad_y
        grad_weight += Σ grad_y x̂
        grad_x      = (g - mean(g) - x̂ mean(g x̂)) / √(σ² + eps),   g = weight grad_y

    with μ, σ² and means over the places of a channel of a sample: GroupNorm with a group for each channel.

    Shapes: x and y (N, C, L); weight, bias (C,).
    Args: num_features: C; eps: at least 0; affine: with weight and bias.
    Errors, Numerics: as of GroupNorm.
    Source: Ulyanov, Vedaldi and Lempitsky, Instance normalization (2016); PyTorch's InstanceNorm1d.
    """

    axes = 1


class InstanceNorm3d(InstanceNorm2d):
    """Normalises each channel of each volume over its places.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σ grad_y
        grad_weight += Σ grad_y x̂
        grad_x      = (g - mean(g) - x̂ mean(g x̂)) / √(σ² + eps),   g = weight grad_y

    with μ, σ² and means over the places of a channel of a sample: GroupNorm with a group for each channel.

    Shapes: x and y (N, C, D, H, W); weight, bias (C,).
    Args: num_features: C; eps: at least 0; affine: with weight and bias.
    Errors, Numerics: as of GroupNorm.
    Source: Ulyanov, Vedaldi and Lempitsky, Instance normalization (2016); PyTorch's InstanceNorm3d.
    """

    axes = 3
