"""The convolution of volumes, as a matrix product of the kernels and the patches of each sample."""

import math

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import Sizes, as_image_shape, as_image_sizes
from ...initializers.initializers import Initializer, PyTorchUniform
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.convolution.volumes import add_channel_bias, add_columns, fill_columns, sum_places
from ...kernels.matmul.gemm import matmul_into
from ...kernels.threads import MOVE_FLOPS, parallel_for
from .convolution import Padding, check_groups


class Conv3d(Module):
    """Cross-correlation of a volume with learned kernels.

        y[n, o, p]                 = Σ weight[o, c, h, i, j] x[n, c, s p + d (h, i, j) - padding] + bias[o]
        grad_x[n, c, q]            = Σ weight[o, c, h, i, j] grad_y[n, o, p]   where s p + d (h, i, j) - padding = q
        grad_weight[o, c, h, i, j] += Σₙ Σₚ grad_y[n, o, p] x[n, c, s p + d (h, i, j) - padding]
        grad_bias[o]               += Σₙ Σₚ grad_y[n, o, p]

    with s the stride, d the dilation, and x zero outside. The patches of a sample lie beside each other as columns, so
    that each line is a matrix product.

    Shapes: x (N, in, D, H, W), y (N, out, D', H', W'), weight (out, in / groups, *kernel_size), bias (out,); D', H' and
        W' as Conv2d's H'.
    Args: as of Conv2d, with one size each or three, and zeros around volumes.
    Errors: ValueError for wrong settings, wrong channels, and a volume that is smaller than the kernel.
    Source: Goodfellow et al., Deep Learning, section 9.5 (eq. 9.9 to 9.13); Ji et al., 3D convolutional neural networks
        for human action recognition (2010); PyTorch's Conv3d.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ):
        super().__init__()
        check_groups(self, groups, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = as_image_sizes(self, "kernel_size", kernel_size, 3)
        self.stride = as_image_sizes(self, "stride", stride, 3)
        self.dilation = as_image_sizes(self, "dilation", dilation, 3)
        self.reach = tuple(d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True))
        self.before, self.padded_by = self.paddings(padding)
        self._padding = padding if isinstance(padding, str) else self.before
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        default = PyTorchUniform(math.prod(shape[1:]))
        self.weight = Parameter((weight_init or default).sample(shape))
        self.bias = Parameter((bias_init or default).sample((out_channels,))) if bias else None
        self.columns = self.grad_columns = np.empty((0, 0, 0))
        self.y = self.grad_x = np.empty((0, 0, 0, 0, 0))

    def paddings(self, padding) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Compute the zeros before the volume, and before and after it together, for each axis."""
        if padding == "same":
            if max(self.stride) > 1:
                raise ValueError("Conv3d: padding is 'same' with a stride above 1, expected stride 1")
            return tuple(reach // 2 for reach in self.reach), self.reach
        if isinstance(padding, str) and padding != "valid":
            raise ValueError(f"Conv3d: padding is {padding!r}, expected sizes, 'same' or 'valid'")
        before = as_image_sizes(self, "padding", 0 if padding == "valid" else padding, 3)
        return before, tuple(2 * size for size in before)

    def fprop(self, x):
        self.x = x
        layers, rows, columns = self.volume_of(x.shape[2], x.shape[3], x.shape[4])
        self.y = reuse(self.y, (x.shape[0], self.out_channels, layers, rows, columns), x.dtype)
        self.columns = reuse(self.columns, (self.in_channels, self.taps(), layers * rows * columns), x.dtype)
        self.convolve(x, self.weight, self.y, False)
        if self.bias is not None:
            add_channel_bias(self.places(self.y), self.bias)
        return self.y

    def taps(self):
        """The places of a kernel."""
        return self.kernel_size[0] * self.kernel_size[1] * self.kernel_size[2]

    def places(self, y):
        """View volumes as (N, channels, places)."""
        return flat(y).reshape((y.shape[0], y.shape[1], y.size // (y.shape[0] * y.shape[1])))

    def matrix(self, weight):
        """View kernels as (out, in / groups * taps)."""
        return flat(weight).reshape((self.out_channels, weight.size // self.out_channels))

    def write_columns(self, sample):
        """Write the patches of a sample (in, D, H, W) to the columns."""
        cost = MOVE_FLOPS * self.columns.size
        parallel_for(
            fill_columns, self.in_channels, cost, sample, self.kernel_size, self.stride, self.before, self.dilation,
            self.y.shape[2:], self.columns,
        )  # fmt: skip

    def patches(self, columns):
        """View columns as (in * taps, places), a row for each weight of a group's kernel."""
        return columns.reshape((columns.shape[0] * columns.shape[1], columns.shape[2]))

    def convolve(self, x, weight, y, add):
        """y = the convolution of x, or y += it."""
        weights, outputs, patches = self.matrix(weight), self.places(y), self.patches(self.columns)
        out, terms = self.out_channels // self.groups, weights.shape[1]
        for n in range(x.shape[0]):
            self.write_columns(x[n])
            for g in range(self.groups):
                rows = slice(g * out, (g + 1) * out)
                matmul_into(weights[rows], patches[g * terms : (g + 1) * terms], outputs[n, rows], add)

    def bprop(self, grad_y):
        if self.bias is not None and self.needs_grad_parameters:
            sum_places(self.places(grad_y), self.grad_bias, self.accumulate)
        if self.needs_grad_parameters:
            self.add_gradient(self.x, grad_y, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, self.x)
        if self.needs_grad_x:
            self.transpose(grad_y, self.weight, self.grad_x)
        return self.grad_x

    def add_gradient(self, x, grad_y, add):
        """Add Σₙ grad_y[n] columns(x[n])ᵀ to the kernels' gradient, or write it."""
        gradients, grads, patches = self.matrix(self.grad_weight), self.places(grad_y), self.patches(self.columns)
        out, terms = self.out_channels // self.groups, gradients.shape[1]
        for n in range(x.shape[0]):
            self.write_columns(x[n])
            for g in range(self.groups):
                rows = slice(g * out, (g + 1) * out)
                columns = patches[g * terms : (g + 1) * terms]
                matmul_into(grads[n, rows], columns.T, gradients[rows], add or n > 0)

    def transpose(self, grad_y, weight, grad_x):
        """grad_x = the transposed convolution of grad_y."""
        self.grad_columns = reuse_like(self.grad_columns, self.columns)
        weights, grads, patches = self.matrix(weight), self.places(grad_y), self.patches(self.grad_columns)
        out, terms, cost = self.out_channels // self.groups, weights.shape[1], MOVE_FLOPS * self.columns.size
        for n in range(grad_x.shape[0]):
            for g in range(self.groups):
                rows = slice(g * out, (g + 1) * out)
                matmul_into(weights[rows].T, grads[n, rows], patches[g * terms : (g + 1) * terms], False)
            parallel_for(
                add_columns, self.in_channels, cost, self.grad_columns, self.kernel_size, self.stride, self.before,
                self.dilation, self.y.shape[2:], grad_x[n],
            )  # fmt: skip

    def jvp(self, v):
        """The convolution of v with W, that of x with V_W, and v_b."""
        out = np.empty(self.y.shape, v.dtype)
        self.convolve(self.x, self.v_weight, out, False)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            self.convolve(np.ascontiguousarray(v), self.weight, out, True)
        if self.bias is not None:
            add_channel_bias(self.places(out), self.v_bias)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """bprop of r_grad_y with x and W, plus bprop of grad_y with v and V_W."""
        out, other = np.empty(v.shape, v.dtype), np.empty(v.shape, v.dtype)
        v, grad_y, r_grad_y = np.ascontiguousarray(v), np.ascontiguousarray(grad_y), np.ascontiguousarray(r_grad_y)
        if self.bias is not None:
            sum_places(self.places(r_grad_y), self.grad_bias, True)
        self.add_gradient(self.x, r_grad_y, True)
        if self.needs_grad_x:
            self.add_gradient(v, grad_y, True)
            self.transpose(r_grad_y, self.weight, out)
            self.transpose(grad_y, self.v_weight, other)
            out += other
        return out

    def volume_of(self, depth, height, width):
        """Infer depth, height and width of y."""
        (s, t, u), (p, q, r), (a, b, c) = self.stride, self.padded_by, self.reach
        return (depth + p - a - 1) // s + 1, (height + q - b - 1) // t + 1, (width + r - c - 1) // u + 1

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, _, *sizes = as_image_shape(self, tuple(input_shape), self.in_channels, 3)
        counts = self.volume_of(*sizes)
        if min(counts) < 1:
            least = (1 + reach - padded for reach, padded in zip(self.reach, self.padded_by, strict=True))
            expected = " by ".join(map(str, least))
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected at least {expected} places")
        return (n, self.out_channels, *counts)

    def extra_repr(self) -> str:
        text = f"{self.in_channels} -> {self.out_channels}"
        values: list[tuple] = [("kernel_size", self.kernel_size, None), ("stride", self.stride, 1)]
        values += [("padding", self._padding, 0), ("dilation", self.dilation, 1)]
        for name, value, default in values:
            short = value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
            text += f", {name}={short}" if short != default else ""
        text += f", groups={self.groups}" if self.groups > 1 else ""
        return text + ("" if self.bias is not None else ", bias=False")
