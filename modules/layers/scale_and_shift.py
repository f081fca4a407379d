"""Learnt shifts and scales: a number for each element of a sample, or one for all."""

import numpy as np

from ..core.module import Module
from ..core.parameter import Parameter
from ..core.shapes import as_sizes, check_ending_shape
from ..kernels.buffers import flat, reuse, reuse_like
from ..kernels.matmul.gemm import sum_rows
from ..kernels.moments import scaled
from ..kernels.sums import column_products, dot


class Add(Module):
    """Adds a learned array, at first zero, to each sample.

        y         = x + bias
        grad_x    = grad_y
        grad_bias += Σₙ grad_y[n]

    Shapes: x and y (N, ..., *size); bias size.
    Args: size: the shape of bias, or one size.
    Errors: ValueError for sizes below 1 and for an x that does not end in `size`.
    Source: torch/nn's Add.
    """

    def __init__(self, size: int | list[int] | tuple[int, ...]):
        super().__init__()
        self.size = as_sizes(self, "size", size)
        self.bias = Parameter(np.zeros(self.size))
        self.y = np.empty((0, 0))

    def fprop(self, x):
        bias = flat(self.bias)
        rows = flat(x).reshape((x.size // bias.size, bias.size))
        self.y = reuse_like(self.y, rows)
        for n in range(rows.shape[0]):
            for k in range(bias.size):
                self.y[n, k] = rows[n, k] + bias[k]
        return self.y.reshape(x.shape)

    def bprop(self, grad_y):
        if self.needs_grad_parameters:
            sum_rows(flat(grad_y).reshape(self.y.shape), flat(self.grad_bias), self.accumulate)
        return grad_y

    def jvp(self, v):
        """v + v_b"""
        out = np.empty(self.y.shape, v.dtype)
        rows, v_bias = flat(v).reshape(self.y.shape), flat(self.v_bias)
        for n in range(rows.shape[0]):
            for k in range(v_bias.size):
                out[n, k] = rows[n, k] + v_bias[k]
        return out.reshape(v.shape)

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = r_grad_y,   R{grad_bias} += Σ r_grad_y"""
        sum_rows(flat(r_grad_y).reshape(self.y.shape), flat(self.grad_bias), True)
        return r_grad_y.copy()

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_ending_shape(self, input_shape, self.size)

    def extra_repr(self) -> str:
        return f"{self.size}"


class CMul(Module):
    """Multiplies each sample by a learned array, at first one, element by element.

        y           = x weight
        grad_x      = grad_y weight
        grad_weight += Σₙ grad_y[n] x[n]

    Shapes: x and y (N, ..., *size); weight size.
    Args: size: the shape of weight, or one size.
    Errors: ValueError for sizes below 1 and for an x that does not end in `size`.
    Source: torch/nn's CMul.
    """

    def __init__(self, size: int | list[int] | tuple[int, ...]):
        super().__init__()
        self.size = as_sizes(self, "size", size)
        self.weight = Parameter(np.ones(self.size))
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        weight = flat(self.weight)
        self.y = reuse(self.y, (x.size // weight.size, weight.size), x.dtype)
        scaled(flat(x).reshape(self.y.shape), weight, self.y)
        return self.y.reshape(x.shape)

    def bprop(self, grad_y):
        grad_rows, rows = flat(grad_y).reshape(self.y.shape), flat(self.x).reshape(self.y.shape)
        if self.needs_grad_parameters:
            column_products(grad_rows, rows, flat(self.grad_weight), self.accumulate)
        self.grad_x = reuse_like(self.grad_x, rows)
        scaled(grad_rows, flat(self.weight), self.grad_x)
        return self.grad_x.reshape(grad_y.shape)

    def jvp(self, v):
        """v weight + x v_weight"""
        out = np.empty(self.y.shape, v.dtype)
        rows, x = flat(v).reshape(self.y.shape), flat(self.x).reshape(self.y.shape)
        weight, v_weight = flat(self.weight), flat(self.v_weight)
        for n in range(rows.shape[0]):
            for k in range(weight.size):
                out[n, k] = rows[n, k] * weight[k] + x[n, k] * v_weight[k]
        return out.reshape(v.shape)

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = r_grad_y weight + grad_y v_weight,   R{grad_weight} += Σ r_grad_y x + grad_y v"""
        shape, out = self.y.shape, np.empty(self.y.shape, v.dtype)
        grad, r, rows = flat(grad_y).reshape(shape), flat(r_grad_y).reshape(shape), flat(v).reshape(shape)
        column_products(r, flat(self.x).reshape(shape), flat(self.grad_weight), True)
        column_products(grad, rows, flat(self.grad_weight), True)
        weight, v_weight = flat(self.weight), flat(self.v_weight)
        for n in range(out.shape[0]):
            for k in range(weight.size):
                out[n, k] = r[n, k] * weight[k] + grad[n, k] * v_weight[k]
        return out.reshape(v.shape)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_ending_shape(self, input_shape, self.size)

    def extra_repr(self) -> str:
        return f"{self.size}"


class Mul(Module):
    """Multiplies everything by one learned number, at first 1.

        y           = weight x
        grad_x      = weight grad_y
        grad_weight += Σ grad_y x

    Shapes: x and y of any one shape; weight (1,).
    Source: torch/nn's Mul.
    """

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.ones(1))
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse_like(self.y, x)
        multiply(flat(x), self.weight[0], flat(self.y))
        return self.y

    def bprop(self, grad_y):
        if self.needs_grad_parameters:
            product = dot(flat(grad_y), flat(self.x))
            self.grad_weight[0] = self.grad_weight[0] + product if self.accumulate else product
        self.grad_x = reuse_like(self.grad_x, self.x)
        multiply(flat(grad_y), self.weight[0], flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """weight v + v_weight x"""
        out = np.empty(v.shape, v.dtype)
        x, v, y = flat(self.x), flat(v), flat(out)
        for i in range(y.size):
            y[i] = self.weight[0] * v[i] + self.v_weight[0] * x[i]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = weight r_grad_y + v_weight grad_y,   R{grad_weight} += Σ r_grad_y x + grad_y v"""
        out, weight, v_weight = np.empty(v.shape, v.dtype), self.weight[0], self.v_weight[0]
        self.grad_weight[0] += dot(flat(r_grad_y), flat(self.x)) + dot(flat(grad_y), flat(v))
        grad_y, r_grad_y, r = flat(grad_y), flat(r_grad_y), flat(out)
        for i in range(r.size):
            r[i] = weight * r_grad_y[i] + v_weight * grad_y[i]
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(input_shape)


def multiply(x, factor, out):
    """out = factor x, both vectors."""
    for i in range(x.size):
        out[i] = factor * x[i]
