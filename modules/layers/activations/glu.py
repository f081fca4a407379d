"""Gated linear unit: one half of the features gates the other."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import flat, replace_size, reuse, reuse_like
from ...kernels.class_axis import split_shape
from ...kernels.elementary_functions import sigmoid


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
