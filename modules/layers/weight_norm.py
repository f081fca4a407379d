"""Layers of directions: the cosine of the angle to learned ones, and a weight that is a length times a direction."""

import numpy as np

from ..core.module import Module
from ..core.parameter import Parameter
from ..core.shapes import check_sizes, replace_features
from ..initializers.initializers import Initializer, PyTorchUniform
from ..kernels.buffers import as_rows, reuse, reuse_like
from ..kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows
from ..kernels.norms import unit_rows, unit_rows_bprop, unit_rows_rbprop
from ..kernels.sums import dot


class Cosine(Module):
    """Cosine of the angle between x and each of the learned weight rows.

        y           = x̂ ŵᵀ,   x̂ = x / |x|, ŵ = weight / |weight|, row by row
        grad_x      = (ĝ - x̂ <x̂, ĝ>) / |x|,   ĝ = grad_y ŵ
        grad_weight += (ĥ - ŵ <ŵ, ĥ>) / |weight|,   ĥ = grad_yᵀ x̂

    Shapes: x (N, ..., in), y (N, ..., out), weight (out, in).
    Args: in_features, out_features: sizes, at least 1; weight_init: initial values, by default those of Linear.
    Errors: ValueError for sizes below 1 and for an x whose last axis is not `in`.
    Numerics: a row with a norm of at most 1e-12 counts as zero: the cosine is 0, and so is the gradient.
    Source: torch/nn's Cosine; torch.nn.functional.cosine_similarity.
    """

    def __init__(self, in_features: int, out_features: int, *, weight_init: Initializer | None = None):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter((weight_init or PyTorchUniform(in_features)).sample((out_features, in_features)))
        self.inverse = self.weight_inverse = np.empty(0)
        self.unit = self.unit_weight = self.grad_unit = self.grad_unit_weight = np.empty((0, 0))
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.grad_x = reuse_like(self.grad_x, x)  # its shape is that of x
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        x = as_rows(x)
        self.inverse = reuse(self.inverse, x.shape[:1], x.dtype)
        self.unit = reuse_like(self.unit, x)
        unit_rows(x, self.inverse, self.unit)
        self.weight_inverse = reuse(self.weight_inverse, self.weight.shape[:1], x.dtype)
        self.unit_weight = reuse_like(self.unit_weight, self.weight)
        unit_rows(self.weight, self.weight_inverse, self.unit_weight)
        matmul_into(self.unit, self.unit_weight.T, as_rows(self.y), False)
        return self.y

    def bprop(self, grad_y):
        grad_y, grad_x = as_rows(grad_y), as_rows(self.grad_x)
        if self.needs_grad_parameters:
            self.grad_unit_weight = reuse_like(self.grad_unit_weight, self.weight)
            matmul_into(grad_y.T, self.unit, self.grad_unit_weight, False)
            unit_rows_bprop(self.grad_unit_weight, self.unit_weight, self.weight_inverse, self.grad_unit_weight)
            store_or_add(self.grad_unit_weight, self.grad_weight, self.accumulate)
        if self.needs_grad_x:
            self.grad_unit = reuse_like(self.grad_unit, self.unit)
            matmul_into(grad_y, self.unit_weight, self.grad_unit, False)
            unit_rows_bprop(self.grad_unit, self.unit, self.inverse, grad_x)
        return self.grad_x

    def jvp(self, v):
        """û ŵᵀ + x̂ ω̂ᵀ, with û and ω̂ the changes of x̂ and ŵ."""
        out = np.empty(self.y.shape, v.dtype)
        unit, unit_weight = self.changes_of_units(v)
        matmul_into(unit, self.unit_weight.T, as_rows(out), False)
        matmul_into(self.unit, unit_weight.T, as_rows(out), True)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """Those of both gradients, with R{ĝ} = r_grad_y ŵ + grad_y ω̂ and R{ĥ} = r_grad_yᵀ x̂ + grad_yᵀ û"""
        grad, r, v_rows, out = as_rows(grad_y), as_rows(r_grad_y), as_rows(v), np.empty(v.shape, v.dtype)
        unit, unit_weight = self.changes_of_units(v)
        g, r_g = np.empty(self.weight.shape, v.dtype), np.empty(self.weight.shape, v.dtype)
        matmul_into(grad.T, self.unit, g, False)
        matmul_into(r.T, self.unit, r_g, False)
        matmul_into(grad.T, unit, r_g, True)
        unit_rows_rbprop(self.v_weight, g, r_g, self.unit_weight, self.weight_inverse, r_g)
        store_or_add(r_g, self.grad_weight, True)
        g, r_g = np.empty(self.unit.shape, v.dtype), np.empty(self.unit.shape, v.dtype)
        matmul_into(grad, self.unit_weight, g, False)
        matmul_into(r, self.unit_weight, r_g, False)
        matmul_into(grad, unit_weight, r_g, True)
        unit_rows_rbprop(v_rows, g, r_g, self.unit, self.inverse, as_rows(out))
        return out

    def changes_of_units(self, v):
        """The changes of x̂ and ŵ."""
        unit, unit_weight = np.empty(self.unit.shape, v.dtype), np.empty(self.weight.shape, v.dtype)
        unit_rows_bprop(as_rows(v), self.unit, self.inverse, unit)
        unit_rows_bprop(self.v_weight, self.unit_weight, self.weight_inverse, unit_weight)
        return unit, unit_weight

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in_features, self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}"


