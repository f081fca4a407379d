"""The weight of each sample in a loss: 1/N, its weight's share, or its weight where losses are summed."""

import numpy as np

from .buffers import flat
from .sums import as_double


def weight_of(weights, n):
    """weights[n], or 1 where there are none."""
    if weights is None:
        return 1
    return weights[n]


def repeated(weights, k):
    """weights[k % K] of K weights that repeat along the last axis, or 1 where there are none."""
    if weights is None:
        return 1
    return weights[k % weights.size]


def multiply_parts(grad, grad_values, out):
    """out[i] = grad[i] grad_values[i // size]: each value has `size` numbers that it depends on."""
    grad, grad_values, out = flat(grad), flat(grad_values), flat(out)
    size = grad.size // grad_values.size
    for k in range(grad_values.size):
        for i in range(k * size, (k + 1) * size):
            out[i] = grad[i] * grad_values[k]


def fill_scales(scales, samples, sample_weight, averages):
    """scales[r] = w / Σ w, one for each row, or w where losses are summed; 0 where Σ w is 0. scales (rows,).

    `rows` is a multiple of `samples`: a sample of a sequence has several rows, each with its weight.
    """
    rows = scales.size // samples
    total = np.float64(0)
    for r in range(scales.size):
        scales[r] = weight_of(sample_weight, r // rows)
        total += as_double(scales[r])
    share(scales, scales.dtype.type(total), averages)


def fill_label_scales(scales, labels, samples, sample_weight, class_weights, ignore_index, classes, averages):
    """scales[r] = w / Σ w v[label] for class weights v; 0 where the label is ignored. scales, labels (rows,)."""
    rows = scales.size // samples
    total = np.float64(0)
    for r in range(scales.size):
        label = labels[r]
        scales[r] = weight_of(sample_weight, r // rows)
        if is_ignored(label, ignore_index):
            scales[r] = 0
        elif label < 0 or label >= classes:
            raise ValueError("a label lies outside 0..K-1, K the number of scores")
        else:
            total += as_double(scales[r] * weight_of(class_weights, label))
    share(scales, scales.dtype.type(total), averages)


def is_ignored(label, ignore_index):
    """Whether the label is the ignored index, if there is one."""
    if ignore_index is None:
        return False
    return label == ignore_index


def share(scales, total, averages):
    """Divide by the total for a mean; a mean over nothing is 0."""
    if averages:
        for r in range(scales.size):
            scales[r] = scales[r] / total if total != 0 else 0
