"""Smooth variants of ReLU with an exponential for negative x.

Where y nears a limit other than 0, their derivatives need the exponential again: y has no digits of it left.
"""

import math

import numpy as np

from ...kernels.elementary_functions import softplus
from .elementwise import Elementwise, check_setting


class ELU(Elementwise):
    """Exponential linear unit.

        y      = x where x > 0, else alpha (exp(x) - 1)
        grad_x = grad_y where x > 0, else grad_y alpha exp(x)

    Shapes: x and y of any one shape.
    Args: alpha: a finite number above 0; the kink at 0 has the derivative of the left.
    Errors: ValueError for other settings.
    Numerics: exp(x) - 1 by expm1, accurate near zero; backward exp(x) itself: y + alpha has no digits far below zero.
    Source: Clevert, Unterthiner and Hochreiter (2016), eq. 16.
    """

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        check_setting(0 < alpha < math.inf, "ELU", "alpha", alpha, "a finite number above 0")
        self.alpha = float(alpha)

    def function(self, x):
        below = self.alpha * np.expm1(x)
        return x if x > 0 else below

    def derivative(self, x, y):
        below = self.alpha * np.exp(x)
        return 1 if x > 0 else below

    def second_derivative(self, x, y):
        below = self.alpha * np.exp(x)
        return 0 if x > 0 else below

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}"


class SELU(Elementwise):
    """Self-normalising linear unit, whose constants keep mean 0 and variance 1 from layer to layer.

        y      = scale x where x > 0, else scale alpha (exp(x) - 1)
        grad_x = scale grad_y where x > 0, else grad_y scale alpha exp(x)

    with alpha = 1.6732632... and scale = 1.0507009...

    Shapes: x and y of any one shape.
    Numerics: as of ELU.
    Source: Klambauer et al., Self-normalizing neural networks (2017), eq. 2 and 14.
    """

    def __init__(self):
        super().__init__()
        self.scale = 1.0507009873554804934193349852946
        self.lowest = self.scale * 1.6732632423543772848170429916717

    def function(self, x):
        above, below = self.scale * x, self.lowest * np.expm1(x)
        return above if x > 0 else below

    def derivative(self, x, y):
        above, below = self.scale, self.lowest * np.exp(x)
        return above if x > 0 else below

    def second_derivative(self, x, y):
        below = self.lowest * np.exp(x)
        return 0 if x > 0 else below


class CELU(Elementwise):
    """Exponential linear unit without a kink.

        y      = x where x > 0, else alpha (exp(x / alpha) - 1)
        grad_x = grad_y where x > 0, else grad_y exp(x / alpha)

    Shapes: x and y of any one shape.
    Args: alpha: a finite number above 0.
    Errors: ValueError for other settings.
    Numerics: as of ELU.
    Source: Barron, Continuously differentiable exponential linear units (2017), eq. 2.
    """

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        check_setting(0 < alpha < math.inf, "CELU", "alpha", alpha, "a finite number above 0")
        self.alpha = float(alpha)

    def function(self, x):
        below = self.alpha * np.expm1(x / self.alpha)
        return x if x > 0 else below

    def derivative(self, x, y):
        below = np.exp(x / self.alpha)
        return 1 if x > 0 else below

    def second_derivative(self, x, y):
        below = np.exp(x / self.alpha) / self.alpha
        return 0 if x > 0 else below

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}"


class Softplus(Elementwise):
    """Smooth rectified linear unit, whose derivative is the sigmoid.

        y      = log(1 + exp(beta x)) / beta, but x where beta x > threshold
        grad_x = grad_y (1 - exp(-beta y)), but grad_y where beta x > threshold

    Shapes: x and y of any one shape.
    Args: beta: a finite number above 0; threshold: a number.
    Errors: ValueError for other settings.
    Numerics: max(z, 0) + log1p(exp(-|z|)) for z = beta x, and expm1 backward: nothing overflows or cancels.
    Source: Dugas et al. (2001); Goodfellow et al., Deep Learning, eq. 3.31 and section 6.3.3, in the draft 6.3.1;
        PyTorch's Softplus.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__()
        check_setting(0 < beta < math.inf, "Softplus", "beta", beta, "a finite number above 0")
        check_setting(not math.isnan(threshold), "Softplus", "threshold", threshold, "a number")
        self.beta, self.threshold = float(beta), float(threshold)

    def function(self, x):
        z = self.beta * x
        smooth = softplus(z) / self.beta
        return x if z > self.threshold else smooth

    def derivative(self, x, y):
        smooth = -np.expm1(-self.beta * y)
        return 1 if self.beta * x > self.threshold else smooth

    def second_derivative(self, x, y):
        smooth = -np.expm1(-self.beta * y)
        return 0 if self.beta * x > self.threshold else self.beta * smooth * (1 - smooth)

    def extra_repr(self) -> str:
        return f"beta={self.beta:g}, threshold={self.threshold:g}"


class LogSigmoid(Elementwise):
    """Logarithm of the logistic sigmoid.

        y      = log(1 / (1 + exp(-x))) = -softplus(-x)
        grad_x = grad_y (1 - exp(y))

    Shapes: x and y of any one shape.
    Numerics: softplus as in Softplus, and expm1 backward: nothing overflows or cancels.
    Source: Goodfellow et al., Deep Learning, eq. 3.36; PyTorch's LogSigmoid.
    """

    def function(self, x):
        return -softplus(-x)

    def derivative(self, x, y):
        return -np.expm1(y)

    def second_derivative(self, x, y):
        return np.exp(y) * np.expm1(y)
