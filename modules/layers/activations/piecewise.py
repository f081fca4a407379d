"""Piecewise linear activations: leaky and bounded rectifiers, and hard variants of smooth activations.

At a kink each takes the derivative that PyTorch takes, which is said with the unit.
"""

import math

from .elementwise import Elementwise, check_setting


class LeakyReLU(Elementwise):
    """Rectified linear unit that lets a little of what is negative through.

        y      = x where x > 0, else negative_slope x
        grad_x = grad_y where x > 0, else negative_slope grad_y

    Shapes: x and y of any one shape.
    Args: negative_slope: a finite number.
    Errors: ValueError for other settings.
    Source: Maas, Hannun and Ng (2013); Goodfellow et al., Deep Learning, section 6.3.1, in the draft 6.7.
    """

    def __init__(self, negative_slope: float = 0.01):
        super().__init__()
        check_setting(math.isfinite(negative_slope), "LeakyReLU", "negative_slope", negative_slope, "a finite number")
        self.negative_slope = float(negative_slope)

    def function(self, x):
        slope = self.negative_slope  # read on both sides of the choice, so that the loop can be vectorised
        return x if x > 0 else slope * x

    def derivative(self, x, y):
        slope = self.negative_slope
        return 1 if x > 0 else slope

    def second_derivative(self, x, y):
        return 0

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope:g}"


