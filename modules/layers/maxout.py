"""Maxout layers: each unit is the largest of several affine maps."""

import numpy as np

from ..core.module import Module
from ..core.parameter import Parameter
from ..core.shapes import check_sizes, replace_features
from ..initializers.initializers import Initializer, PyTorchUniform
from ..kernels.buffers import as_rows, flat, reuse, reuse_like
from ..kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows


class Maxout(Module):
    """Largest of `pieces` affine maps for each output.

        z           = x Wᵀ + b
        y[n, j]     = maxₚ z[n, j pieces + p]
        grad_z      = grad_y at the largest piece, 0 at the others
        grad_x      = grad_z W
        grad_weight += grad_zᵀ x
        grad_bias   += Σₙ grad_z[n]

    Shapes: x (N, ..., in), y (N, ..., out), weight (out pieces, in), bias (out pieces,).
    Args: in_features, out_features, pieces: sizes, at least 1; weight_init, bias_init: as of Linear.
    Errors: ValueError for sizes below 1 and for an x whose last axis is not `in`.
    Numerics: of equal pieces the first counts; a piece that is NaN counts as the largest.
    Source: Goodfellow et al., Maxout networks (2013), eq. 1; Deep Learning, eq. 6.37 (in the draft: section 6.7).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features, pieces=pieces)
        self.in_features, self.out_features, self.pieces = in_features, out_features, pieces
        default = PyTorchUniform(in_features)
        self.weight = Parameter((weight_init or default).sample((out_features * pieces, in_features)))
        self.bias = Parameter((bias_init or default).sample((out_features * pieces,)))
        self.largest = np.empty((0, 0), np.int64)  # the column of z that y is
        self.z = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        x, y = as_rows(x), as_rows(self.y)
        self.z = reuse(self.z, (x.shape[0], self.bias.size), x.dtype)
        self.largest = reuse(self.largest, y.shape, np.int64)
        matmul_into(x, self.weight.T, self.z, False)
        add_to_rows(self.z, self.bias)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                self.largest[n, j] = find_first_maximum(self.z[n], j * self.pieces, self.pieces)
                y[n, j] = self.z[n, self.largest[n, j]]
        return self.y

    def bprop(self, grad_y):
        grad_y, x, grad_z = as_rows(grad_y), as_rows(self.x), self.z  # whose values are not needed any more
        grad_z[:] = 0
        for n in range(grad_y.shape[0]):
            for j in range(grad_y.shape[1]):
                grad_z[n, self.largest[n, j]] = grad_y[n, j]
        if self.needs_grad_parameters:
            matmul_into(grad_z.T, x, self.grad_weight, self.accumulate)
            sum_rows(grad_z, self.grad_bias, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, self.x)
        if self.needs_grad_x:
            matmul_into(grad_z, self.weight, as_rows(self.grad_x), False)
        return self.grad_x

    def jvp(self, v):
        """v Wᵀ + x V_Wᵀ + v_b, of the largest piece alone."""
        out, z = np.empty(self.y.shape, v.dtype), np.empty(self.z.shape, v.dtype)
        matmul_into(as_rows(v), self.weight.T, z, False)
        matmul_into(as_rows(self.x), self.v_weight.T, z, True)
        add_to_rows(z, self.v_bias)
        y = as_rows(out)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                y[n, j] = z[n, self.largest[n, j]]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """As of Linear, with the gradients at the largest pieces."""
        g, r = np.zeros(self.z.shape, v.dtype), np.zeros(self.z.shape, v.dtype)
        grad_y, r_grad_y, out = as_rows(grad_y), as_rows(r_grad_y), np.empty(v.shape, v.dtype)
        for n in range(grad_y.shape[0]):
            for j in range(grad_y.shape[1]):
                g[n, self.largest[n, j]], r[n, self.largest[n, j]] = grad_y[n, j], r_grad_y[n, j]
        matmul_into(r.T, as_rows(self.x), self.grad_weight, True)
        matmul_into(g.T, as_rows(v), self.grad_weight, True)
        sum_rows(r, self.grad_bias, True)
        if self.needs_grad_x:
            matmul_into(r, self.weight, as_rows(out), False)
            matmul_into(g, self.v_weight, as_rows(out), True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in_features, self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}, pieces={self.pieces}"


class MaxoutChannels(Module):
    """Largest of `pieces` channels at each place: after a convolution, maxout for images.

        y[n, c]                  = maxₚ x[n, c pieces + p]
        grad_x[n, c pieces + p]  = grad_y[n, c] where that piece is the largest, 0 at the others

    Shapes: x (N, C pieces, ...), y (N, C, ...).
    Args: pieces: at least 1.
    Errors: ValueError for pieces below 1, and for channels that they do not divide.
    Numerics: of equal pieces the first counts; a piece that is NaN counts as the largest.
    Source: Goodfellow et al., Maxout networks (2013), section 2.
    """

    locally_linear = True

    def __init__(self, pieces: int = 2):
        super().__init__()
        check_sizes(self, pieces=pieces)
        self.pieces = pieces
        self.largest = np.empty((0, 0), np.int64)  # which piece each number of y is
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        planes, size = x.shape[0] * x.shape[1] // self.pieces, x.size // (x.shape[0] * x.shape[1])
        x = flat(x).reshape((planes, self.pieces, size))
        shape = self.x.shape[:1] + (self.x.shape[1] // self.pieces,) + self.x.shape[2:]  # noqa: RUF005
        self.y = reuse(self.y, shape, x.dtype)
        self.largest = reuse(self.largest, (planes, size), np.int64)
        y = flat(self.y).reshape((planes, size))
        for m in range(planes):
            for i in range(size):
                best = 0
                for p in range(1, self.pieces):
                    if x[m, p, i] > x[m, best, i] or x[m, p, i] != x[m, p, i]:
                        best = p
                self.largest[m, i], y[m, i] = best, x[m, best, i]
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        planes, size = self.largest.shape
        grad_x, grad_y = flat(self.grad_x).reshape((planes, self.pieces, size)), flat(grad_y).reshape((planes, size))
        grad_x[:] = 0
        for m in range(planes):
            for i in range(size):
                grad_x[m, self.largest[m, i], i] = grad_y[m, i]
        return self.grad_x

    def jvp(self, v):
        """v of the largest piece."""
        out, (planes, size) = np.empty(self.y.shape, v.dtype), self.largest.shape
        y, v = flat(out).reshape((planes, size)), flat(v).reshape((planes, self.pieces, size))
        for m in range(planes):
            for i in range(size):
                y[m, i] = v[m, self.largest[m, i], i]
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape = tuple(input_shape)
        if len(shape) < 2 or shape[1] % self.pieces:
            expected = f"(N, C, ...) with C a multiple of {self.pieces}"
            raise ValueError(f"{self.label()}: x has shape {shape}, expected {expected}")
        return (shape[0], shape[1] // self.pieces, *shape[2:])

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


def find_first_maximum(row, start, count):
    """Find the index of the largest of row[start : start + count], or of a NaN."""
    best = start
    for k in range(start + 1, start + count):
        if row[k] > row[best] or row[k] != row[k]:
            best = k
    return best
