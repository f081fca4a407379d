"""What the pooling layers have in common: where their windows lie."""

import math

import numpy as np

from ...core.module import Module
from ...core.shapes import Sizes, as_image_shape, as_image_sizes, collapse_sizes
from ...kernels.buffers import flat, reuse
from ...kernels.convolution.pooling import fill_windows


class Pooling(Module):
    """Base of the pooling layers: their classes have the equations, kernels/convolution/pooling.py the loops.

    `pool` fills y from images, as planes (N C, H, W). Window r of an axis begins at s r - padding; s is the stride.

    Shapes: x (N, C, ...), y (N, C, ...') with one size for each axis.
    Args: kernel_size, stride, padding, dilation: one size, or one for each axis; ceil_mode: round the sizes of y up.
    Errors: ValueError for wrong settings, and for an image that leaves a window empty.
    """

    axes = 2

    def __init__(self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool):
        super().__init__()
        self.kernel_size = as_image_sizes(self, "kernel_size", kernel_size, self.axes)
        self.stride = self.kernel_size if stride is None else as_image_sizes(self, "stride", stride, self.axes)
        self.padding = as_image_sizes(self, "padding", padding, self.axes)
        self.dilation = as_image_sizes(self, "dilation", dilation, self.axes)
        self.ceil_mode = ceil_mode
        most = tuple((d * (k - 1) + 1) // 2 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        if any(p > m for p, m in zip(self.padding, most, strict=True)):
            expected = f"at most {collapse_sizes(most, self.axes)}, half of the window"
            raise ValueError(
                f"{type(self).__name__}: padding is {collapse_sizes(self.padding, self.axes)}, expected {expected}"
            )
        self.deep = self.down = self.across = np.empty((0, 3), np.int64)
        self.y = self.grad_x = np.empty((0,) * (2 + self.axes))

    def fprop(self, x):
        self.x = x
        self.down, self.across = self.lay_out(0, x.shape[2], self.down), self.lay_out(1, x.shape[3], self.across)
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.down.shape[0], self.across.shape[0]), x.dtype)
        self.pool(flat(x).reshape((x.shape[0] * x.shape[1], x.shape[2], x.shape[3])))
        return self.y

    def lay_out(self, axis, size, table):
        """The table of windows of an axis of this size, in the memory of `table` if it has as many."""
        k, s, p, d = self.kernel_size[axis], self.stride[axis], self.padding[axis], self.dilation[axis]
        table = reuse(table, (count_windows(size, k, s, p, d, self.ceil_mode), 3), np.int64)
        fill_windows(size, k, s, p, d, table)
        return table

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, *sizes = as_image_shape(self, tuple(input_shape), None, self.axes)
        settings = list(zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True))
        counts = [count_windows(size, *axis, self.ceil_mode) for size, axis in zip(sizes, settings, strict=True)]
        for size, count, (k, s, p, d) in zip(sizes, counts, settings, strict=True):
            table = np.empty((max(count, 0), 3), np.int64)
            fill_windows(size, k, s, p, d, table)
            if count < 1 or (table[:, 0] >= size).any():
                expected = "a volume" if self.axes == 3 else "an image"
                shape = tuple(input_shape)
                raise ValueError(f"{self.label()}: x has shape {shape}, expected {expected} that fills each window")
        return (n, channels, *counts[-self.axes :])

    def extra_repr(self) -> str:
        defaults = {"stride": self.kernel_size, "padding": (0,) * self.axes, "dilation": (1,) * self.axes}
        text = f"kernel_size={collapse_sizes(self.kernel_size, self.axes)}"
        for name, default in defaults.items():
            value = getattr(self, name)[-self.axes :]
            if value != default[-self.axes :]:
                text += f", {name}={collapse_sizes(value, self.axes)}"
        return text + (", ceil_mode=True" if self.ceil_mode else "")


class Pooling1d(Pooling):
    """Base of the pooling layers of signals (N, C, L), which are images of one row.

    Among the bases of such a class it stands before the pooling layer of images, whose `pool` it uses.
    """

    axes = 1

    def fprop(self, x):
        self.x = x
        self.down, self.across = self.lay_out(0, 1, self.down), self.lay_out(1, x.shape[2], self.across)
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.across.shape[0]), x.dtype)
        self.pool(flat(x).reshape((x.shape[0] * x.shape[1], 1, x.shape[2])))
        return self.y


class Pooling3d(Pooling):
    """Base of the pooling layers of volumes (N, C, D, H, W), which `pool` gets as (N C, D, H, W).

    Among the bases of such a class it stands before the pooling layer of images, whose settings it has.
    """

    axes = 3

    def fprop(self, x):
        self.x = x
        self.deep, self.down = self.lay_out(0, x.shape[2], self.deep), self.lay_out(1, x.shape[3], self.down)
        self.across = self.lay_out(2, x.shape[4], self.across)
        sizes = (self.deep.shape[0], self.down.shape[0], self.across.shape[0])
        self.y = reuse(self.y, x.shape[:2] + sizes, x.dtype)
        self.pool(as_volumes(x))
        return self.y


def as_volumes(x):
    """View x (N, C, D, H, W) as volumes (N C, D, H, W)."""
    return flat(x).reshape((x.shape[0] * x.shape[1], x.shape[2], x.shape[3], x.shape[4]))


def count_windows(size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows an axis has; with ceil_mode, the last one may end outside, but begins inside."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = (room + stride - 1) // stride + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def check_places(module: Module, input_shape: tuple[int, ...]) -> None:
    """Raise ValueError for images of so many places that 32 bits do not hold a place."""
    size = math.prod(input_shape[2:])
    if size > np.iinfo(np.int32).max:
        shape = tuple(input_shape)
        raise ValueError(f"{module.label()}: x has shape {shape}, {size} places in an image, expected fewer than 2³¹")
