"""Noise layers, random only in training: their base, Gaussian noise, and a rectifier with random slopes.

The numbers are a function of the module's key and of how often it ran, so a training that is resumed draws the same.
"""

import math
from typing import ClassVar

import numpy as np

from ..core.module import Module
from ..core.parameter import Counter
from ..initializers.initializers import new_key
from ..kernels.buffers import flat, reuse, reuse_like
from ..kernels.philox import normal, uniform

EVALUATION = 2**62  # the step whose numbers evaluation draws, where it draws any: the same in each run


class Noise(Module):
    """Base of the modules with random numbers: a `key` from the stream of `manual_seed`, and `step`, the runs so far.

    In fprop `uniform(self.key, self.step, out)` or `normal(...)` of `kernels/philox.py` draws numbers, and then
    `self.step += 1` counts. A copy has the same key and draws the same numbers; `copy.key = new_key()` parts them.

    Shapes: those of the module.
    Errors: ValueError for a setting, now or later, outside the `limits` of its class.
    """

    limits: ClassVar = {"p": (0.0, 1.0), "std": (0.0, math.inf)}

    def __init__(self):
        super().__init__()
        self.key, self.step = Counter(new_key()), Counter()

    def __setattr__(self, name: str, value) -> None:
        if name in self.limits:
            low, high = self.limits[name]
            if not low <= value <= high:
                raise ValueError(f"{type(self).__name__}: {name} is {value}, expected {low:g} to {high:g}")
        super().__setattr__(name, value)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(input_shape)


class GaussianNoise(Noise):
    """Adds normal numbers in training; the identity in evaluation.

        y      = x + std z,   z[i] ~ N(0, 1)
        grad_x = grad_y

    Shapes: x and y of any one shape.
    Args: std: standard deviation, at least 0; it may change between steps.
    Source: Goodfellow et al., Deep Learning, section 7.5; Bishop, Training with noise is equivalent to Tikhonov
        regularization (1995).
    """

    locally_linear = True

    def __init__(self, std: float = 0.1):
        super().__init__()
        self.std = float(std)
        self.noise, self.y = np.empty(0), np.empty((0, 0))

    def fprop(self, x):
        if not self.training:
            return x
        self.noise = reuse(self.noise, (x.size + x.size % 2,), x.dtype)
        normal(self.key, self.step, self.noise)
        self.step += 1
        self.y = reuse_like(self.y, x)
        x, y, noise = flat(x), flat(self.y), self.noise
        for i in range(x.size):
            y[i] = x[i] + self.std * noise[i]
        return self.y

    def bprop(self, grad_y):
        return grad_y

    def jvp(self, v):
        return v

    def extra_repr(self) -> str:
        return f"std={self.std:g}"


class RReLU(Noise):
    """Leaky rectifier whose slope is random in training and the mean of that in evaluation.

        y[i]      = x[i] where x[i] > 0, else a[i] x[i]
        grad_x[i] = grad_y[i] where x[i] > 0, else a[i] grad_y[i]

    with a[i] ~ U(lower, upper) in training, a[i] = (lower + upper) / 2 in evaluation.

    Shapes: x and y of any one shape.
    Args: lower, upper: the bounds of the slope, lower at most upper.
    Errors: ValueError unless lower <= upper, both finite.
    Source: Xu et al., Empirical evaluation of rectified activations (2015); PyTorch's RReLU.
    """

    locally_linear = True

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3):
        super().__init__()
        if not -math.inf < lower <= upper < math.inf:
            raise ValueError(f"RReLU: lower is {lower} and upper {upper}, expected lower <= upper")
        self.lower, self.upper = float(lower), float(upper)
        self.slope = self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.slope, self.y = reuse_like(self.slope, x), reuse_like(self.y, x)
        x, y, slope = flat(x), flat(self.y), flat(self.slope)
        if self.training:
            uniform(self.key, self.step, slope)
            self.step += 1
        else:
            slope[:] = 0.5
        for i in range(x.size):
            slope[i] = self.lower + (self.upper - self.lower) * slope[i]
            y[i] = slope[i] * x[i] if x[i] <= 0 else x[i]
            slope[i] = slope[i] if x[i] <= 0 else 1
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, grad_y)
        grad_y, grad_x, slope = flat(grad_y), flat(self.grad_x), flat(self.slope)
        for i in range(grad_y.size):
            grad_x[i] = slope[i] * grad_y[i]
        return self.grad_x

    def jvp(self, v):
        """J v = Jᵀ v, since J is diagonal."""
        return self.bprop(v).copy()

    def extra_repr(self) -> str:
        return f"lower={self.lower:.4g}, upper={self.upper:.4g}"
