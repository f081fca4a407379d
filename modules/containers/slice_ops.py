"""Concatenation, stacking and slicing: internal ops that merge branches along an axis, or split an array into them."""

import numpy as np

from ..core.internal_op import InternalOp
from ..kernels.buffers import flat, replace_size, reuse


class ConcatSlice(InternalOp):
    """Writes one array into its slice of a concatenation, after those before it.

        y[..., first + c, ...]    = branch[..., c, ...]
        grad_branch[..., c, ...]  = grad_y[..., first + c, ...]

    All are measured before the last one allocates y, into which the others write.
    """

    locally_linear = True

    def __init__(self, axis: int = 1):
        super().__init__()
        self.axis, self.first, self.count = axis, 0, 0
        self.y = self.grad_branch = np.empty((0, 0))

    def measure(self, branch, first=0):
        """Store this slice's offset and size; returns the offset of the next slice."""
        self.first, self.count = first, branch.shape[self.axis]
        return first + self.count

    def fprop(self, branch, y=None):  # type: ignore[override]
        shape = replace_size(branch.shape, self.axis, self.first + self.count)
        self.y = reuse(self.y, shape, branch.dtype) if y is None else y
        write_slice(
            flat(branch), flat(self.y), self.first * count_inner(self.y, self.axis), count_outer(branch, self.axis)
        )
        return self.y

    def bprop(self, grad_y):
        self.grad_branch = reuse(self.grad_branch, replace_size(grad_y.shape, self.axis, self.count), grad_y.dtype)
        read_slice(
            flat(grad_y),
            self.first * count_inner(grad_y, self.axis),
            flat(self.grad_branch),
            count_outer(grad_y, self.axis),
        )
        return self.grad_branch

    def jvp(self, branch, y=None):
        out = np.empty(replace_size(branch.shape, self.axis, self.first + self.count), branch.dtype) if y is None else y
        write_slice(flat(branch), flat(out), self.first * count_inner(out, self.axis), count_outer(branch, self.axis))
        return out


class StackSlice(InternalOp):
    """Writes one of several arrays of one shape into a stack along a new axis 1: y[:, k] = branch."""

    locally_linear = True

    def __init__(self, k: int, count: int):
        super().__init__()
        self.k, self.count = k, count
        self.y = self.grad_branch = np.empty((0, 0))

    def fprop(self, branch, y=None):  # type: ignore[override]
        shape = branch.shape[:1] + (self.count,) + branch.shape[1:]  # noqa: RUF005
        self.y = reuse(self.y, shape, branch.dtype) if y is None else y
        write_slice(flat(branch), flat(self.y), self.k * (branch.size // branch.shape[0]), branch.shape[0])
        return self.y

    def bprop(self, grad_y):
        self.grad_branch = reuse(self.grad_branch, grad_y.shape[:1] + grad_y.shape[2:], grad_y.dtype)
        read_slice(
            flat(grad_y), self.k * (self.grad_branch.size // grad_y.shape[0]), flat(self.grad_branch), grad_y.shape[0]
        )
        return self.grad_branch

    def jvp(self, branch, y=None):
        shape = branch.shape[:1] + (self.count,) + branch.shape[1:]  # noqa: RUF005
        out = np.empty(shape, branch.dtype) if y is None else y
        write_slice(flat(branch), flat(out), self.k * (branch.size // branch.shape[0]), branch.shape[0])
        return out


class Slice(InternalOp):
    """A slice of an axis: y[..., c, ...] = x[..., first + c, ...]; all slices write their gradients into one grad_x."""

    passes_labels = True
    locally_linear = True

    def __init__(self, first: int, count: int, axis: int):
        super().__init__()
        self.first, self.count, self.axis = first, count, axis
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, replace_size(x.shape, self.axis, self.count), x.dtype)
        read_slice(flat(x), self.first * count_inner(x, self.axis), flat(self.y), count_outer(x, self.axis))
        return self.y

    def bprop(self, grad_y, grad_x=None):  # type: ignore[override]
        self.grad_x = reuse(self.grad_x, self.x.shape, grad_y.dtype) if grad_x is None else grad_x
        write_slice(
            flat(grad_y), flat(self.grad_x), self.first * count_inner(self.x, self.axis), count_outer(self.x, self.axis)
        )
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        read_slice(flat(v), self.first * count_inner(v, self.axis), flat(out), count_outer(v, self.axis))
        return out


class Select(InternalOp):
    """Selects index k of axis 1: y = x[:, k]; all selections write their gradients into one grad_x."""

    passes_labels = True
    locally_linear = True

    def __init__(self, k: int):
        super().__init__()
        self.k = k
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:1] + x.shape[2:], x.dtype)
        read_slice(flat(x), self.k * (self.y.size // x.shape[0]), flat(self.y), x.shape[0])
        return self.y

    def bprop(self, grad_y, grad_x=None):  # type: ignore[override]
        self.grad_x = reuse(self.grad_x, self.x.shape, grad_y.dtype) if grad_x is None else grad_x
        write_slice(flat(grad_y), flat(self.grad_x), self.k * (grad_y.size // grad_y.shape[0]), grad_y.shape[0])
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        read_slice(flat(v), self.k * (out.size // v.shape[0]), flat(out), v.shape[0])
        return out


class Discard(InternalOp):
    """An array that nobody reads: its gradient is zero."""

    passes_labels = True
    locally_linear = True
    is_drawn = False

    def __init__(self):
        super().__init__()
        self.zeros = np.empty((0, 0))

    def fprop(self, x):
        self.zeros = reuse(self.zeros, x.shape, self.zeros.dtype)
        return x

    def bprop(self, grad_y):
        self.zeros[...] = 0
        return self.zeros

    def jvp(self, v):
        return v


def count_inner(x, axis):
    """The stride of an axis of a C-contiguous array, in numbers."""
    count = 1
    for k in range(axis + 1, x.ndim):
        count *= x.shape[k]
    return count


def count_outer(x, axis):
    """The product of the sizes of the axes before an axis."""
    count = 1
    for k in range(axis):
        count *= x.shape[k]
    return count


def write_slice(part, whole, first, count):
    """whole[n, first + i] = part[n, i], both vectors of `count` rows."""
    rows = part.reshape((count, part.size // count))
    target = whole.reshape((count, whole.size // count))
    for n in range(count):
        for i in range(rows.shape[1]):
            target[n, first + i] = rows[n, i]


def read_slice(whole, first, part, count):
    """part[n, i] = whole[n, first + i], both vectors of `count` rows."""
    source = whole.reshape((count, whole.size // count))
    rows = part.reshape((count, part.size // count))
    for n in range(count):
        for i in range(rows.shape[1]):
            rows[n, i] = source[n, first + i]
