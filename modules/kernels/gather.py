"""Gathering minibatches from a data set, row by row, into allocated buffers.

Where rows of `out` are shorter, (longest, ...) of (T, ...), they get the first steps of the data's rows.
"""

from .buffers import as_matrix


def gather_scaled(data, rows, scale, shift, out):
    """out[k] = data[rows[k]] * scale + shift, in the type of `out`; data (N, ...), rows (n,), out (at least n, ...)."""
    size = out.size // out.shape[0]
    source, target = as_matrix(data), out.reshape((out.shape[0], size))
    for k in range(rows.size):
        row = rows[k]
        for j in range(size):
            target[k, j] = out.dtype.type(source[row, j]) * scale + shift


def gather(data, rows, out):
    """out[k] = data[rows[k]]; data (N, ...), rows (n,), out (at least n, ...)."""
    size = out.size // out.shape[0]
    source, target = as_matrix(data), out.reshape((out.shape[0], size))
    for k in range(rows.size):
        for j in range(size):
            target[k, j] = source[rows[k], j]


def copy_rows(y, out, first):
    """out[first + n] = y[n]; y (N, ...), out (at least first + N, ...); 0 where rows of y are shorter."""
    size, whole = y.size // y.shape[0], out.size // out.shape[0]
    source, target = y.reshape((y.shape[0], size)), out.reshape((out.shape[0], whole))
    for n in range(y.shape[0]):
        for j in range(size):
            target[first + n, j] = source[n, j]
        for j in range(size, whole):
            target[first + n, j] = 0


def sum_of(weights):
    """Σₙ weights[n]; weights (N,)."""
    total = weights.dtype.type(0)
    for n in range(weights.size):
        total += weights[n]
    return total


def find_longest(lengths, rows):
    """max lengths[rows]; lengths (N,), rows (n,), n at least 1."""
    longest = lengths[rows[0]]
    for k in range(1, rows.size):
        longest = max(longest, lengths[rows[k]])
    return longest


def cut_buffer(buffer, count, longest):
    """The first numbers of a buffer (N, T, ...) as an array (count, longest, ...) in the same memory."""
    step = buffer.size // (buffer.shape[0] * buffer.shape[1])
    numbers = buffer.reshape(buffer.size)[: count * longest * step]
    return numbers.reshape((count, longest) + buffer.shape[2:])  # noqa: RUF005 - numba has no starred tuples
