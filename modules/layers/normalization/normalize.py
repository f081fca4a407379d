"""Rows of unit length, for any of the p-norms."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import as_rows, reuse, reuse_like
from ...kernels.norms import TINY, largest_size, unit_rows, unit_rows_bprop
from ...kernels.sums import dot


class Normalize(Module):
    """Divides the last axis by its p-norm.

        y      = x / |x|,   |x| = (Σₖ |x[k]|ᵖ)^(1/p)
        grad_x = (grad_y - d Σₖ grad_y[k] y[k]) / |x|,   d[k] = sign(y[k]) |y[k]|^(p - 1)

    Shapes: x and y (N, ..., K).
    Args: p: at least 1; inf for the largest absolute value.
    Errors: ValueError for a smaller p, and for an x without an axis beside the batch.
    Numerics: the largest |x[k]| is taken out of the sum; a row with a norm of at most 1e-12 gives zeros.
    Source: torch/nn's Normalize; torch.nn.functional.normalize.
    """

    def __init__(self, p: float = 2.0):
        super().__init__()
        if not p >= 1:
            raise ValueError(f"Normalize: p is {p}, expected at least 1")
        self.p = float(p)
        self.inverse = np.empty(0)
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.y = reuse_like(self.y, x)
        x, y = as_rows(x), as_rows(self.y)
        self.inverse = reuse(self.inverse, x.shape[:1], x.dtype)
        if self.p == 2:
            unit_rows(x, self.inverse, y)
            return self.y
        for n in range(x.shape[0]):
            norm = compute_norm(x[n], self.p)
            self.inverse[n] = 1 / norm if norm > TINY else 0
            for k in range(x.shape[1]):
                y[n, k] = x[n, k] * self.inverse[n]
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.y)
        y, grad_y, grad_x = as_rows(self.y), as_rows(grad_y), as_rows(self.grad_x)
        if self.p == 2:
            unit_rows_bprop(grad_y, y, self.inverse, grad_x)
            return self.grad_x
        for n in range(y.shape[0]):
            along, largest = dot(grad_y[n], y[n]), largest_size(y[n])
            for k in range(y.shape[1]):
                slope = np.sign(y[n, k]) * differentiate_norm(y[n, k], largest, self.p)
                grad_x[n, k] = self.inverse[n] * (grad_y[n, k] - along * slope)
        return self.grad_x

    def jvp(self, v):
        """(v - y Σₖ d[k] v[k]) / |x|"""
        out = np.empty(self.y.shape, v.dtype)
        y, v, rows = as_rows(self.y), as_rows(v), as_rows(out)
        for n in range(y.shape[0]):
            along, largest = y.dtype.type(0), largest_size(y[n])
            for k in range(y.shape[1]):
                along += np.sign(y[n, k]) * differentiate_norm(y[n, k], largest, self.p) * v[n, k]
            for k in range(y.shape[1]):
                rows[n, k] = self.inverse[n] * (v[n, k] - along * y[n, k])
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """(r_grad_y - R{d <grad_y, y>} - <d, v> grad_x) / |x|,   R{d[k]} = (p - 1) |y[k]|^(p - 2) R{y[k]}"""
        tangent, out = self.jvp(v), np.empty(v.shape, v.dtype)
        y, v_rows, q = as_rows(self.y), as_rows(v), as_rows(tangent)
        grad, r, rows = as_rows(grad_y), as_rows(r_grad_y), as_rows(out)
        for n in range(y.shape[0]):
            largest, product, change = largest_size(y[n]), dot(grad[n], y[n]), dot(r[n], y[n]) + dot(grad[n], q[n])
            along = y.dtype.type(0)
            for k in range(y.shape[1]):
                rows[n, k] = np.sign(y[n, k]) * differentiate_norm(y[n, k], largest, self.p)
                along += rows[n, k] * v_rows[n, k]
            for k in range(y.shape[1]):
                before = self.inverse[n] * (grad[n, k] - product * rows[n, k])
                after = r[n, k] - change * rows[n, k] - product * differentiate_norm_twice(y[n, k], self.p) * q[n, k]
                rows[n, k] = self.inverse[n] * (after - along * before)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) < 2:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, ..., K)")
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


def compute_norm(row, p):
    """(Σₖ |row[k]|ᵖ)^(1/p), with the largest element taken out."""
    largest = largest_size(row)
    total = row.dtype.type(0)
    if largest == 0:
        return total
    for k in range(row.size):
        total += raise_size(row[k] / largest, p)
    return largest * raise_size(total, 1 / p)


def raise_size(x, p):
    """|x|ᵖ; |x| is at most 1, so an infinite p gives 0 or 1."""
    return abs(x) ** p


def differentiate_norm(y, largest, p):
    """|y|^(p - 1); for an infinite p 1 at the row's largest element, which rounding may leave just below 1."""
    if p < np.inf:
        return raise_size(y, p - 1)
    return abs(y) if abs(y) == largest else 0 * y


def differentiate_norm_twice(y, p):
    """(p - 1) |y|^(p - 2); 0 for an infinite p, and at a y of 0 where the power has none."""
    if p == np.inf or (y == 0 and p != 2):
        return 0 * y
    return (p - 1) * raise_size(y, p - 2)
