"""Powers, exponential and logarithm as activations; infinity and NaN outside their domains, as in NumPy."""

import math

import numpy as np

from ...kernels.elementary_functions import power
from .elementwise import Elementwise, check_setting


class Abs(Elementwise):
    """y = |x|, grad_x = grad_y sign(x), 0 at 0.

    Shapes: x and y of any one shape.
    Source: Goodfellow et al., Deep Learning, section 6.3.1, draft 6.7.
    """

    def function(self, x):
        return abs(x)

    def derivative(self, x, y):
        return 1 if x > 0 else -1 if x < 0 else 0

    def second_derivative(self, x, y):
        return 0


class Square(Elementwise):
    """y = x², grad_x = 2 x grad_y.

    Shapes: x and y of any one shape.
    Source: PyTorch's torch.square.
    """

    def function(self, x):
        return x * x

    def derivative(self, x, y):
        return 2 * x

    def second_derivative(self, x, y):
        return 2


class Sqrt(Elementwise):
    """y = √x, grad_x = grad_y / (2 y): infinite at 0, NaN below.

    Shapes: x and y of any one shape.
    Source: PyTorch's torch.sqrt.
    """

    def function(self, x):
        return np.sqrt(x)

    def derivative(self, x, y):
        return 0.5 / y

    def second_derivative(self, x, y):
        return -0.25 / (x * y)


class Exp(Elementwise):
    """y = exp(x), grad_x = grad_y y.

    Shapes: x and y of any one shape.
    Source: PyTorch's torch.exp.
    """

    def function(self, x):
        return np.exp(x)

    def derivative(self, x, y):
        return y

    def second_derivative(self, x, y):
        return y


class Log(Elementwise):
    """y = log(x), grad_x = grad_y / x: -infinity and infinity at 0, y NaN below.

    Shapes: x and y of any one shape.
    Source: PyTorch's torch.log.
    """

    def function(self, x):
        return np.log(x)

    def derivative(self, x, y):
        return 1 / x

    def second_derivative(self, x, y):
        return -1 / (x * x)


class Power(Elementwise):
    """x to a fixed power.

        y      = xᵖ
        grad_x = grad_y p xᵖ⁻¹

    Shapes: x and y of any one shape.
    Args: exponent: p, a finite number other than 0. A negative x has powers with whole p only: else y is NaN.
    Errors: ValueError for other settings.
    Numerics: whole p from -14 to 15 by repeated squaring, others by exp(p log |x|) in float64: for float32 that is
        right but for its rounding, for float64 within |p log x| units in the last place. There, -0 counts as 0.
    Source: Knuth, The Art of Computer Programming, volume 2, section 4.6.3, algorithm A; PyTorch's torch.pow.
    """

    def __init__(self, exponent: float):
        super().__init__()
        check_setting(
            math.isfinite(exponent) and exponent != 0, "Power", "exponent", exponent, "a finite number, not 0"
        )
        self.exponent, self.one = float(exponent), 1.0
        whole = float(exponent).is_integer()
        self.method = "squaring" if whole and -15 < exponent <= 15 else "logarithm"
        self.whole = int(exponent) if self.method == "squaring" else 0
        self.sign = (1.0 - 2.0 * (exponent % 2)) if whole else math.nan  # of xᵖ for negative x

    def function(self, x):
        if self.method == "squaring":
            return raise_to_integer(x, self.whole, self.one)
        return raise_to_real(x, self.exponent, self.sign)

    def derivative(self, x, y):
        if self.method == "squaring":
            return self.exponent * raise_to_integer(x, self.whole - 1, self.one)
        return self.exponent * raise_to_real(x, self.exponent - 1, -self.sign)

    def second_derivative(self, x, y):
        factor = self.exponent * (self.exponent - 1)
        if self.method == "squaring":
            lower = raise_to_integer(x, self.whole - 1, self.one)
            return factor * (lower / x if self.whole < 0 else raise_to_integer(x, max(self.whole - 2, 0), self.one))
        return factor * raise_to_real(x, self.exponent - 2, self.sign)

    def extra_repr(self) -> str:
        return f"{self.exponent:g}"


def raise_to_integer(x, n, one):
    """xⁿ for -16 < n < 16, without branches; `one` is 1 of x's type."""
    size = abs(n)
    y = x if size & 1 else one
    for bit in (2, 4, 8):
        x = x * x
        y = y * (x if size & bit else one)
    return one / y if n < 0 else y


def raise_to_real(x, exponent, sign):
    """|x| to the power of `exponent`, times `sign` where x is negative."""
    size = power(x, exponent)
    return sign * size if x < 0 else size
