"""Squared error, the loss of a Gaussian with fixed variance."""

import numpy as np

from .kernels.buffers import flat, reuse_like
from .loss import Loss


class MeanSquaredError(Loss):
    """Mean of the squared differences over all elements.

        value  = Σ (y - target)² / size
        grad_y = 2 (y - target) / size

    Shapes: y and target of one and the same shape; (n, 1) against (n,) is an error.
    Source: Goodfellow et al., Deep Learning, eq. 6.1; PyTorch's MSELoss.
    """

    metrics = ("rmse",)

    def __init__(self):
        super().__init__()
        self.grad_y = np.empty((0, 0))

    def fprop(self, y, target):
        self.grad_y = reuse_like(self.grad_y, y)
        y, target, grad_y = flat(y), flat(target), flat(self.grad_y)
        total = y.dtype.type(0)
        for i in range(y.size):
            difference = y[i] - target[i]
            grad_y[i] = 2 * difference / y.size
            total += difference * difference
        return total / y.size

    def bprop(self):
        return self.grad_y
