"""Slow, obvious twins of the kernels: each is its equation, in NumPy and in float64.

A twin takes the kernel's inputs and returns what the kernel writes; those of modules stand beside their cases.
"""

import numpy as np

# -- kernels ------------------------------------------------------------------------------------------------------


def product(a, b, out, add):
    result = np.array(
        [[sum(a[i, k] * b[k, j] for k in range(len(b))) for j in range(b.shape[1])] for i in range(len(a))]
    )
    return out + result if add else result


def add_to_rows(y, bias):
    return y + bias


def sum_rows(grad_y, out, add):
    return out + grad_y.sum(axis=0) if add else grad_y.sum(axis=0)


def softmax_rows(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def log_sum_exp(row):
    return np.log(np.exp(row).sum())


def gather(data, rows):
    return data[rows]


def gather_scaled(data, rows, scale, shift):
    return data[rows].astype(np.float64) * scale + shift
