"""Losses of regression: functions of the difference between output and target."""

import numpy as np

from .loss import Reduction, check_at_least
from .loss_bases import ElementwiseLoss


class MeanSquaredError(ElementwiseLoss):
    """Mean of the squared differences over all elements.

        value  = Σ (y - target)² / size
        grad_y = 2 (y - target) / size

    With `half` both are half as large, so that the gradient is the error y - target; with `half` and the sum, the value
    is the sum of squares ½ Σ (y - target)² of Bishop's and Domke's books.

    Shapes: y and target of one and the same shape; (n, 1) against (n,) is an error. sample_weight (N,). size is the
        number of all elements, those of a sample, too; for a sum it is 1.
    Args: reduction: mean or sum; half: multiply by ½.
    Errors: ValueError for shapes that do not fit; TypeError for a `half` that is neither true nor false.
    Source: Goodfellow et al., Deep Learning, eq. 6.1; Bishop and Bishop, Deep Learning, eq. 8.3 (sum of squares with
        the ½); PyTorch's MSELoss.
    """

    metrics = ("rmse",)

    def __init__(self, reduction: Reduction = "mean", half: bool = False):
        super().__init__(reduction)
        if not isinstance(half, bool):
            raise TypeError(f"MeanSquaredError: half is {half!r}, expected true or false")
        self._half, self.halved = half, "half" if half else None  # None is decided while compiling

    @property
    def half(self) -> bool:
        """Whether value and gradient are multiplied by ½."""
        return self._half

    def function(self, y, target):
        if self.halved is not None:
            return (y - target) * (y - target) / 2
        return (y - target) * (y - target)

    def derivative(self, y, target):
        return y - target if self.halved is not None else 2 * (y - target)

    def second_derivative(self, y, target):
        return 1 if self.halved is not None else 2


class MeanAbsoluteError(ElementwiseLoss):
    """Mean of the absolute differences over all elements: the median is its best constant.

        value  = Σ |y - target| / size
        grad_y = sign(y - target) / size, 0 where they are equal

    Shapes: y and target of one and the same shape, sample_weight (N,).
    Args: reduction: mean (size counts all elements) or sum (size is 1).
    Source: Goodfellow et al., Deep Learning, eq. 6.16 (in the draft: section 6.3.2); PyTorch's L1Loss.
    """

    metrics = ("rmse",)

    def function(self, y, target):
        return abs(y - target)

    def derivative(self, y, target):
        return np.sign(y - target)

    def second_derivative(self, y, target):
        return 0


class SmoothL1(ElementwiseLoss):
    """A parabola of width beta at the bottom of the absolute difference d = y - target.

        value  = Σ d² / 2 beta where |d| < beta, else |d| - beta / 2, over size
        grad_y = (d / beta where |d| < beta, else sign(d)) / size

    Shapes: y and target of one and the same shape, sample_weight (N,).
    Args: beta: half the parabola's width, at least 0 (which gives the absolute difference); reduction: mean (size
        counts all elements) or sum (size is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Source: Girshick, Fast R-CNN (2015), eq. 3; PyTorch's SmoothL1Loss.
    """

    metrics = ("rmse",)

    def __init__(self, beta: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.beta = check_at_least("SmoothL1", "beta", beta, 0)

    def function(self, y, target):
        d = abs(y - target)
        return d * d / (2 * self.beta) if d < self.beta else d - self.beta / 2

    def derivative(self, y, target):
        d = y - target
        return d / self.beta if abs(d) < self.beta else np.sign(d)

    def second_derivative(self, y, target):
        return 1 / self.beta if abs(y - target) < self.beta else 0


class Huber(ElementwiseLoss):
    """Squared difference near zero, absolute difference beyond delta: outliers pull with a constant force.

        value  = Σ d² / 2 where |d| <= delta, else delta (|d| - delta / 2), over size, d = y - target
        grad_y = max(-delta, min(delta, d)) / size

    Shapes: y and target of one and the same shape, sample_weight (N,).
    Args: delta: where the parabola ends, above 0; reduction: mean (size counts all elements) or sum (size is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Source: Huber, Robust Estimation of a Location Parameter (1964); PyTorch's HuberLoss.
    """

    metrics = ("rmse",)

    def __init__(self, delta: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.delta = check_at_least("Huber", "delta", delta, 0, strictly=True)

    def function(self, y, target):
        d = abs(y - target)
        return d * d / 2 if d <= self.delta else self.delta * (d - self.delta / 2)

    def derivative(self, y, target):
        d = y - target
        return d if abs(d) <= self.delta else self.delta * np.sign(d)

    def second_derivative(self, y, target):
        return 1 if abs(y - target) <= self.delta else 0


class LogCosh(ElementwiseLoss):
    """Logarithm of the hyperbolic cosine of the difference: smooth everywhere, linear far out.

        value  = Σ log cosh(y - target) / size
        grad_y = tanh(y - target) / size

    Shapes: y and target of one and the same shape, sample_weight (N,).
    Args: reduction: mean (size counts all elements) or sum (size is 1).
    Numerics: log cosh d = |d| + log(1 + exp(-2 |d|)) - log 2, which never overflows.
    Source: Green, Bayesian reconstructions from emission tomography data (1990); it is the likelihood of the
        hyperbolic secant distribution.
    """

    metrics = ("rmse",)

    def function(self, y, target):
        d = abs(y - target)
        return d + np.log1p(np.exp(-2 * d)) - 0.6931471805599453

    def derivative(self, y, target):
        return np.tanh(y - target)

    def second_derivative(self, y, target):
        t = np.tanh(y - target)
        return 1 - t * t
