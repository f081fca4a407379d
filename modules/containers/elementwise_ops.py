"""Elementwise operations of two arrays, which merge the branches of containers."""

import numpy as np

from ..core.internal_op import InternalOp
from ..kernels.buffers import flat, reuse_like


class Sum(InternalOp):
    """Elementwise sum: y = a + b of two branches' outputs; backward, of the two gradients of one x that both read."""

    locally_linear = True

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, a, b):  # type: ignore[override]
        self.y = reuse_like(self.y, a)
        add_vectors(flat(a), flat(b), flat(self.y))
        return self.y

    def bprop(self, a, b):  # type: ignore[override]
        self.grad_x = reuse_like(self.grad_x, a)
        add_vectors(flat(a), flat(b), flat(self.grad_x))
        return self.grad_x

    def jvp(self, a, b):
        total = np.empty(a.shape, a.dtype)
        add_vectors(flat(a), flat(b), flat(total))
        return total


class ElementwiseBinaryOp(InternalOp):
    """Base of elementwise functions y = f(a, b): `bprop` returns the gradient of a, `bprop_other` that of b.

    A subclass defines scalar functions: `function(self, a, b)`, the partial derivatives `derivative_a(self, a, b)` and
    `derivative_b(self, a, b)` and, unless these are constant, their derivatives along a direction (v_a, v_b):
    `derivative_change_a(self, a, b, v_a, v_b)` and `derivative_change_b`.
    """

    def __init__(self):
        super().__init__()
        self.y = self.grad_a = self.grad_b = np.empty((0, 0))

    def fprop(self, a, b):  # type: ignore[override]
        self.a, self.b, self.y = a, b, reuse_like(self.y, a)
        a, b, y = flat(a), flat(b), flat(self.y)
        for i in range(y.size):
            y[i] = self.function(a[i], b[i])
        return self.y

    def bprop(self, grad_y):
        self.grad_a = reuse_like(self.grad_a, grad_y)
        a, b, grad_y, grad_a = flat(self.a), flat(self.b), flat(grad_y), flat(self.grad_a)
        for i in range(grad_y.size):
            grad_a[i] = grad_y[i] * self.derivative_a(a[i], b[i])
        return self.grad_a

    def bprop_other(self, grad_y):
        """The gradient of b."""
        self.grad_b = reuse_like(self.grad_b, grad_y)
        a, b, grad_y, grad_b = flat(self.a), flat(self.b), flat(grad_y), flat(self.grad_b)
        for i in range(grad_y.size):
            grad_b[i] = grad_y[i] * self.derivative_b(a[i], b[i])
        return self.grad_b

    def jvp(self, v_a, v_b):
        """derivative_a v_a + derivative_b v_b"""
        out = np.empty(v_a.shape, v_a.dtype)
        a, b, v_a, v_b, v_y = flat(self.a), flat(self.b), flat(v_a), flat(v_b), flat(out)
        for i in range(v_y.size):
            v_y[i] = v_a[i] * self.derivative_a(a[i], b[i]) + v_b[i] * self.derivative_b(a[i], b[i])
        return out

    def rbprop(self, v_a, v_b, grad_y, r_grad_y):
        """r_grad_y derivative_a + grad_y R{derivative_a}"""
        out = np.empty(v_a.shape, v_a.dtype)
        a, b, v_a, v_b = flat(self.a), flat(self.b), flat(v_a), flat(v_b)
        g, r, change = flat(grad_y), flat(r_grad_y), flat(out)
        for i in range(change.size):
            change[i] = r[i] * self.derivative_a(a[i], b[i]) + g[i] * self.derivative_change_a(
                a[i], b[i], v_a[i], v_b[i]
            )
        return out

    def rbprop_other(self, v_a, v_b, grad_y, r_grad_y):
        """r_grad_y derivative_b + grad_y R{derivative_b}"""
        out = np.empty(v_a.shape, v_a.dtype)
        a, b, v_a, v_b = flat(self.a), flat(self.b), flat(v_a), flat(v_b)
        g, r, change = flat(grad_y), flat(r_grad_y), flat(out)
        for i in range(change.size):
            change[i] = r[i] * self.derivative_b(a[i], b[i]) + g[i] * self.derivative_change_b(
                a[i], b[i], v_a[i], v_b[i]
            )
        return out


class Difference(ElementwiseBinaryOp):
    """y = a - b, grad_a = grad_y, grad_b = -grad_y."""

    locally_linear = True

    def function(self, a, b):
        return a - b

    def bprop(self, grad_y):
        return grad_y

    def derivative_a(self, a, b):
        return 1

    def derivative_b(self, a, b):
        return -1

    jvp = ElementwiseBinaryOp.jvp


class Product(ElementwiseBinaryOp):
    """y = a b, grad_a = grad_y b, grad_b = grad_y a."""

    def function(self, a, b):
        return a * b

    def derivative_a(self, a, b):
        return b

    def derivative_b(self, a, b):
        return a

    def derivative_change_a(self, a, b, v_a, v_b):
        return v_b

    def derivative_change_b(self, a, b, v_a, v_b):
        return v_a


class Quotient(ElementwiseBinaryOp):
    """y = a / b, grad_a = grad_y / b, grad_b = -grad_y a / b²."""

    def function(self, a, b):
        return a / b

    def derivative_a(self, a, b):
        return 1 / b

    def derivative_b(self, a, b):
        return -a / b / b

    def derivative_change_a(self, a, b, v_a, v_b):
        return -v_b / b / b

    def derivative_change_b(self, a, b, v_a, v_b):
        return (2 * a * v_b / b - v_a) / b / b


class Maximum(ElementwiseBinaryOp):
    """y = max(a, b); the gradient goes to the larger one, half of it to each where they are equal."""

    locally_linear = True

    def function(self, a, b):
        return a if a > b or a != a else b

    def derivative_a(self, a, b):
        return share_gradient(a > b, a == b)

    def derivative_b(self, a, b):
        return share_gradient(b > a, a == b)


class Minimum(ElementwiseBinaryOp):
    """y = min(a, b); the gradient goes to the smaller one, half of it to each where they are equal."""

    locally_linear = True

    def function(self, a, b):
        return a if a < b or a != a else b

    def derivative_a(self, a, b):
        return share_gradient(a < b, a == b)

    def derivative_b(self, a, b):
        return share_gradient(b < a, a == b)


def add_vectors(a, b, out):
    """out = a + b, all vectors."""
    for i in range(out.size):
        out[i] = a[i] + b[i]


def share_gradient(wins, ties):
    """The factor of grad_y for an operand that is selected (1), equal to the other (0.5) or neither (0)."""
    return 1.0 if wins else 0.5 if ties else 0.0
