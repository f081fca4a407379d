"""Softmax and its logarithm as activations, for outputs that are probabilities."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import as_rows, flat, reuse, reuse_like
from ...kernels.class_axis import copy_axis_from_rows, copy_axis_to_rows
from ...kernels.softmax import log_mass, log_share, softmax_rows
from ...kernels.sums import dot, sum_of


class RowActivation(Module):
    """Base of activations of the numbers along one axis, which a subclass sees as the rows of matrices (R, K).

    It defines `fprop_rows(x, y)`, `bprop_rows(y, grad_y, grad_x)`, `jvp_rows(y, v, out)` and
    `rbprop_rows(y, v, grad_y, r_grad_y, out)`, which write their last argument. Numbers along another axis than the
    last are copied to rows and back.
    """

    def __init__(self, dim: int = -1):
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int) or dim == 0:
            raise ValueError(f"{type(self).__name__}: dim is {dim!r}, expected an axis other than 0, the samples'")
        self.dim = dim
        self.axis = None if dim == -1 else dim  # None: compiled without copies
        self.y = self.grad_x = np.empty((0, 0))
        self.x_rows = self.y_rows = self.grad_rows = np.empty((0, 0))

    def fprop(self, x):
        self.y = reuse_like(self.y, x)
        if self.axis is None:
            self.fprop_rows(as_rows(x), as_rows(self.y))
            return self.y
        columns = x.shape[self.axis % x.ndim]
        self.x_rows = reuse(self.x_rows, (x.size // columns, columns), x.dtype)
        self.y_rows = reuse_like(self.y_rows, self.x_rows)
        copy_axis_to_rows(x, self.axis, self.x_rows)
        self.fprop_rows(self.x_rows, self.y_rows)
        copy_axis_from_rows(self.y_rows, self.axis, self.y)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.y)
        if self.axis is None:
            self.bprop_rows(as_rows(self.y), as_rows(grad_y), as_rows(self.grad_x))
            return self.grad_x
        self.grad_rows = reuse_like(self.grad_rows, self.y_rows)
        copy_axis_to_rows(grad_y, self.axis, self.x_rows)
        self.bprop_rows(self.y_rows, self.x_rows, self.grad_rows)
        copy_axis_from_rows(self.grad_rows, self.axis, self.grad_x)
        return self.grad_x

    def jvp(self, v):
        """The change of each row, see `jvp_rows`."""
        out = np.empty(v.shape, v.dtype)
        if self.axis is None:
            self.jvp_rows(as_rows(self.y), as_rows(v), as_rows(out))
            return out
        v_rows, rows = np.empty(self.y_rows.shape, v.dtype), np.empty(self.y_rows.shape, v.dtype)
        copy_axis_to_rows(v, self.axis, v_rows)
        self.jvp_rows(self.y_rows, v_rows, rows)
        copy_axis_from_rows(rows, self.axis, out)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """The change of each row's gradient, see `rbprop_rows`."""
        out = np.empty(v.shape, v.dtype)
        if self.axis is None:
            self.rbprop_rows(as_rows(self.y), as_rows(v), as_rows(grad_y), as_rows(r_grad_y), as_rows(out))
            return out
        shape = self.y_rows.shape
        v_rows, grad_rows, r_rows = np.empty(shape, v.dtype), np.empty(shape, v.dtype), np.empty(shape, v.dtype)
        rows = np.empty(shape, v.dtype)
        copy_axis_to_rows(v, self.axis, v_rows)
        copy_axis_to_rows(grad_y, self.axis, grad_rows)
        copy_axis_to_rows(r_grad_y, self.axis, r_rows)
        self.rbprop_rows(self.y_rows, v_rows, grad_rows, r_rows, rows)
        copy_axis_from_rows(rows, self.axis, out)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_shape(self, input_shape)

    def extra_repr(self) -> str:
        return "" if self.dim == -1 else f"dim={self.dim}"


class Softmax(RowActivation):
    """Probabilities over one axis, by default the last.

        y[k]      = exp(x[k]) / Σⱼ exp(x[j])
        grad_x[k] = y[k] (grad_y[k] - Σⱼ grad_y[j] y[j])

    Shapes: x and y (N, ..., K).
    Args: dim: the axis of the K numbers, such as 1 for x (N, K, H, W); not 0, that of the samples.
    Numerics: the largest x is taken off first, so exp never overflows.
    Source: Goodfellow et al., Deep Learning, eq. 6.29 and 6.33 (in the draft: section 6.3.2).
    """

    def fprop_rows(self, x, y):
        """y of rows x."""
        softmax_rows(x, y)

    def bprop_rows(self, y, grad_y, grad_x):
        """grad_x of rows."""
        softmax_rows_bprop(y, grad_y, grad_x)

    def jvp_rows(self, y, v, out):
        """J v = Jᵀ v, since J = diag(y) - y yᵀ is symmetric."""
        softmax_rows_bprop(y, v, out)

    def rbprop_rows(self, y, v, g, r, out):
        """q (g - Σ g y) + y (r - Σ r y - Σ g q), with q = J v, g = grad_y and r = r_grad_y."""
        q = np.empty(y.shape, v.dtype)
        softmax_rows_bprop(y, v, q)
        for n in range(y.shape[0]):
            mean, change = dot(g[n], y[n]), dot(r[n], y[n]) + dot(g[n], q[n])
            for k in range(y.shape[1]):
                out[n, k] = q[n, k] * (g[n, k] - mean) + y[n, k] * (r[n, k] - change)


