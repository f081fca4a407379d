"""A constant around images and signals."""

import math

from ...core.shapes import Sizes
from .pad import Pad1d, Pad2d


class ConstantPad2d(Pad2d):
    """A constant around an image.

        y[n, c, i + top, j + left] = x[n, c, i, j], `value` elsewhere
        grad_x[n, c, i, j]         = grad_y[n, c, i + top, j + left]

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0; value: a finite number.
    Errors: ValueError for other paddings and values, and for an x that is no image.
    Source: PyTorch's ConstantPad2d.
    """

    def __init__(self, padding: Sizes, value: float = 0.0):
        super().__init__(padding, value)
        if not math.isfinite(value):
            raise ValueError(f"{type(self).__name__}: value is {value}, expected a finite number")

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, value={self.value:g}"


class ConstantPad1d(Pad1d):
    """A constant around a signal.

        y[n, c, i + left] = x[n, c, i], `value` elsewhere
        grad_x[n, c, i]   = grad_y[n, c, i + left]

    Shapes: x (N, C, L), y (N, C, L + left + right).
    Args: padding: one size for both sides, or (left, right), at least 0; value: a finite number.
    Errors: ValueError for other paddings and values, and for an x that is no signal.
    Source: PyTorch's ConstantPad1d.
    """

    def __init__(self, padding: Sizes, value: float = 0.0):
        super().__init__(padding, value)
        if not math.isfinite(value):
            raise ValueError(f"{type(self).__name__}: value is {value}, expected a finite number")

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, value={self.value:g}"


class ZeroPad2d(Pad2d):
    """Zeros around an image.

        y[n, c, i + top, j + left] = x[n, c, i, j], 0 elsewhere
        grad_x[n, c, i, j]         = grad_y[n, c, i + top, j + left]

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0.
    Errors: ValueError for other paddings, and for an x that is no image.
    Source: Goodfellow et al., Deep Learning, section 9.5; PyTorch's ZeroPad2d.
    """

    def __init__(self, padding: Sizes):
        super().__init__(padding)


class ZeroPad1d(Pad1d):
    """Zeros around a signal; with (k, 0) a convolution after it sees the past alone.

        y[n, c, i + left] = x[n, c, i], 0 elsewhere
        grad_x[n, c, i]   = grad_y[n, c, i + left]

    Shapes: x (N, C, L), y (N, C, L + left + right).
    Args: padding: one size for both sides, or (left, right), at least 0.
    Errors: ValueError for other paddings, and for an x that is no signal.
    Source: Goodfellow et al., Deep Learning, section 9.5; PyTorch's ZeroPad1d.
    """

    def __init__(self, padding: Sizes):
        super().__init__(padding)
