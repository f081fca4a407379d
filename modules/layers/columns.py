"""Layers that select columns, and one that appends a column of zeros."""

import numpy as np

from ..core.module import Module
from ..kernels.buffers import as_rows, reuse, reuse_like

ColumnNumbers = int | str | list[int]


class Columns(Module):
    """Selects columns of the last axis, in any order: what a unit reads of the units before it.

        y[n, k]                 = x[n, columns[k]]
        grad_x[n, columns[k]]   = grad_y[n, k], all others 0

    Shapes: x (N, ..., D), y (N, ..., K) for K columns.
    Args: columns: whole numbers from 0, each once, as a list `[2, 0]`, a range `"0:10"`, or one number.
    Errors: ValueError for columns that are none, and for an x that does not have them.
    Source: Domke, Automatic Differentiation and Neural Networks (xᵢ = fᵢ of its parents Pa(i)); torch/nn's Select and
        Narrow.
    """

    locally_linear = True

    def __init__(self, columns: ColumnNumbers):
        super().__init__()
        self.columns = as_columns("Columns", "columns", columns)
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (self.columns.size,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        copy_columns(as_rows(x), self.columns, as_rows(self.y))
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad_x, grad_y = as_rows(self.grad_x), as_rows(grad_y)
        for n in range(grad_x.shape[0]):
            grad_x[n].fill(0)
            for k in range(self.columns.size):
                grad_x[n, self.columns[k]] = grad_y[n, k]
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        copy_columns(as_rows(v), self.columns, as_rows(out))
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        last = int(self.columns.max())
        if len(input_shape) < 2 or input_shape[-1] <= last:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, {last + 1} or more)")
        return (*input_shape[:-1], self.columns.size)

    def extra_repr(self) -> str:
        columns = self.columns.tolist()
        whole = list(range(columns[0], columns[-1] + 1))
        return f"{columns[0]}:{columns[-1] + 1}" if columns == whole and len(columns) > 2 else f"{columns}"


class ZeroScore(Module):
    """Appends a score that is always 0: a softmax of K classes after it has K - 1 free scores.

        y      = [x, 0]
        grad_x = grad_y without its last column

    A softmax does not change when a number is added to all scores, so K scores are one more than it needs. For K = 2
    the model is the logistic one: the softmax of (x, 0) is (σ(x), 1 - σ(x)).

    Shapes: x (N, ..., K - 1), y (N, ..., K).
    Errors: ValueError for an x of fewer than two axes.
    Source: Goodfellow et al., Deep Learning, section 6.2.2.3: one score fixed, such as z_n = 0.
    """

    locally_linear = True

    def __init__(self):
        super().__init__()
        self.y = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        self.y = reuse(self.y, x.shape[:-1] + (x.shape[-1] + 1,), x.dtype)  # noqa: RUF005 - numba has no starred tuples
        append_zero(as_rows(x), as_rows(self.y))
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad_x, grad_y = as_rows(self.grad_x), as_rows(grad_y)
        for n in range(grad_x.shape[0]):
            for k in range(grad_x.shape[1]):
                grad_x[n, k] = grad_y[n, k]
        return self.grad_x

    def jvp(self, v):
        out = np.empty(self.y.shape, v.dtype)
        append_zero(as_rows(v), as_rows(out))
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) < 2:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, ..., K - 1)")
        return (*input_shape[:-1], input_shape[-1] + 1)


def as_columns(who: str, name: str, columns: ColumnNumbers) -> np.ndarray:
    """Convert columns to an array of whole numbers; ValueError if they are none."""
    indices: list[int] = []
    if isinstance(columns, str) and columns.count(":") == 1 and columns.replace(":", "").isdecimal():
        first, last = columns.split(":")
        indices = list(range(int(first or 0), int(last))) if last else []
    elif isinstance(columns, int) and not isinstance(columns, bool):
        indices = [columns]
    elif isinstance(columns, list | tuple):
        indices = [column for column in columns if isinstance(column, int)]
    if not indices or min(indices) < 0 or len(set(indices)) < len(indices) or len(indices) < np.size(columns):
        raise ValueError(f"{who}: {name} is {columns!r}, expected columns such as 0, [0, 2] or '0:3', each once")
    return np.array(indices)


def copy_columns(x, columns, out):
    """out[n, k] = x[n, columns[k]]."""
    for n in range(out.shape[0]):
        for k in range(columns.size):
            out[n, k] = x[n, columns[k]]


def append_zero(x, out):
    """out = [x, 0], row by row."""
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[n, k] = x[n, k]
        out[n, x.shape[1]] = 0
