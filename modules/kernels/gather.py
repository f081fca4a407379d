"""Gathering minibatches from a data set, row by row, into allocated buffers."""

from .buffers import as_matrix


def gather_scaled(data, rows, scale, shift, out):
    """out[k] = data[rows[k]] * scale + shift, in the type of `out`; data (N, ...), rows (n,), out (at least n, ...)."""
    size = data.size // data.shape[0]
    source, target = as_matrix(data), out.reshape((out.shape[0], size))
    for k in range(rows.size):
        row = rows[k]
        for j in range(size):
            target[k, j] = out.dtype.type(source[row, j]) * scale + shift


def gather(data, rows, out):
    """out[k] = data[rows[k]]; data (N, ...), rows (n,), out (at least n, ...)."""
    size = data.size // data.shape[0]
    source, target = as_matrix(data), out.reshape((out.shape[0], size))
    for k in range(rows.size):
        for j in range(size):
            target[k, j] = source[rows[k], j]


def copy_rows(y, out, first):
    """out[first + n] = y[n]; y (N, ...), out (at least first + N, ...)."""
    size = y.size // y.shape[0]
    source, target = y.reshape((y.shape[0], size)), out.reshape((out.shape[0], size))
    for n in range(y.shape[0]):
        for j in range(size):
            target[first + n, j] = source[n, j]


def sum_of(weights):
    """Σₙ weights[n]; weights (N,)."""
    total = weights.dtype.type(0)
    for n in range(weights.size):
        total += weights[n]
    return total
