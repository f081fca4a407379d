"""Self-gated activations: x times a gate between 0 and 1, which opens smoothly as x grows.

At ±infinity they give their limits (PyTorch gives NaN at -infinity): x is cut off where the gate has long closed.
"""

import math
from typing import Literal

import numpy as np

from ...kernels.elementary_functions import erf, exp_below, sigmoid
from .elementwise import Elementwise, check_setting

FAR = 1e3  # where all gates are 0 or 1


def recover_gate(x, y):
    """Recover g from y = x g(x), for gates with g(0) = ½."""
    return y / x if abs(x) > 2.0**-100 else x + 0.5


class SiLU(Elementwise):
    """Sigmoid linear unit, also called swish.

        y      = x s,   s = 1 / (1 + exp(-x))
        grad_x = grad_y (s + y (1 - s))

    Shapes: x and y of any one shape.
    Numerics: s = y / x in the backward pass.
    Source: Elfwing, Uchibe and Doya (2018), eq. 11; Ramachandran, Zoph and Le (2017); PyTorch's SiLU.
    """

    def function(self, x):
        return max(x, -FAR) * sigmoid(x)

    def derivative(self, x, y):
        x, y = min(x, FAR), min(y, FAR)
        gate = recover_gate(x, y)
        return gate + y * (1 - gate)

    def second_derivative(self, x, y):
        x, y = min(max(x, -FAR), FAR), min(y, FAR)
        gate = recover_gate(x, y)
        return gate * (1 - gate) * (2 + x * (1 - 2 * gate))


class GELU(Elementwise):
    """Gaussian error linear unit: x times the probability that a standard normal number lies below x.

        y      = x Φ(x),   Φ(x) = ½ (1 + erf(x / √2))
        grad_x = grad_y (Φ(x) + x exp(-x² / 2) / √(2π))

    or, with approximate="tanh", Φ(x) = ½ (1 + tanh u) = s(2u) for u = √(2/π) (x + 0.044715 x³) and the sigmoid s:

        grad_x = grad_y (s + y (1 - s) 2u'),   u' = √(2/π) (1 + 0.134145 x²)

    Shapes: x and y of any one shape.
    Args: approximate: "none" or "tanh".
    Errors: ValueError for other settings.
    Numerics: Φ = y / x in the backward pass.
    Source: Hendrycks and Gimpel, Gaussian error linear units (2016), section 2; PyTorch's GELU.
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none"):
        super().__init__()
        check_setting(approximate in ("none", "tanh"), "GELU", "approximate", repr(approximate), "'none' or 'tanh'")
        self.approximate = approximate

    def function(self, x):
        if self.approximate == "tanh":
            x_far = min(max(x, -FAR), FAR)
            return max(x, -FAR) * sigmoid(ROOT_8_OVER_PI * x_far * (0.044715 * x_far * x_far + 1))
        return max(x, -FAR) * (0.5 * erf(ROOT_HALF * x) + 0.5)

    def derivative(self, x, y):
        x, y = min(max(x, -FAR), FAR), min(y, FAR)
        gate = recover_gate(x, y)
        if self.approximate == "tanh":
            return gate + y * (1 - gate) * (ROOT_8_OVER_PI * (0.134145 * x * x + 1))
        return gate + x * exp_below(-0.5 * x * x) * NORMAL_AT_0

    def second_derivative(self, x, y):
        x, y = min(max(x, -FAR), FAR), min(y, FAR)
        if self.approximate == "tanh":
            gate = recover_gate(x, y)
            slope, bend = ROOT_8_OVER_PI * (0.134145 * x * x + 1), ROOT_8_OVER_PI * 0.26829 * x
            return gate * (1 - gate) * (2 * slope + x * ((1 - 2 * gate) * slope * slope + bend))
        return exp_below(-0.5 * x * x) * NORMAL_AT_0 * (2 - x * x)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


ROOT_HALF, NORMAL_AT_0, ROOT_8_OVER_PI = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi), math.sqrt(8 / math.pi)


class Mish(Elementwise):
    """x times the hyperbolic tangent of its softplus.

        y      = x tanh(log(1 + e)) = x n / (n + 2),   e = exp(x), n = e (e + 2)
        grad_x = grad_y (n + 4 x e (1 + e) / (n + 2)) / (n + 2)

    Shapes: x and y of any one shape.
    Numerics: one exponential, of min(x, 20): beyond, y = x and grad_x = grad_y to the last digit.
    Source: Misra, Mish (2019), eq. 1; PyTorch's Mish.
    """

    def function(self, x):
        e = np.exp(min(x, 20))
        n = e * (e + 2)
        near = min(max(x, -FAR), FAR) * (n / (n + 2))  # x n, should it be computed first, is finite
        return x if x > 20 else near

    def derivative(self, x, y):
        x = min(max(x, -FAR), 20)
        e = np.exp(x)
        n = e * (e + 2)
        r = 1 / (n + 2)
        return (n + 4 * x * e * (1 + e) * r) * r

    def second_derivative(self, x, y):
        x = min(max(x, -FAR), 20)
        e = np.exp(x)
        t, s = e * (e + 2) / (e * (e + 2) + 2), e / (1 + e)
        slope = (1 - t * t) * s
        return slope * (2 + x * (1 - s - 2 * t * s))
