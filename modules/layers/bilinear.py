"""The bilinear layer, in which one part of x multiplies the other."""

import numpy as np

from ..core.module import Module
from ..core.parameter import Parameter
from ..core.shapes import check_sizes, replace_features
from ..initializers.initializers import Initializer, PyTorchUniform
from ..kernels.buffers import as_rows, reuse, reuse_like
from ..kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows


class Bilinear(Module):
    """Bilinear form of the two parts of the last axis.

        y[n, j]        = uᵀ W[j] v + b[j],   x[n] = [u, v]
        grad_u         = Σⱼ grad_y[n, j] W[j] v
        grad_v         = Σⱼ grad_y[n, j] W[j]ᵀ u
        grad_x[n]      = [grad_u, grad_v]
        grad_weight[j] += Σₙ grad_y[n, j] u vᵀ
        grad_bias      += Σₙ grad_y[n]

    PyTorch's Bilinear takes u and v as two arguments; here they stand side by side in one.

    Shapes: x (N, ..., in1 + in2), y (N, ..., out), weight (out, in1, in2), bias (out,).
    Args: in1_features, in2_features, out_features: sizes, at least 1; bias: add b; weight_init: initial values, by
        default PyTorch's, uniform in ±1/√in1.
    Errors: ValueError for sizes below 1 and for an x whose last axis is not in1 + in2.
    Source: PyTorch's Bilinear; Bishop and Bishop, Deep Learning, section 4.1 (outer products as features).
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        default = PyTorchUniform(in1_features)
        self.weight = Parameter((weight_init or default).sample((out_features, in1_features, in2_features)))
        self.bias = Parameter(default.sample((out_features,))) if bias else None
        self.v = self.grad_v = self.mapped = self.outer = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        x, y, size = as_rows(x), as_rows(self.y), self.in1_features
        self.v = reuse(self.v, (x.shape[0], self.in2_features), x.dtype)
        for n in range(x.shape[0]):
            for k in range(self.in2_features):
                self.v[n, k] = x[n, size + k]
        self.mapped = reuse(self.mapped, (x.shape[0], self.out_features * size), x.dtype)  # W[j] v for all j
        matmul_into(self.v, as_rows(self.weight).T, self.mapped, False)
        for n in range(x.shape[0]):
            for j in range(self.out_features):
                total = x.dtype.type(0)
                for i in range(size):
                    total += x[n, i] * self.mapped[n, j * size + i]
                y[n, j] = total
        if self.bias is not None:
            add_to_rows(y, self.bias)
        return self.y

    def bprop(self, grad_y):
        grad_y, x, size = as_rows(grad_y), as_rows(self.x), self.in1_features
        self.outer = reuse_like(self.outer, self.mapped)  # grad_y[n, j] u for all j
        for n in range(x.shape[0]):
            for j in range(self.out_features):
                for i in range(size):
                    self.outer[n, j * size + i] = grad_y[n, j] * x[n, i]
        if self.needs_grad_parameters:
            matmul_into(self.outer.T, self.v, as_rows(self.grad_weight), self.accumulate)
            if self.bias is not None:
                sum_rows(grad_y, self.grad_bias, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, self.x)
        if self.needs_grad_x:
            self.write_grad_x(grad_y, as_rows(self.grad_x))
        return self.grad_x

    def write_grad_x(self, grad_y, grad_x):
        """Write both parts of grad_x."""
        size = self.in1_features
        self.grad_v = reuse_like(self.grad_v, self.v)
        matmul_into(self.outer, as_rows(self.weight), self.grad_v, False)
        grad_x[:] = 0
        for n in range(grad_y.shape[0]):
            for j in range(self.out_features):
                for i in range(size):
                    grad_x[n, i] += grad_y[n, j] * self.mapped[n, j * size + i]
            for k in range(self.in2_features):
                grad_x[n, size + k] = self.grad_v[n, k]

    def jvp(self, v):
        """v_uᵀ W[j] v + uᵀ (W[j] v_v + V_W[j] v) + v_b[j]"""
        out, v_x, x, size = np.empty(self.y.shape, v.dtype), as_rows(v), as_rows(self.x), self.in1_features
        y, (_, mapped) = as_rows(out), self.changes_of_mapped(v_x)
        for n in range(x.shape[0]):
            for j in range(self.out_features):
                total = v_x.dtype.type(0)
                for i in range(size):
                    total += v_x[n, i] * self.mapped[n, j * size + i] + x[n, i] * mapped[n, j * size + i]
                y[n, j] = total
        if self.bias is not None:
            add_to_rows(y, self.v_bias)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """bprop is linear in grad_y, in the weight and in each part of x: a term for the change of each

        R{grad_x} = [Σⱼ r[j] W[j] v + g[j] (V_W[j] v + W[j] v_v),  Σⱼ (r[j] u + g[j] v_u)ᵀ W[j] + g[j] uᵀ V_W[j]],
        R{grad_weight[j]} += Σₙ (r[j] u + g[j] v_u) vᵀ + g[j] u v_vᵀ,   R{grad_bias} += Σₙ r,   g = grad_y, r = R{g}
        """
        out, v_x, x, size = np.empty(v.shape, v.dtype), as_rows(v), as_rows(self.x), self.in1_features
        grad, r, rows = as_rows(grad_y), as_rows(r_grad_y), as_rows(out)
        second, mapped = self.changes_of_mapped(v_x)
        outer, change = np.empty(mapped.shape, v.dtype), np.empty(mapped.shape, v.dtype)  # g u, and how it changes
        rows[:] = 0
        for n in range(x.shape[0]):
            for j in range(self.out_features):
                for i in range(size):
                    outer[n, j * size + i] = grad[n, j] * x[n, i]
                    change[n, j * size + i] = r[n, j] * x[n, i] + grad[n, j] * v_x[n, i]
                    rows[n, i] += r[n, j] * self.mapped[n, j * size + i] + grad[n, j] * mapped[n, j * size + i]
        matmul_into(change.T, self.v, as_rows(self.grad_weight), True)
        matmul_into(outer.T, second, as_rows(self.grad_weight), True)
        matmul_into(change, as_rows(self.weight), second, False)
        matmul_into(outer, as_rows(self.v_weight), second, True)
        for n in range(x.shape[0]):
            for k in range(self.in2_features):
                rows[n, size + k] = second[n, k]
        if self.bias is not None:
            sum_rows(r, self.grad_bias, True)
        return out

    def changes_of_mapped(self, v_x):
        """The second part of the direction, v_v, and how W[j] v changes: W[j] v_v + V_W[j] v."""
        second, mapped = np.empty(self.v.shape, v_x.dtype), np.empty(self.mapped.shape, v_x.dtype)
        for n in range(second.shape[0]):
            for k in range(self.in2_features):
                second[n, k] = v_x[n, self.in1_features + k]
        matmul_into(second, as_rows(self.weight).T, mapped, False)
        matmul_into(self.v, as_rows(self.v_weight).T, mapped, True)
        return second, mapped

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in1_features + self.in2_features, self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in1_features} + {self.in2_features} -> {self.out_features}" + (
            "" if self.bias is not None else ", bias=False"
        )
