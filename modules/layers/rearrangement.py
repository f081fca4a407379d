"""The base of layers whose y holds numbers of x at other places: axes moved, edges padded, patches in columns."""

import numpy as np

from ..core.module import Module
from ..kernels.buffers import flat, reuse, reuse_like
from ..kernels.rearrange import gather_places, scatter_places
from ..kernels.threads import MOVE_FLOPS, parallel_for


class Rearrangement(Module):
    """Base of layers that gather numbers by a table of places, the same for each of M rows.

        y[m, k]      = x[m, places[k]], or `value` where places[k] < 0
        grad_x[m, j] = Σ grad_y[m, k] over the k with places[k] = j

    A row is what `count_rows(x)` makes of x: a sample, or a channel of it. A layer defines `shape_of(x)`, the shape of
    y, and `fill_places(x)`, which fills self.places.
    """

    locally_linear = True

    def __init__(self, value: float = 0.0):
        super().__init__()
        self.value = float(value)
        self.places = np.empty(0, np.int64)
        self.y = self.grad_x = np.empty((0, 0))

    def shape_of(self, x):
        """The shape of y."""
        raise NotImplementedError(f"{type(self).__name__} has no shape_of: write `def shape_of(self, x)`")

    def fill_places(self, x):
        """Fill self.places, which has as many numbers as a row of y."""
        raise NotImplementedError(f"{type(self).__name__} has no fill_places: write `def fill_places(self, x)`")

    def count_rows(self, x):
        """The rows: channels of samples."""
        return x.shape[0] * x.shape[1]

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, self.shape_of(x), x.dtype)
        self.places = reuse(self.places, (self.y.size // self.count_rows(x),), np.int64)
        self.fill_places(x)
        self.gather(x, x.dtype.type(self.value), self.y)
        return self.y

    def gather(self, x, value, y):
        """y = x rearranged."""
        rows = self.count_rows(x)
        parallel_for(gather_places, rows, MOVE_FLOPS * y.size, flat(x), self.places, rows, value, flat(y))

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        rows, cost = self.count_rows(self.x), MOVE_FLOPS * grad_y.size
        parallel_for(scatter_places, rows, cost, flat(grad_y), self.places, rows, flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """v rearranged: the layer is linear, but for the value."""
        out = np.empty(self.y.shape, v.dtype)
        self.gather(v, v.dtype.type(0), out)
        return out
