"""Gated linear units: one half of the features gates the other."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import as_rows, reuse, reuse_like
from ...kernels.elementary_functions import sigmoid
from ...kernels.threads import MOVE_FLOPS, parallel_for


class GLU(Module):
    """Gated linear unit: the first half of the last axis, times the sigmoid of the second.

        y      = a σ(b),   x = [a, b]
        grad_a = grad_y σ(b)
        grad_b = grad_y a σ(b) (1 - σ(b))
        grad_x = [grad_a, grad_b]

    Shapes: x (N, ..., 2K), y (N, ..., K).
    Errors: ValueError for a last axis of odd size.
    Source: Dauphin et al., Language modeling with gated convolutional networks (2017), eq. 1; PyTorch's GLU(dim=-1).
    """

    def __init__(self):
        super().__init__()
        self.gate = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (x.shape[-1] // 2,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        self.gate = reuse_like(self.gate, self.y)
        x, y, gate = as_rows(x), as_rows(self.y), as_rows(self.gate)
        half = y.shape[1]
        for n in range(y.shape[0]):
            for k in range(half):
                gate[n, k] = sigmoid(x[n, half + k])
                y[n, k] = x[n, k] * gate[n, k]
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        x, gate, grad_y, grad_x = as_rows(self.x), as_rows(self.gate), as_rows(grad_y), as_rows(self.grad_x)
        half = gate.shape[1]
        for n in range(gate.shape[0]):
            for k in range(half):
                grad_x[n, k] = grad_y[n, k] * gate[n, k]
                grad_x[n, half + k] = grad_x[n, k] * x[n, k] * (1 - gate[n, k])
        return self.grad_x

    def jvp(self, v):
        """v_a σ(b) + a σ(b) (1 - σ(b)) v_b"""
        out = np.empty(self.y.shape, v.dtype)
        x, gate, v, rows = as_rows(self.x), as_rows(self.gate), as_rows(v), as_rows(out)
        half = gate.shape[1]
        for n in range(gate.shape[0]):
            for k in range(half):
                rows[n, k] = gate[n, k] * (v[n, k] + x[n, k] * (1 - gate[n, k]) * v[n, half + k])
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_a} = r σ + g R{σ},   R{grad_b} = r a σ (1 - σ) + g (v_a σ (1 - σ) + a (1 - 2σ) R{σ}),   g = grad_y"""
        out = np.empty(v.shape, v.dtype)
        x, gate, v, g, r, rows = (
            as_rows(self.x), as_rows(self.gate), as_rows(v), as_rows(grad_y), as_rows(r_grad_y), as_rows(out)
        )  # fmt: skip
        half = gate.shape[1]
        for n in range(gate.shape[0]):
            for k in range(half):
                s, a = gate[n, k], x[n, k]
                slope = s * (1 - s)
                change = slope * v[n, half + k]
                rows[n, k] = r[n, k] * s + g[n, k] * change
                rows[n, half + k] = r[n, k] * a * slope + g[n, k] * (v[n, k] * slope + a * (1 - 2 * s) * change)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return halve_features(self, input_shape)


class SwiGLU(Module):
    """Gated unit with SiLU: the second half of the last axis, times SiLU of the first.

        y      = f(a) b,   f(a) = a σ(a),   x = [a, b]
        grad_a = grad_y b f'(a),   f'(a) = σ(a) (1 + a (1 - σ(a)))
        grad_b = grad_y f(a)
        grad_x = [grad_a, grad_b]

    After one Linear that makes both halves it is the hidden layer of a gated feed-forward net.

    Shapes: x (N, ..., 2K), y (N, ..., K).
    Errors: ValueError for a last axis of odd size.
    Source: Shazeer, GLU variants improve transformer (2020), equation 6.
    """

    def __init__(self):
        super().__init__()
        self.gate = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (x.shape[-1] // 2,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        self.gate = reuse_like(self.gate, self.y)
        rows, cost = as_rows(self.y), 3 * MOVE_FLOPS * self.y.size
        parallel_for(swiglu_rows, rows.shape[0], cost, as_rows(x), as_rows(self.gate), rows)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        rows, cost = as_rows(grad_y), 3 * MOVE_FLOPS * grad_y.size
        parallel_for(
            swiglu_rows_back, rows.shape[0], cost, as_rows(self.x), as_rows(self.gate), rows, as_rows(self.grad_x)
        )
        return self.grad_x

    def jvp(self, v):
        """f'(a) v_a b + f(a) v_b"""
        out = np.empty(self.y.shape, v.dtype)
        x, gate, v, rows = as_rows(self.x), as_rows(self.gate), as_rows(v), as_rows(out)
        half = gate.shape[1]
        for n in range(gate.shape[0]):
            for k in range(half):
                s, a = gate[n, k], x[n, k]
                rows[n, k] = s * (1 + a * (1 - s)) * v[n, k] * x[n, half + k] + a * s * v[n, half + k]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_a} = r b f' + g (v_b f' + b f'' v_a),  R{grad_b} = r f + g f' v_a,  f'' = s (1 - s) (2 + a (1 - 2s))"""
        out = np.empty(v.shape, v.dtype)
        x, gate, v, g, r, rows = (
            as_rows(self.x), as_rows(self.gate), as_rows(v), as_rows(grad_y), as_rows(r_grad_y), as_rows(out)
        )  # fmt: skip
        half = gate.shape[1]
        for n in range(gate.shape[0]):
            for k in range(half):
                s, a, b = gate[n, k], x[n, k], x[n, half + k]
                first, second = s * (1 + a * (1 - s)), s * (1 - s) * (2 + a * (1 - 2 * s))
                change = v[n, half + k] * first + b * second * v[n, k]
                rows[n, k] = r[n, k] * b * first + g[n, k] * change
                rows[n, half + k] = r[n, k] * a * s + g[n, k] * first * v[n, k]
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return halve_features(self, input_shape)


def swiglu_rows(first, last, x, gate, y):
    """Compute the gates σ(a) and y of some rows."""
    half = y.shape[1]
    for n in range(first, last):
        a, b, row, out = x[n, :half], x[n, half:], gate[n], y[n]
        for k in range(half):
            row[k] = sigmoid(a[k])
            out[k] = a[k] * row[k] * b[k]


def swiglu_rows_back(first, last, x, gate, grad_y, grad_x):
    """Compute grad_x of some rows."""
    half = gate.shape[1]
    for n in range(first, last):
        a, b, row, grad = x[n, :half], x[n, half:], gate[n], grad_y[n]
        grad_a, grad_b = grad_x[n, :half], grad_x[n, half:]
        for k in range(half):
            grad_a[k] = grad[k] * b[k] * row[k] * (1 + a[k] * (1 - row[k]))
            grad_b[k] = grad[k] * a[k] * row[k]


def halve_features(module: Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Infer the shape (N, ..., K) of y for an x (N, ..., 2K); ValueError for another one."""
    if len(shape) < 2 or shape[-1] % 2:
        raise ValueError(f"{module.label()}: x has shape {shape}, expected (N, ..., 2K)")
    return (*shape[:-1], shape[-1] // 2)
