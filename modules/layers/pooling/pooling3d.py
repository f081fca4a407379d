"""Pooling of volumes: video, scans, or anything else with three axes of places."""

import numpy as np

from ...kernels.buffers import reuse, reuse_like
from ...kernels.convolution.windows import largest_of_volumes, means_of_volumes, spread_volume_means
from ...kernels.threads import MOVE_FLOPS, parallel_for
from .avg_pool import AvgPool2d
from .max_pool import MaxPool2d
from .pooling import Pooling3d, as_volumes


class MaxPool3d(Pooling3d, MaxPool2d):
    """Largest number of each window of a volume.

        y[n, c, p]      = maxᵢ x[n, c, s p + d i - padding]
        grad_x[n, c, q] = Σ grad_y[n, c, p] over the windows p whose largest number is at q

    with s the stride, d the dilation; places outside the volume do not count.

    Shapes: x (N, C, D, H, W), y (N, C, D', H', W'), D', H' and W' as MaxPool2d's H'.
    Args, Errors, Numerics: as of MaxPool2d, with one size each or three.
    Source: Tran et al., Learning spatiotemporal features with 3D convolutional networks (2015); PyTorch's MaxPool3d.
    """

    locally_linear = True

    jvp = MaxPool2d.jvp

    def pool(self, planes):
        """Fill y and the places of its numbers."""
        y = as_volumes(self.y)
        self.largest = reuse(self.largest, y.shape, np.int32)
        parallel_for(
            largest_of_volumes, y.shape[0], 4 * MOVE_FLOPS * planes.size, planes, self.deep, self.down, self.across,
            self.dilation, y, self.largest,
        )  # fmt: skip


class AvgPool3d(Pooling3d, AvgPool2d):
    """Mean of each window of a volume.

        y[n, c, p]      = Σᵢ x[n, c, s p + i - padding] / size
        grad_x[n, c, q] = Σ grad_y[n, c, p] / size over the windows p that hold q

    with s the stride, x zero outside, and size the number of the window's places.

    Shapes: x (N, C, D, H, W), y (N, C, D', H', W'), D', H' and W' as AvgPool2d's H'.
    Args, Errors: as of AvgPool2d, with one size each or three.
    Source: Tran et al., Learning spatiotemporal features with 3D convolutional networks (2015); PyTorch's AvgPool3d.
    """

    locally_linear = True

    def pool(self, planes):
        """Fill y."""
        if not self.count_include_pad:
            for table in (self.deep, self.down, self.across):
                for r in range(table.shape[0]):
                    table[r, 2] = table[r, 1] - table[r, 0]
        self.average(planes, as_volumes(self.y))

    def average(self, x, y):
        """y = the means of x's windows."""
        parallel_for(
            means_of_volumes, y.shape[0], 2 * MOVE_FLOPS * x.size, x, self.deep, self.down, self.across,
            self.divisor_override, y,
        )  # fmt: skip

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad, grad_x = as_volumes(grad_y), as_volumes(self.grad_x)
        parallel_for(
            spread_volume_means, grad.shape[0], 2 * MOVE_FLOPS * grad_x.size, grad, self.deep, self.down, self.across,
            self.divisor_override, grad_x,
        )  # fmt: skip
        return self.grad_x

    def jvp(self, v):
        """Means of v: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.average(as_volumes(v), as_volumes(out))
        return out
