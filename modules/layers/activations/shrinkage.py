"""Shrinkage activations, which pull small numbers to zero, and Softsign, which bounds large ones."""

import math

import numpy as np

from .elementwise import Elementwise, check_setting


class Hardshrink(Elementwise):
    """x, or zero where it is small.

        y      = 0 where -lambd ≤ x ≤ lambd, else x
        grad_x = 0 where -lambd ≤ x ≤ lambd, else grad_y

    Shapes: x and y of any one shape.
    Args: lambd: a finite number, at least 0.
    Errors: ValueError for other settings.
    Source: Donoho and Johnstone, Ideal spatial adaptation by wavelet shrinkage (1994); PyTorch's Hardshrink.
    """

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        check_setting(0 <= lambd < math.inf, "Hardshrink", "lambd", lambd, "a finite number, at least 0")
        self.lambd = float(lambd)

    def function(self, x):
        return 0 if abs(x) <= self.lambd else x

    def derivative(self, x, y):
        return 0 if abs(x) <= self.lambd else 1

    def second_derivative(self, x, y):
        return 0

    def extra_repr(self) -> str:
        return f"lambd={self.lambd:g}"


class Softshrink(Elementwise):
    """x moved towards zero.

        y      = x - min(max(x, -lambd), lambd)
        grad_x = 0 where -lambd ≤ x ≤ lambd, else grad_y

    Shapes: x and y of any one shape.
    Args: lambd: a finite number, at least 0.
    Errors: ValueError for other settings.
    Source: Donoho, De-noising by soft-thresholding (1995); PyTorch's Softshrink.
    """

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        check_setting(0 <= lambd < math.inf, "Softshrink", "lambd", lambd, "a finite number, at least 0")
        self.lambd = float(lambd)

    def function(self, x):
        return x - min(max(x, -self.lambd), self.lambd)

    def derivative(self, x, y):
        return 0 if abs(x) <= self.lambd else 1

    def second_derivative(self, x, y):
        return 0

    def extra_repr(self) -> str:
        return f"lambd={self.lambd:g}"


class Tanhshrink(Elementwise):
    """x less its hyperbolic tangent.

        y      = x - tanh(x)
        grad_x = grad_y tanh²(x)

    Shapes: x and y of any one shape.
    Source: PyTorch's Tanhshrink.
    """

    def function(self, x):
        return x - np.tanh(x)

    def derivative(self, x, y):
        t = np.tanh(x)
        return t * t

    def second_derivative(self, x, y):
        t = np.tanh(x)
        return 2 * t * (1 - t * t)


class Softsign(Elementwise):
    """A sigmoid with slowly falling tails.

        y      = x / (1 + |x|)
        grad_x = grad_y / (1 + |x|)²

    At ±infinity y is ±1 (PyTorch gives NaN).

    Shapes: x and y of any one shape.
    Source: Bergstra et al. (2009); Glorot and Bengio (2010), section 2; PyTorch's Softsign.
    """

    def function(self, x):
        x = min(max(x, -1e30), 1e30)
        return x / (1 + abs(x))

    def derivative(self, x, y):
        r = 1 / (1 + abs(x))
        return r * r

    def second_derivative(self, x, y):
        r = 1 / (1 + abs(x))
        return -2 * np.sign(x) * r * r * r
