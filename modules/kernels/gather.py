"""Minibatches picked out of a data set, row by row, into buffers that are there already."""


def gather_scaled(data, rows, scale, shift, out):
    """out[k] = data[rows[k]] * scale + shift, in the type of `out`; data (N, ...), rows (n,), out (at least n, ...)."""
    size = data.size // data.shape[0]
    source, target = data.reshape((data.shape[0], size)), out.reshape((out.shape[0], size))
    scale, shift = out.dtype.type(scale), out.dtype.type(shift)
    for k in range(rows.size):
        row = rows[k]
        for j in range(size):
            target[k, j] = source[row, j] * scale + shift


def gather(data, rows, out):
    """out[k] = data[rows[k]]; data (N, ...), rows (n,), out (at least n, ...)."""
    for k in range(rows.size):
        out[k] = data[rows[k]]
