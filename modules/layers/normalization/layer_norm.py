"""Normalisation of each sample by itself: to mean 0 and variance 1, or to a root mean square of 1.

Both are about rows: the elements that are normalised together stand beside each other.
"""

import math

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import as_sizes, check_ending_shape
from ...kernels.buffers import flat, reuse
from ...kernels.matmul.gemm import add_to_rows, sum_rows
from ...kernels.moments import (
    add_directions,
    normal_rows,
    normal_rows_bprop,
    normal_rows_rbprop,
    root_rows,
    scaled,
    weigh_row,
)
from ...kernels.sums import column_products, dot


class RowNorm(Module):
    """Base of the layers that normalize each row of x: y = weight x̂ + bias, where x̂ is made by `normalize_rows`.

        grad_bias   += Σₙ grad_y[n]
        grad_weight += Σₙ grad_y[n] x̂[n]
        grad_x      = S g,   g = weight grad_y

    with S = dx̂/dx, which is symmetric, applied by `normalize_rows_bprop`. Without weight and bias, they are None.
    """

    def __init__(self, normalized_shape: int | list[int] | tuple[int, ...], has_weight: bool, has_bias: bool):
        super().__init__()
        self.normalized_shape = as_sizes(self, "normalized_shape", normalized_shape)
        self.size = math.prod(self.normalized_shape)
        self.weight = Parameter(np.ones(self.normalized_shape)) if has_weight else None
        self.bias = Parameter(np.zeros(self.normalized_shape)) if has_bias else None
        self.inverse = np.empty(0)
        self.normal = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        rows = flat(x).reshape((x.size // self.size, self.size))
        self.inverse = reuse(self.inverse, rows.shape[:1], x.dtype)
        self.normal = reuse(self.normal, rows.shape, x.dtype)
        self.normalize_rows(rows)
        if self.weight is None:
            return self.normal.reshape(x.shape)
        self.y = reuse(self.y, rows.shape, x.dtype)
        scaled(self.normal, flat(self.weight), self.y)
        if self.bias is not None:
            add_to_rows(self.y, flat(self.bias))
        return self.y.reshape(x.shape)

    def bprop(self, grad_y):
        rows = flat(grad_y).reshape(self.normal.shape)
        self.grad_x = reuse(self.grad_x, rows.shape, rows.dtype)
        if self.weight is not None and self.needs_grad_parameters:
            column_products(rows, self.normal, flat(self.grad_weight), self.accumulate)
        if self.bias is not None and self.needs_grad_parameters:
            sum_rows(rows, flat(self.grad_bias), self.accumulate)
        self.normalize_rows_bprop(rows, None if self.weight is None else flat(self.weight), self.grad_x)
        return self.grad_x.reshape(grad_y.shape)

    def jvp(self, v):
        """weight S v + v_weight x̂ + v_b."""
        out = np.empty(self.normal.shape, v.dtype)
        self.normalize_rows_bprop(flat(v).reshape(self.normal.shape), None, out)
        if self.weight is not None:
            scaled(out, flat(self.weight), out)
            add_directions(self.normal, flat(self.v_weight), out)
        if self.bias is not None:
            add_to_rows(out, flat(self.v_bias))
        return out.reshape(v.shape)

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} from g, R{g} = weight r_grad_y + v_weight grad_y; R{grad_weight} += Σ r_grad_y x̂ + grad_y R{x̂}"""
        shape = self.normal.shape
        out = np.empty(shape, v.dtype)
        v_rows, grad, r_grad = flat(v).reshape(shape), flat(grad_y).reshape(shape), flat(r_grad_y).reshape(shape)
        if self.weight is None:
            self.normalize_rows_rbprop(v_rows, grad, r_grad, out)
        else:
            q, g, r = np.empty(shape, v.dtype), np.empty(shape, v.dtype), np.empty(shape, v.dtype)
            self.normalize_rows_bprop(v_rows, None, q)
            column_products(r_grad, self.normal, flat(self.grad_weight), True)
            column_products(grad, q, flat(self.grad_weight), True)
            scaled(grad, flat(self.weight), g)
            scaled(r_grad, flat(self.weight), r)
            add_directions(grad, flat(self.v_weight), r)
            self.normalize_rows_rbprop(v_rows, g, r, out)
        if self.bias is not None:
            sum_rows(r_grad, flat(self.grad_bias), True)
        return out.reshape(v.shape)

    def normalize_rows(self, rows):
        """Fill `normal`, x̂ of each row, and `inverse`, what the row is multiplied by."""
        raise NotImplementedError

    def normalize_rows_bprop(self, grad, weight, out):
        """out = S g, g = weight grad, or grad where weight is None."""
        raise NotImplementedError

    def normalize_rows_rbprop(self, v, grad, r_grad, out):
        """out = R{S grad} = S r_grad + R{S} grad, where x moves along v."""
        raise NotImplementedError

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_ending_shape(self, input_shape, self.normalized_shape)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}" + ("" if self.eps is None else f", eps={self.eps:g}")


class LayerNorm(RowNorm):
    """Normalises the last axes of each sample, and then scales and shifts.

        x̂           = (x - μ) / √(σ² + eps)
        y           = weight x̂ + bias
        grad_bias   += Σₙ grad_y[n]
        grad_weight += Σₙ grad_y[n] x̂[n]
        grad_x      = (g - mean(g) - x̂ mean(g x̂)) / √(σ² + eps),   g = weight grad_y

    with μ, σ² and means over the elements of `normalized_shape`.

    Shapes: x and y (N, ..., *normalized_shape); weight, bias normalized_shape.
    Args: normalized_shape: sizes of the last axes, or one size; eps: at least 0; elementwise_affine: with weight; bias:
        and with bias.
    Errors: ValueError for other shapes and settings.
    Numerics: the variance in a second pass, from x - μ.
    Source: Ba, Kiros and Hinton, Layer normalization (2016); PyTorch's LayerNorm.
    """

    def __init__(
        self,
        normalized_shape: int | list[int] | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        super().__init__(normalized_shape, elementwise_affine, elementwise_affine and bias)
        self.eps = check_eps(self, eps)

    def normalize_rows(self, rows):
        normal_rows(rows, self.eps, self.normal, self.inverse)

    def normalize_rows_bprop(self, grad, weight, out):
        normal_rows_bprop(grad, self.normal, self.inverse, out, weight)

    def normalize_rows_rbprop(self, v, grad, r_grad, out):
        normal_rows_rbprop(v, grad, r_grad, self.normal, self.inverse, out)


class RMSNorm(RowNorm):
    """Divides the last axes of each sample by their root mean square, and then scales.

        x̂           = x / √(mean(x²) + eps)
        y           = weight x̂
        grad_weight += Σₙ grad_y[n] x̂[n]
        grad_x      = (g - x̂ mean(g x̂)) / √(mean(x²) + eps),   g = weight grad_y

    Shapes: x and y (N, ..., *normalized_shape); weight normalized_shape.
    Args: normalized_shape: sizes of the last axes, or one size; eps: at least 0, None for the distance of 1 to the next
        number of the data's type; elementwise_affine: with weight.
    Errors: ValueError for other shapes and settings.
    Source: Zhang and Sennrich, Root mean square layer normalization (2019); PyTorch's RMSNorm.
    """

    def __init__(
        self,
        normalized_shape: int | list[int] | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ):
        super().__init__(normalized_shape, elementwise_affine, False)
        self.eps = None if eps is None else check_eps(self, eps)

    def normalize_rows(self, rows):
        eps = 2.0 ** (-23 if rows.itemsize == 4 else -52) if self.eps is None else self.eps
        root_rows(rows, eps, self.normal, self.inverse)

    def normalize_rows_bprop(self, grad, weight, out):
        root_rows_bprop(grad, self.normal, self.inverse, out, weight)

    def normalize_rows_rbprop(self, v, grad, r_grad, out):
        q = np.empty(v.shape, v.dtype)
        root_rows_bprop(v, self.normal, self.inverse, q, None)
        for n in range(v.shape[0]):
            row, size = self.normal[n], v.shape[1]
            along, product = dot(v[n], row) / size, dot(grad[n], row) / size
            change = (dot(r_grad[n], row) + dot(grad[n], q[n])) / size
            for k in range(size):
                after = r_grad[n, k] - change * row[k] - product * q[n, k]
                before = grad[n, k] - product * row[k]
                out[n, k] = self.inverse[n] * (after - self.inverse[n] * along * before)


def root_rows_bprop(grad, normal, inverse, out, weight):
    """out = (g - normal mean(g normal)) inverse, row by row: the gradient through the root mean square.

    g = weight grad, or grad where weight is None.
    """
    for n in range(grad.shape[0]):
        row, result = normal[n], out[n]
        weigh_row(grad[n], weight, result)
        product = dot(result, row) / row.size
        for k in range(row.size):
            result[k] = inverse[n] * (result[k] - product * row[k])


def check_eps(module: Module, eps: float) -> float:
    """eps as a float; ValueError if it is negative."""
    if not eps >= 0:
        raise ValueError(f"{type(module).__name__}: eps is {eps}, expected at least 0")
    return float(eps)
