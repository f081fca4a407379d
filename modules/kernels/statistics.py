"""Means and variances of the rows or columns of a matrix, with the mean taken off before anything is squared.

Means are sums of differences from a first number, so that one far from zero costs no digits.
"""

import numpy as np


def mean_of(row):
    """Σₖ row[k] / K."""
    total = row.dtype.type(0)
    for k in range(row.size):
        total += row[k] - row[0]
    return row[0] + total / row.size


def dot(a, b):
    """Σₖ a[k] b[k]."""
    total = a.dtype.type(0)
    for k in range(a.size):
        total += a[k] * b[k]
    return total


def column_means(x, out):
    """out[k] = Σₙ x[n, k] / N; x (N, K)."""
    out[:] = 0
    for n in range(1, x.shape[0]):
        for k in range(x.shape[1]):
            out[k] += x[n, k] - x[0, k]
    for k in range(x.shape[1]):
        out[k] = x[0, k] + out[k] / x.shape[0]


def column_products(a, b, out, add):
    """out[k] = Σₙ a[n, k] b[n, k], or out += it; a, b (N, K), out (K,)."""
    if not add:
        out[:] = 0
    for n in range(a.shape[0]):
        for k in range(a.shape[1]):
            out[k] += a[n, k] * b[n, k]


def channel_means(columns, out):
    """out[c] = the mean of the channel's stretch of columns; columns (C L,), out (C,)."""
    length = columns.size // out.size
    for c in range(out.size):
        out[c] = mean_of(columns[c * length : (c + 1) * length])


def spread(channels, columns):
    """columns[k] = the number of its channel; channels (C,), columns (C L,)."""
    length = columns.size // channels.size
    for c in range(channels.size):
        for k in range(c * length, (c + 1) * length):
            columns[k] = channels[c]


def centred(x, mean, out):
    """out[n, k] = x[n, k] - mean[k]."""
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[n, k] = x[n, k] - mean[k]


def scaled(x, scale, out):
    """out[n, k] = scale[k] x[n, k]."""
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[n, k] = scale[k] * x[n, k]


def inverse_root(variance, eps, out):
    """out[c] = 1 / √(variance[c] + eps)."""
    for c in range(variance.size):
        out[c] = 1 / np.sqrt(variance[c] + eps)


def normal_rows(rows, eps, normal, inverse):
    """normal[n] = (rows[n] - μ) inverse[n], inverse[n] = 1 / √(σ² + eps), with the row's own μ and σ²."""
    for n in range(rows.shape[0]):
        row, out = rows[n], normal[n]
        mean = mean_of(row)
        for k in range(row.size):
            out[k] = row[k] - mean
        inverse[n] = 1 / np.sqrt(dot(out, out) / row.size + eps)
        for k in range(row.size):
            out[k] *= inverse[n]


def normal_rows_bprop(grad, normal, inverse, out):
    """out = (grad - mean(grad) - normal mean(grad normal)) inverse, row by row: the gradient through `normal_rows`."""
    for n in range(grad.shape[0]):
        row = normal[n]
        mean, product = mean_of(grad[n]), dot(grad[n], row) / row.size
        for k in range(row.size):
            out[n, k] = inverse[n] * (grad[n, k] - mean - product * row[k])


def normal_rows_rbprop(v, grad, r_grad, normal, inverse, out):
    """The change of `normal_rows_bprop` along v in the rows and r_grad in the gradient, row by row.

    With q = normal_rows' change along v, and -inverse mean(v normal) the relative change of `inverse`.
    """
    for n in range(grad.shape[0]):
        row, q, g, r = normal[n], np.empty(normal.shape[1], v.dtype), grad[n], r_grad[n]
        mean_v, along = mean_of(v[n]), dot(v[n], row) / row.size
        for k in range(row.size):
            q[k] = inverse[n] * (v[n, k] - mean_v - along * row[k])
        mean_g, product = mean_of(g), dot(g, row) / row.size
        mean_r, change = mean_of(r), (dot(r, row) + dot(g, q)) / row.size
        for k in range(row.size):
            before = g[k] - mean_g - product * row[k]
            after = r[k] - mean_r - change * row[k] - product * q[k]
            out[n, k] = inverse[n] * (after - inverse[n] * along * before)


