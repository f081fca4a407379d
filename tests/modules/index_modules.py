"""Modules whose indices come from their input, for the tests of checked indices: sample k reads entry x[k, 0]."""

import numba
import numpy as np
from bprop.modules import Linear, Module, Parameter, Sequential


@numba.njit
def entry_of(w, k):
    return w[k]


@numba.njit(locals={"place": numba.int64})
def entry_by_cast(w, k):
    place = w[0] * k  # a float but for `locals`, which the checked form does not have
    return w[place]


def entry_by_helper(w, k):
    return entry_of(w, k)


class Picking(Module):
    """y[n] = x[n, :2] w[x[n, 0]]: what its subclasses do differently is how they read or write at an index."""

    def __init__(self):
        super().__init__()
        self.w = Parameter(np.ones(3))
        self.table = np.ones((3, 4), np.float32)

    def output_shape(self, shape):
        return shape

    def fprop(self, x):
        self.x = x
        self.y = np.empty_like(x)
        for n in range(len(x)):
            self.y[n] = x[n] * self.read(int(x[n, 0]))
        return self.y

    def read(self, k):
        return self.w[k]

    def bprop(self, grad_y):
        for n in range(len(grad_y)):
            self.write(int(self.x[n, 0]), (grad_y[n] * self.x[n]).sum())
        return grad_y.copy()

    def write(self, k, value):
        self.grad_w[min(k, 2)] += value


class ReadsByHelper(Picking):
    def read(self, k):
        return entry_by_helper(self.w, k)


class ReadsByCast(Picking):
    def read(self, k):
        return entry_by_cast(self.w, k)


class ReadsInTable(Picking):
    def read(self, k):
        return self.table[1, k + 1]


class ReadsRows(Picking):
    def read(self, k):
        rows = np.array([0, k])
        return self.w[rows].sum()


class Writes(Picking):
    def read(self, k):
        return self.w[0]

    def write(self, k, value):
        self.grad_w[k] += value


class Reads(Picking):
    pass


class Spoils(Picking):
    """NaN where the index is out of range, and what lies there is of no matter."""

    def read(self, k):
        value = self.w[k]
        return value if k < 3 else np.nan + value


class Holding(Module):
    def __init__(self):
        super().__init__()
        self.child = Sequential(Reads(), Linear(3, 3))

    def output_shape(self, shape):
        return shape

    def fprop(self, x):
        return self.child.fprop(x)

    def bprop(self, grad_y):
        return self.child.bprop(grad_y)
