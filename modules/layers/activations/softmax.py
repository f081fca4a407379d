"""Softmax and its logarithm as activations, for outputs that are probabilities."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import as_rows, flat, reuse_like
from ...kernels.softmax import log_mass, log_share, softmax_rows
from ...kernels.sums import dot, sum_of


class Softmax(Module):
    """Probabilities over the last axis.

        y[k]      = exp(x[k]) / Σⱼ exp(x[j])
        grad_x[k] = y[k] (grad_y[k] - Σⱼ grad_y[j] y[j])

    Shapes: x and y (N, ..., K).
    Numerics: the largest x is taken off first, so exp never overflows.
    Source: Goodfellow et al., Deep Learning, eq. 6.29 and 6.33 (in the draft: section 6.3.2).
    """

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.y = reuse_like(self.y, x)
        softmax_rows(as_rows(x), as_rows(self.y))
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.y)
        softmax_rows_bprop(as_rows(self.y), as_rows(grad_y), as_rows(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """J v = Jᵀ v, since J = diag(y) - y yᵀ is symmetric."""
        return self.bprop(v).copy()

    def rbprop(self, v, grad_y, r_grad_y):
        """q (g - Σ g y) + y (r - Σ r y - Σ g q), with q = J v, g = grad_y and r = r_grad_y."""
        out, y = np.empty(v.shape, v.dtype), as_rows(self.y)
        q, g, r, rows = np.empty(y.shape, v.dtype), as_rows(grad_y), as_rows(r_grad_y), as_rows(out)
        softmax_rows_bprop(y, as_rows(v), q)
        for n in range(y.shape[0]):
            mean, change = dot(g[n], y[n]), dot(r[n], y[n]) + dot(g[n], q[n])
            for k in range(y.shape[1]):
                rows[n, k] = q[n, k] * (g[n, k] - mean) + y[n, k] * (r[n, k] - change)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_shape(self, input_shape)


class Softmin(Module):
    """Softmax of -x over the last axis: the smallest x gets the largest probability.

        y[k]      = exp(-x[k]) / Σⱼ exp(-x[j])
        grad_x[k] = -y[k] (grad_y[k] - Σⱼ grad_y[j] y[j])

    Shapes: x and y (N, ..., K).
    Numerics: the smallest x is taken off first, so exp never overflows.
    Source: PyTorch's Softmin.
    """

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.y = reuse_like(self.y, x)
        negate(flat(x), flat(self.y))
        softmax_rows(as_rows(self.y), as_rows(self.y))
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.y)
        softmax_rows_bprop(as_rows(self.y), as_rows(grad_y), as_rows(self.grad_x))
        negate(flat(self.grad_x), flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """J v = Jᵀ v, since J = y yᵀ - diag(y) is symmetric."""
        return self.bprop(v).copy()

    def rbprop(self, v, grad_y, r_grad_y):
        """-q (g - Σ g y) - y (r - Σ r y - Σ g q), with q = J v, g = grad_y and r = r_grad_y."""
        out, y = np.empty(v.shape, v.dtype), as_rows(self.y)
        q, g, r, rows = np.empty(y.shape, v.dtype), as_rows(grad_y), as_rows(r_grad_y), as_rows(out)
        softmax_rows_bprop(y, as_rows(v), q)
        for n in range(y.shape[0]):
            mean, change = dot(g[n], y[n]), dot(r[n], y[n]) - dot(g[n], q[n])
            for k in range(y.shape[1]):
                rows[n, k] = q[n, k] * (g[n, k] - mean) - y[n, k] * (r[n, k] - change)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_shape(self, input_shape)


class LogSoftmax(Module):
    """Logarithm of the softmax over the last axis.

        y[k]      = x[k] - log Σⱼ exp(x[j])
        grad_x[k] = grad_y[k] - exp(y[k]) Σⱼ grad_y[j]

    Shapes: x and y (N, ..., K).
    Numerics: (x[k] - m) - log Σⱼ exp(x[j] - m) with the largest x, m: finite wherever x is, and exact for large x.
    Source: Goodfellow et al., Deep Learning, eq. 6.30 (in the draft: section 6.3.2).
    """

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.y = reuse_like(self.y, x)
        x, y = as_rows(x), as_rows(self.y)
        for n in range(x.shape[0]):
            largest, mass = log_mass(x[n])
            for k in range(x.shape[1]):
                y[n, k] = log_share(x[n, k], largest, mass)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.y)
        y, grad_y, grad_x = as_rows(self.y), as_rows(grad_y), as_rows(self.grad_x)
        for n in range(y.shape[0]):
            total = sum_of(grad_y[n])
            for k in range(y.shape[1]):
                grad_x[n, k] = grad_y[n, k] - np.exp(y[n, k]) * total
        return self.grad_x

    def jvp(self, v):
        """v[k] - Σⱼ exp(y[j]) v[j]"""
        out = np.empty(v.shape, v.dtype)
        y, v, rows = as_rows(self.y), as_rows(v), as_rows(out)
        for n in range(y.shape[0]):
            mean = y.dtype.type(0)
            for k in range(y.shape[1]):
                mean += np.exp(y[n, k]) * v[n, k]
            for k in range(y.shape[1]):
                rows[n, k] = v[n, k] - mean
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """r - p (Σ r + (v - Σ p v) Σ g), with p = exp(y), g = grad_y and r = r_grad_y."""
        out = np.empty(v.shape, v.dtype)
        y, v, g, r, rows = as_rows(self.y), as_rows(v), as_rows(grad_y), as_rows(r_grad_y), as_rows(out)
        for n in range(y.shape[0]):
            mean = sum_g = sum_r = y.dtype.type(0)
            for k in range(y.shape[1]):
                mean += np.exp(y[n, k]) * v[n, k]
                sum_g += g[n, k]
                sum_r += r[n, k]
            for k in range(y.shape[1]):
                rows[n, k] = r[n, k] - np.exp(y[n, k]) * (sum_r + (v[n, k] - mean) * sum_g)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_shape(self, input_shape)


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


def check_shape(module: Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Check that a shape has an axis beside the batch, and return it."""
    if len(shape) < 2:
        raise ValueError(f"{module.label()}: x has shape {shape}, expected (N, ..., K)")
    return tuple(shape)