def batch_rbprop(v, grad, r_grad, normal, inverse, weight, v_weight, by_batch, grad_weight, grad_bias, out):
    """The change of batch normalisation's bprop along v, v_weight and r_grad; all but vectors (N, C, P).

    q = R{x̂}, and -inverse along the relative change of `inverse`; neither changes by the running statistics.
    """
    count = normal.shape[0] * normal.shape[2]
    for c in range(inverse.size):
        mean_v = along = mean_g = product = mean_r = change = v.dtype.type(0)
        scale, turn = inverse[c], v.dtype.type(0)
        for n in range(normal.shape[0]):
            for p in range(normal.shape[2]):
                mean_v += v[n, c, p] / count
                along += v[n, c, p] * normal[n, c, p] / count
                mean_g += grad[n, c, p] / count
                product += grad[n, c, p] * normal[n, c, p] / count
                mean_r += r_grad[n, c, p] / count
        if not by_batch:
            mean_v = along = mean_g = product = v.dtype.type(0)
        if weight is not None:
            scale, turn = weight[c] * inverse[c], v_weight[c] * inverse[c]
            grad_bias[c] += count * mean_r
        for n in range(normal.shape[0]):
            for p in range(normal.shape[2]):
                q = inverse[c] * (v[n, c, p] - mean_v - along * normal[n, c, p])
                change += (r_grad[n, c, p] * normal[n, c, p] + grad[n, c, p] * q) / count
        if weight is not None:
            grad_weight[c] += count * change
        if not by_batch:
            mean_r = change = v.dtype.type(0)
        for n in range(normal.shape[0]):
            for p in range(normal.shape[2]):
                q = inverse[c] * (v[n, c, p] - mean_v - along * normal[n, c, p])
                before = grad[n, c, p] - mean_g - product * normal[n, c, p]
                after = r_grad[n, c, p] - mean_r - change * normal[n, c, p] - product * q
                out[n, c, p] = scale * (after - inverse[c] * along * before) + turn * before


def add_directions(normal, v_weight, out):
    """out[n, k] += v_weight[k] normal[n, k]."""
    for n in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[n, k] += v_weight[k] * normal[n, k]


def channel_moments(x, c):
    """Mean and variance of channel c; x (N, C, P)."""
    total = square = x.dtype.type(0)
    count, first = x.shape[0] * x.shape[2], x[0, c, 0]
    for n in range(x.shape[0]):
        row = x[n, c]
        for p in range(row.size):
            total += row[p] - first
    mean = first + total / count
    for n in range(x.shape[0]):
        row = x[n, c]
        for p in range(row.size):
            square += (row[p] - mean) * (row[p] - mean)
    return mean, square / count


def normal_channel(x, c, mean, inverse, scale, shift, y):
    """y = scale (x - mean) inverse + shift in channel c; x, y (N, C, P)."""
    for n in range(x.shape[0]):
        row, out = x[n, c], y[n, c]
        for p in range(row.size):
            out[p] = scale * ((row[p] - mean) * inverse) + shift


def channel_gradient_means(grad, x, c, mean, inverse):
    """The means of grad and of grad x̂ in channel c, with x̂ = (x - mean) inverse; grad, x (N, C, P)."""
    count = grad.shape[0] * grad.shape[2]
    total = product = grad.dtype.type(0)
    for n in range(grad.shape[0]):
        row, other = grad[n, c], x[n, c]
        for p in range(row.size):
            total += row[p]
            product += row[p] * ((other[p] - mean) * inverse)
    return total / count, product / count


def normal_channel_bprop(grad, x, c, mean, inverse, scale, mean_grad, mean_product, out):
    """out = scale (grad - mean_grad - x̂ mean_product) in channel c, x̂ as above; all (N, C, P)."""
    for n in range(grad.shape[0]):
        row, other, result = grad[n, c], x[n, c], out[n, c]
        for p in range(row.size):
            result[p] = scale * (row[p] - mean_grad - (other[p] - mean) * inverse * mean_product)
