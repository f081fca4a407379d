"""Where the ways through a net meet: the parts that containers of several ways put into their plans.

Unlike a layer, a joint takes two arrays; so it stands in no Sequential.
"""

import numpy as np

from .kernels.buffers import flat, reuse, reuse_like
from .module import Module


class Joint(Module):
    """Base of the joints: their container's methods call them, with arrays that it has checked."""

    framework_base = True

    def _enter_fprop(self, raw, *arguments):
        return raw(self, *arguments)

    def _enter_bprop(self, raw, *arguments):
        return raw(self, *arguments)


class Sum(Joint):
    """The sum of what comes out of two ways, y = a + b; or, where one x went into both, of their two grad_x."""

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, a, b):  # type: ignore[override]
        self.y = reuse_like(self.y, a)
        add(flat(a), flat(b), flat(self.y))
        return self.y

    def bprop(self, a, b):  # type: ignore[override]
        self.grad_x = reuse_like(self.grad_x, a)
        add(flat(a), flat(b), flat(self.grad_x))
        return self.grad_x


class Slot(Joint):
    """One way's channels among those of all: after those of the ways before it, if there are any.

    y               = [before, way]
    grad_way[n, c]  = grad_y[n, first + c]
    """

    def __init__(self):
        super().__init__()
        self.first = self.count = 0
        self.y = self.grad_way = np.empty((0, 0))

    def fprop(self, way, before=None):  # type: ignore[override]
        self.count = way.shape[1]
        if before is None:
            return way
        self.first = before.shape[1]
        self.y = reuse(self.y, way.shape[:1] + (self.first + self.count,) + way.shape[2:], way.dtype)  # noqa: RUF005
        samples = way.shape[0]
        put(flat(before), flat(self.y), 0, samples)
        put(flat(way), flat(self.y), before.size // samples, samples)
        return self.y

    def bprop(self, grad_y):
        shape = grad_y.shape[:1] + (self.count,) + grad_y.shape[2:]  # noqa: RUF005
        self.grad_way = reuse(self.grad_way, shape, grad_y.dtype)
        samples = grad_y.shape[0]
        take(flat(grad_y), self.first * (grad_y.size // (samples * grad_y.shape[1])), flat(self.grad_way), samples)
        return self.grad_way


def add(a, b, out):
    """out = a + b, all vectors."""
    for i in range(out.size):
        out[i] = a[i] + b[i]


def put(part, whole, first, samples):
    """whole[n, first + i] = part[n, i], both vectors of so many samples."""
    rows, target = part.reshape((samples, part.size // samples)), whole.reshape((samples, whole.size // samples))
    for n in range(samples):
        for i in range(rows.shape[1]):
            target[n, first + i] = rows[n, i]


def take(whole, first, part, samples):
    """part[n, i] = whole[n, first + i], both vectors of so many samples."""
    source, rows = whole.reshape((samples, whole.size // samples)), part.reshape((samples, part.size // samples))
    for n in range(samples):
        for i in range(rows.shape[1]):
            rows[n, i] = source[n, first + i]
