"""Dropout and its variants: training with random units missing averages many models."""

import math
from typing import ClassVar

import numpy as np

from ..core.shapes import as_image_shape
from ..kernels.buffers import flat, reuse, reuse_like
from ..kernels.philox import normal, uniform
from .noise import Noise

SATURATION = -1.7580993408473766  # where SELU ends on the left: -1.0507 x 1.6733


def draw_mask(key, step, p, value, mask):
    """mask[i] = `value` with probability 1 - p, else 0."""
    uniform(key, step, mask)
    zero, value = mask.dtype.type(0), mask.dtype.type(value)
    for i in range(mask.size):
        mask[i] = value if mask[i] >= p else zero


def apply_mask(x, mask, out):
    """out = mask x, and zero where the mask is zero, even if x is infinite there."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = mask[i] * x[i] if mask[i] != 0 else zero


class ElementwiseDropout(Noise):
    """Base of dropout of single elements, each with a mask that `drop(self, x, mask, y)` draws and applies; vectors."""

    locally_linear = True

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = float(p)
        self.mask = self.y = self.grad_x = np.empty((0, 0))

    def drop(self, x, mask, y):
        """Draw the mask and write y."""
        raise NotImplementedError(f"{type(self).__name__} has no drop: write `def drop(self, x, mask, y)`")

    def fprop(self, x):
        if not self.training:
            return x
        self.mask, self.y = reuse_like(self.mask, x), reuse_like(self.y, x)
        self.drop(flat(x), flat(self.mask), flat(self.y))
        self.step += 1
        return self.y

    def bprop(self, grad_y):
        if not self.training:
            return grad_y
        self.grad_x = reuse_like(self.grad_x, grad_y)
        apply_mask(flat(grad_y), flat(self.mask), flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """J v = Jᵀ v, since J is diagonal."""
        return self.bprop(v).copy()

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


class Dropout(ElementwiseDropout):
    """Leaves elements out at random in training, and scales the others up; the identity in evaluation.

        y[i]      = m[i] x[i],        m[i] = 1 / (1 - p) with probability 1 - p, else 0
        grad_x[i] = m[i] grad_y[i]

    Shapes: x and y of any one shape.
    Args: p: probability of leaving an element out, 0 to 1; it may change between steps.
    Numerics: an element that is left out gives 0 even if it is infinite or NaN.
    Source: Srivastava et al., Dropout (2014); Goodfellow et al., Deep Learning, section 7.12; PyTorch's Dropout.
    """

    def drop(self, x, mask, y):
        draw_mask(self.key, self.step, self.p, 1 / (1 - self.p) if self.p < 1 else 1.0, mask)
        apply_mask(x, mask, y)


class Dropout2d(Noise):
    """Leaves whole channels out at random in training, and scales the others up; the identity in evaluation.

        y[n, c]      = m[n, c] x[n, c],   m[n, c] = 1 / (1 - p) with probability 1 - p, else 0
        grad_x[n, c] = m[n, c] grad_y[n, c]

    Neighbouring pixels are alike, so that leaving out one by one would take little away.

    Shapes: x and y (N, C, H, W).
    Args: p: probability of leaving a channel of a sample out, 0 to 1; it may change between steps.
    Errors: ValueError for an x that is no image.
    Source: Tompson et al., Efficient object localization using convolutional networks (2015); PyTorch's Dropout2d.
    """

    locally_linear = True

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = float(p)
        self.mask, self.y, self.grad_x = np.empty(0), np.empty((0, 0, 0, 0)), np.empty((0, 0, 0, 0))

    def fprop(self, x):
        if not self.training:
            return x
        self.mask, self.y = reuse(self.mask, (x.shape[0] * x.shape[1],), x.dtype), reuse_like(self.y, x)
        draw_mask(self.key, self.step, self.p, 1 / (1 - self.p) if self.p < 1 else 1.0, self.mask)
        self.step += 1
        apply_plane_mask(flat(x), self.mask, flat(self.y))
        return self.y

    def bprop(self, grad_y):
        if not self.training:
            return grad_y
        self.grad_x = reuse_like(self.grad_x, grad_y)
        apply_plane_mask(flat(grad_y), self.mask, flat(self.grad_x))
        return self.grad_x

    def jvp(self, v):
        """J v = Jᵀ v, since J is diagonal."""
        return self.bprop(v).copy()

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return as_image_shape(self, tuple(input_shape))

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


def apply_plane_mask(x, mask, out):
    """out[m] = mask[m] x[m] for planes m, and zero where the mask is zero, even if x is infinite there."""
    zero, size = x.dtype.type(0), x.size // mask.size
    for m in range(mask.size):
        for i in range(m * size, (m + 1) * size):
            out[i] = mask[m] * x[i] if mask[m] != 0 else zero


class AlphaDropout(ElementwiseDropout):
    """Dropout for models of SELU units: keeps zero mean and unit variance; the identity in evaluation.

        y[i]      = m[i] x[i] + c[i],   m[i] = a, c[i] = b with probability 1 - p, else m[i] = 0, c[i] = a s + b
        grad_x[i] = m[i] grad_y[i]
        a = ((1 - p) (1 + p s²))^(-1/2),   b = -a p s,   s = -1.7581, SELU's lowest value

    Shapes: x and y of any one shape.
    Args: p: probability of leaving an element out, 0 to 1 (then y is 0); it may change between steps.
    Source: Klambauer et al., Self-normalizing neural networks (2017); PyTorch's AlphaDropout.
    """

    def drop(self, x, mask, y):
        a = 1 / math.sqrt((1 - self.p) * (1 + self.p * SATURATION * SATURATION)) if self.p < 1 else 1.0
        draw_mask(self.key, self.step, self.p, a, mask)
        shift_kept, shift_dropped = compute_affine(self.p, a)
        apply_mask(x, mask, y)
        for i in range(x.size):
            y[i] += shift_kept if mask[i] != 0 else shift_dropped


def compute_affine(p, a):
    """Compute the shifts that AlphaDropout adds to elements that it keeps, and to those that it drops."""
    if p < 1:
        return -a * p * SATURATION, a * SATURATION - a * p * SATURATION
    return 0.0 * a, 0.0 * a


class GaussianDropout(Noise):
    """Multiplies by normal numbers of mean 1 in training; the identity in evaluation.

        y[i]      = m[i] x[i],   m[i] ~ N(1, p / (1 - p))
        grad_x[i] = m[i] grad_y[i]

    The variance is that of Dropout's mask of the same p.

    Shapes: x and y of any one shape.
    Args: p: 0 to 0.999; it may change between steps.
    Source: Srivastava et al., Dropout (2014), section 10; Keras' GaussianDropout.
    """

    locally_linear = True
    limits: ClassVar = {"p": (0.0, 0.999)}

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = float(p)
        self.mask, self.y, self.grad_x = np.empty(0), np.empty((0, 0)), np.empty((0, 0))

    def fprop(self, x):
        if not self.training:
            return x
        self.mask = reuse(self.mask, (x.size + x.size % 2,), x.dtype)
        normal(self.key, self.step, self.mask)
        self.step += 1
        self.y = reuse_like(self.y, x)
        x, y, mask, std = flat(x), flat(self.y), self.mask, math.sqrt(self.p / (1 - self.p))
        for i in range(x.size):
            mask[i] = 1 + std * mask[i]
            y[i] = mask[i] * x[i]
        return self.y

    def bprop(self, grad_y):
        if not self.training:
            return grad_y
        self.grad_x = reuse_like(self.grad_x, grad_y)
        grad_y, grad_x, mask = flat(grad_y), flat(self.grad_x), self.mask
        for i in range(grad_y.size):
            grad_x[i] = mask[i] * grad_y[i]
        return self.grad_x

    def jvp(self, v):
        """J v = Jᵀ v, since J is diagonal."""
        return self.bprop(v).copy()

    def extra_repr(self) -> str:
        return f"p={self.p:g}"
