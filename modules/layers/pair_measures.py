"""Measures of two arrays: the cosine between their vectors, and the distance of their points."""

import numpy as np

from ..containers.container import Container, check_table
from ..core.internal_op import InternalOp
from ..kernels.buffers import flat, replace_size, reuse, reuse_like
from ..kernels.class_axis import split_shape
from ..kernels.sums import as_double


class PairTable(Container):
    """Base of measures of the vectors of two arrays, along an axis `dim` which y does not have."""

    framework_base = True
    dim = -1

    def call_fprop(self, call, x):
        check_table(self, x, 2)
        return call(self.get_op("_op", self.make_op), "fprop", *x)

    def call_bprop(self, call, grad_y):
        op = self.get_op("_op", self.make_op)
        other = call(op, "bprop_other", grad_y)
        return call(op, "bprop", grad_y), other

    def make_op(self) -> InternalOp:
        """Make the internal op of two arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no make_op")

    def check_dim(self) -> None:
        """Raise ValueError for an axis that is none, or that of the samples."""
        if isinstance(self.dim, bool) or not isinstance(self.dim, int) or self.dim == 0:
            raise ValueError(f"{type(self).__name__}: dim is {self.dim!r}, expected an axis other than 0, the samples'")


class CosineSimilarity(PairTable):
    """The cosine between the vectors of two arrays.

        y      = a·b / |a| |b|
        grad_a = grad_y (b / |a| |b| - y a / |a|²),   grad_b likewise

    Shapes: x a table of a and b of one and the same shape (N, ..., K, ...), K along `dim`; y without that axis.
    Args: dim: the axis of the vectors, not 0; eps: lengths count as at least this, above 0.
    Errors: ValueError for shapes that differ, or that have no such axis.
    Source: PyTorch's CosineSimilarity.
    """

    framework_base = True

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim, self.eps = dim, float(eps)
        self.check_dim()
        if not 0 < eps < np.inf:
            raise ValueError(f"CosineSimilarity: eps is {eps}, expected a finite number above 0")

    def make_op(self) -> InternalOp:
        return CosineOp(self.dim, self.eps)

    def extra_repr(self) -> str:
        return f"dim={self.dim}" + (f", eps={self.eps:g}" if self.eps != 1e-8 else "")


class PairwiseDistance(PairTable):
    """The p-norm of the difference of two arrays' points.

        y      = (Σₖ |zₖ|ᵖ)^(1/p),   z = a - b + eps
        grad_a = grad_y sign(z) (|z| / y)ᵖ⁻¹,   grad_b = -grad_a

    Shapes: x a table of a and b of one and the same shape (N, ..., K); y (N, ...), or (N, ..., 1) with keepdim.
    Args: p: at least 1 and finite; eps: keeps equal points apart, at least 0; keepdim: keep the last axis.
    Errors: ValueError for shapes that differ, or of one axis only.
    Source: PyTorch's PairwiseDistance.
    """

    framework_base = True

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        if not 1 <= p < np.inf:
            raise ValueError(f"PairwiseDistance: p is {p}, expected a finite number of at least 1")
        if not 0 <= eps < np.inf:
            raise ValueError(f"PairwiseDistance: eps is {eps}, expected a finite number of at least 0")
        self.p, self.eps, self.keepdim = float(p), float(eps), bool(keepdim)

    def make_op(self) -> InternalOp:
        return KeptDistanceOp(self.p, self.eps) if self.keepdim else DistanceOp(self.p, self.eps)

    def extra_repr(self) -> str:
        settings = [f"p={self.p:g}"] if self.p != 2 else []
        settings += [f"eps={self.eps:g}"] if self.eps != 1e-6 else []
        return ", ".join([*settings, *(["keepdim=True"] if self.keepdim else [])])


class CosineOp(InternalOp):
    """The cosine of two arrays' vectors; `bprop` returns the gradient of the first, `bprop_other` of the second."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.dim, self.eps = dim, eps
        self.y = self.grad_a = self.grad_b = np.empty((0, 0))

    def fprop(self, a, b):  # type: ignore[override]
        self.a, self.b = a, b
        axis = self.dim % a.ndim
        self.y = reuse(self.y, drop_axis(a.shape, axis), a.dtype)
        a, b, y = vectors(a, axis), vectors(b, axis), numbers(self.y, a, axis)
        for i in range(a.shape[0]):
            for j in range(a.shape[2]):
                u, w = a[i, :, j], b[i, :, j]
                y[i, j] = multiply(u, w) / (length(u, self.eps) * length(w, self.eps))
        return self.y

    def bprop(self, grad_y):
        self.grad_a = reuse_like(self.grad_a, self.a)
        self.write_gradient(self.a, self.b, grad_y, self.grad_a)
        return self.grad_a

    def bprop_other(self, grad_y):
        """The gradient of b."""
        self.grad_b = reuse_like(self.grad_b, self.b)
        self.write_gradient(self.b, self.a, grad_y, self.grad_b)
        return self.grad_b

    def check_arguments(self, *shapes):
        shape = super().check_arguments(*shapes)
        if not -len(shape) < self.dim < len(shape):
            owner = self.parent or self
            raise ValueError(f"{owner.label()}: got arrays of shape {shape}, expected one with the axis {self.dim}")
        return drop_axis(shape, self.dim % len(shape))

    def write_gradient(self, own, other, grad_y, out):
        """grad_own = grad_y (other / |own| |other| - y own / |own|²)."""
        axis = self.dim % own.ndim
        a, b, out = vectors(own, axis), vectors(other, axis), vectors(out, axis)
        y, g = numbers(self.y, own, axis), numbers(grad_y, own, axis)
        for i in range(a.shape[0]):
            for j in range(a.shape[2]):
                u, w, grad = a[i, :, j], b[i, :, j], out[i, :, j]
                size = length(u, self.eps)
                both, pull = size * length(w, self.eps), y[i, j] / (size * size) if size > self.eps else 0 * size
                for k in range(u.size):
                    grad[k] = g[i, j] * (w[k] / both - pull * u[k])

    def jvp(self, v_a, v_b):
        """(a·v_b + b·v_a) / |a| |b| - y (α + β),   α = a·v_a / |a|², β = b·v_b / |b|²"""
        axis, out = self.dim % self.a.ndim, np.empty(self.y.shape, v_a.dtype)
        a, b, y = vectors(self.a, axis), vectors(self.b, axis), numbers(self.y, self.a, axis)
        v_a, v_b, change = vectors(v_a, axis), vectors(v_b, axis), numbers(out, self.a, axis)
        for i in range(a.shape[0]):
            for j in range(a.shape[2]):
                _, change[i, j] = turn(a[i, :, j], b[i, :, j], v_a[i, :, j], v_b[i, :, j], y[i, j], self.eps)
        return out

    def rbprop(self, v_a, v_b, grad_y, r_grad_y):
        """r ∂y/∂a + g R{∂y/∂a}, see `write_change`; r = r_grad_y, g = grad_y."""
        out = np.empty(self.a.shape, v_a.dtype)
        self.write_change(self.a, self.b, v_a, v_b, grad_y, r_grad_y, out)
        return out

    def rbprop_other(self, v_a, v_b, grad_y, r_grad_y):
        """The same for b."""
        out = np.empty(self.b.shape, v_b.dtype)
        self.write_change(self.b, self.a, v_b, v_a, grad_y, r_grad_y, out)
        return out

    def write_change(self, own, other, v_own, v_other, grad_y, r_grad_y, out):
        """R{∂y/∂a} = (v_b - (α + β) b) / |a| |b| - ((R{y} - 2 y α) a + y v_a) / |a|²"""
        axis = self.dim % own.ndim
        a, b, out = vectors(own, axis), vectors(other, axis), vectors(out, axis)
        v_a, v_b, y = vectors(v_own, axis), vectors(v_other, axis), numbers(self.y, own, axis)
        g, r = numbers(grad_y, own, axis), numbers(r_grad_y, own, axis)
        for i in range(a.shape[0]):
            for j in range(a.shape[2]):
                u, w, v_u, v_w, cosine = a[i, :, j], b[i, :, j], v_a[i, :, j], v_b[i, :, j], y[i, j]
                size, grad = length(u, self.eps), out[i, :, j]
                both, inverse = size * length(w, self.eps), 1 / (size * size) if size > self.eps else 0 * size
                shrink, change = turn(u, w, v_u, v_w, cosine, self.eps)
                alpha = inverse * multiply(u, v_u)
                for k in range(u.size):
                    slope = w[k] / both - cosine * inverse * u[k]
                    moved = (v_w[k] - shrink * w[k]) / both
                    moved -= inverse * ((change - 2 * cosine * alpha) * u[k] + cosine * v_u[k])
                    grad[k] = r[i, j] * slope + g[i, j] * moved


