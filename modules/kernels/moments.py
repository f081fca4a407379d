"""Means and variances of the rows or columns of a matrix, with the mean subtracted before squaring.

Means are sums of differences from a first number, so that one far from zero costs no digits.
"""

import numpy as np

from ..compiler.kernel import noinline
from .sums import BLOCK, as_double, dot, sum_of, sum_of_differences, sum_of_squares

SMALL, LARGE = 1e-30, 1e38  # a float32 sum of squares between them has all its digits


def mean_of(row):
    """Σₖ row[k] / K."""
    return row[0] + sum_of_differences(row, row[0]) / row.size


def channel_means(columns, out):
    """out[c] = the mean of the channel's slice of columns; columns (C L,), out (C,)."""
    length = columns.size // out.size
    for c in range(out.size):
        out[c] = mean_of(columns[c * length : (c + 1) * length])


def spread(channels, columns):
    """columns[k] = the number of its channel; channels (C,), columns (C L,): broadcasts channels to columns."""
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


def is_extreme(square):
    """Whether a sum of squares may have overflowed, or lost digits by underflow."""
    return not (square >= SMALL and square <= LARGE)  # NaN may come of infinities


def normal_rows(rows, eps, normal, inverse):
    """normal[n] = (rows[n] - μ) inverse[n], inverse[n] = 1 / √(σ² + eps), with the row's own μ and σ²."""
    extreme = False
    for n in range(rows.shape[0]):
        row, out = rows[n], normal[n]
        mean = mean_of(row)
        for k in range(row.size):
            out[k] = row[k] - mean
        square = dot(out, out) / row.size + eps
        extreme = extreme or is_extreme(square)
        inverse[n] = 1 / np.sqrt(square)
        for k in range(row.size):
            out[k] *= inverse[n]
    if extreme:
        normalise_extremes(rows, eps, True, normal, inverse)


def root_rows(rows, eps, normal, inverse):
    """normal[n] = rows[n] inverse[n], inverse[n] = 1 / √(mean of the row's squares + eps)."""
    extreme = False
    for n in range(rows.shape[0]):
        row, out = rows[n], normal[n]
        square = dot(row, row) / row.size + eps
        extreme = extreme or is_extreme(square)
        inverse[n] = 1 / np.sqrt(square)
        for k in range(row.size):
            out[k] = row[k] * inverse[n]
    if extreme:
        normalise_extremes(rows, eps, False, normal, inverse)


@noinline
def normalise_extremes(rows, eps, centred, normal, inverse):
    """`normal_rows`, or `root_rows`, for any finite numbers: in float64, with the largest taken out of the root."""
    for n in range(rows.shape[0]):
        mean = largest = total = 0.0
        for k in range(rows.shape[1] if centred else 0):
            mean += float(rows[n, k]) / rows.shape[1]
        for k in range(rows.shape[1]):
            if not abs(float(rows[n, k]) - mean) <= largest:  # NaN is not hidden
                largest = abs(float(rows[n, k]) - mean)
        scale = largest if 0 < largest < np.inf else 1.0
        for k in range(rows.shape[1]):
            part = (float(rows[n, k]) - mean) / scale
            total += part * part
        root = np.hypot(scale * np.sqrt(total / rows.shape[1]), np.sqrt(eps))
        inverse[n] = 1 / root
        for k in range(rows.shape[1]):
            normal[n, k] = (float(rows[n, k]) - mean) / root


def weigh_row(row, weight, out):
    """out = weight row, or row where weight is None."""
    for k in range(row.size):
        out[k] = row[k] if weight is None else weight[k] * row[k]


