"""Global pooling: one number a channel, from signals, images or volumes of any size."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.sums import sum_of


class GlobalPool(Module):
    """Base of the global pools: `x` as rows (N C, P), the places of a channel each."""

    locally_linear = True

    def __init__(self):
        super().__init__()
        self.y, self.grad_x = np.empty((0, 0)), np.empty((0, 0, 0))

    def rows(self, x):
        """x as rows (N C, P)."""
        channels = x.shape[0] * x.shape[1]
        return flat(x).reshape((channels, x.size // channels))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) < 3:
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected (N, C, places ...)")
        return tuple(input_shape[:2])


class GlobalAvgPool(GlobalPool):
    """The mean of each channel.

        y[n, c]         = Σₚ x[n, c, p] / P
        grad_x[n, c, p] = grad_y[n, c] / P

    Shapes: x (N, C, ...) of signals, images or volumes with P places, y (N, C).
    Errors: ValueError for an x without places.
    Source: Lin, Chen and Yan, Network in network (2014), section 3.2; Keras's GlobalAveragePooling1D and 2D. With
        the places kept as an axis of size 1 it is AdaptiveAvgPool1d(1).
    """

    locally_linear = True

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, (x.shape[0], x.shape[1]), x.dtype)
        self.average(x, self.y)
        return self.y

    def average(self, x, y):
        """y = the means of x."""
        rows, means = self.rows(x), flat(y)
        for m in range(rows.shape[0]):
            means[m] = sum_of(rows[m]) / x.dtype.type(rows.shape[1])

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        rows, grad = self.rows(self.grad_x), flat(grad_y)
        for m in range(rows.shape[0]):
            rows[m].fill(grad[m] / grad.dtype.type(rows.shape[1]))
        return self.grad_x

    def jvp(self, v):
        """Means of v: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.average(v, out)
        return out


class GlobalMaxPool(GlobalPool):
    """The largest number of each channel.

        y[n, c]         = maxₚ x[n, c, p]
        grad_x[n, c, p] = grad_y[n, c] where the largest number stands, else 0

    Shapes: x (N, C, ...) of signals, images or volumes, y (N, C).
    Errors: ValueError for an x without places.
    Numerics: of equal numbers the first counts; a NaN counts as the largest.
    Source: Keras's GlobalMaxPooling1D and 2D. With the places kept as an axis of size 1 it is AdaptiveMaxPool1d(1).
    """

    locally_linear = True

    def __init__(self):
        super().__init__()
        self.largest = np.empty(0, np.int64)

    def fprop(self, x):
        self.x = x
        rows = self.rows(x)
        self.largest = reuse(self.largest, (rows.shape[0],), np.int64)
        self.y = reuse(self.y, (x.shape[0], x.shape[1]), x.dtype)
        y = flat(self.y)
        for m in range(rows.shape[0]):
            best, place = rows[m, 0], 0
            for p in range(rows.shape[1]):
                number = rows[m, p]
                if number > best or (number != number and best == best):
                    best, place = number, p
            y[m], self.largest[m] = best, place
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        rows, grad = self.rows(self.grad_x), flat(grad_y)
        for m in range(rows.shape[0]):
            rows[m].fill(0)
            rows[m, self.largest[m]] = grad[m]
        return self.grad_x

    def jvp(self, v):
        """v at the largest numbers."""
        out = np.empty(self.y.shape, v.dtype)
        rows, numbers = self.rows(v), flat(out)
        for m in range(rows.shape[0]):
            numbers[m] = rows[m, self.largest[m]]
        return out
