"""Images to vectors."""

import math

from .module import Module


class Flatten(Module):
    """All axes after the first as one.

        y      = x reshaped to (N, features)
        grad_x = grad_y reshaped to the shape of x

    Shapes: x (N, ...), y (N, product of the rest).
    """

    def fprop(self, x):
        self.x = x
        return x.reshape((x.shape[0], x.size // x.shape[0]))

    def bprop(self, grad_y):
        return grad_y.reshape(self.x.shape)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (input_shape[0], math.prod(input_shape[1:]))
