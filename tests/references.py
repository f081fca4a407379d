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


# -- random numbers ---------------------------------------------------------------------------------------------------


def philox(counter, key):
    """Philox4x32-10 of four words and two, in Python's whole numbers."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = right >> 32 ^ b ^ k, right % 2**32, left >> 32 ^ d ^ m, left % 2**32
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def uniform(key, step, position):
    """The float64 number of [0, 1) at a position: 32 bits of stream 0, then 21 of stream 1."""
    words = [
        philox([position // 4, stream, step % 2**32, step >> 32], [key % 2**32, key >> 32])[position % 4]
        for stream in (0, 1)
    ]
    return words[0] / 2**32 + (words[1] >> 11) / 2**53
