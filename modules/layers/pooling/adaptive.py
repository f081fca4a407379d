"""Adaptive pooling: windows that cover an image or a signal evenly, whatever its size."""

import numpy as np

from ...core.module import Module
from ...core.shapes import as_image_shape, as_image_sizes, collapse_sizes
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.convolution.pooling import add_at, fill_even_windows, means_of, take_at
from ...kernels.convolution.windows import largest_in_windows
from ...kernels.threads import MOVE_FLOPS, parallel_for
from .avg_pool import average_windows, spread_gradient
from .pooling import check_places

OutputSize = int | None | list[int | None] | tuple[int | None, ...]


class AdaptivePooling(Module):
    """Base of the adaptive pooling layers: where windows lie. 0 in `output_size` stands for the size of x."""

    axes = 2

    def __init__(self, output_size: OutputSize):
        super().__init__()
        sizes = (output_size,) * self.axes if output_size is None or isinstance(output_size, int) else output_size
        numbers = tuple(1 if size is None else size for size in sizes)
        as_image_sizes(self, "output_size", output_size if isinstance(output_size, int) else numbers, self.axes)
        self.output_size = (*((0,) if self.axes == 1 else ()), *(0 if size is None else size for size in sizes))
        self.down = self.across = np.empty((0, 3), np.int64)
        self.y = self.grad_x = np.empty((0,) * (2 + self.axes))

    def lay_out(self, height, width):
        """The tables of windows for images of this size."""
        rows, columns = self.size_of(height, width)
        self.down, self.across = reuse(self.down, (rows, 3), np.int64), reuse(self.across, (columns, 3), np.int64)
        fill_even_windows(height, self.down)
        fill_even_windows(width, self.across)

    def size_of(self, height, width):
        """Rows and columns of y."""
        return self.output_size[0] or height, self.output_size[1] or width

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape), None, self.axes)
        return (n, channels, *self.size_of(height, width)[2 - self.axes :])

    def extra_repr(self) -> str:
        return str(collapse_sizes(tuple(size or None for size in self.output_size), self.axes))


class AdaptiveAvgPool2d(AdaptivePooling):
    """Means of windows that cover the image evenly, for images of any size.

        y[n, c, p]      = mean of x[n, c, q] over ⌊p H / H'⌋ <= q < ⌈(p + 1) H / H'⌉
        grad_x[n, c, q] = Σ grad_y[n, c, p] / size over the windows p that hold q

    Shapes: x (N, C, H, W), y (N, C, H', W').
    Args: output_size: H' and W', one size or two; None stands for that of x.
    Errors: ValueError for sizes below 1, and for an x that is no image.
    Source: PyTorch's AdaptiveAvgPool2d.
    """

    locally_linear = True

    def fprop(self, x):
        self.x = x
        self.lay_out(x.shape[2], x.shape[3])
        rows, columns = self.down.shape[0], self.across.shape[0]
        self.y = reuse(self.y, (x.shape[0], x.shape[1], rows, columns), x.dtype)
        planes = x.shape[0] * x.shape[1]
        x, y = flat(x).reshape((planes, x.shape[2], x.shape[3])), flat(self.y).reshape((planes, rows, columns))
        means_of(x, self.down, self.across, 0, y)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        spread_gradient(self, grad_y, 0)
        return self.grad_x

    def jvp(self, v):
        """Means of v: the layer is linear."""
        return average_windows(self, v, 0)


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """Means of windows that cover the signal evenly, for signals of any length.

        y[n, c, p]      = mean of x[n, c, q] over ⌊p L / L'⌋ <= q < ⌈(p + 1) L / L'⌉
        grad_x[n, c, q] = Σ grad_y[n, c, p] / size over the windows p that hold q

    Shapes: x (N, C, L), y (N, C, L').
    Args: output_size: L'; None stands for that of x.
    Errors: ValueError for a size below 1, and for an x that is no signal.
    Source: PyTorch's AdaptiveAvgPool1d.
    """

    axes = 1
    locally_linear = True

    def fprop(self, x):
        self.x = x
        self.lay_out(1, x.shape[2])
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.across.shape[0]), x.dtype)
        planes = x.shape[0] * x.shape[1]
        x, y = flat(x).reshape((planes, 1, x.shape[2])), flat(self.y).reshape((planes, 1, self.across.shape[0]))
        means_of(x, self.down, self.across, 0, y)
        return self.y

    jvp = AdaptiveAvgPool2d.jvp


class AdaptiveMaxPool2d(AdaptivePooling):
    """Largest numbers of windows that cover the image evenly, for images of any size.

        y[n, c, p]      = max x[n, c, q] over ⌊p H / H'⌋ <= q < ⌈(p + 1) H / H'⌉
        grad_x[n, c, q] = Σ grad_y[n, c, p] over the windows p whose largest number is at q

    Shapes: x (N, C, H, W), y (N, C, H', W').
    Args: output_size: H' and W', one size or two; None stands for that of x.
    Errors: ValueError for sizes below 1, and for an x that is no image, or has images of 2³¹ places or more.
    Numerics: of equal numbers the first counts; a NaN counts as the largest.
    Source: PyTorch's AdaptiveMaxPool2d.
    """

    locally_linear = True
    kinks_meet = True  # windows may overlap

    def __init__(self, output_size: OutputSize):
        super().__init__(output_size)
        self.largest = np.empty((0, 0, 0), np.int32)  # where in its plane each number of y stands

    def fprop(self, x):
        self.x = x
        self.lay_out(x.shape[2], x.shape[3])
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.down.shape[0], self.across.shape[0]), x.dtype)
        self.pool(flat(x).reshape((x.shape[0] * x.shape[1], x.shape[2], x.shape[3])))
        return self.y

    def pool(self, planes):
        """Fill y and the places of its numbers."""
        self.largest = reuse(self.largest, (planes.shape[0], self.down.shape[0], self.across.shape[0]), np.int32)
        y = flat(self.y).reshape(self.largest.shape)
        cost = MOVE_FLOPS * planes.size
        parallel_for(largest_in_windows, planes.shape[0], cost, planes, self.down, self.across, y, self.largest)

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        planes, grad_y = self.largest.shape[0], flat(grad_y)
        parallel_for(add_at, planes, MOVE_FLOPS * self.x.size, grad_y, flat(self.largest), planes, flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """v at the largest numbers."""
        out = np.empty(self.y.shape, v.dtype)
        take_at(flat(v), flat(self.largest), self.largest.shape[0], flat(out))
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        check_places(self, input_shape)
        return super().output_shape(input_shape)


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """Largest numbers of windows that cover the signal evenly, for signals of any length.

        y[n, c, p]      = max x[n, c, q] over ⌊p L / L'⌋ <= q < ⌈(p + 1) L / L'⌉
        grad_x[n, c, q] = Σ grad_y[n, c, p] over the windows p whose largest number is at q

    Shapes: x (N, C, L), y (N, C, L').
    Args: output_size: L'; None stands for that of x.
    Errors, Numerics: as of AdaptiveMaxPool2d.
    Source: PyTorch's AdaptiveMaxPool1d.
    """

    axes = 1
    locally_linear = True

    def fprop(self, x):
        self.x = x
        self.lay_out(1, x.shape[2])
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.across.shape[0]), x.dtype)
        self.pool(flat(x).reshape((x.shape[0] * x.shape[1], 1, x.shape[2])))
        return self.y

    jvp = AdaptiveMaxPool2d.jvp
