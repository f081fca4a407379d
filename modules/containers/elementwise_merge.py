"""Where two ways through a net meet: two arrays of one shape become one, element by element."""

import numpy as np

from ..core.internal import Joint
from ..kernels.buffers import flat, reuse_like


class Sum(Joint):
    """The sum of what comes out of two ways, y = a + b; or, where one x went into both, of their two grad_x."""

    locally_linear = True

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, a, b):  # type: ignore[override]
        self.y = reuse_like(self.y, a)
        add(flat(a), flat(b), flat(self.y))
        return self.y

    def bprop(self, a, b):  # type: ignore[override]
        self.grad_x = reuse_like(self.grad_x, a)
        add(flat(a), flat(b), flat(self.grad_x))
        return self.grad_x

    def jvp(self, a, b):
        total = np.empty(a.shape, a.dtype)
        add(flat(a), flat(b), flat(total))
        return total


class Meeting(Joint):
    """Base of functions of two arrays, element by element, with a gradient for each: `bprop` and `bprop_other`.

    `function(self, a, b)` and the derivatives `slope(self, a, b)` and `slope_other(self, a, b)` are of one element; so
    are, unless these are constant, their changes along a direction, `bend(self, a, b, v_a, v_b)` and `bend_other`.
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
            grad_a[i] = grad_y[i] * self.slope(a[i], b[i])
        return self.grad_a

    def bprop_other(self, grad_y):
        """The gradient of b."""
        self.grad_b = reuse_like(self.grad_b, grad_y)
        a, b, grad_y, grad_b = flat(self.a), flat(self.b), flat(grad_y), flat(self.grad_b)
        for i in range(grad_y.size):
            grad_b[i] = grad_y[i] * self.slope_other(a[i], b[i])
        return self.grad_b

    def jvp(self, v_a, v_b):
        """slope v_a + slope_other v_b"""
        out = np.empty(v_a.shape, v_a.dtype)
        a, b, v_a, v_b, v_y = flat(self.a), flat(self.b), flat(v_a), flat(v_b), flat(out)
        for i in range(v_y.size):
            v_y[i] = v_a[i] * self.slope(a[i], b[i]) + v_b[i] * self.slope_other(a[i], b[i])
        return out

    def rbprop(self, v_a, v_b, grad_y, r_grad_y):
        """r_grad_y slope + grad_y R{slope}"""
        out = np.empty(v_a.shape, v_a.dtype)
        a, b, v_a, v_b = flat(self.a), flat(self.b), flat(v_a), flat(v_b)
        g, r, change = flat(grad_y), flat(r_grad_y), flat(out)
        for i in range(change.size):
            change[i] = r[i] * self.slope(a[i], b[i]) + g[i] * self.bend(a[i], b[i], v_a[i], v_b[i])
        return out

    def rbprop_other(self, v_a, v_b, grad_y, r_grad_y):
        """r_grad_y slope_other + grad_y R{slope_other}"""
        out = np.empty(v_a.shape, v_a.dtype)
        a, b, v_a, v_b = flat(self.a), flat(self.b), flat(v_a), flat(v_b)
        g, r, change = flat(grad_y), flat(r_grad_y), flat(out)
        for i in range(change.size):
            change[i] = r[i] * self.slope_other(a[i], b[i]) + g[i] * self.bend_other(a[i], b[i], v_a[i], v_b[i])
        return out


class Difference(Meeting):
    """y = a - b, grad_a = grad_y, grad_b = -grad_y."""

    locally_linear = True

    def function(self, a, b):
        return a - b

    def bprop(self, grad_y):
        return grad_y

    def slope(self, a, b):
        return 1

    def slope_other(self, a, b):
        return -1

    jvp = Meeting.jvp


class Product(Meeting):
    """y = a b, grad_a = grad_y b, grad_b = grad_y a."""

    def function(self, a, b):
        return a * b

    def slope(self, a, b):
        return b

    def slope_other(self, a, b):
        return a

    def bend(self, a, b, v_a, v_b):
        return v_b

    def bend_other(self, a, b, v_a, v_b):
        return v_a


class Quotient(Meeting):
    """y = a / b, grad_a = grad_y / b, grad_b = -grad_y a / b²."""

    def function(self, a, b):
        return a / b

    def slope(self, a, b):
        return 1 / b

    def slope_other(self, a, b):
        return -a / b / b

    def bend(self, a, b, v_a, v_b):
        return -v_b / b / b

    def bend_other(self, a, b, v_a, v_b):
        return (2 * a * v_b / b - v_a) / b / b


class Larger(Meeting):
    """y = max(a, b); the gradient goes to the larger one, half of it to each where they are equal."""

    locally_linear = True

    def function(self, a, b):
        return a if a > b or a != a else b

    def slope(self, a, b):
        return part_of(a > b, a == b)

    def slope_other(self, a, b):
        return part_of(b > a, a == b)


class Smaller(Meeting):
    """y = min(a, b); the gradient goes to the smaller one, half of it to each where they are equal."""

    locally_linear = True

    def function(self, a, b):
        return a if a < b or a != a else b

    def slope(self, a, b):
        return part_of(a < b, a == b)

    def slope_other(self, a, b):
        return part_of(b < a, a == b)


def add(a, b, out):
    """out = a + b, all vectors."""
    for i in range(out.size):
        out[i] = a[i] + b[i]


def part_of(wins, ties):
    """What the one that wins has of the gradient."""
    return 1.0 if wins else 0.5 if ties else 0.0
