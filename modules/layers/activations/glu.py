"""Gated linear units: one half of the features gates the other."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import as_rows, flat, replace_size, reuse, reuse_like
from ...kernels.class_axis import split_shape
from ...kernels.elementary_functions import sigmoid
from ...kernels.threads import MOVE_FLOPS, parallel_for


class GLU(Module):
    """Gated linear unit: the first half of an axis, by default the last, times the sigmoid of the second.

        y      = a σ(b),   x = [a, b]
        grad_a = grad_y σ(b)
        grad_b = grad_y a σ(b) (1 - σ(b))
        grad_x = [grad_a, grad_b]

    Shapes: x (N, ..., 2K), y (N, ..., K).
    Args: dim: the axis of 2K numbers, such as 1 for x (N, 2K, H, W); not 0, that of the samples.
    Errors: ValueError for an axis of odd size, or that x lacks.
    Source: Dauphin et al., Language modeling with gated convolutional networks (2017), eq. 1; PyTorch's GLU.
    """

    def __init__(self, dim: int = -1):
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int) or dim == 0:
            raise ValueError(f"GLU: dim is {dim!r}, expected an axis other than 0, the samples'")
        self.dim = dim
        self.gate = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        axis = self.dim % x.ndim
        self.y = reuse(self.y, replace_size(x.shape, axis, x.shape[axis] // 2), x.dtype)
        self.gate = reuse_like(self.gate, self.y)
        x, y, gate = blocks(x, axis), blocks(self.y, axis), blocks(self.gate, axis)
        half = y.shape[1]
        for n in range(y.shape[0]):
            for k in range(half):
                gate[n, k] = sigmoid(x[n, half + k])
                y[n, k] = x[n, k] * gate[n, k]
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        axis = self.dim % self.x.ndim
        x, gate, grad_y = blocks(self.x, axis), blocks(self.gate, axis), blocks(grad_y, axis)
        grad_x, half = blocks(self.grad_x, axis), gate.shape[1]
        for n in range(gate.shape[0]):
            for k in range(half):
                grad_x[n, k] = grad_y[n, k] * gate[n, k]
                grad_x[n, half + k] = grad_x[n, k] * x[n, k] * (1 - gate[n, k])
        return self.grad_x

    def jvp(self, v):
        """v_a σ(b) + a σ(b) (1 - σ(b)) v_b"""
        out, axis = np.empty(self.y.shape, v.dtype), self.dim % self.x.ndim
        x, gate, v, rows = blocks(self.x, axis), blocks(self.gate, axis), blocks(v, axis), blocks(out, axis)
        half = gate.shape[1]
        for n in range(gate.shape[0]):
            for k in range(half):
                rows[n, k] = gate[n, k] * (v[n, k] + x[n, k] * (1 - gate[n, k]) * v[n, half + k])
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_a} = r σ + g R{σ},   R{grad_b} = r a σ (1 - σ) + g (v_a σ (1 - σ) + a (1 - 2σ) R{σ}),   g = grad_y"""
        out, axis = np.empty(v.shape, v.dtype), self.dim % self.x.ndim
        x, gate, v, g, r, rows = (
            blocks(self.x, axis), blocks(self.gate, axis), blocks(v, axis), blocks(grad_y, axis),
            blocks(r_grad_y, axis), blocks(out, axis),
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
        ndim = len(input_shape)
        if ndim < 2 or not -ndim < self.dim < ndim or input_shape[self.dim] % 2:
            place = "(N, ..., 2K)" if self.dim == -1 else f"an even size along axis {self.dim}"
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected {place}")
        axis = self.dim % ndim
        return (*input_shape[:axis], input_shape[axis] // 2, *input_shape[axis + 1 :])

    def extra_repr(self) -> str:
        return "" if self.dim == -1 else f"dim={self.dim}"


def blocks(x, axis):
    """x (before, K, after) as rows (before, K after), in the order of memory: of x = [a, b], a beside b."""
    before, _ = split_shape(x.shape, axis)
    return flat(x).reshape((before, x.size // before))


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
        """R{grad_a} = r b f' + g (v_b f' + b f'' v_a),  R{grad_b} = r f + g f' v_a,  f'' = s(1 - s)(2 + a(1 - 2s))"""
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
        if len(input_shape) < 2 or input_shape[-1] % 2:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, ..., 2K)")
        return (*input_shape[:-1], input_shape[-1] // 2)


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
