"""What the pooling layers have in common: where their windows lie."""

import numpy as np

from ...core.module import Module
from ...core.shapes import Sizes, as_image_shape, as_image_sizes, collapse_sizes
from ...kernels.buffers import flat, reuse
from ...kernels.convolution.pooling import fill_windows


class Pooling(Module):
    """Base of the pooling layers: their classes have the equations, kernels/convolution/pooling.py the loops.

    `pool` fills y from images, as planes (N C, H, W). Window r of an axis begins at s r - padding; s is the stride.
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
        self.down = self.across = np.empty((0, 3), np.int64)
        self.y = self.grad_x = np.empty((0,) * (2 + self.axes))

    def fprop(self, x):
        self.x = x
        self.lay_out(x.shape[2], x.shape[3])
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.down.shape[0], self.across.shape[0]), x.dtype)
        self.pool(flat(x).reshape((x.shape[0] * x.shape[1], x.shape[2], x.shape[3])))
        return self.y

    def lay_out(self, height, width):
        """The tables of windows for images of this size."""
        k, s, p, d = self.kernel_size, self.stride, self.padding, self.dilation
        rows = count_windows(height, k[0], s[0], p[0], d[0], self.ceil_mode)
        columns = count_windows(width, k[1], s[1], p[1], d[1], self.ceil_mode)
        self.down, self.across = reuse(self.down, (rows, 3), np.int64), reuse(self.across, (columns, 3), np.int64)
        fill_windows(height, k[0], s[0], p[0], d[0], self.down)
        fill_windows(width, k[1], s[1], p[1], d[1], self.across)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, *sizes = as_image_shape(self, tuple(input_shape), None, self.axes)
        settings = list(zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True))
        counts = [count_windows(size, *axis, self.ceil_mode) for size, axis in zip(sizes, settings, strict=True)]
        for size, count, (k, s, p, d) in zip(sizes, counts, settings, strict=True):
            table = np.empty((max(count, 0), 3), np.int64)
            fill_windows(size, k, s, p, d, table)
            if count < 1 or (table[:, 0] >= size).any():
                raise ValueError(f"{self.label()}: x has shape {input_shape}, expected an image that fills each window")
        return (n, channels, *counts[2 - self.axes :])

    def extra_repr(self) -> str:
        text = f"kernel_size={collapse_sizes(self.kernel_size, self.axes)}"
        defaults = {"stride": self.kernel_size, "padding": (0, 0), "dilation": (1, 1)}
        for name, default in defaults.items():
            value = getattr(self, name)
            text += (
                f", {name}={collapse_sizes(value, self.axes)}"
                if value[2 - self.axes :] != default[2 - self.axes :]
                else ""
            )
        return text + (", ceil_mode=True" if self.ceil_mode else "")


class Pooling1d(Pooling):
    """Base of the pooling layers of signals (N, C, L), which are images of one row.

    Among the bases of such a class it stands before the pooling layer of images, whose `pool` it uses.
    """

    axes = 1

    def fprop(self, x):
        self.x = x
        self.lay_out(1, x.shape[2])
        self.y = reuse(self.y, (x.shape[0], x.shape[1], self.across.shape[0]), x.dtype)
        self.pool(flat(x).reshape((x.shape[0] * x.shape[1], 1, x.shape[2])))
        return self.y


def count_windows(size, kernel, stride, padding, dilation, ceil_mode):
    """How many windows an axis has; with ceil_mode, the last one may end outside, but begins inside."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = (room + stride - 1) // stride + 1
    return count - 1 if (count - 1) * stride >= size + padding else count
