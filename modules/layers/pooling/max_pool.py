"""Max pooling: the strongest response around each place, so that small shifts of the image change little."""

import numpy as np

from ...core.shapes import Sizes
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.convolution.pooling import add_at, largest_of, take_at
from ...kernels.threads import MOVE_FLOPS, parallel_for
from .pooling import Pooling, Pooling1d, check_places


class MaxPool2d(Pooling):
    """Largest number of each window.

        y[n, c, p]      = maxᵢ x[n, c, s p + d i - padding]
        grad_x[n, c, q] = Σ grad_y[n, c, p] over the windows p whose largest number is at q

    with s the stride, d the dilation; places outside the image do not count.

    Shapes: x (N, C, H, W), y (N, C, H', W') with H' = ⌊(H + 2 padding - d (kernel_size - 1) - 1) / s⌋ + 1.
    Args: kernel_size; stride: by default kernel_size; padding: at most half of the window; dilation: one size each, or
        one for each axis; ceil_mode: round H' and W' up, for windows that begin inside the image and end outside.
    Errors: ValueError for wrong settings, and for an image that leaves a window empty, or has 2³¹ places or more.
    Numerics: of equal numbers the first counts; a NaN counts as the largest.
    Source: Goodfellow et al., Deep Learning, section 9.3; PyTorch's MaxPool2d.
    """

    locally_linear = True
    kinks_meet = True  # a number may be as large as another in one window, and in the next one, too

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        *,
        ceil_mode: bool = False,
    ):
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        self.largest = np.empty((0,) * max(3, 1 + self.axes), np.int32)  # where in its plane each number of y stands

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        check_places(self, input_shape)
        return super().output_shape(input_shape)

    def pool(self, planes):
        """Fill y and the places of its numbers."""
        self.largest = reuse(self.largest, (planes.shape[0], self.down.shape[0], self.across.shape[0]), np.int32)
        y = flat(self.y).reshape(self.largest.shape)
        k, s, p, d = self.kernel_size, self.stride, self.padding, self.dilation
        largest_of(planes, self.down, self.across, k, s, p, d, y, self.largest)

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        planes, grad_y = self.largest.shape[0], flat(grad_y)
        parallel_for(add_at, planes, MOVE_FLOPS * self.x.size, grad_y, flat(self.largest), planes, flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """v at the largest numbers."""
        out = np.empty(self.y.shape, v.dtype)
        take_at(flat(v), flat(self.largest), self.largest.shape[0], flat(out))
        return out


class MaxPool1d(Pooling1d, MaxPool2d):
    """Largest number of each window of a signal.

        y[n, c, p]      = maxᵢ x[n, c, s p + d i - padding]
        grad_x[n, c, q] = Σ grad_y[n, c, p] over the windows p whose largest number is at q

    Shapes: x (N, C, L), y (N, C, L') with L' as MaxPool2d's H'.
    Args, Errors, Numerics: as of MaxPool2d, with one size each.
    Source: Goodfellow et al., Deep Learning, section 9.3; PyTorch's MaxPool1d.
    """

    locally_linear = True

    jvp = MaxPool2d.jvp
