"""Slow, obvious twins of everything that computes: each is its equation, in NumPy and in float64.

A twin of a module takes the module, for its parameters and settings, and x. A twin of a kernel takes the kernel's
inputs and returns what the kernel writes.
"""

import numpy as np

# -- modules ------------------------------------------------------------------------------------------------------


def identity(module, x):
    return x


def relu(module, x):
    return np.maximum(x, 0)


def tanh(module, x):
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


def sigmoid(module, x):
    return 1 / (1 + np.exp(-x))


def flatten(module, x):
    return np.array([sample.ravel() for sample in x])


def linear(module, x):
    y = np.einsum("...i,oi->...o", x, module.weight)
    return y if module.bias is None else y + module.bias


def softmax(module, x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def log_softmax(module, x):
    return np.log(softmax(module, x))


def sequential(module, x):
    for child in module:
        x = MODULES[type(child).__name__](child, x)
    return x


MODULES = {
    "Identity": identity,
    "ReLU": relu,
    "Tanh": tanh,
    "Sigmoid": sigmoid,
    "Flatten": flatten,
    "Linear": linear,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "Sequential": sequential,
}

# -- losses -------------------------------------------------------------------------------------------------------


def mean_squared_error(loss, y, target):
    return np.mean((y - target) ** 2)


def softmax_cross_entropy(loss, y, target):
    log_p = log_softmax(None, y)
    if target.ndim < y.ndim:
        target = np.eye(y.shape[-1])[target]
    return -np.sum(target * log_p) / log_p[..., 0].size


LOSSES = {"MeanSquaredError": mean_squared_error, "SoftmaxCrossEntropy": softmax_cross_entropy}

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
    return softmax(None, x)


def log_sum_exp(row):
    return np.log(np.exp(row).sum())


def gather(data, rows):
    return data[rows]


def gather_scaled(data, rows, scale, shift):
    return data[rows].astype(np.float64) * scale + shift