class LinearWeightNorm(Module):
    """Affine map whose weight is, row by row, a learned length times a learned direction.

        weight        = weight_g v̂,   v̂ = weight_v / |weight_v|
        y             = x weightᵀ + b
        grad_x        = grad_y weight
        grad_weight_g += <v̂, ĝ>,   ĝ = grad_yᵀ x
        grad_weight_v += weight_g (ĝ - v̂ <v̂, ĝ>) / |weight_v|
        grad_bias     += Σₙ grad_y[n]

    Shapes: x (N, ..., in), y (N, ..., out), weight_v (out, in), weight_g (out, 1), bias (out,).
    Args: in_features, out_features: sizes, at least 1; bias: add b; weight_init: initial weight_v, by default that of
        Linear; weight_g starts as its lengths.
    Errors: ValueError for sizes below 1 and for an x whose last axis is not `in`.
    Numerics: a row of weight_v with a norm of at most 1e-12 counts as zero, and so does its gradient.
    Source: Salimans and Kingma, Weight normalization (2016), eq. 2 and 3; torch.nn.utils.weight_norm.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, weight_init: Initializer | None = None
    ):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        default = PyTorchUniform(in_features)
        weight = (weight_init or default).sample((out_features, in_features))
        self.weight_g = Parameter(np.sqrt((weight**2).sum(axis=1, keepdims=True)))
        self.weight_v = Parameter(weight)
        self.bias = Parameter(default.sample((out_features,))) if bias else None
        self.inverse = np.empty(0)
        self.unit = self.weight = self.grad_full = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.inverse = reuse(self.inverse, self.weight_v.shape[:1], x.dtype)
        self.unit, self.weight = reuse_like(self.unit, self.weight_v), reuse_like(self.weight, self.weight_v)
        unit_rows(self.weight_v, self.inverse, self.unit)
        scale_rows(self.unit, self.weight_g, self.weight)
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        matmul_into(as_rows(x), self.weight.T, as_rows(self.y), False)
        if self.bias is not None:
            add_to_rows(as_rows(self.y), self.bias)
        return self.y

    def bprop(self, grad_y):
        grad_y = as_rows(grad_y)
        if self.needs_grad_parameters:
            self.add_parameter_gradients(grad_y)
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, self.x)
            matmul_into(grad_y, self.weight, as_rows(self.grad_x), False)
        return self.grad_x

    def add_parameter_gradients(self, grad_y):
        """Compute the gradients of the parameters from the rows of grad_y."""
        self.grad_full = reuse_like(self.grad_full, self.weight)
        matmul_into(grad_y.T, as_rows(self.x), self.grad_full, False)
        for j in range(self.out_features):
            along = dot(self.unit[j], self.grad_full[j])
            self.grad_weight_g[j, 0] = along + self.grad_weight_g[j, 0] if self.accumulate else along
        unit_rows_bprop(self.grad_full, self.unit, self.inverse, self.grad_full)
        scale_rows(self.grad_full, self.weight_g, self.grad_full)
        store_or_add(self.grad_full, self.grad_weight_v, self.accumulate)
        if self.bias is not None:
            sum_rows(grad_y, self.grad_bias, self.accumulate)

    def jvp(self, v):
        """v weightᵀ + x V_Wᵀ + v_b, with V_W the change of weight."""
        out, (_, change) = np.empty(self.y.shape, v.dtype), self.changes_of_weight()
        matmul_into(as_rows(v), self.weight.T, as_rows(out), False)
        matmul_into(as_rows(self.x), change.T, as_rows(out), True)
        if self.bias is not None:
            add_to_rows(as_rows(out), self.v_bias)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = r_grad_y weight + grad_y V_W;   the others by the product rule, with û the change of v̂

        R{ĝ} = r_grad_yᵀ x + grad_yᵀ v,   R{grad_weight_g} += <û, ĝ> + <v̂, R{ĝ}>
        """
        grad, r, out = as_rows(grad_y), as_rows(r_grad_y), np.empty(v.shape, v.dtype)
        unit, change = self.changes_of_weight()
        g, r_g = np.empty(change.shape, v.dtype), np.empty(change.shape, v.dtype)
        matmul_into(grad.T, as_rows(self.x), g, False)
        matmul_into(r.T, as_rows(self.x), r_g, False)
        matmul_into(grad.T, as_rows(v), r_g, True)
        for j in range(self.out_features):
            self.grad_weight_g[j, 0] += dot(unit[j], g[j]) + dot(self.unit[j], r_g[j])
        unit_rows_rbprop(self.v_weight_v, g, r_g, self.unit, self.inverse, r_g)
        unit_rows_bprop(g, self.unit, self.inverse, g)
        scale_rows(r_g, self.weight_g, r_g)
        scale_rows(g, self.v_weight_g, g)
        store_or_add(r_g, self.grad_weight_v, True)
        store_or_add(g, self.grad_weight_v, True)
        if self.bias is not None:
            sum_rows(r, self.grad_bias, True)
        matmul_into(r, self.weight, as_rows(out), False)
        matmul_into(grad, change, as_rows(out), True)
        return out

    def changes_of_weight(self):
        """The changes of v̂ and of weight."""
        unit, change = np.empty(self.weight.shape, self.weight.dtype), np.empty(self.weight.shape, self.weight.dtype)
        unit_rows_bprop(self.v_weight_v, self.unit, self.inverse, unit)
        for j in range(change.shape[0]):
            for k in range(change.shape[1]):
                change[j, k] = self.weight_g[j, 0] * unit[j, k] + self.v_weight_g[j, 0] * self.unit[j, k]
        return unit, change

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in_features, self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}" + ("" if self.bias is not None else ", bias=False")


def scale_rows(x, scale, out):
    """out[j] = scale[j] x[j]; x, out (J, K), scale (J, 1)."""
    for j in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[j, k] = scale[j, 0] * x[j, k]


def store_or_add(values, out, add):
    """out = values, or out += values; both (J, K)."""
    for j in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[j, k] = out[j, k] + values[j, k] if add else values[j, k]
