"""Activations with a learned number for each channel, such as PReLU, each by three scalar functions."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...kernels.buffers import reuse, reuse_like
from ...kernels.sums import ROWS, sum_of
from .elementwise import check_setting


class LearntElementwise(Module):
    """Base of the units y = f(x, w) with a learned weight w for each channel, or one for all.

        y              = f(x, w)
        grad_x         = grad_y ∂f/∂x
        grad_weight[c] += Σ grad_y ∂f/∂w over all elements of channel c

    A unit defines three methods of scalars, compiled into the loops below; y is the stored f(x, w):
    `function(self, x, w) -> y`, `derivative(self, x, y, w) -> ∂y/∂x`, `weight_derivative(self, x, y, w) -> ∂y/∂w`.

    Shapes: x, y (N, channels, ...); weight (num_parameters,).
    Args: num_parameters: how many channels x has, or 1 for a weight that all elements share; init: the first weight.
    Errors: ValueError for num_parameters below 1 and for an x with another number of channels.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        check_setting(num_parameters >= 1, type(self).__name__, "num_parameters", num_parameters, "at least 1")
        check_setting(np.isfinite(init), type(self).__name__, "init", init, "a finite number")
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, float(init)))
        self.y = self.grad_x = np.empty((0, 0))
        self.w = self.grad_w = np.empty(0)

    def function(self, x, w):
        """f(x, w) of two numbers."""
        raise NotImplementedError(f"{type(self).__name__} has no function: write `def function(self, x, w)`")

    def derivative(self, x, y, w):
        """∂f/∂x of numbers, where y is f(x, w)."""
        raise NotImplementedError(f"{type(self).__name__} has no derivative: write `def derivative(self, x, y, w)`")

    def weight_derivative(self, x, y, w):
        """∂f/∂w of numbers, where y is f(x, w)."""
        raise NotImplementedError(
            f"{type(self).__name__} has no weight_derivative: write `def weight_derivative(self, x, y, w)`"
        )

    def fprop(self, x):
        self.x = x
        self.y = reuse_like(self.y, x)
        x, y = split_samples(x), split_samples(self.y)
        self.w = reuse(self.w, (x.shape[1],), x.dtype)
        broadcast_weight(self.weight, self.w)
        for n in range(x.shape[0]):
            for k in range(x.shape[1]):
                y[n, k] = self.function(x[n, k], self.w[k])
        return self.y

    def bprop(self, grad_y):
        self.grad_x, self.grad_w = reuse_like(self.grad_x, self.x), reuse_like(self.grad_w, self.w)
        x, y, grad_y, grad_x = (
            split_samples(self.x),
            split_samples(self.y),
            split_samples(grad_y),
            split_samples(self.grad_x),
        )
        w, grad_w = self.w, self.grad_w
        grad_w[:] = 0
        for n in range(x.shape[0]):
            if n % ROWS == 0 and n > 0:
                add_weight_gradient(grad_w, self.grad_weight)
                grad_w[:] = 0
            for k in range(x.shape[1]):
                grad_w[k] += grad_y[n, k] * self.weight_derivative(x[n, k], y[n, k], w[k])
                grad_x[n, k] = grad_y[n, k] * self.derivative(x[n, k], y[n, k], w[k])
        add_weight_gradient(grad_w, self.grad_weight)
        return self.grad_x

    def jvp(self, v):
        """v ∂f/∂x + v_w ∂f/∂w"""
        out, v_w = np.empty(v.shape, v.dtype), np.empty(self.w.shape, v.dtype)
        x, y, v, rows, w = split_samples(self.x), split_samples(self.y), split_samples(v), split_samples(out), self.w
        broadcast_weight(self.v_weight, v_w)
        for n in range(x.shape[0]):
            for k in range(x.shape[1]):
                rows[n, k] = v[n, k] * self.derivative(x[n, k], y[n, k], w[k])
                rows[n, k] += v_w[k] * self.weight_derivative(x[n, k], y[n, k], w[k])
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels = input_shape[1] if len(input_shape) > 1 else 1
        if self.num_parameters not in (1, channels):
            expected = f"(N, {self.num_parameters}, ...)"
            raise ValueError(f"{self.label()}: x has shape {tuple(input_shape)}, expected {expected}")
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"{self.num_parameters}"


def split_samples(x):
    """x (N, ...) as a matrix with a row for each sample, C-contiguous; a view where possible."""
    return np.ascontiguousarray(x).reshape((x.shape[0], x.size // x.shape[0]))


def broadcast_weight(weight, w):
    """w[k] = weight of the channel of element k of a sample."""
    area = w.size // weight.size
    for c in range(weight.size):
        for k in range(c * area, (c + 1) * area):
            w[k] = weight[c]


def add_weight_gradient(grad_w, grad_weight):
    """Add the gradients of a sample's elements to those of their channels."""
    area = grad_w.size // grad_weight.size
    for c in range(grad_weight.size):
        grad_weight[c] += sum_of(grad_w[c * area : (c + 1) * area])


class PReLU(LearntElementwise):
    """Rectified linear unit whose slope for negative x is learned.

        y              = x where x > 0, else w x
        grad_x         = grad_y where x > 0, else w grad_y
        grad_weight[c] += Σ grad_y x over the elements of channel c with x ≤ 0

    Shapes: x, y (N, channels, ...); weight (num_parameters,).
    Args: num_parameters: how many channels x has, or 1 for a slope that all share; init: the first slope.
    Errors: ValueError for num_parameters below 1 and for an x with another number of channels.
    Source: He et al., Delving deep into rectifiers (2015), eq. 1 and 3; PyTorch's PReLU.
    """

    def function(self, x, w):
        return x if x > 0 else w * x

    def derivative(self, x, y, w):
        return 1 if x > 0 else w

    def weight_derivative(self, x, y, w):
        return 0 if x > 0 else x

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = w r_grad_y + v_w grad_y, R{grad_weight} += Σ r_grad_y x + grad_y v where x ≤ 0"""
        out, v_w, change = np.empty(v.shape, v.dtype), np.empty(self.w.shape, v.dtype), np.zeros(self.w.shape, v.dtype)
        x, v, g, r, rows, w = (
            split_samples(self.x),
            split_samples(v),
            split_samples(grad_y),
            split_samples(r_grad_y),
            split_samples(out),
            self.w,
        )
        broadcast_weight(self.v_weight, v_w)
        for n in range(x.shape[0]):
            for k in range(x.shape[1]):
                if x[n, k] > 0:
                    rows[n, k] = r[n, k]
                else:
                    rows[n, k] = w[k] * r[n, k] + v_w[k] * g[n, k]
                    change[k] += r[n, k] * x[n, k] + g[n, k] * v[n, k]
        add_weight_gradient(change, self.grad_weight)
        return out
