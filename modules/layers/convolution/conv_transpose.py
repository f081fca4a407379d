"""Transposed convolution, which enlarges images: the backward map of a convolution as a layer."""

import math

import numpy as np

from ...core.shapes import Sizes, as_image_shape, as_image_sizes, collapse_sizes
from ...initializers.initializers import Initializer
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.convolution.planes import add_image, add_to_channels, sum_channels
from ...kernels.threads import parallel_for_parts
from .conv import convolve_back
from .convolution import Convolution, check_groups


class ConvTranspose2d(Convolution):
    """Transpose of the cross-correlation of an image with learned kernels.

        y[n, o, q]              = Σ weight[c, o, i, j] x[n, c, p] + bias[o]   where s p + d (i, j) - padding = q
        grad_x[n, c, p]         = Σ weight[c, o, i, j] grad_y[n, o, s p + d (i, j) - padding]
        grad_weight[c, o, i, j] += Σₙ Σₚ x[n, c, p] grad_y[n, o, s p + d (i, j) - padding]
        grad_bias[o]            += Σₙ Σ_q grad_y[n, o, q]

    with s the stride and d the dilation; what falls outside y is left out.

    Shapes: x (N, in, H, W), y (N, out, H', W'), weight (in, out / groups, *kernel_size), bias (out,), with
        H' = (H - 1) s - 2 padding + d (kernel_size - 1) + output_padding + 1.
    Args: in_channels, out_channels; kernel_size, stride, padding, dilation: one size, or one for each axis;
        output_padding: rows and columns more at the end, less than the stride or the dilation; groups: divides both
        numbers of channels; bias: add b; weight_init, bias_init: as of Linear.
    Errors: ValueError for wrong settings, wrong channels, and an x of which nothing would be left.
    Source: Goodfellow et al., Deep Learning, section 9.5 (eq. 9.13); PyTorch's ConvTranspose2d.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        check_groups(self, groups, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.output_padding = as_image_sizes(self, "output_padding", output_padding, self.axes)
        limits = tuple(max(pair) for pair in zip(self.stride, self.dilation, strict=True))
        if any(size >= limit for size, limit in zip(self.output_padding, limits, strict=True)):
            expected = f"less than {collapse_sizes(limits, self.axes)}, the stride or the dilation"
            raise ValueError(
                f"{type(self).__name__}: output_padding is {collapse_sizes(self.output_padding, self.axes)}, "
                f"expected {expected}"
            )
        self.start(bias, out_channels, weight_init, bias_init)
        self.y = self.grad_x = np.empty((0, 0, 0, 0))

    def fprop(self, x):
        return self.images(x)

    def bprop(self, grad_y):
        return self.images_back(np.ascontiguousarray(grad_y))

    def images(self, x):
        """Compute y."""
        height, width = self.image_of(x.shape[2], x.shape[3])
        self.x, self.y = x, reuse(self.y, (len(x), self.out_channels, height, width), x.dtype)
        self.fine_of(x, self.weight, self.y)
        if self.bias is not None:
            add_to_channels(self.bias, self.y)
        return self.y

    def images_back(self, grad_y):
        """Compute grad_x, and the gradients of the parameters."""
        if self.bias is not None and self.needs_grad_parameters:
            sum_channels(grad_y, self.grad_bias, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, self.x)
        self.prepare(self.weight, self.none, False)
        parallel_for_parts(convolve_back, self.tiles, self.slots, self, grad_y)
        if self.needs_grad_parameters:
            self.end_gradient(self.none, self.accumulate)
        return self.grad_x

    def convolve_back(self, tile, slot, k, grad_y):
        """Add a chunk of samples, from k on, to the tile's sums for weight; writes its grad_x."""
        x, fine, more = self.x[k : k + self.samples], grad_y[k : k + self.samples], k > self.start_of(tile)
        if self.needs_grad_parameters:
            self.some_gradient(tile, slot, fine, x, False, more)  # which prepares what grad_x needs
        if self.needs_grad_x:
            read = not self.needs_grad_parameters
            self.some_coarse(slot, fine, self.weight, self.none, self.grad_x[k : k + self.samples], read)

    def jvp(self, v):
        """The transposed convolution of v with W, that of x with V_W, and v_b."""
        return self.transpose_directions(np.ascontiguousarray(v))

    def transpose_directions(self, v):
        """Compute the directional derivative."""
        out, other = np.empty(self.y.shape, v.dtype), np.empty(self.y.shape, v.dtype)
        self.fine_of(self.x, self.v_weight, other)
        self.fine_of(v, self.weight, out)
        add_image(flat(other), flat(out))
        if self.bias is not None:
            add_to_channels(self.v_bias, out)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """bprop of r_grad_y with x and W, plus bprop of grad_y with v and V_W."""
        return self.directions_back(
            np.ascontiguousarray(v), np.ascontiguousarray(grad_y), np.ascontiguousarray(r_grad_y)
        )

    def directions_back(self, v, grad_y, r_grad_y):
        """Compute the change of the results of `images_back`."""
        out, other = np.empty(v.shape, v.dtype), np.empty(v.shape, v.dtype)
        if self.bias is not None:
            sum_channels(r_grad_y, self.grad_bias, True)
        self.gradient_of(grad_y, v, self.none, True)
        self.coarse_of(grad_y, self.v_weight, self.none, other)
        self.gradient_of(r_grad_y, self.x, self.none, True)
        self.coarse_of(r_grad_y, self.weight, self.none, out)
        add_image(flat(other), flat(out))
        return out

    def image_of(self, rows, columns):
        """Infer height and width of y."""
        (s, t), (p, q), (a, b) = self.stride, self.padded_by, self.output_padding
        return (rows - 1) * s - p + self.reach[0] + a + 1, (columns - 1) * t - q + self.reach[1] + b + 1

    def flops(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """Count the operations of the forward and of the backward pass."""
        forward = 2 * math.prod(input_shape) * self.out_channels // self.groups * math.prod(self.kernel_size)
        return forward, 2 * forward

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, _, rows, columns = as_image_shape(self, tuple(input_shape), self.in_channels, self.axes)
        sizes = self.image_of(rows, columns)[2 - self.axes :]
        if min(sizes) < 1:
            left = sizes if self.axes == 2 else sizes[0]
            raise ValueError(f"{self.label()}: x has shape {input_shape}, of which the padding leaves {left} places")
        return (n, self.out_channels, *sizes)

    def extra_repr(self) -> str:
        more = collapse_sizes(self.output_padding, self.axes)
        text = f"{self.in_channels} -> {self.out_channels}{self.settings()}"
        return text + (f", output_padding={more}" if more != 0 else "")


class ConvTranspose1d(ConvTranspose2d):
    """Transpose of the cross-correlation of a signal with learned kernels.

        y[n, o, q]           = Σ weight[c, o, i] x[n, c, p] + bias[o]   where s p + d i - padding = q
        grad_x[n, c, p]      = Σ weight[c, o, i] grad_y[n, o, s p + d i - padding]
        grad_weight[c, o, i] += Σₙ Σₚ x[n, c, p] grad_y[n, o, s p + d i - padding]
        grad_bias[o]         += Σₙ Σ_q grad_y[n, o, q]

    Shapes: x (N, in, L), y (N, out, L'), weight (in, out / groups, kernel_size), bias (out,); L' as ConvTranspose2d's
        H'.
    Args, Errors: as of ConvTranspose2d, with one size each.
    Source: Goodfellow et al., Deep Learning, section 9.5 (eq. 9.13); PyTorch's ConvTranspose1d.
    """

    axes = 1

    def fprop(self, x):
        y = self.images(flat(x).reshape((x.shape[0], x.shape[1], 1, x.shape[2])))
        return y.reshape((x.shape[0], self.out_channels, y.shape[3]))

    def bprop(self, grad_y):
        grad_x = self.images_back(flat(grad_y).reshape(self.y.shape))
        return grad_x.reshape((grad_y.shape[0], self.in_channels, grad_x.shape[3]))

    def jvp(self, v):
        y = self.transpose_directions(flat(v).reshape(self.x.shape))
        return y.reshape((y.shape[0], self.out_channels, y.shape[3]))

    def rbprop(self, v, grad_y, r_grad_y):
        shape = self.y.shape
        grad_y, r_grad_y = flat(grad_y).reshape(shape), flat(r_grad_y).reshape(shape)
        return self.directions_back(flat(v).reshape(self.x.shape), grad_y, r_grad_y).reshape(v.shape)
