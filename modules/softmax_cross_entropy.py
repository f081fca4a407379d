"""The loss of classifiers: softmax and cross-entropy in one, on unnormalised scores."""

import numpy as np

from .kernels.buffers import as_rows, flat, reuse_like
from .kernels.softmax import exp_row, log_sum_exp
from .loss import Loss


class SoftmaxCrossEntropy(Loss):
    """Negative log-likelihood of the target under the softmax of the scores, averaged over samples.

        value     = -Σₙₖ t[n, k] log p[n, k] / N,   log p[n, k] = y[n, k] - log Σⱼ exp(y[n, j])
        grad_y    = (p Σₖ t[n, k] - t) / N

    where t is the one-hot vector of an integer label, or a given distribution over the classes.

    Shapes: y (N, ..., K); target (N, ...) whole numbers 0..K-1, or (N, ..., K) floats. N counts all rows.
    Numerics: log-sum-exp with the row's largest score taken off.
    Errors: ValueError for shapes that do not fit and for a label outside 0..K-1.
    Source: Goodfellow et al., Deep Learning, eq. 6.30; PyTorch's CrossEntropyLoss.
    """

    label_arguments = (1,)
    metrics = ("accuracy",)

    def __init__(self):
        super().__init__()
        self.grad_y = np.empty((0, 0))

    def fprop(self, y, target):
        self.grad_y = reuse_like(self.grad_y, y)
        if target.ndim == y.ndim:
            return against_distribution(as_rows(y), as_rows(target), as_rows(self.grad_y))
        return against_labels(as_rows(y), flat(target), as_rows(self.grad_y))

    def bprop(self):
        return self.grad_y

    def check_arguments(self, y_shape, target_shape):
        if len(y_shape) < 2 or tuple(target_shape) not in (tuple(y_shape), tuple(y_shape[:-1])):
            raise ValueError(
                f"{self.label()}: y has shape {y_shape} and target {target_shape}, "
                f"expected target {tuple(y_shape[:-1])} (labels) or {tuple(y_shape)} (distributions)"
            )
        return ()

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        self.check_arguments(output_shape, target_shape)
        if classes is not None and output_shape[-1] != classes:
            raise ValueError(f"{self.label()}: the net has {output_shape[-1]} outputs, the data {classes} classes")

    def check_targets(self, target, output_shape) -> None:
        if target.dtype.kind not in "iu":
            return
        wrong = np.flatnonzero((target < 0) | (target >= output_shape[-1]))
        if wrong.size:
            label = target.reshape(-1)[wrong[0]]
            raise ValueError(f"{self.label()}: label {label} in row {wrong[0]}, expected 0..{output_shape[-1] - 1}")


def against_labels(y, labels, grad_y):
    """Mean cross-entropy of scores y (N, K) and labels (N,); writes grad_y (N, K)."""
    total = y.dtype.type(0)
    for n in range(y.shape[0]):
        label = labels[n]
        if label < 0 or label >= y.shape[1]:
            raise ValueError("SoftmaxCrossEntropy: a label lies outside 0..K-1, K the number of scores")
        largest, mass = exp_row(y[n], grad_y[n])
        total += np.log(mass) + largest - y[n, label]
        for k in range(y.shape[1]):
            grad_y[n, k] /= mass * y.shape[0]
        grad_y[n, label] -= 1 / y.shape[0]
    return total / y.shape[0]


def against_distribution(y, target, grad_y):
    """Mean cross-entropy of scores y (N, K) and distributions (N, K); writes grad_y (N, K)."""
    total = y.dtype.type(0)
    for n in range(y.shape[0]):
        shift = log_sum_exp(y[n])
        mass = y.dtype.type(0)
        for k in range(y.shape[1]):
            if target[n, k] != 0:  # 0 log 0 = 0: a masked score, -inf, may have no probability
                total += target[n, k] * (shift - y[n, k])
            mass += target[n, k]
        for k in range(y.shape[1]):
            grad_y[n, k] = (np.exp(y[n, k] - shift) * mass - target[n, k]) / y.shape[0]
    return total / y.shape[0]
