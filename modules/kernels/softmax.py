"""Softmax of the rows of a matrix, log-sum-exp and others, with the row's maximum subtracted first."""

import numba
import numpy as np

from .buffers import flat
from .sums import BLOCK, as_double, columns_like, sum_of

TOGETHER = 1024  # numbers


def row_max(row):
    """The maximum of a row; any number for a row with NaN, whose sums are NaN in any case."""
    largest = row[0]
    for k in range(1, row.size):
        if row[k] > largest:
            largest = row[k]
    return largest


def exp_row(row, out):
    """out[k] = exp(row[k] - m), m the largest element; returns m and the sum of out."""
    largest = row_max(row)
    for k in range(row.size):
        out[k] = np.exp(row[k] - largest)
    return largest, sum_of(out)


def rows_together(classes):
    """How many rows of scores `exp_rows` takes at a time: as many as lie near the core."""
    return max(1, TOGETHER // max(1, classes))


def exp_rows(x, out, largest):
    """out[n, k] = exp(x[n, k] - largest[n]), the row's largest; C-contiguous (N, K). Vectors go across ends of rows."""
    for n in range(x.shape[0]):
        largest[n] = top = row_max(x[n])
        for k in range(x.shape[1]):
            out[n, k] = x[n, k] - top
    numbers = flat(out)
    for i in range(numbers.size):
        numbers[i] = np.exp(numbers[i])


def softmax_rows(x, y):
    """y[n, k] = exp(x[n, k]) / Σⱼ exp(x[n, j]); returns nothing. x, y (N, K)."""
    some, largest = rows_together(x.shape[1]), columns_like(x)
    for first in range(0, x.shape[0], some):
        last = min(first + some, x.shape[0])
        exp_rows(x[first:last], y[first:last], largest)
        for n in range(first, last):
            total = sum_of(y[n])
            for k in range(x.shape[1]):
                y[n, k] /= total


def log_sum_exp(row):
    """log Σₖ exp(row[k]); a difference to it loses the digits of a large row's maximum, see `log_mass`."""
    largest, mass = log_mass(row)
    return mass + largest


def log_mass(row):
    """The largest element m and mass = log Σₖ exp(row[k] - m): row[k] - m - mass has digits that m + mass loses."""
    largest, total = row_max(row), np.float64(0)
    for begin in range(0, row.size, BLOCK):
        block, part = row[begin : begin + BLOCK], row.dtype.type(0)
        for k in range(block.size):
            part += np.exp(block[k] - largest)
        total += as_double(part)
    return largest, np.log(row.dtype.type(total))


def log_share(score, largest, mass):
    """log softmax of one score, (score - m) - mass for `log_mass`, in this order, which compiled code else changes."""
    return (score - largest) - mass


log_share.compiled_form = numba.njit(  # type: ignore[attr-defined]
    log_share, fastmath=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
)
