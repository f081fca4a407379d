"""Known means and standard deviations, taken out of each channel so that a model on images starts from numbers near 0.
They stand in the model, not in the data set: so they are wherever the model is used, and are saved with its weights."""

import math

import numpy as np

from ...core.module import Module
from ...core.parameter import Buffer
from ...kernels.buffers import flat, reuse


class Standardize(Module):
    """Takes a fixed mean out of each channel, and divides by a fixed standard deviation.

        y[n, c]      = (x[n, c] - mean[c]) / std[c]
        grad_x[n, c] = grad_y[n, c] / std[c]

    Shapes: x and y (N, C, ...); mean, std (C,).
    Args: mean, std: one number for each channel, of the training data as the model meets them; std above 0.
    Errors: ValueError for settings that are not finite or of different lengths, for a std of 0 or less, and for an x
        of other channels.
    Source: PyTorch's transforms.Normalize; LeCun et al., Efficient backprop (1998), section 4.3.
    """

    locally_linear = True

    def __init__(self, mean: list[float], std: list[float]):
        super().__init__()
        if not 1 <= len(mean) == len(std):
            numbers = f"mean has {len(mean)} numbers and std {len(std)}"
            raise ValueError(f"Standardize: {numbers}, expected as many, at least 1")
        for name, values, least in (("mean", mean, -math.inf), ("std", std, 0.0)):
            if not all(least < value < math.inf for value in values):
                expected = "finite numbers" if name == "mean" else "finite numbers above 0"
                raise ValueError(f"Standardize: {name} is {list(values)}, expected {expected}")
        self.channels = len(mean)
        self.mean, self.std = Buffer(np.array(mean, np.float64)), Buffer(np.array(std, np.float64))
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        planes = x.shape[0] * self.channels
        self.y = reuse(self.y, (planes, x.size // planes), x.dtype)
        rows = flat(x).reshape(self.y.shape)
        for r in range(rows.shape[0]):
            c = r % self.channels
            for i in range(rows.shape[1]):
                self.y[r, i] = (rows[r, i] - self.mean[c]) / self.std[c]
        return self.y.reshape(x.shape)

    def bprop(self, grad_y):
        self.grad_x = reuse(self.grad_x, self.y.shape, grad_y.dtype)
        rows = flat(grad_y).reshape(self.y.shape)
        for r in range(rows.shape[0]):
            c = r % self.channels
            for i in range(rows.shape[1]):
                self.grad_x[r, i] = rows[r, i] / self.std[c]
        return self.grad_x.reshape(grad_y.shape)

    def jvp(self, v):
        """J v = Jᵀ v, since J is diagonal."""
        return self.bprop(v).copy()

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) < 2 or input_shape[1] != self.channels:
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected (N, {self.channels}, ...)")
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"{self.channels}"