class Hardtanh(Elementwise):
    """x, cut off at two bounds.

        y      = min(max(x, min_val), max_val)
        grad_x = grad_y where min_val < x < max_val, else 0

    Shapes: x and y of any one shape.
    Args: min_val, max_val: the bounds, min_val below max_val.
    Errors: ValueError for other settings.
    Source: Collobert, Large scale machine learning (2004); Goodfellow et al., Deep Learning, section 6.3.3, in the
        draft 6.3.1; PyTorch's Hardtanh.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0):
        super().__init__()
        check_setting(min_val < max_val, type(self).__name__, "min_val", min_val, f"a number below max_val = {max_val}")
        self.min_val, self.max_val = float(min_val), float(max_val)

    def function(self, x):
        low, high = self.min_val, self.max_val
        return min(max(x, low), high)

    def derivative(self, x, y):
        low, high = self.min_val, self.max_val
        return 1 if x > low and x < high else 0

    def second_derivative(self, x, y):
        return 0

    def extra_repr(self) -> str:
        return f"min_val={self.min_val:g}, max_val={self.max_val:g}"


class ReLU6(Hardtanh):
    """Rectified linear unit that ends at 6.

        y      = min(max(x, 0), 6)
        grad_x = grad_y where 0 < x < 6, else 0

    Shapes: x and y of any one shape.
    Source: Krizhevsky, Convolutional deep belief networks on CIFAR-10 (2010); PyTorch's ReLU6.
    """

    def __init__(self):
        super().__init__(0.0, 6.0)

    def extra_repr(self) -> str:
        return ""


class Clamp(Elementwise):
    """x, cut off at one bound or both; unlike Hardtanh, the gradient passes at the bounds themselves.

        y      = min(max(x, min), max)
        grad_x = grad_y where min ≤ x ≤ max, else 0

    Shapes: x and y of any one shape.
    Args: min, max: the bounds, min not above max; None: no bound, but not for both.
    Errors: ValueError for other settings.
    Source: PyTorch's torch.clamp.
    """

    def __init__(self, min: float | None = None, max: float | None = None):
        super().__init__()
        low = -math.inf if min is None else float(min)
        high = math.inf if max is None else float(max)
        check_setting(min is not None or max is not None, "Clamp", "min", min, "a number for min, for max or for both")
        check_setting(low <= high, "Clamp", "min", min, f"at most max = {max}")
        self.low, self.high = low, high

    def function(self, x):
        low, high = self.low, self.high
        return min(max(x, low), high)

    def derivative(self, x, y):
        low, high = self.low, self.high
        return 1 if x >= low and x <= high else 0

    def second_derivative(self, x, y):
        return 0

    def extra_repr(self) -> str:
        bounds = {"min": self.low, "max": self.high}
        return ", ".join(f"{name}={bound:g}" for name, bound in bounds.items() if math.isfinite(bound))


class Threshold(Elementwise):
    """x above a threshold, a constant below it.

        y      = x where x > threshold, else value
        grad_x = grad_y where x > threshold, else 0

    Shapes: x and y of any one shape.
    Args: threshold, value: finite numbers.
    Errors: ValueError for other settings.
    Source: PyTorch's Threshold.
    """

    def __init__(self, threshold: float, value: float):
        super().__init__()
        check_setting(math.isfinite(threshold), "Threshold", "threshold", threshold, "a finite number")
        check_setting(math.isfinite(value), "Threshold", "value", value, "a finite number")
        self.threshold, self.value = float(threshold), float(value)

    def function(self, x):
        value = self.value
        return value if x <= self.threshold else x  # NaN stays NaN

    def derivative(self, x, y):
        return 1 if x > self.threshold else 0

    def second_derivative(self, x, y):
        return 0

    def extra_repr(self) -> str:
        return f"threshold={self.threshold:g}, value={self.value:g}"


class Step(Elementwise):
    """Threshold unit of McCulloch and Pitts: one of two numbers, by the sign of x.

        y      = high where x >= 0, else low
        grad_x = grad_y where |x| <= width, else 0     (an estimate: dy/dx is 0)

    With any width, a Linear before it and MeanSquaredError(half=True) after it, a step of SGD on one sample is the
    perceptron's rule w += lr (t - y) x. Hidden ones learn by the same straight-through estimate, for which a width of 1
    is usual.

    Shapes: x and y of any one shape.
    Args: low, high: finite numbers, low < high, such as -1 and 1; width: above 0, or None for any.
    Errors: ValueError for settings out of range.
    Source: Rosenblatt, The perceptron (1958); Goodfellow et al., Deep Learning, section 1.2.1; Bengio, Léonard and
        Courville, Estimating or propagating gradients through stochastic neurons (2013).
    """

    estimates = True

    def __init__(self, low: float = 0.0, high: float = 1.0, width: float | None = None):
        super().__init__()
        for name, value in (("low", low), ("high", high)):
            check_setting(math.isfinite(value), "Step", name, value, "a finite number")
        check_setting(low < high, "Step", "low", low, f"a number below high, which is {high}")
        check_setting(width is None or width > 0, "Step", "width", width, "a number above 0")
        self.low, self.high, self.width = float(low), float(high), math.inf if width is None else float(width)

    def function(self, x):
        if x >= 0:
            return self.high
        return self.low if x < 0 else x  # NaN stays NaN

    def derivative(self, x, y):
        return 1 if abs(x) <= self.width else 0

    def second_derivative(self, x, y):
        return 0

    def extra_repr(self) -> str:
        return f"low={self.low:g}, high={self.high:g}" + ("" if math.isinf(self.width) else f", width={self.width:g}")


class Hardsigmoid(Elementwise):
    """A straight line in the place of the sigmoid.

        y      = min(max(x + 3, 0), 6) / 6
        grad_x = grad_y / 6 where -3 < x < 3, else 0

    Shapes: x and y of any one shape.
    Source: Courbariaux, Bengio and David, BinaryConnect (2015); PyTorch's Hardsigmoid.
    """

    def function(self, x):
        return min(max(x + 3, 0), 6) / 6

    def derivative(self, x, y):
        return 1 / 6 if abs(x) < 3 else 0

    def second_derivative(self, x, y):
        return 0


class Hardswish(Elementwise):
    """x times the hard sigmoid.

        y      = x min(max(x + 3, 0), 6) / 6
        grad_x = grad_y (x / 3 + ½) where -3 < x < 3, grad_y above, 0 below

    Shapes: x and y of any one shape.
    Source: Howard et al., Searching for MobileNetV3 (2019), section 5.2; PyTorch's Hardswish.
    """

    def function(self, x):
        return max(x, -3) * (min(max(x + 3, 0), 6) / 6)

    def derivative(self, x, y):
        return x / 3 + 0.5 if abs(x) < 3 else min(max(x, 0), 1)

    def second_derivative(self, x, y):
        return 1 / 3 if abs(x) < 3 else 0
