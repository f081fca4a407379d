"""Where the ways through a net meet and part: what containers of several ways put into their plans.

Unlike a layer, most joints take two arrays; so they stand in no Sequential.
"""

import numpy as np

from .kernels.buffers import flat, resized, reuse, reuse_like
from .module import Module


class Joint(Module):
    """Base of the joints: their container's methods call them, with arrays that it has checked."""

    framework_base = True

    def _enter_fprop(self, raw, *arguments):
        return raw(self, *arguments)

    def _enter_bprop(self, raw, *arguments):
        return raw(self, *arguments)

    def check_arguments(self, *shapes):
        """ValueError unless both arrays have one shape, which is that of the result."""
        if len(set(map(tuple, shapes))) > 1:
            said = " and ".join(map(str, shapes))
            owner = self.parent or self
            raise ValueError(f"{owner.label()}: got arrays of shapes {said}, expected the same shape")
        return tuple(shapes[0])

    def place_once(self, error: BaseException) -> None:
        """A joint is no place that anyone knows."""
        self.parent.place_once(error)  # type: ignore[union-attr]


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


class Slot(Joint):
    """One array's stretch of an axis that several share, after those before it.

        y[..., first + c, ...]  = way[..., c, ...]
        grad_way[..., c, ...]   = grad_y[..., first + c, ...]

    All are measured before the last one makes y, into which the others go.
    """

    locally_linear = True

    def __init__(self, axis: int = 1):
        super().__init__()
        self.axis, self.first, self.count = axis, 0, 0
        self.y = self.grad_way = np.empty((0, 0))

    def measure(self, way, first=0):
        """Where the next one begins."""
        self.first, self.count = first, way.shape[self.axis]
        return first + self.count

    def fprop(self, way, y=None):  # type: ignore[override]
        shape = resized(way.shape, self.axis, self.first + self.count)
        self.y = reuse(self.y, shape, way.dtype) if y is None else y
        put(flat(way), flat(self.y), self.first * inner(self.y, self.axis), outer(way, self.axis))
        return self.y

    def bprop(self, grad_y):
        self.grad_way = reuse(self.grad_way, resized(grad_y.shape, self.axis, self.count), grad_y.dtype)
        take(flat(grad_y), self.first * inner(grad_y, self.axis), flat(self.grad_way), outer(grad_y, self.axis))
        return self.grad_way

    def jvp(self, way, y=None):
        out = np.empty(resized(way.shape, self.axis, self.first + self.count), way.dtype) if y is None else y
        put(flat(way), flat(out), self.first * inner(out, self.axis), outer(way, self.axis))
        return out


class Layer(Joint):
    """One array among several of one shape, all together an array with one more axis: y[:, k] = way."""

    locally_linear = True

    def __init__(self, k: int, count: int):
        super().__init__()
        self.k, self.count = k, count
        self.y = self.grad_way = np.empty((0, 0))

    def fprop(self, way, y=None):  # type: ignore[override]
        shape = way.shape[:1] + (self.count,) + way.shape[1:]  # noqa: RUF005
        self.y = reuse(self.y, shape, way.dtype) if y is None else y
        put(flat(way), flat(self.y), self.k * (way.size // way.shape[0]), way.shape[0])
        return self.y

    def bprop(self, grad_y):
        self.grad_way = reuse(self.grad_way, grad_y.shape[:1] + grad_y.shape[2:], grad_y.dtype)
        take(flat(grad_y), self.k * (self.grad_way.size // grad_y.shape[0]), flat(self.grad_way), grad_y.shape[0])
        return self.grad_way

    def jvp(self, way, y=None):
        shape = way.shape[:1] + (self.count,) + way.shape[1:]  # noqa: RUF005
        out = np.empty(shape, way.dtype) if y is None else y
        put(flat(way), flat(out), self.k * (way.size // way.shape[0]), way.shape[0])
        return out


class Part(Joint):
    """A stretch of an axis: y[..., c, ...] = x[..., first + c, ...]; the gradients of all parts meet in one grad_x."""

    locally_linear = True

    def __init__(self, first: int, count: int, axis: int):
        super().__init__()
        self.first, self.count, self.axis = first, count, axis
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, resized(x.shape, self.axis, self.count), x.dtype)
        take(flat(x), self.first * inner(x, self.axis), flat(self.y), outer(x, self.axis))
        return self.y

    def bprop(self, grad_y, grad_x=None):  # type: ignore[override]
        self.grad_x = reuse_like(self.grad_x, self.x) if grad_x is None else grad_x
        put(flat(grad_y), flat(self.grad_x), self.first * inner(self.x, self.axis), outer(self.x, self.axis))
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        take(flat(v), self.first * inner(v, self.axis), flat(out), outer(v, self.axis))
        return out


class Pick(Joint):
    """One of the arrays that lie along the second axis: y = x[:, k]; the gradients of all meet in one grad_x."""

    locally_linear = True

    def __init__(self, k: int):
        super().__init__()
        self.k = k
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:1] + x.shape[2:], x.dtype)
        take(flat(x), self.k * (self.y.size // x.shape[0]), flat(self.y), x.shape[0])
        return self.y

    def bprop(self, grad_y, grad_x=None):  # type: ignore[override]
        self.grad_x = reuse_like(self.grad_x, self.x) if grad_x is None else grad_x
        put(flat(grad_y), flat(self.grad_x), self.k * (grad_y.size // grad_y.shape[0]), grad_y.shape[0])
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        take(flat(v), self.k * (out.size // v.shape[0]), flat(out), v.shape[0])
        return out


def add(a, b, out):
    """out = a + b, all vectors."""
    for i in range(out.size):
        out[i] = a[i] + b[i]


def part_of(wins, ties):
    """What the one that wins has of the gradient."""
    return 1.0 if wins else 0.5 if ties else 0.0


def inner(x, axis):
    """How many numbers lie between neighbours along an axis."""
    count = 1
    for k in range(axis + 1, x.ndim):
        count *= x.shape[k]
    return count


def outer(x, axis):
    """How many stretches along an axis there are."""
    count = 1
    for k in range(axis):
        count *= x.shape[k]
    return count


def put(part, whole, first, stretches):
    """whole[n, first + i] = part[n, i], both vectors of so many stretches."""
    rows, target = (
        part.reshape((stretches, part.size // stretches)),
        whole.reshape((stretches, whole.size // stretches)),
    )
    for n in range(stretches):
        for i in range(rows.shape[1]):
            target[n, first + i] = rows[n, i]


def take(whole, first, part, stretches):
    """part[n, i] = whole[n, first + i], both vectors of so many stretches."""
    source, rows = (
        whole.reshape((stretches, whole.size // stretches)),
        part.reshape((stretches, part.size // stretches)),
    )
    for n in range(stretches):
        for i in range(rows.shape[1]):
            rows[n, i] = source[n, first + i]
