"""A constant around signals, images and volumes."""

import math

from ...core.shapes import Sizes
from .pad import Pad, Pad1d, Pad2d, Pad3d


class ConstantPad(Pad):
    """Base of the layers that pad by a constant, `value`; among the bases of such a class it stands first."""

    def __init__(self, padding: Sizes, value: float = 0.0):
        super().__init__(padding)
        if not math.isfinite(value):
            raise ValueError(f"{type(self).__name__}: value is {value}, expected a finite number")
        self.value = float(value)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, value={self.value:g}"


class ConstantPad1d(ConstantPad, Pad1d):
    """A constant around a signal.

        y[n, c, i + left] = x[n, c, i], `value` elsewhere
        grad_x[n, c, i]   = grad_y[n, c, i + left]

    Shapes: x (N, C, L), y (N, C, L + left + right).
    Args: padding: one size for both sides, or (left, right), at least 0; value: a finite number.
    Errors: ValueError for other paddings and values, and for an x that is no signal.
    Source: PyTorch's ConstantPad1d.
    """


class ConstantPad2d(ConstantPad, Pad2d):
    """A constant around an image.

        y[n, c, i + top, j + left] = x[n, c, i, j], `value` elsewhere
        grad_x[n, c, i, j]         = grad_y[n, c, i + top, j + left]

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0; value: a finite number.
    Errors: ValueError for other paddings and values, and for an x that is no image.
    Source: PyTorch's ConstantPad2d.
    """


class ConstantPad3d(ConstantPad, Pad3d):
    """A constant around a volume.

        y[n, c, h + front, i + top, j + left] = x[n, c, h, i, j], `value` elsewhere
        grad_x[n, c, h, i, j]                 = grad_y[n, c, h + front, i + top, j + left]

    Shapes: x (N, C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom, front, back), at least 0; value: a finite
        number.
    Errors: ValueError for other paddings and values, and for an x that is no volume.
    Source: PyTorch's ConstantPad3d.
    """


class ZeroPad1d(Pad1d):
    """Zeros around a signal; with (k, 0) a convolution after it sees the past alone.

        y[n, c, i + left] = x[n, c, i], 0 elsewhere
        grad_x[n, c, i]   = grad_y[n, c, i + left]

    Shapes: x (N, C, L), y (N, C, L + left + right).
    Args: padding: one size for both sides, or (left, right), at least 0.
    Errors: ValueError for other paddings, and for an x that is no signal.
    Source: Goodfellow et al., Deep Learning, section 9.5; PyTorch's ZeroPad1d.
    """


class ZeroPad2d(Pad2d):
    """Zeros around an image.

        y[n, c, i + top, j + left] = x[n, c, i, j], 0 elsewhere
        grad_x[n, c, i, j]         = grad_y[n, c, i + top, j + left]

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0.
    Errors: ValueError for other paddings, and for an x that is no image.
    Source: Goodfellow et al., Deep Learning, section 9.5; PyTorch's ZeroPad2d.
    """


class ZeroPad3d(Pad3d):
    """Zeros around a volume.

        y[n, c, h + front, i + top, j + left] = x[n, c, h, i, j], 0 elsewhere
        grad_x[n, c, h, i, j]                 = grad_y[n, c, h + front, i + top, j + left]

    Shapes: x (N, C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom, front, back), at least 0.
    Errors: ValueError for other paddings, and for an x that is no volume.
    Source: Goodfellow et al., Deep Learning, section 9.5; PyTorch's ZeroPad3d.
    """
