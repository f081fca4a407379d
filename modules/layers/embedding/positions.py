"""Positions in a sequence, added to its features: learned ones, and fixed sines and cosines."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import check_sizes
from ...initializers.initializers import Initializer, Normal
from ...kernels.buffers import flat, reuse_like
from ...kernels.threads import MOVE_FLOPS, parallel_for

BLOCK = 4096  # numbers of a sequence that one thread adds up over the samples


class PositionalEmbedding(Module):
    """Adds a learned row to the features at each position of a sequence.

        y[n, t]              = x[n, t] + weight[t]
        grad_x               = grad_y
        grad_weight[t]      += Σₙ grad_y[n, t]

    Shapes: x and y (N, T, D), T at most num_positions; weight (num_positions, D).
    Args: num_positions: the longest context, at least 1; embedding_dim: D, at least 1; weight_init: initial values, by
        default normal of standard deviation 0.02, as GPT-2's.
    `first` is the position of x[:, 0], 0 unless it is set: 5 for the sixth token of a text that grows.
    Errors: ValueError for sizes below 1, another shape of x, and a sequence that ends after num_positions.
    Source: Gehring et al., Convolutional sequence to sequence learning (2017), section 3.1.
    """

    multiplies_by_weight = False

    def __init__(self, num_positions: int, embedding_dim: int, *, weight_init: Initializer | None = None):
        super().__init__()
        check_sizes(self, num_positions=num_positions, embedding_dim=embedding_dim)
        self.num_positions, self.embedding_dim, self.first = num_positions, embedding_dim, 0
        self.weight = Parameter((weight_init or Normal(0, 0.02)).sample((num_positions, embedding_dim)))
        self.y = self.grad_x = np.empty((0, 0, 0))

    def fprop(self, x):
        if self.first < 0 or self.first + x.shape[1] > self.num_positions:
            raise ValueError("the sequence ends after the last of the learned positions")
        self.y = reuse_like(self.y, x)
        add_rows(x, select_positions(self.weight, self.first, x.shape[1]), self.y)
        return self.y

    def bprop(self, grad_y):
        if self.needs_grad_parameters:
            if not self.accumulate:
                self.grad_weight[:] = 0
            add_samples(grad_y, select_positions(self.grad_weight, self.first, grad_y.shape[1]))
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, grad_y)
            self.grad_x[:] = grad_y
        return self.grad_x

    def jvp(self, v):
        """v + v_weight[t]"""
        out = np.empty(v.shape, v.dtype)
        add_rows(v, select_positions(self.v_weight, self.first, v.shape[1]), out)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = r_grad_y, R{grad_weight}[t] += Σₙ r_grad_y[n, t]"""
        add_samples(r_grad_y, select_positions(self.grad_weight, self.first, r_grad_y.shape[1]))
        return r_grad_y.copy()

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        check_sequence(self, input_shape, self.embedding_dim)
        if self.first + input_shape[1] > self.num_positions:
            at = f" from position {self.first} on" if self.first else ""
            problem = f"{self.label()}: x has {input_shape[1]} positions{at}"
            raise ValueError(f"{problem}, expected at most {self.num_positions - self.first}, the longest context")
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"{self.num_positions}, {self.embedding_dim}"


class SinusoidalPositions(Module):
    """Adds sines and cosines of the position to the features, of wavelengths from 2π to base 2π.

        y[n, t, 2i]     = x[n, t, 2i]     + sin(t / base^(2i / D))
        y[n, t, 2i + 1] = x[n, t, 2i + 1] + cos(t / base^(2i / D))
        grad_x          = grad_y

    Shapes: x and y (N, T, D), T of any size.
    Args: embedding_dim: D, at least 1; base: above 1.
    `first` is the position of x[:, 0], 0 unless it is set: 5 for the sixth token of a text that grows.
    Errors: ValueError for sizes below 1, a base of at most 1 and another shape of x.
    Source: Vaswani et al., Attention is all you need (2017), section 3.5; Bishop and Bishop, Deep Learning, eq. 12.25.
    """

    locally_linear = True

    def __init__(self, embedding_dim: int, base: float = 10000.0):
        super().__init__()
        check_sizes(self, embedding_dim=embedding_dim)
        if not 1 < base < np.inf:
            raise ValueError(f"SinusoidalPositions: base is {base}, expected a finite number above 1")
        self.embedding_dim, self.base, self.first = embedding_dim, float(base), 0
        self.table, self.y, self.grad_x = np.empty((0, 0)), np.empty((0, 0, 0)), np.empty((0, 0, 0))

    def fprop(self, x):
        end = self.first + x.shape[1]
        if self.table.shape[0] < end:
            self.table = np.empty((max(end, 2 * self.table.shape[0]), self.embedding_dim), x.dtype)
            fill_sinusoids(self.base, self.table)
        self.y = reuse_like(self.y, x)
        add_rows(x, select_positions(self.table, self.first, x.shape[1]), self.y)
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, grad_y)
        self.grad_x[:] = grad_y
        return self.grad_x

    def jvp(self, v):
        """v"""
        return v.copy()

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        check_sequence(self, input_shape, self.embedding_dim)
        return tuple(input_shape)

    def extra_repr(self) -> str:
        return f"{self.embedding_dim}" + (f", base={self.base:g}" if self.base != 10000 else "")


def check_sequence(module: Module, shape: tuple[int, ...], features: int) -> None:
    """Raise ValueError unless a shape is (N, T, features)."""
    if len(shape) != 3 or shape[2] != features:
        raise ValueError(f"{module.label()}: x has shape {tuple(shape)}, expected (N, T, {features})")


def fill_sinusoids(base, table):
    """table[t, 2i] = sin(t / base^(2i / D)), table[t, 2i + 1] = cos of the same; computed in float64."""
    for k in range(table.shape[1]):
        frequency = np.exp(-np.log(base) * (k - k % 2) / table.shape[1])
        for t in range(table.shape[0]):
            angle = t * frequency
            table[t, k] = np.cos(angle) if k % 2 else np.sin(angle)


def select_positions(table, first, count):
    """The rows `first` to `first + count` of a table (T, D) as one vector, a view."""
    return flat(table)[first * table.shape[1] : (first + count) * table.shape[1]]


def add_rows(x, rows, y):
    """y[n] = x[n] + rows as vectors; x and y (N, T, D), rows (T D,)."""
    parallel_for(add_to_some_samples, x.shape[0], MOVE_FLOPS * x.size, x, rows, y)


def add_to_some_samples(first, last, x, rows, y):
    """The samples `first` to `last` of `add_rows`."""
    for n in range(first, last):
        source, target = x[n].reshape(rows.size), y[n].reshape(rows.size)
        for k in range(rows.size):
            target[k] = source[k] + rows[k]


def add_samples(grad_y, sums):
    """sums += Σₙ grad_y[n] as vectors; grad_y (N, T, D), sums (T D)."""
    blocks = -(-sums.size // BLOCK)
    parallel_for(add_some_positions, blocks, MOVE_FLOPS * grad_y.size, grad_y, sums)


def add_some_positions(first, last, grad_y, sums):
    """Some blocks of `add_samples`: the sums are the same bits for any number of threads."""
    begin, end = first * BLOCK, last * BLOCK
    for n in range(grad_y.shape[0]):
        source, target = grad_y[n].reshape(sums.size)[begin:end], sums[begin:end]
        for k in range(target.size):
            target[k] += source[k]