def normal_rows_bprop(grad, normal, inverse, out, weight=None):
    """out = (g - mean(g) - normal mean(g normal)) inverse, row by row: the gradient through `normal_rows`.

    g = weight grad, or grad where weight is None.
    """
    for n in range(grad.shape[0]):
        row, result = normal[n], out[n]
        weigh_row(grad[n], weight, result)
        mean, product = mean_of(result), dot(result, row) / row.size
        for k in range(row.size):
            result[k] = inverse[n] * (result[k] - mean - product * row[k])


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
            mean_v += sum_of(v[n, c]) / count
            along += dot(v[n, c], normal[n, c]) / count
            mean_g += sum_of(grad[n, c]) / count
            product += dot(grad[n, c], normal[n, c]) / count
            mean_r += sum_of(r_grad[n, c]) / count
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
    total, square, count = np.float64(0), np.float64(0), x.shape[0] * x.shape[2]
    for n in range(x.shape[0]):
        total += as_double(sum_of_differences(x[n, c], x[0, c, 0]))
    mean = x[0, c, 0] + x.dtype.type(total / count)
    for n in range(x.shape[0]):
        square += as_double(sum_of_squares(x[n, c], mean))
    return mean, x.dtype.type(square / count)


def channel_inverse(x, c, mean, variance, eps):
    """Variance and 1 / √(variance + eps) of channel c, exact for extreme numbers, too; x (N, C, P)."""
    if not is_extreme(variance + eps):
        return variance, 1 / np.sqrt(variance + eps)
    root = x.dtype.type(root_of_extremes(x, c, mean))
    return root * root, 1 / x.dtype.type(np.hypot(root, np.sqrt(eps)))


@noinline
def root_of_extremes(x, c, mean):
    """The standard deviation of a channel for any finite numbers, with the largest taken out of the root."""
    largest, total = 0.0, 0.0
    for n in range(x.shape[0]):
        for p in range(x.shape[2]):
            if not abs(x[n, c, p] - mean) <= largest:  # NaN is not hidden
                largest = abs(x[n, c, p] - mean)
    if not 0 < largest < np.inf:
        return largest
    for n in range(x.shape[0]):
        for p in range(x.shape[2]):
            part = (x[n, c, p] - mean) / largest
            total += part * part
    return largest * np.sqrt(total / (x.shape[0] * x.shape[2]))


def normal_channel(x, c, mean, inverse, scale, shift, y):
    """y = scale (x - mean) inverse + shift in channel c; x, y (N, C, P)."""
    for n in range(x.shape[0]):
        row, out = x[n, c], y[n, c]
        for p in range(row.size):
            out[p] = scale * ((row[p] - mean) * inverse) + shift


def channel_gradient_means(grad, x, c, mean, inverse):
    """The means of grad and of grad x̂ in channel c, with x̂ = (x - mean) inverse; grad, x (N, C, P)."""
    total, product, count = np.float64(0), np.float64(0), grad.shape[0] * grad.shape[2]
    for n in range(grad.shape[0]):
        of_grad, of_product = gradient_sums(grad[n, c], x[n, c], mean, inverse)
        total += as_double(of_grad)
        product += as_double(of_product)
    return grad.dtype.type(total / count), grad.dtype.type(product / count)


def gradient_sums(grad, x, mean, inverse):
    """Σₖ grad[k] and Σₖ grad[k] (x[k] - mean) inverse of vectors."""
    total, product = np.float64(0), np.float64(0)
    for begin in range(0, grad.size, BLOCK):
        block, other = grad[begin : begin + BLOCK], x[begin : begin + BLOCK]
        of_grad = of_product = grad.dtype.type(0)
        for k in range(block.size):
            of_grad += block[k]
            of_product += block[k] * ((other[k] - mean) * inverse)
        total += as_double(of_grad)
        product += as_double(of_product)
    return grad.dtype.type(total), grad.dtype.type(product)


def normal_channel_bprop(grad, x, c, mean, inverse, scale, mean_grad, mean_product, out):
    """out = scale (grad - mean_grad - x̂ mean_product) in channel c, x̂ as above; all (N, C, P)."""
    for n in range(grad.shape[0]):
        row, other, result = grad[n, c], x[n, c], out[n, c]
        for p in range(row.size):
            result[p] = scale * (row[p] - mean_grad - (other[p] - mean) * inverse * mean_product)
