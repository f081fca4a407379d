"""Softmax of the rows of a matrix, and its relatives, each with the row's maximum taken off first."""

import numpy as np


def row_max(row):
    """The largest element; any in a row with NaN, whose sums below are NaN whatever is taken off."""
    largest = row[0]
    for k in range(1, row.size):
        if row[k] > largest:
            largest = row[k]
    return largest


def exp_row(row, out):
    """out[k] = exp(row[k] - m), m the largest element; returns m and the sum of out."""
    largest = row_max(row)
    total = row.dtype.type(0)
    for k in range(row.size):
        out[k] = np.exp(row[k] - largest)
        total += out[k]
    return largest, total


def softmax_rows(x, y):
    """y[n, k] = exp(x[n, k]) / Σⱼ exp(x[n, j]); returns nothing. x, y (N, K)."""
    for n in range(x.shape[0]):
        _, total = exp_row(x[n], y[n])
        for k in range(x.shape[1]):
            y[n, k] /= total


def log_sum_exp(row):
    """log Σₖ exp(row[k])."""
    largest = row_max(row)
    total = row.dtype.type(0)
    for k in range(row.size):
        total += np.exp(row[k] - largest)
    return np.log(total) + largest
