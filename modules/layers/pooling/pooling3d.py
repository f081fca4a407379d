"""Pooling of volumes: video, scans, or anything else with three axes of places."""

import numpy as np

from ...core.module import Module
from ...core.shapes import Sizes, as_volume_sizes, check_volume_shape
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.convolution.pooling import add_at, fill_windows, take_at
from ...kernels.convolution.windows import largest_of_volumes, means_of_volumes, spread_volume_means
from ...kernels.threads import MOVE_FLOPS, parallel_for
from .adaptive import check_places
from .pooling import count_windows


class Pooling3d(Module):
    """Base of the pooling layers of volumes; window q of an axis begins at s q - padding, s the stride."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool):
        super().__init__()
        self.kernel_size = as_volume_sizes(self, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else as_volume_sizes(self, "stride", stride)
        self.padding = as_volume_sizes(self, "padding", padding)
        self.dilation = as_volume_sizes(self, "dilation", dilation)
        self.ceil_mode = ceil_mode
        most = tuple((d * (k - 1) + 1) // 2 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        if any(p > m for p, m in zip(self.padding, most, strict=True)):
            expected = f"at most {shorten(most)}, half of the window"
            raise ValueError(f"{type(self).__name__}: padding is {shorten(self.padding)}, expected {expected}")
        self.deep = self.down = self.across = np.empty((0, 3), np.int64)
        self.y = self.grad_x = np.empty((0, 0, 0, 0, 0))

    def lay_out(self, x):
        """The tables of windows for volumes of this size, and y."""
        k, s, p, d = self.kernel_size, self.stride, self.padding, self.dilation
        layers = count_windows(x.shape[2], k[0], s[0], p[0], d[0], self.ceil_mode)
        rows = count_windows(x.shape[3], k[1], s[1], p[1], d[1], self.ceil_mode)
        columns = count_windows(x.shape[4], k[2], s[2], p[2], d[2], self.ceil_mode)
        self.deep = reuse(self.deep, (layers, 3), np.int64)
        self.down, self.across = reuse(self.down, (rows, 3), np.int64), reuse(self.across, (columns, 3), np.int64)
        fill_windows(x.shape[2], k[0], s[0], p[0], d[0], self.deep)
        fill_windows(x.shape[3], k[1], s[1], p[1], d[1], self.down)
        fill_windows(x.shape[4], k[2], s[2], p[2], d[2], self.across)
        self.y = reuse(self.y, (x.shape[0], x.shape[1], layers, rows, columns), x.dtype)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = check_volume_shape(self, input_shape)
        settings = list(zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True))
        counts = [count_windows(size, *axis, self.ceil_mode) for size, axis in zip(shape[2:], settings, strict=True)]
        for size, count, (k, s, p, d) in zip(shape[2:], counts, settings, strict=True):
            table = np.empty((max(count, 0), 3), np.int64)
            fill_windows(size, k, s, p, d, table)
            if count < 1 or (table[:, 0] >= size).any():
                raise ValueError(f"{self.label()}: x has shape {shape}, expected a volume that fills each window")
        return (*shape[:2], *counts)

    def extra_repr(self) -> str:
        text = f"kernel_size={shorten(self.kernel_size)}"
        defaults = {"stride": self.kernel_size, "padding": (0, 0, 0), "dilation": (1, 1, 1)}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={shorten(getattr(self, name))}"
        return text + (", ceil_mode=True" if self.ceil_mode else "")


def volumes(x):
    """View x (N, C, D, H, W) as volumes (N C, D, H, W)."""
    return flat(x).reshape((x.shape[0] * x.shape[1], x.shape[2], x.shape[3], x.shape[4]))


def shorten(sizes: tuple[int, ...]):
    """One number where all axes have the same."""
    return sizes[0] if len(set(sizes)) == 1 else sizes


class MaxPool3d(Pooling3d):
    """Largest number of each window of a volume.

        y[n, c, p]      = maxᵢ x[n, c, s p + d i - padding]
        grad_x[n, c, q] = Σ grad_y[n, c, p] over the windows p whose largest number is at q

    with s the stride, d the dilation; places outside the volume do not count.

    Shapes: x (N, C, D, H, W), y (N, C, D', H', W'), D', H' and W' as MaxPool2d's H'.
    Args, Errors, Numerics: as of MaxPool2d, with one size each or three.
    Source: Tran et al., Learning spatiotemporal features with 3D convolutional networks (2015); PyTorch's MaxPool3d.
    """

    locally_linear = True
    kinks_meet = True  # a number may be as large as another in one window, and in the next one, too

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        *,
        ceil_mode: bool = False,
    ):
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        self.largest = np.empty((0, 0, 0, 0), np.int32)  # where in its volume each number of y stands

    def fprop(self, x):
        self.x = x
        self.lay_out(x)
        y, source = volumes(self.y), volumes(x)
        self.largest = reuse(self.largest, y.shape, np.int32)
        parallel_for(
            largest_of_volumes, y.shape[0], 4 * MOVE_FLOPS * x.size, source, self.deep, self.down, self.across,
            self.dilation, y, self.largest,
        )  # fmt: skip
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        count, grad_y = self.largest.shape[0], flat(grad_y)
        parallel_for(add_at, count, MOVE_FLOPS * self.x.size, grad_y, flat(self.largest), count, flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """v at the largest numbers."""
        out = np.empty(self.y.shape, v.dtype)
        take_at(flat(v), flat(self.largest), self.largest.shape[0], flat(out))
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        check_places(self, input_shape)
        return super().output_shape(input_shape)


class AvgPool3d(Pooling3d):
    """Mean of each window of a volume.

        y[n, c, p]      = Σᵢ x[n, c, s p + i - padding] / size
        grad_x[n, c, q] = Σ grad_y[n, c, p] / size over the windows p that hold q

    with s the stride, x zero outside, and size the number of the window's places.

    Shapes: x (N, C, D, H, W), y (N, C, D', H', W'), D', H' and W' as AvgPool2d's H'.
    Args, Errors: as of AvgPool2d, with one size each or three.
    Source: Tran et al., Learning spatiotemporal features with 3D convolutional networks (2015); PyTorch's AvgPool3d.
    """

    locally_linear = True

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        if divisor_override is not None and divisor_override < 1:
            raise ValueError(f"AvgPool3d: divisor_override is {divisor_override}, expected at least 1")
        self.count_include_pad = count_include_pad
        self.divisor_override = 0 if divisor_override is None else divisor_override

    def fprop(self, x):
        self.x = x
        self.lay_out(x)
        if not self.count_include_pad:
            for table in (self.deep, self.down, self.across):
                for r in range(table.shape[0]):
                    table[r, 2] = table[r, 1] - table[r, 0]
        self.average(x, self.y)
        return self.y

    def average(self, x, y):
        """y = the means of x's windows."""
        source, means = volumes(x), volumes(y)
        parallel_for(
            means_of_volumes, means.shape[0], 2 * MOVE_FLOPS * x.size, source, self.deep, self.down, self.across,
            self.divisor_override, means,
        )  # fmt: skip

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad, grad_x = volumes(grad_y), volumes(self.grad_x)
        parallel_for(
            spread_volume_means, grad.shape[0], 2 * MOVE_FLOPS * grad_x.size, grad, self.deep, self.down, self.across,
            self.divisor_override, grad_x,
        )  # fmt: skip
        return self.grad_x

    def jvp(self, v):
        """Means of v: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.average(v, out)
        return out

    def extra_repr(self) -> str:
        text = super().extra_repr() + ("" if self.count_include_pad else ", count_include_pad=False")
        return text + (f", divisor_override={self.divisor_override}" if self.divisor_override else "")
