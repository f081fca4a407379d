"""Gated linear unit: one half of the features gates the other."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import as_rows, reuse, reuse_like
from ...kernels.elementary_functions import sigmoid


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
        if len(input_shape) < 2 or input_shape[-1] % 2:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, ..., 2K)")
        return (*input_shape[:-1], input_shape[-1] // 2)
