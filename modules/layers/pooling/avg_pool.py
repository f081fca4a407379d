"""Average pooling: the mean of each window; over the whole image it makes a vector of features of an image."""

import numpy as np

from ...core.shapes import Sizes
from ...kernels.buffers import flat, reuse_like
from ...kernels.convolution.pooling import means_of, spread_means
from .pooling import Pooling, Pooling1d


class AvgPool2d(Pooling):
    """Mean of each window.

        y[n, c, p]      = Σᵢ x[n, c, s p + i - padding] / size
        grad_x[n, c, q] = Σ grad_y[n, c, p] / size over the windows p that hold q

    with s the stride, x zero outside, and size the number of the window's places.

    Shapes: x (N, C, H, W), y (N, C, H', W') with H' = ⌊(H + 2 padding - kernel_size) / s⌋ + 1.
    Args: kernel_size; stride: by default kernel_size; padding: at most half of the window; ceil_mode: as of MaxPool2d;
        count_include_pad: size counts the padding's places, too; divisor_override: the size of all windows instead.
    Errors: ValueError for wrong settings, and for an image that leaves a window empty.
    Source: Goodfellow et al., Deep Learning, section 9.3; PyTorch's AvgPool2d.
    """

    locally_linear = True

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        if divisor_override is not None and divisor_override < 1:
            raise ValueError(f"{type(self).__name__}: divisor_override is {divisor_override}, expected at least 1")
        self.count_include_pad = count_include_pad
        self.divisor_override = 0 if divisor_override is None else divisor_override

    def pool(self, planes):
        """Fill y."""
        if not self.count_include_pad:
            for table in (self.down, self.across):
                for r in range(table.shape[0]):
                    table[r, 2] = table[r, 1] - table[r, 0]
        y = flat(self.y).reshape((planes.shape[0], self.down.shape[0], self.across.shape[0]))
        means_of(planes, self.down, self.across, self.divisor_override, y)

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        spread_gradient(self, grad_y, self.divisor_override)
        return self.grad_x

    def jvp(self, v):
        """Means of v: the layer is linear."""
        return average_windows(self, v, self.divisor_override)

    def extra_repr(self) -> str:
        text = super().extra_repr() + ("" if self.count_include_pad else ", count_include_pad=False")
        return text + (f", divisor_override={self.divisor_override}" if self.divisor_override else "")


def average_windows(layer, v, divisor):
    """What a layer of means makes of v, with the windows of its last x."""
    out = np.empty(layer.y.shape, v.dtype)
    planes, width = v.shape[0] * v.shape[1], v.shape[-1]
    images = flat(v).reshape((planes, v.size // (planes * width), width))
    y = flat(out).reshape((planes, layer.down.shape[0], layer.across.shape[0]))
    means_of(images, layer.down, layer.across, divisor, y)
    return out


def spread_gradient(layer, grad_y, divisor):
    """Fill grad_x of a layer of means."""
    planes, width = grad_y.shape[0] * grad_y.shape[1], layer.x.shape[-1]
    grad_x = flat(layer.grad_x).reshape((planes, layer.x.size // (planes * width), width))
    grad = flat(grad_y).reshape((planes, layer.down.shape[0], layer.across.shape[0]))
    spread_means(grad, layer.down, layer.across, divisor, grad_x)


class AvgPool1d(Pooling1d, AvgPool2d):
    """Mean of each window of a signal.

        y[n, c, p]      = Σᵢ x[n, c, s p + i - padding] / size
        grad_x[n, c, q] = Σ grad_y[n, c, p] / size over the windows p that hold q

    Shapes: x (N, C, L), y (N, C, L') with L' as AvgPool2d's H'.
    Args, Errors: as of AvgPool2d, with one size each.
    Source: Goodfellow et al., Deep Learning, section 9.3; PyTorch's AvgPool1d.
    """

    locally_linear = True

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)

    jvp = AvgPool2d.jvp
