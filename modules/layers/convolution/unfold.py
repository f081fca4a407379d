"""Patches of images beside each other as columns, and images as the sums of their patches."""

import math

import numpy as np

from ...core.module import Module
from ...core.shapes import Sizes, as_image_shape, as_image_sizes, collapse_sizes
from ...kernels.buffers import flat, reuse
from ...kernels.rearrange import fill_patches, gather_places, scatter_places
from ...kernels.threads import MOVE_FLOPS, parallel_for
from ..rearrangement import Rearrangement


class Unfold(Rearrangement):
    """The patches of an image beside each other, as columns: what a convolution multiplies by its kernels.

        y[n, (c, i, j), p]       = x[n, c, s p + d (i, j) - padding], 0 outside
        grad_x[n, c, q]          = Σ grad_y[n, (c, i, j), p]   over p, i, j with s p + d (i, j) - padding = q

    with s the stride, d the dilation, (c, i, j) and the places p in the order of their memory.

    Shapes: x (N, C, H, W), y (N, C * kernel_size, L), L the number of patches.
    Args: kernel_size, dilation, padding, stride: one size, or one for each axis, in PyTorch's order.
    Errors: ValueError for wrong settings, and for an x that is no image or smaller than the kernel.
    Source: Chellapilla, Puri and Simard, High performance convolutional neural networks for document processing (2006);
        PyTorch's Unfold.
    """

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1):
        super().__init__()
        set_patches(self, kernel_size, dilation, padding, stride)

    def shape_of(self, x):
        rows, columns = patches_of(x.shape[2], x.shape[3], self.kernel_size, self.stride, self.padding, self.dilation)
        return x.shape[0], x.shape[1] * self.kernel_size[0] * self.kernel_size[1], rows * columns

    def fill_places(self, x):
        height, width = x.shape[2], x.shape[3]
        k, s, p, d = self.kernel_size, self.stride, self.padding, self.dilation
        rows, columns = patches_of(height, width, k, s, p, d)
        fill_patches(height, width, k, s, p, d, rows, columns, self.places)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape))
        counts = patches_of(height, width, self.kernel_size, self.stride, self.padding, self.dilation)
        if min(counts) < 1:
            raise ValueError(
                f"{self.label()}: x has shape {tuple(input_shape)}, expected an image of at least one patch"
            )
        return n, channels * math.prod(self.kernel_size), math.prod(counts)

    def extra_repr(self) -> str:
        return describe_patches(self)


class Fold(Module):
    """An image as the sum of its patches: the transpose of Unfold.

        y[n, c, q]               = Σ x[n, (c, i, j), p]   over p, i, j with s p + d (i, j) - padding = q
        grad_x[n, (c, i, j), p]  = grad_y[n, c, s p + d (i, j) - padding], 0 outside

    with s the stride, d the dilation, (c, i, j) and the places p in the order of their memory.

    Shapes: x (N, C * kernel_size, L), L the number of patches; y (N, C, H, W).
    Args: output_size: H and W; kernel_size, dilation, padding, stride: one size, or one for each axis.
    Errors: ValueError for wrong settings, for an image smaller than the kernel, and for an x with other patches.
    Source: PyTorch's Fold.
    """

    locally_linear = True

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ):
        super().__init__()
        self.output_size = as_image_sizes(self, "output_size", output_size)
        set_patches(self, kernel_size, dilation, padding, stride)
        height, width = self.output_size
        self.counts = patches_of(height, width, self.kernel_size, self.stride, self.padding, self.dilation)
        if min(self.counts) < 1:
            size = collapse_sizes(self.output_size)
            raise ValueError(f"Fold: output_size is {size}, expected an image of at least one patch")
        self.places = np.empty(0, np.int64)
        self.y, self.grad_x = np.empty((0, 0, 0, 0)), np.empty((0, 0, 0))

    def fprop(self, x):
        self.x = x
        height, width = self.output_size
        k = self.kernel_size
        self.places = reuse(self.places, (k[0] * k[1] * x.shape[2],), np.int64)
        fill_patches(
            height, width, k, self.stride, self.padding, self.dilation, self.counts[0], self.counts[1], self.places
        )
        self.y = reuse(self.y, (x.shape[0], x.shape[1] // (k[0] * k[1]), height, width), x.dtype)
        self.add_patches(x, self.y)
        return self.y

    def add_patches(self, x, y):
        """y = the sums of x's patches."""
        planes = y.shape[0] * y.shape[1]
        parallel_for(scatter_places, planes, MOVE_FLOPS * x.size, flat(x), self.places, planes, flat(y))

    def bprop(self, grad_y):
        self.grad_x = reuse(self.grad_x, self.x.shape, grad_y.dtype)
        planes, zero = grad_y.shape[0] * grad_y.shape[1], grad_y.dtype.type(0)
        cost, out = MOVE_FLOPS * self.x.size, flat(self.grad_x)
        parallel_for(gather_places, planes, cost, flat(grad_y), self.places, planes, zero, out)
        return self.grad_x

    def jvp(self, v):
        """The sums of v's patches: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.add_patches(v, out)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        size, patches = math.prod(self.kernel_size), math.prod(self.counts)
        if len(input_shape) != 3 or input_shape[1] % size or input_shape[2] != patches:
            expected = f"(N, a multiple of {size}, {patches})"
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected {expected}")
        return (input_shape[0], input_shape[1] // size, *self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={collapse_sizes(self.output_size)}, {describe_patches(self)}"


def set_patches(module, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> None:
    """Set the sizes of a layer's patches."""
    module.kernel_size = as_image_sizes(module, "kernel_size", kernel_size)
    module.dilation = as_image_sizes(module, "dilation", dilation)
    module.padding = as_image_sizes(module, "padding", padding)
    module.stride = as_image_sizes(module, "stride", stride)


def patches_of(height, width, kernel_size, stride, padding, dilation):
    """Rows and columns of the patches of an image."""
    rows = (height + 2 * padding[0] - dilation[0] * (kernel_size[0] - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kernel_size[1] - 1) - 1) // stride[1] + 1
    return rows, columns


def describe_patches(module) -> str:
    """Format the sizes of patches that differ from the defaults."""
    text = f"kernel_size={collapse_sizes(module.kernel_size)}"
    for name, default in {"dilation": (1, 1), "padding": (0, 0), "stride": (1, 1)}.items():
        value = getattr(module, name)
        text += f", {name}={collapse_sizes(value)}" if value != default else ""
    return text
