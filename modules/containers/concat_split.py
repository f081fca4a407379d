"""Arrays side by side in one: what joins several ways along an axis, and what parts one array into several ways."""

import numpy as np

from ..core.internal import Joint
from ..kernels.buffers import flat, resized, reuse


class Slot(Joint):
    """One array's stretch of an axis that several share, after those before it.

        y[..., first + c, ...]  = way[..., c, ...]
        grad_way[..., c, ...]   = grad_y[..., first + c, ...]

    All are measured before the last one makes y, into which the others go.
    """

    locally_linear = True

    def __init__(self, axis: int = 1):
        super().__init__()
        self.axis, self.first, self.count = axis, 0, 0
        self.y = self.grad_way = np.empty((0, 0))

    def measure(self, way, first=0):
        """Where the next one begins."""
        self.first, self.count = first, way.shape[self.axis]
        return first + self.count

    def fprop(self, way, y=None):  # type: ignore[override]
        shape = resized(way.shape, self.axis, self.first + self.count)
        self.y = reuse(self.y, shape, way.dtype) if y is None else y
        put(flat(way), flat(self.y), self.first * inner(self.y, self.axis), outer(way, self.axis))
        return self.y

    def bprop(self, grad_y):
        self.grad_way = reuse(self.grad_way, resized(grad_y.shape, self.axis, self.count), grad_y.dtype)
        take(flat(grad_y), self.first * inner(grad_y, self.axis), flat(self.grad_way), outer(grad_y, self.axis))
        return self.grad_way

    def jvp(self, way, y=None):
        out = np.empty(resized(way.shape, self.axis, self.first + self.count), way.dtype) if y is None else y
        put(flat(way), flat(out), self.first * inner(out, self.axis), outer(way, self.axis))
        return out


class Layer(Joint):
    """One array among several of one shape, all together an array with one more axis: y[:, k] = way."""

    locally_linear = True

    def __init__(self, k: int, count: int):
        super().__init__()
        self.k, self.count = k, count
        self.y = self.grad_way = np.empty((0, 0))

    def fprop(self, way, y=None):  # type: ignore[override]
        shape = way.shape[:1] + (self.count,) + way.shape[1:]  # noqa: RUF005
        self.y = reuse(self.y, shape, way.dtype) if y is None else y
        put(flat(way), flat(self.y), self.k * (way.size // way.shape[0]), way.shape[0])
        return self.y

    def bprop(self, grad_y):
        self.grad_way = reuse(self.grad_way, grad_y.shape[:1] + grad_y.shape[2:], grad_y.dtype)
        take(flat(grad_y), self.k * (self.grad_way.size // grad_y.shape[0]), flat(self.grad_way), grad_y.shape[0])
        return self.grad_way

    def jvp(self, way, y=None):
        shape = way.shape[:1] + (self.count,) + way.shape[1:]  # noqa: RUF005
        out = np.empty(shape, way.dtype) if y is None else y
        put(flat(way), flat(out), self.k * (way.size // way.shape[0]), way.shape[0])
        return out


class Part(Joint):
    """A stretch of an axis: y[..., c, ...] = x[..., first + c, ...]; the gradients of all parts meet in one grad_x."""

    passes_labels = True
    locally_linear = True

    def __init__(self, first: int, count: int, axis: int):
        super().__init__()
        self.first, self.count, self.axis = first, count, axis
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, resized(x.shape, self.axis, self.count), x.dtype)
        take(flat(x), self.first * inner(x, self.axis), flat(self.y), outer(x, self.axis))
        return self.y

    def bprop(self, grad_y, grad_x=None):  # type: ignore[override]
        self.grad_x = reuse(self.grad_x, self.x.shape, grad_y.dtype) if grad_x is None else grad_x
        put(flat(grad_y), flat(self.grad_x), self.first * inner(self.x, self.axis), outer(self.x, self.axis))
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        take(flat(v), self.first * inner(v, self.axis), flat(out), outer(v, self.axis))
        return out


class Pick(Joint):
    """One of the arrays that lie along the second axis: y = x[:, k]; the gradients of all meet in one grad_x."""

    passes_labels = True
    locally_linear = True

    def __init__(self, k: int):
        super().__init__()
        self.k = k
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:1] + x.shape[2:], x.dtype)
        take(flat(x), self.k * (self.y.size // x.shape[0]), flat(self.y), x.shape[0])
        return self.y

    def bprop(self, grad_y, grad_x=None):  # type: ignore[override]
        self.grad_x = reuse(self.grad_x, self.x.shape, grad_y.dtype) if grad_x is None else grad_x
        put(flat(grad_y), flat(self.grad_x), self.k * (grad_y.size // grad_y.shape[0]), grad_y.shape[0])
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        take(flat(v), self.k * (out.size // v.shape[0]), flat(out), v.shape[0])
        return out


def inner(x, axis):
    """How many numbers lie between neighbours along an axis."""
    count = 1
    for k in range(axis + 1, x.ndim):
        count *= x.shape[k]
    return count


def outer(x, axis):
    """How many stretches along an axis there are."""
    count = 1
    for k in range(axis):
        count *= x.shape[k]
    return count


def put(part, whole, first, stretches):
    """whole[n, first + i] = part[n, i], both vectors of so many stretches."""
    rows = part.reshape((stretches, part.size // stretches))
    target = whole.reshape((stretches, whole.size // stretches))
    for n in range(stretches):
        for i in range(rows.shape[1]):
            target[n, first + i] = rows[n, i]


def take(whole, first, part, stretches):
    """part[n, i] = whole[n, first + i], both vectors of so many stretches."""
    source = whole.reshape((stretches, whole.size // stretches))
    rows = part.reshape((stretches, part.size // stretches))
    for n in range(stretches):
        for i in range(rows.shape[1]):
            rows[n, i] = source[n, first + i]