class DistanceOp(InternalOp):
    """The p-norm of a - b + eps along the last axis; `bprop` returns the gradient of a, `bprop_other` that of b."""

    def __init__(self, p: float, eps: float):
        super().__init__()
        self.p, self.eps = p, eps
        self.y = self.grad_a = self.grad_b = np.empty((0, 0))

    def fprop(self, a, b):  # type: ignore[override]
        self.a, self.b = a, b
        self.y = reuse(self.y, self.reduce_shape(a), a.dtype)
        a, b, y = vectors(a, a.ndim - 1), vectors(b, b.ndim - 1), flat(self.y)
        for n in range(y.size):
            y[n] = self.distance(a[n, :, 0], b[n, :, 0])
        return self.y

    def reduce_shape(self, a):
        """The shape of y."""
        return a.shape[:-1]

    def distance(self, u, w):
        """(Σₖ |u[k] - w[k] + eps|ᵖ)^(1/p), with the largest taken out, so that no power overflows."""
        largest = total = u.dtype.type(0)
        for k in range(u.size):
            size = abs(u[k] - w[k] + self.eps)
            if not size <= largest:  # NaN is not hidden
                largest = size
        if largest == 0:
            return largest
        for k in range(u.size):
            total += (abs(u[k] - w[k] + self.eps) / largest) ** self.p
        return largest * total ** (1 / self.p)

    def slope(self, difference, distance):
        """sign(z) (|z| / y)ᵖ⁻¹; 0 between equal points."""
        z = difference + self.eps
        if distance == 0:
            return 0 * distance
        return np.sign(z) * (abs(z) / distance) ** (self.p - 1)

    def bprop(self, grad_y):
        self.grad_a = reuse_like(self.grad_a, self.a)
        self.write_gradient(grad_y, 1, self.grad_a)
        return self.grad_a

    def bprop_other(self, grad_y):
        """The gradient of b."""
        self.grad_b = reuse_like(self.grad_b, self.b)
        self.write_gradient(grad_y, -1, self.grad_b)
        return self.grad_b

    def check_arguments(self, *shapes):
        shape = super().check_arguments(*shapes)
        if len(shape) < 2:
            owner = self.parent or self
            raise ValueError(f"{owner.label()}: got arrays of shape {shape}, expected (N, ..., K)")
        return shape[:-1]

    def write_gradient(self, grad_y, sign, out):
        """sign grad_y ∂y/∂a"""
        axis, y, g = self.a.ndim - 1, flat(self.y), flat(grad_y)
        a, b, out = vectors(self.a, axis), vectors(self.b, axis), vectors(out, axis)
        for n in range(y.size):
            for k in range(a.shape[1]):
                out[n, k, 0] = sign * g[n] * self.slope(a[n, k, 0] - b[n, k, 0], y[n])

    def jvp(self, v_a, v_b):
        """Σₖ ∂y/∂a[k] (v_a - v_b)[k]"""
        axis, y, result = self.a.ndim - 1, flat(self.y), np.empty(self.y.shape, v_a.dtype)
        a, b, v_a, v_b = vectors(self.a, axis), vectors(self.b, axis), vectors(v_a, axis), vectors(v_b, axis)
        out = flat(result)
        for n in range(y.size):
            out[n] = self.change(a[n, :, 0], b[n, :, 0], v_a[n, :, 0], v_b[n, :, 0], y[n])
        return result

    def change(self, u, w, v_u, v_w, distance):
        """R{y} of one pair of points."""
        total = u.dtype.type(0)
        for k in range(u.size):
            total += self.slope(u[k] - w[k], distance) * (v_u[k] - v_w[k])
        return total

    def rbprop(self, v_a, v_b, grad_y, r_grad_y):
        """r ∂y/∂a + g R{∂y/∂a}, see `write_change`; r = r_grad_y, g = grad_y."""
        out = np.empty(self.a.shape, v_a.dtype)
        self.write_change(v_a, v_b, grad_y, r_grad_y, 1, out)
        return out

    def rbprop_other(self, v_a, v_b, grad_y, r_grad_y):
        """The negative of it, of b."""
        out = np.empty(self.b.shape, v_b.dtype)
        self.write_change(v_a, v_b, grad_y, r_grad_y, -1, out)
        return out

    def write_change(self, v_a, v_b, grad_y, r_grad_y, sign, out):
        """R{∂y/∂a[k]} = (p - 1) ((|z| / y)ᵖ⁻² R{z} - ∂y/∂a[k] R{y}) / y"""
        axis, y, g, r = self.a.ndim - 1, flat(self.y), flat(grad_y), flat(r_grad_y)
        a, b, v_a, v_b = vectors(self.a, axis), vectors(self.b, axis), vectors(v_a, axis), vectors(v_b, axis)
        out = vectors(out, axis)
        for n in range(y.size):
            distance = y[n]
            change = self.change(a[n, :, 0], b[n, :, 0], v_a[n, :, 0], v_b[n, :, 0], distance)
            for k in range(a.shape[1]):
                slope, moved = self.slope(a[n, k, 0] - b[n, k, 0], distance), 0 * distance
                if distance != 0:
                    size = abs(a[n, k, 0] - b[n, k, 0] + self.eps) / distance
                    bend = 0 * size if size == 0 and self.p != 2 else size ** (self.p - 2)
                    moved = (self.p - 1) * (bend * (v_a[n, k, 0] - v_b[n, k, 0]) - slope * change) / distance
                out[n, k, 0] = sign * (r[n] * slope + g[n] * moved)


