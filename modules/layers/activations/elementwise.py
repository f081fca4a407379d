"""Elementwise activations, each by two scalar functions."""

import numpy as np

from ...core.module import Module
from ...kernels.buffers import flat, reuse_like
from ...kernels.elementary_functions import sigmoid
from ...kernels.threads import MOVE_FLOPS, parallel_for

TILE = 1024  # numbers


class Elementwise(Module):
    """Base of the elementwise units: y = f(x), grad_x = f'(x) grad_y.

    A unit defines two methods of scalars, compiled into the loops below:
    `function(self, x) -> y` and `derivative(self, x, y) -> dy/dx`, where y is the stored f(x). With a third,
    `second_derivative(self, x, y)`, products with the Hessian of a model (see `hvp`) are exact.

    Shapes: x, y and their gradients of any one shape.
    """

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def function(self, x):
        """f(x) of one number."""
        raise NotImplementedError(f"{type(self).__name__} has no function: write `def function(self, x)`")

    def derivative(self, x, y):
        """f'(x) of one number, where y is f(x)."""
        raise NotImplementedError(f"{type(self).__name__} has no derivative: write `def derivative(self, x, y)`")

    def fprop(self, x):
        self.x = x
        self.y = reuse_like(self.y, x)
        x, y = flat(x), flat(self.y)
        parallel_for(apply, count_tiles(x), MOVE_FLOPS * x.size, self, x, y)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        x, y, grad_y, grad_x = flat(self.x), flat(self.y), flat(grad_y), flat(self.grad_x)
        parallel_for(apply_back, count_tiles(x), MOVE_FLOPS * x.size, self, x, y, grad_y, grad_x)
        return self.grad_x

    def jvp(self, v):
        """J v = Jᵀ v, since J is diagonal."""
        return self.bprop(v).copy()

    def rbprop(self, v, grad_y, r_grad_y):
        """r_grad_y f'(x) + grad_y f''(x) v, by a third method of scalars: `second_derivative(self, x, y)`."""
        out = np.empty(v.shape, v.dtype)
        x, y, v, grad_y, r_grad_y, r = flat(self.x), flat(self.y), flat(v), flat(grad_y), flat(r_grad_y), flat(out)
        for i in range(x.size):
            r[i] = r_grad_y[i] * self.derivative(x[i], y[i])
            r[i] += grad_y[i] * v[i] * self.second_derivative(x[i], y[i])
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(input_shape)


def count_tiles(x):
    """The number of tiles of a fixed size, so that tiles are the same for any number of threads."""
    return (x.size + TILE - 1) // TILE


def apply(first, last, unit, x, y):
    """Compute some tiles of y = f(x); vectors."""
    x, y = x[first * TILE : last * TILE], y[first * TILE : last * TILE]
    for i in range(x.size):
        y[i] = unit.function(x[i])


def apply_back(first, last, unit, x, y, grad_y, grad_x):
    """Compute some tiles of grad_x = f'(x) grad_y; vectors."""
    begin, end = first * TILE, last * TILE
    x, y, grad_y, grad_x = x[begin:end], y[begin:end], grad_y[begin:end], grad_x[begin:end]
    for i in range(x.size):
        grad_x[i] = grad_y[i] * unit.derivative(x[i], y[i])


def check_setting(fits: bool, unit: str, name: str, value, expected: str) -> None:
    """Raise ValueError unless an activation's setting fits."""
    if not fits:
        raise ValueError(f"{unit}: {name} is {value}, expected {expected}")


class ReLU(Elementwise):
    """Rectified linear unit.

        y      = max(x, 0)
        grad_x = grad_y where x > 0, else 0

    Shapes: x and y of any one shape.
    Source: Goodfellow et al., Deep Learning, section 6.3.1, in the draft 6.3.1 and 6.7.
    """

    def function(self, x):
        return 0 if x <= 0 else x  # NaN stays NaN

    def derivative(self, x, y):
        return 1 if x > 0 else 0

    def second_derivative(self, x, y):
        return 0


class Tanh(Elementwise):
    """Hyperbolic tangent.

        y      = tanh(x)
        grad_x = grad_y (1 - y²)

    Shapes: x and y of any one shape.
    Source: Bishop and Bishop, Deep Learning, eq. 8.16 and 8.22; Goodfellow et al., section 6.3.2, in the draft 6.3.1.
    """

    def function(self, x):
        return np.tanh(x)

    def derivative(self, x, y):
        return 1 - y * y

    def second_derivative(self, x, y):
        return -2 * y * (1 - y * y)


class Sigmoid(Elementwise):
    """Logistic sigmoid.

        y      = 1 / (1 + exp(-x))
        grad_x = grad_y y (1 - y)

    Shapes: x and y of any one shape.
    Numerics: computed from exp(-|x|), which never overflows.
    Source: Goodfellow et al., Deep Learning, section 6.3.2 and eq. 3.30, in the draft section 6.3.1.
    """

    def function(self, x):
        return sigmoid(x)

    def derivative(self, x, y):
        return y * (1 - y)

    def second_derivative(self, x, y):
        return y * (1 - y) * (1 - 2 * y)


class Identity(Module):
    """y = x, grad_x = grad_y: a placeholder.

    Shapes: x and y of any one shape.
    """

    locally_linear = True

    def fprop(self, x):
        return x

    def bprop(self, grad_y):
        return grad_y

    def jvp(self, v):
        return v

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(input_shape)
