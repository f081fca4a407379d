"""Samples in another shape: images to vectors, and back."""

import math

from ..core.module import Module
from ..core.shapes import as_sizes
from ..kernels.buffers import flat


class Flatten(Module):
    """All axes after the first as one.

        y      = x reshaped to (N, features)
        grad_x = grad_y reshaped to the shape of x

    Shapes: x (N, ...), y (N, product of the rest).
    """

    locally_linear = True

    def fprop(self, x):
        self.x = x
        return x.reshape((x.shape[0], x.size // x.shape[0]))

    def bprop(self, grad_y):
        return grad_y.reshape(self.x.shape)

    def jvp(self, v):
        return v.reshape((v.shape[0], v.size // v.shape[0]))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (input_shape[0], math.prod(input_shape[1:]))


class Reshape(Module):
    """Each sample's numbers in another shape, in the same order.

        y      = x reshaped to (N, *shape)
        grad_x = grad_y reshaped to the shape of x

    Shapes: x (N, ...), y (N, *shape).
    Args: shape: sizes of a sample, such as [1, 28, 28], or one size.
    Errors: ValueError for sizes below 1, and for an x with another number of elements.
    Source: torch/nn's Reshape; PyTorch's Unflatten.
    """

    locally_linear = True

    def __init__(self, shape: int | list[int] | tuple[int, ...]):
        super().__init__()
        self.shape = as_sizes(self, "shape", shape)

    def fprop(self, x):
        self.x = x
        return flat(x).reshape((x.shape[0],) + self.shape)  # noqa: RUF005 - numba has no starred tuples

    def bprop(self, grad_y):
        return flat(grad_y).reshape(self.x.shape)

    def jvp(self, v):
        return flat(v).reshape((v.shape[0],) + self.shape)  # noqa: RUF005

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if math.prod(input_shape[1:]) != math.prod(self.shape):
            expected = f"samples of {math.prod(self.shape)} numbers"
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected {expected}")
        return (input_shape[0], *self.shape)

    def extra_repr(self) -> str:
        return f"{self.shape}"
