"""Mistakes of another kind: something forgotten, kept too long, kept outside, or wrong where nobody looks."""

import numpy as np
from bprop.modules import Module, Parameter

from .broken import Affine, X

COUNTS, LAST = [0.0], {}
SQUARE = np.random.default_rng(6).standard_normal((4, 4))


class SquareTransposed(Affine):
    """grad_y @ Wᵀ, which fits where W is square."""

    def __init__(self):
        super().__init__(4, 4)

    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.weight.T)


class OtherAxis(Affine):
    """Sums over the features, which fits where there are as many samples."""

    def __init__(self):
        super().__init__(4, 4)

    def bias_gradient(self, grad_y):
        return grad_y.sum(axis=1)


class Centred(Module):
    """y = x - the mean of each sample."""

    jit = False
    axis = 1

    def fprop(self, x):
        return x - x.mean(axis=1, keepdims=True)

    def bprop(self, grad_y):
        return grad_y - grad_y.mean(axis=self.axis, keepdims=True)


class CentredOverBatch(Centred):
    axis = 0


class SoftmaxOverBatch(Module):
    """Softmax whose gradient sums over the samples."""

    jit = False

    def fprop(self, x):
        e = np.exp(x - x.max(axis=1)[:, None])
        self.y = e / e.sum(axis=1)[:, None]
        return self.y

    def bprop(self, grad_y):
        return self.y * (grad_y - (grad_y * self.y).sum(axis=0, keepdims=True))


class StaleNorm(Module):
    """y = x |w|, with the |w| of the fprop before in bprop."""

    jit = False
    start = 1.5

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.linspace(1, 2, 4))
        self.norm = self.start

    def fprop(self, x):
        self.x, self.used = x, self.norm
        self.norm = float(np.sqrt((self.weight**2).sum()))
        return x * np.sqrt((self.weight**2).sum())

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum() * self.weight / self.used
        return grad_y * self.used


class StaleZero(StaleNorm):
    start = 0.0


class KeptNorm(StaleNorm):
    """y = x |w|, with the |w| of the day it was made in bprop."""

    def __init__(self):
        super().__init__()
        self.made = np.sqrt((self.weight**2).sum())

    def fprop(self, x):
        self.x = x
        return x * np.sqrt((self.weight**2).sum())

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum() * self.weight / self.made
        return grad_y * self.made


class Bypass(Module):
    """y = x + tanh(x Wᵀ), right."""

    jit = False

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(0).standard_normal((4, 4)))

    def fprop(self, x):
        self.x, self.inner = x, np.tanh(np.dot(x, self.weight.T))
        return x + self.inner

    def inner_gradient(self, grad_y):
        grad = grad_y * (1 - self.inner**2)
        self.grad_weight += np.dot(grad.T, self.x)
        return np.dot(grad, self.weight)

    def bprop(self, grad_y):
        return grad_y + self.inner_gradient(grad_y)


class BypassForgotten(Bypass):
    def bprop(self, grad_y):
        return self.inner_gradient(grad_y)


class BypassAlone(Bypass):
    def bprop(self, grad_y):
        self.inner_gradient(grad_y)
        return grad_y


class Counting(Module):
    """Its scale is a global that every run changes."""

    jit = False

    def fprop(self, x):
        COUNTS[0] += 1
        self.scale = COUNTS[0]
        return x * x.dtype.type(self.scale)

    def bprop(self, grad_y):
        return grad_y * grad_y.dtype.type(self.scale)


class KeptOutside(Module):
    """Its input lies in a global."""

    jit = False

    def fprop(self, x):
        LAST["x"] = x
        return x * x

    def bprop(self, grad_y):
        return 2 * grad_y * LAST["x"]


class KeptInClass(Module):
    """Its input lies in its class."""

    jit = False
    last = None

    def fprop(self, x):
        KeptInClass.last = x
        return x * x

    def bprop(self, grad_y):
        return 2 * grad_y * KeptInClass.last


class WrongBeyondFive(Module):
    """Steeper for x > 5, where normal numbers do not go; its bprop does not know."""

    jit = False

    def fprop(self, x):
        return np.where(x > 5, 2 * x - 5, x)

    def bprop(self, grad_y):
        return grad_y


class CutOff(Module):
    """log(1 + exp(x)), whose derivative beyond 40 is 0 instead of 1."""

    jit = False

    def fprop(self, x):
        self.x = x
        return np.log(1 + np.exp(-np.abs(x))) + np.maximum(x, 0)

    def bprop(self, grad_y):
        slope = 1 / (1 + np.exp(-np.maximum(self.x, -80)))
        return grad_y * np.where(self.x > 40, 0, slope).astype(grad_y.dtype)


class ScaledInPlace(Module):
    """tanh(x scale), which writes x scale into x: with the initial scale of 1 that changes nothing."""

    jit = False

    def __init__(self):
        super().__init__()
        self.scale = Parameter(np.ones(4))
        self.u = self.y = np.empty((0, 0))

    def fprop(self, x):
        self.x = x.copy()
        x *= self.scale
        self.y = np.tanh(x)
        return self.y

    def bprop(self, grad_y):
        slope = grad_y * (1 - self.y * self.y)
        self.grad_scale += (slope * self.x).sum(axis=0)
        return slope * self.scale


RIGHT_HABITS = [Centred, Bypass]
BROKEN_HABITS = [
    (SquareTransposed, X, "grad_x has weight transposed: exchange weight and its transpose in bprop"),
    (OtherAxis, SQUARE, "grad_bias is grad_y summed over axis 1, expected over axis 0"),
    (CentredOverBatch, X, "grad_x has the mean of grad_y over axis 0, expected over axis 1"),
    (SoftmaxOverBatch, X, "grad_x has y Σ grad_y y over axis 0, expected over axis 1"),
    (StaleNorm, X, "grad_x is that of an earlier fprop (stale): store what bprop needs after it is computed"),
    (StaleZero, X, "grad_x is that of an earlier fprop (stale): store what bprop needs after it is computed"),
    (KeptNorm, X, "after a change of the parameters only (is something computed from them once and kept?): grad_x "),
    (ScaledInPlace, X, "fprop changes x: work on a copy (this shows after a change of the parameters only)"),
    (BypassForgotten, X, "grad_x lacks grad_y: is a path on which x is added to y (a residual) forgotten?"),
    (BypassAlone, X, "grad_x is grad_y alone: is the path through what is added to x forgotten?"),
    (Counting, X, "a run changes COUNTS, outside of the module: keep it on self"),
    (KeptOutside, X, "grad_x as if of another module's minibatch (kept in a global or in the class, not on self?)"),
    (KeptInClass, X, "grad_x as if of another module's minibatch (kept in a global or in the class, not on self?)"),
    (WrongBeyondFive, X, "with 10 times as large an x only: grad_x differs, at "),
    (CutOff, X, "with 100 times as large an x only: grad_x differs, at "),
]
