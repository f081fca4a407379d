"""The linear (affine, fully connected) layer."""

import numpy as np

from ..core.module import Module
from ..core.parameter import Parameter
from ..core.shapes import check_sizes, replace_features
from ..engine.stateful import is_written_by
from ..initializers.initializers import Initializer, PyTorchUniform
from ..kernels.buffers import as_rows, reuse, reuse_like
from ..kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows
from ..kernels.threads import MOVE_FLOPS, parallel_for
from .activations.elementwise import Elementwise

COLUMNS = 128  # that one thread takes, of all rows, so that their sums are the same for any number of threads


def apply(first, last, unit, bias, between, y):
    """Add the bias to some rows, and apply the unit."""
    between, y = between[first:last], y[first:last]
    for n in range(y.shape[0]):
        row, out = between[n], y[n]
        for k in range(row.size):
            row[k] += bias[k]
            out[k] = unit.function(row[k])


def apply_unbiased(first, last, unit, between, y):
    """Apply the unit to some rows."""
    between, y = between[first:last], y[first:last]
    for n in range(y.shape[0]):
        row, out = between[n], y[n]
        for k in range(row.size):
            out[k] = unit.function(row[k])


def apply_back(first, last, unit, x, y, grad_y, grad_x, grad_bias):
    """Multiply some columns by the unit's derivative, and add them over the rows to grad_bias."""
    begin, end = first * COLUMNS, last * COLUMNS
    grad_bias = grad_bias[begin:end]
    for n in range(grad_x.shape[0]):
        row, row_x, row_y, row_grad = grad_x[n, begin:end], x[n, begin:end], y[n, begin:end], grad_y[n, begin:end]
        for k in range(row.size):
            row[k] = row_grad[k] * unit.derivative(row_x[k], row_y[k])
            grad_bias[k] += row[k]


class Linear(Module):
    """Affine map of the last axis.

        y           = x Wᵀ + b
        grad_x      = grad_y W
        grad_weight += grad_yᵀ x
        grad_bias   += Σₙ grad_y[n]

    Shapes: x (N, ..., in), y (N, ..., out), weight (out, in), bias (out,).
    Args: in_features, out_features: sizes, at least 1; bias: add b; weight_init, bias_init: initial values, by default
        PyTorch's, both uniform in ±1/√in.
    Errors: ValueError for sizes below 1 and for an x whose last axis is not `in`.
    Source: Goodfellow et al., Deep Learning, algorithms 6.3 and 6.4, in the draft 6.1 and 6.2.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        default = PyTorchUniform(in_features)
        self.weight = Parameter((weight_init or default).sample((out_features, in_features)))
        self.bias = Parameter((bias_init or default).sample((out_features,))) if bias else None
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        y = as_rows(self.y)
        matmul_into(as_rows(x), self.weight.T, y, False)
        if self.bias is not None:
            add_to_rows(y, self.bias)
        return self.y

    def bprop(self, grad_y):
        grad_y, x = as_rows(grad_y), as_rows(self.x)
        if self.needs_grad_parameters:
            matmul_into(grad_y.T, x, self.grad_weight, self.accumulate)
            if self.bias is not None:
                sum_rows(grad_y, self.grad_bias, self.accumulate)
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, self.x)
            matmul_into(grad_y, self.weight, as_rows(self.grad_x), False)
        return self.grad_x

    def jvp(self, v):
        """v Wᵀ + x V_Wᵀ + v_b"""
        out = np.empty(self.y.shape, v.dtype)
        y = as_rows(out)
        matmul_into(as_rows(self.x), self.v_weight.T, y, False)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            matmul_into(as_rows(v), self.weight.T, y, True)
        if self.bias is not None:
            add_to_rows(y, self.v_bias)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = r_grad_y W + grad_y V_W, R{grad_weight} += r_grad_yᵀ x + grad_yᵀ v, R{grad_bias} += Σ r_grad_y"""
        grad_y, r, out = as_rows(grad_y), as_rows(r_grad_y), np.empty(v.shape, v.dtype)
        matmul_into(r.T, as_rows(self.x), self.grad_weight, True)
        if self.bias is not None:
            sum_rows(r, self.grad_bias, True)
        if self.needs_grad_x:
            matmul_into(grad_y.T, as_rows(v), self.grad_weight, True)
            matmul_into(r, self.weight, as_rows(out), False)
            matmul_into(grad_y, self.v_weight, as_rows(out), True)
        return out

    def fuses_with(self, unit) -> bool:
        """Whether `fprop_then` and `bprop_after` equal both modules' own methods."""
        return is_written_by(self, Linear) and is_written_by(unit, Elementwise)

    def fprop_then(self, unit, x):
        """fprop of this layer and of the elementwise unit after it: bias and unit in one pass."""
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005
        unit.x = self.y
        unit.y = reuse_like(unit.y, self.y)
        between, y = as_rows(self.y), as_rows(unit.y)
        matmul_into(as_rows(x), self.weight.T, between, False)
        if self.bias is not None:
            parallel_for(apply, y.shape[0], MOVE_FLOPS * y.size, unit, self.bias, between, y)
        else:
            parallel_for(apply_unbiased, y.shape[0], MOVE_FLOPS * y.size, unit, between, y)
        return unit.y

    def bprop_after(self, unit, grad_y):
        """bprop of the unit after this layer, then of this layer: derivative and bias gradient in one pass.

        The bias gradient is written even where nobody asks for it: a condition in the loop would cost more.
        """
        unit.grad_x = reuse_like(unit.grad_x, unit.x)
        unit_x, unit_y, grad_y = as_rows(unit.x), as_rows(unit.y), as_rows(grad_y)
        between, x = as_rows(unit.grad_x), as_rows(self.x)
        if self.bias is not None and not self.accumulate:
            self.grad_bias[:] = 0
        columns = -(-between.shape[1] // COLUMNS)
        if self.bias is not None and columns > 1:
            cost = MOVE_FLOPS * between.size
            parallel_for(apply_back, columns, cost, unit, unit_x, unit_y, grad_y, between, self.grad_bias)
        else:
            grad_bias = self.grad_bias if self.bias is not None else between[0]
            for n in range(between.shape[0]):
                row, row_x, row_y, row_grad = between[n], unit_x[n], unit_y[n], grad_y[n]
                for k in range(row.size):
                    row[k] = row_grad[k] * unit.derivative(row_x[k], row_y[k])
                    if self.bias is not None:
                        grad_bias[k] += row[k]
        if self.needs_grad_parameters:
            matmul_into(between.T, x, self.grad_weight, self.accumulate)
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, self.x)
            matmul_into(between, self.weight, as_rows(self.grad_x), False)
        return self.grad_x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in_features, self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}" + ("" if self.bias is not None else ", bias=False")