class Softmin(RowActivation):
    """Softmax of -x over one axis, by default the last: the smallest x gets the largest probability.

        y[k]      = exp(-x[k]) / Σⱼ exp(-x[j])
        grad_x[k] = -y[k] (grad_y[k] - Σⱼ grad_y[j] y[j])

    Shapes: x and y (N, ..., K).
    Args: dim: the axis of the K numbers, such as 1 for x (N, K, H, W); not 0, that of the samples.
    Numerics: the smallest x is taken off first, so exp never overflows.
    Source: PyTorch's Softmin.
    """

    def fprop_rows(self, x, y):
        """y of rows x."""
        negate(flat(x), flat(y))
        softmax_rows(y, y)

    def bprop_rows(self, y, grad_y, grad_x):
        """grad_x of rows."""
        softmax_rows_bprop(y, grad_y, grad_x)
        negate(flat(grad_x), flat(grad_x))

    def jvp_rows(self, y, v, out):
        """J v = Jᵀ v, since J = y yᵀ - diag(y) is symmetric."""
        self.bprop_rows(y, v, out)

    def rbprop_rows(self, y, v, g, r, out):
        """-q (g - Σ g y) - y (r - Σ r y - Σ g q), with q = J v, g = grad_y and r = r_grad_y."""
        q = np.empty(y.shape, v.dtype)
        softmax_rows_bprop(y, v, q)
        for n in range(y.shape[0]):
            mean, change = dot(g[n], y[n]), dot(r[n], y[n]) - dot(g[n], q[n])
            for k in range(y.shape[1]):
                out[n, k] = q[n, k] * (g[n, k] - mean) - y[n, k] * (r[n, k] - change)


class LogSoftmax(RowActivation):
    """Logarithm of the softmax over one axis, by default the last.

        y[k]      = x[k] - log Σⱼ exp(x[j])
        grad_x[k] = grad_y[k] - exp(y[k]) Σⱼ grad_y[j]

    Shapes: x and y (N, ..., K).
    Args: dim: the axis of the K numbers, such as 1 for x (N, K, H, W); not 0, that of the samples.
    Numerics: (x[k] - m) - log Σⱼ exp(x[j] - m) with the largest x, m: finite wherever x is, and exact for large x.
    Source: Goodfellow et al., Deep Learning, eq. 6.30 (in the draft: section 6.3.2).
    """

    def fprop_rows(self, x, y):
        """y of rows x."""
        for n in range(x.shape[0]):
            largest, mass = log_mass(x[n])
            for k in range(x.shape[1]):
                y[n, k] = log_share(x[n, k], largest, mass)

    def bprop_rows(self, y, grad_y, grad_x):
        """grad_x of rows."""
        for n in range(y.shape[0]):
            total = sum_of(grad_y[n])
            for k in range(y.shape[1]):
                grad_x[n, k] = grad_y[n, k] - np.exp(y[n, k]) * total

    def jvp_rows(self, y, v, out):
        """v[k] - Σⱼ exp(y[j]) v[j]"""
        for n in range(y.shape[0]):
            mean = y.dtype.type(0)
            for k in range(y.shape[1]):
                mean += np.exp(y[n, k]) * v[n, k]
            for k in range(y.shape[1]):
                out[n, k] = v[n, k] - mean

    def rbprop_rows(self, y, v, g, r, out):
        """r - p (Σ r + (v - Σ p v) Σ g), with p = exp(y), g = grad_y and r = r_grad_y."""
        for n in range(y.shape[0]):
            mean = sum_g = sum_r = y.dtype.type(0)
            for k in range(y.shape[1]):
                mean += np.exp(y[n, k]) * v[n, k]
                sum_g += g[n, k]
                sum_r += r[n, k]
            for k in range(y.shape[1]):
                out[n, k] = r[n, k] - np.exp(y[n, k]) * (sum_r + (v[n, k] - mean) * sum_g)


def softmax_rows_bprop(y, grad_y, grad_x):
    """Compute the gradient through the softmax of each row, all (N, K)."""
    for n in range(y.shape[0]):
        mean = dot(grad_y[n], y[n])
        for k in range(y.shape[1]):
            grad_x[n, k] = y[n, k] * (grad_y[n, k] - mean)


def negate(x, out):
    """out = -x, both vectors."""
    for i in range(x.size):
        out[i] = -x[i]


def check_shape(module: RowActivation, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Check that a shape has the axis of a module beside the batch's, and return it."""
    if len(shape) < 2:
        raise ValueError(f"{module.label()}: x has shape {shape}, expected (N, ..., K)")
    if not -len(shape) < module.dim < len(shape):
        raise ValueError(f"{module.label()}: x has {len(shape)} axes, expected more than dim")
    return tuple(shape)
