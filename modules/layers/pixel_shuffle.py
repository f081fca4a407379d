"""Channels laid out as pixels, and pixels as channels."""

import numpy as np

from ..core.module import Module
from ..core.shapes import as_image_shape, check_sizes
from ..kernels.buffers import reuse, reuse_like
from ..kernels.rearrange import fill_unshuffled
from .rearrangement import Rearrangement


class PixelShuffle(Module):
    """Channels laid out as pixels: r² images of one size as one that is r times as large.

        y[n, c, r i + a, r j + b]       = x[n, c r² + a r + b, i, j]
        grad_x[n, c r² + a r + b, i, j] = grad_y[n, c, r i + a, r j + b]

    Shapes: x (N, C r², H, W), y (N, C, r H, r W).
    Args: upscale_factor: r, at least 1.
    Errors: ValueError for other factors, and for channels that r² does not divide.
    Source: Shi et al., Real-time single image super-resolution (2016), eq. 4; PyTorch's PixelShuffle.
    """

    locally_linear = True

    def __init__(self, upscale_factor: int):
        super().__init__()
        check_sizes(self, upscale_factor=upscale_factor)
        self.upscale_factor = upscale_factor
        self.y = self.grad_x = np.empty((0, 0, 0, 0))

    def fprop(self, x):
        self.x, r = x, self.upscale_factor
        self.y = reuse(self.y, (x.shape[0], x.shape[1] // (r * r), r * x.shape[2], r * x.shape[3]), x.dtype)
        self.shuffle(x, self.y)
        return self.y

    def shuffle(self, x, y):
        """The channels of x as the pixels of y."""
        r = self.upscale_factor
        for n in range(x.shape[0]):
            for m in range(x.shape[1]):
                c, a, b = m // (r * r), m // r % r, m % r
                for i in range(x.shape[2]):
                    for j in range(x.shape[3]):
                        y[n, c, r * i + a, r * j + b] = x[n, m, i, j]

    def jvp(self, v):
        """The channels of v as pixels: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.shuffle(v, out)
        return out

    def bprop(self, grad_y):
        self.grad_x, r = reuse_like(self.grad_x, self.x), self.upscale_factor
        for n in range(self.grad_x.shape[0]):
            for m in range(self.grad_x.shape[1]):
                c, a, b = m // (r * r), m // r % r, m % r
                for i in range(self.grad_x.shape[2]):
                    for j in range(self.grad_x.shape[3]):
                        self.grad_x[n, m, i, j] = grad_y[n, c, r * i + a, r * j + b]
        return self.grad_x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape))
        r = self.upscale_factor
        if channels % (r * r):
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected a multiple of {r * r} channels")
        return (n, channels // (r * r), r * height, r * width)

    def extra_repr(self) -> str:
        return str(self.upscale_factor)


class PixelUnshuffle(Rearrangement):
    """Pixels laid out as channels: an image as r² images that are r times as small; the inverse of PixelShuffle.

        y[n, c r² + a r + b, i, j]     = x[n, c, r i + a, r j + b]
        grad_x[n, c, r i + a, r j + b] = grad_y[n, c r² + a r + b, i, j]

    Shapes: x (N, C, r H, r W), y (N, C r², H, W).
    Args: downscale_factor: r, at least 1.
    Errors: ValueError for other factors, and for an x that is no image or whose sizes r does not divide.
    Source: Shi et al., Real-time single image super-resolution (2016), eq. 4; PyTorch's PixelUnshuffle.
    """

    def __init__(self, downscale_factor: int):
        super().__init__()
        check_sizes(self, downscale_factor=downscale_factor)
        self.downscale_factor = downscale_factor

    def shape_of(self, x):
        r = self.downscale_factor
        return x.shape[0], x.shape[1] * r * r, x.shape[2] // r, x.shape[3] // r

    def fill_places(self, x):
        fill_unshuffled(x.shape[2], x.shape[3], self.downscale_factor, self.places)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape))
        r = self.downscale_factor
        if height % r or width % r:
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected multiples of {r} places")
        return (n, channels * r * r, height // r, width // r)

    def extra_repr(self) -> str:
        return str(self.downscale_factor)
