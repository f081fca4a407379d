"""Modules as a user would write them, for the tests of the contract and of the compiler."""

import numpy as np
from bprop.modules import Linear, Module, Parameter, Sequential, Tanh


class Scale(Module):
    """y = x * weight"""

    def __init__(self, features):
        super().__init__()
        self.weight = Parameter(np.linspace(0.5, 1.5, features))

    def fprop(self, x):
        self.x = x
        return x * self.weight

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        return grad_y * self.weight


class Leaky(Module):
    """y = x where x > 0, else slope x; remembers how often it ran and its largest x."""

    def __init__(self, slope=0.1):
        super().__init__()
        self.slope = slope
        self.runs = 0

    def fprop(self, x):
        self.x = x
        self.runs += 1
        self.largest = x.max()
        return np.where(x > 0, x, self.slope * x)

    def bprop(self, grad_y):
        return np.where(self.x > 0, grad_y, self.slope * grad_y)


class InPython(Module):
    """y = 3 x, by a line that numba does not compile."""

    jit = False

    def fprop(self, x):
        return np.einsum("ij->ij", x) * 3

    def bprop(self, grad_y):
        return np.einsum("ij->ij", grad_y) * 3


class Residual(Module):
    """y = x + gate * inner(x), with modules inside that its own methods call."""

    def __init__(self, features):
        super().__init__()
        self.gate = Parameter(np.ones(features) / 2)
        self.inner = Linear(features, features)
        self.unit = Tanh()

    def fprop(self, x):
        self.h = self.unit.fprop(self.inner.fprop(x))
        return x + self.gate * self.h

    def bprop(self, grad_y):
        self.grad_gate += (grad_y * self.h).sum(axis=0)
        return grad_y + self.inner.bprop(self.unit.bprop(grad_y * self.gate))


def net():
    return Sequential(Linear(3, 4), Tanh(), Linear(4, 2))


def x(samples=5, features=3, seed=0):
    return np.random.default_rng(100 + seed).standard_normal((samples, features)).astype(np.float32)


class AssertsFormatted(Module):
    """Its assert is not rewritten, as pytest does in files of tests."""

    def fprop(self, x):
        assert x[0, 0] <= 5, f"{x[0, 0]} in row {len(x)}"
        return 2 * x

    def bprop(self, grad_y):
        return 2 * grad_y