class KeptDistanceOp(DistanceOp):
    """The same with an axis of one number in the place of the last one."""

    def reduce_shape(self, a):
        return a.shape[:-1] + (1,)  # noqa: RUF005 - numba has no starred tuples

    def check_arguments(self, *shapes):
        return (*super().check_arguments(*shapes), 1)


def drop_axis(shape, axis):
    """A shape without one of its axes."""
    result = shape[1:]
    for k in range(axis):
        result = replace_size(result, k, shape[k])
    return result


def vectors(x, axis):
    """x (before, K, after) in the order of its memory."""
    before, after = split_shape(x.shape, axis)
    return flat(x).reshape((before, x.shape[axis], after))


def numbers(y, x, axis):
    """y, a number for each vector of x along an axis, as (before, after)."""
    return flat(y).reshape(split_shape(x.shape, axis))


def multiply(u, w):
    """Σₖ u[k] w[k]."""
    total = np.float64(0)
    for k in range(u.size):
        total += as_double(u[k] * w[k])
    return u.dtype.type(total)


def length(u, eps):
    """|u|, at least eps."""
    return max(np.sqrt(multiply(u, u)), u.dtype.type(eps))


def turn(u, w, v_u, v_w, cosine, eps):
    """(α + β, R{y}) of one pair of vectors, see CosineOp.jvp; a length below eps does not change."""
    a, b = length(u, eps), length(w, eps)
    shrink = 0 * a
    if a > eps:
        shrink += multiply(u, v_u) / (a * a)
    if b > eps:
        shrink += multiply(w, v_w) / (b * b)
    return shrink, (multiply(u, v_w) + multiply(w, v_u)) / (a * b) - cosine * shrink
