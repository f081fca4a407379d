"""Norms of rows, and rows normalised to length 1, for any finite numbers: scaled before squaring.

A row no longer than TINY has no direction: it counts as zero, and so does its gradient.
"""

import numpy as np

from .sums import dot, sum_of_scaled_squares

TINY = 1e-12


def largest_size(row):
    """maxₖ |row[k]|."""
    largest = row.dtype.type(0)
    for k in range(row.size):
        if abs(row[k]) > largest:
            largest = abs(row[k])
    return largest


def norm_of(row):
    """√Σₖ row[k]², with the largest element taken out of the root."""
    largest = largest_size(row)
    if largest == 0:
        return largest
    return largest * np.sqrt(sum_of_scaled_squares(row, largest))


def unit_rows(x, inverse, out):
    """out[n] = x[n] / |x[n]| and inverse[n] = 1 / |x[n]|, both zero where |x[n]| is tiny; x, out (N, K)."""
    for n in range(x.shape[0]):
        norm = norm_of(x[n])
        inverse[n] = 1 / norm if norm > TINY else 0
        for k in range(x.shape[1]):
            out[n, k] = x[n, k] * inverse[n]


def unit_rows_bprop(grad, unit, inverse, out):
    """out[n] = (grad[n] - unit[n] <unit[n], grad[n]>) / |x[n]|, the gradient of x for that of its unit rows."""
    for n in range(grad.shape[0]):
        along = dot(unit[n], grad[n])
        for k in range(grad.shape[1]):
            out[n, k] = inverse[n] * (grad[n, k] - along * unit[n, k])


def unit_rows_rbprop(v, grad, r_grad, unit, inverse, out):
    """The change of `unit_rows_bprop` along v in the rows and r_grad in the gradient, row by row.

    With q the change of `unit` along v, and -inverse <unit, v> the relative change of `inverse`.
    """
    for n in range(grad.shape[0]):
        q, u, g = np.empty(unit.shape[1], v.dtype), unit[n], grad[n]
        along, product = dot(u, v[n]), dot(u, g)
        for k in range(u.size):
            q[k] = inverse[n] * (v[n, k] - along * u[k])
        change = dot(u, r_grad[n]) + dot(q, g)
        for k in range(u.size):
            before, after = g[k] - product * u[k], r_grad[n, k] - change * u[k] - product * q[k]
            out[n, k] = inverse[n] * (after - inverse[n] * along * before)
