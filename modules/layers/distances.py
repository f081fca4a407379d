"""Layers of distances to learned points: Euclidean distances, and radial basis functions.

For both, the gradients are those of the squared distances q[n, j] = |x[n] - w[j]|²: a pull c = -2 grad_q along each.
"""

import numpy as np

from ..compiler.kernel import noinline
from ..core.module import Module
from ..core.parameter import Parameter
from ..core.shapes import check_sizes, replace_features
from ..initializers.initializers import Initializer, PyTorchUniform, get_generator
from ..kernels.buffers import as_rows, reuse, reuse_like
from ..kernels.matmul.gemm import matmul_into, sum_rows
from ..kernels.moments import LARGE, SMALL
from ..kernels.sums import as_double, sum_of


class Euclidean(Module):
    """Distances of x to the learned weight rows.

        y[n, j]     = |x[n] - weight[j]|
        grad_x      = Σⱼ c[n, j] (weight[j] - x[n]),   c = -grad_y / y
        grad_weight += Σₙ c[n, j] (x[n] - weight[j])

    Shapes: x (N, ..., in), y (N, ..., out), weight (out, in).
    Args: in_features, out_features: sizes, at least 1; weight_init: initial values, by default those of Linear.
    Errors: ValueError for sizes below 1 and for an x whose last axis is not `in`.
    Numerics: at a distance of 0, where there is no derivative, c is 0. Where squares overflow or vanish, the largest
        difference is taken out first.
    Source: torch/nn's Euclidean; torch.cdist.
    """

    def __init__(self, in_features: int, out_features: int, *, weight_init: Initializer | None = None):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter((weight_init or PyTorchUniform(in_features)).sample((out_features, in_features)))
        self.y = self.grad_x = self.c = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        y = as_rows(self.y)
        rows = as_rows(x)
        compute_squared_distances(rows, self.weight, y)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                far = y[n, j] < SMALL or y[n, j] > LARGE
                y[n, j] = compute_distance(rows, n, self.weight, j) if far else np.sqrt(y[n, j])
        return self.y

    def bprop(self, grad_y):
        y, grad_y, x = as_rows(self.y), as_rows(grad_y), as_rows(self.x)
        self.c = reuse_like(self.c, y)
        zero = y.dtype.type(0)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                self.c[n, j] = -grad_y[n, j] / y[n, j] if y[n, j] != 0 else zero
        if self.needs_grad_parameters:
            bprop_points(self.c, x, self.weight, self.grad_weight, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, self.x)
        if self.needs_grad_x:
            bprop_inputs(self.c, x, self.weight, as_rows(self.grad_x), False)
        return self.grad_x

    def jvp(self, v):
        """<x - weight, v - v_weight> / y"""
        out = np.empty(self.y.shape, v.dtype)
        y, rows = as_rows(self.y), as_rows(out)
        compute_directional(as_rows(self.x), self.weight, as_rows(v), self.v_weight, rows)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                rows[n, j] = rows[n, j] / y[n, j] if y[n, j] != 0 else y[n, j]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = Σⱼ R{c} (weight - x) + c (v_weight - v),   R{c} = -(r_grad_y + c R{y}) / y,   R{y} = jvp"""
        tangent, out = self.jvp(v), np.empty(v.shape, v.dtype)
        y, turn, grad, r = as_rows(self.y), as_rows(tangent), as_rows(grad_y), as_rows(r_grad_y)
        x, v_rows, rows, zero = as_rows(self.x), as_rows(v), as_rows(out), v.dtype.type(0)
        c = np.empty(y.shape, v.dtype)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                c[n, j] = -grad[n, j] / y[n, j] if y[n, j] != 0 else zero
                turn[n, j] = -(r[n, j] + c[n, j] * turn[n, j]) / y[n, j] if y[n, j] != 0 else zero
        bprop_points(turn, x, self.weight, self.grad_weight, True)
        bprop_points(c, v_rows, self.v_weight, self.grad_weight, True)
        bprop_inputs(turn, x, self.weight, rows, False)
        bprop_inputs(c, v_rows, self.v_weight, rows, True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in_features, self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}"


class RadialBasis(Module):
    """Gaussian bumps of learned width around learned centres.

        y[n, j]        = exp(-q[n, j] / 2 s[j]²),   q[n, j] = |x[n] - centers[j]|², s = exp(log_width)
        grad_x         = Σⱼ c[n, j] (centers[j] - x[n]),   c = grad_y y / s²
        grad_centers   += Σₙ c[n, j] (x[n] - centers[j])
        grad_log_width += Σₙ grad_y y q / s²

    Shapes: x (N, ..., in), y (N, ..., out), centers (out, in), log_width (out,).
    Args: in_features, out_features: sizes, at least 1. Centres start normal, and widths at √in: see `initialize_from`.
    Errors: ValueError for sizes below 1 and for an x whose last axis is not `in`.
    Numerics: the logarithm of a width is learned, so the width stays positive.
    Source: Bishop, Pattern Recognition and Machine Learning, sections 3.1 (eq. 3.4) and 6.3; Broomhead and Lowe (1988).
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.centers = Parameter(get_generator().standard_normal((out_features, in_features)))
        self.log_width = Parameter(np.full(out_features, np.log(in_features) / 2))
        self.precision = np.zeros(out_features)  # 1 / s²
        self.q = self.c = self.terms = self.y = self.grad_x = np.empty((0, 0))

    def initialize_from(self, x) -> "RadialBasis":
        """Put the centres on different rows of x (N, in), drawn at random; returns self.

        A width becomes the root mean square distance to the two nearest other centres.

        Errors: ValueError for rows of another size, and for fewer different rows than centres.
        Source: Moody and Darken, Fast learning in networks of locally-tuned processing units (1989).
        """
        x = np.asarray(x, np.float64)
        replace_features(self, x.shape, self.in_features, self.out_features)
        rows = np.unique(x.reshape(-1, self.in_features), axis=0)
        if len(rows) < self.out_features:
            raise ValueError(f"{self.label()}: x has {len(rows)} different rows, expected at least {self.out_features}")
        centers = rows[get_generator().choice(len(rows), self.out_features, replace=False)]
        state = {**self.state_dict(), "centers": centers}
        if self.out_features > 1:
            q = np.sort(((centers[:, None] - centers[None]) ** 2).sum(axis=-1), axis=1)[:, 1:3]
            state["log_width"] = np.log(q.mean(axis=1)) / 2
        self.load_state_dict(state)
        return self

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (self.out_features,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        y, x = as_rows(self.y), as_rows(x)
        self.q = reuse_like(self.q, y)
        compute_squared_distances(x, self.centers, self.q)
        self.precision = reuse_like(self.precision, self.log_width)
        for j in range(self.precision.size):
            self.precision[j] = np.exp(-2 * self.log_width[j])
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                self.q[n, j] *= self.precision[j]
                y[n, j] = np.exp(-self.q[n, j] / 2)
        return self.y

    def bprop(self, grad_y):
        y, grad_y, x = as_rows(self.y), as_rows(grad_y), as_rows(self.x)
        self.c, self.terms = reuse_like(self.c, y), reuse_like(self.terms, y)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                self.c[n, j] = grad_y[n, j] * y[n, j] * self.precision[j]
                self.terms[n, j] = 0
                if y[n, j] != 0:  # far away, q may be infinite
                    self.terms[n, j] = grad_y[n, j] * y[n, j] * self.q[n, j]
        if self.needs_grad_parameters:
            sum_rows(self.terms, self.grad_log_width, self.accumulate)
            bprop_points(self.c, x, self.centers, self.grad_centers, self.accumulate)
        self.grad_x = reuse_like(self.grad_x, self.x)
        if self.needs_grad_x:
            bprop_inputs(self.c, x, self.centers, as_rows(self.grad_x), False)
        return self.grad_x

    def jvp(self, v):
        """y (v_log_width q - <x - centers, v - v_centers>) / s²"""
        out = np.empty(self.y.shape, v.dtype)
        y, rows = as_rows(self.y), as_rows(out)
        compute_directional(as_rows(self.x), self.centers, as_rows(v), self.v_centers, rows)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                if y[n, j] != 0:  # far away, q may be infinite
                    slope = self.v_log_width[j] * self.q[n, j] - self.precision[j] * rows[n, j]
                    rows[n, j] = y[n, j] * slope
                else:
                    rows[n, j] = y[n, j]
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = Σⱼ R{c} (centers - x) + c (v_centers - v), R{c} = R{g y} / s² - 2 v_log_width c

        R{grad_log_width} += Σₙ R{g y} q / s² - 2 g R{y},   R{g y} = r_grad_y y + g R{y}, g = grad_y;   R{y} = jvp
        """
        tangent, out = self.jvp(v), np.empty(v.shape, v.dtype)
        y, turn, grad, r = as_rows(self.y), as_rows(tangent), as_rows(grad_y), as_rows(r_grad_y)
        x, v_rows, rows, c = as_rows(self.x), as_rows(v), as_rows(out), np.empty(self.q.shape, v.dtype)
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                c[n, j] = grad[n, j] * y[n, j] * self.precision[j]
                change = r[n, j] * y[n, j] + grad[n, j] * turn[n, j]
                self.terms[n, j] = 0
                if y[n, j] != 0:  # far away, q may be infinite
                    self.terms[n, j] = change * self.q[n, j] - 2 * grad[n, j] * turn[n, j]
                turn[n, j] = change * self.precision[j] - 2 * self.v_log_width[j] * c[n, j]
        sum_rows(self.terms, self.grad_log_width, True)
        bprop_points(turn, x, self.centers, self.grad_centers, True)
        bprop_points(c, v_rows, self.v_centers, self.grad_centers, True)
        bprop_inputs(turn, x, self.centers, rows, False)
        bprop_inputs(c, v_rows, self.v_centers, rows, True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.in_features, self.out_features)

    def extra_repr(self) -> str:
        return f"{self.in_features} -> {self.out_features}"


def compute_squared_distances(x, points, q):
    """q[n, j] = Σₖ (x[n, k] - points[j, k])²."""
    for n in range(x.shape[0]):
        for j in range(points.shape[0]):
            total = q.dtype.type(0)
            for k in range(x.shape[1]):
                difference = x[n, k] - points[j, k]
                total += difference * difference
            q[n, j] = total


@noinline
def compute_distance(x, n, points, j):
    """|x[n] - points[j]| where squares overflow or vanish: the largest difference is taken out of the root."""
    largest = total = x.dtype.type(0)
    for k in range(x.shape[1]):
        largest = max(largest, abs(x[n, k] - points[j, k]))
    if not 0 < largest < np.inf:
        return largest
    for k in range(x.shape[1]):
        part = (x[n, k] - points[j, k]) / largest
        total += part * part
    return largest * np.sqrt(total)


def compute_directional(x, points, v, v_points, out):
    """out[n, j] = <x[n] - points[j], v[n] - v_points[j]>: half of how a squared distance changes."""
    for n in range(x.shape[0]):
        for j in range(points.shape[0]):
            total = out.dtype.type(0)
            for k in range(x.shape[1]):
                total += (x[n, k] - points[j, k]) * (v[n, k] - v_points[j, k])
            out[n, j] = total


def bprop_points(c, x, points, grad_points, add):
    """grad_points[j] = Σₙ c[n, j] (x[n] - points[j]), or += it, as a product and a sum."""
    matmul_into(c.T, x, grad_points, add)
    for j in range(c.shape[1]):
        total = np.float64(0)
        for n in range(c.shape[0]):
            total += as_double(c[n, j])
        for k in range(points.shape[1]):
            grad_points[j, k] -= c.dtype.type(total) * points[j, k]


def bprop_inputs(c, x, points, grad_x, add):
    """grad_x[n] = Σⱼ c[n, j] (points[j] - x[n]), or += it, as a product and a sum."""
    matmul_into(c, points, grad_x, add)
    for n in range(c.shape[0]):
        total = sum_of(c[n])
        for k in range(x.shape[1]):
            grad_x[n, k] -= total * x[n, k]
