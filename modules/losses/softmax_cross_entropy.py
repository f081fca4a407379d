"""Softmax and cross-entropy in one, on unnormalised scores (logits)."""

import numpy as np

from ..kernels.buffers import reuse
from ..kernels.sample_weights import fill_label_scales, fill_scales, weight_of
from ..kernels.softmax import exp_row, exp_rows, log_mass, log_share, rows_together
from ..kernels.sums import as_double, columns_like, dot, sum_of
from .distributions import Categorical
from .label_loss import LabelLoss
from .loss import Reduction


class SoftmaxCrossEntropy(LabelLoss):
    """Negative log-likelihood of the target under the softmax of the scores, averaged over samples.

        value     = -Σₙₖ t[n, k] log p[n, k] / N,   log p[n, k] = y[n, k] - log Σⱼ exp(y[n, j])
        grad_y    = (p Σₖ t[n, k] - t) / N

    where t is the one-hot vector of an integer label, or a given distribution over the classes. Smoothing mixes t with
    the uniform distribution, t (1 - ε) + ε / K; class weights v then make it t[n, k] v[k].

    Shapes: y (N, ..., K); target (N, ...) whole numbers 0..K-1, or (N, ..., K) floats; sample_weight (N,). N counts all
        rows; with weights it is Σₙ w[n] v[label n] for labels and Σₙ w[n] for distributions.
    Args: class_weights: K numbers of at least 0; label_smoothing: ε from 0 to 1, or None; ignore_index: a label whose
        rows count nothing; reduction: mean or sum; class_axis: the axis of the K scores, such as 1 for y (N, K, H, W)
        and labels (N, H, W), by default the last.
    Numerics: the row's largest score is taken off all scores first, and never added again.
    Errors: ValueError for shapes that do not fit and for a label outside 0..K-1.
    Source: Goodfellow et al., Deep Learning, eq. 6.30 (in the draft: section 6.3.2) and section 7.5.1; PyTorch's
        CrossEntropyLoss.
    """

    metrics = ("accuracy",)
    takes_distributions = True

    def __init__(
        self,
        class_weights: list[float] | None = None,
        label_smoothing: float | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        class_axis: int | None = None,
    ):
        super().__init__(class_weights, ignore_index, reduction, class_axis)
        if label_smoothing is not None and not 0 <= label_smoothing <= 1:
            raise ValueError(f"SoftmaxCrossEntropy: label_smoothing is {label_smoothing}, expected 0 to 1")
        self.label_smoothing = float(label_smoothing) if label_smoothing else None  # None: compiled without it

    def fprop_rows(self, rows, target, samples, sample_weight, grad_rows):
        self.scales = scales = reuse(self.scales, (rows.shape[0],), rows.dtype)
        weights, smoothing = self.class_weights, self.label_smoothing
        if target.ndim == rows.ndim:
            fill_scales(scales, samples, sample_weight, self.averages)
            return against_distribution(rows, target, scales, weights, smoothing, grad_rows)
        fill_label_scales(
            scales, target, samples, sample_weight, weights, self.ignore_index, rows.shape[1], self.averages
        )
        return against_labels(rows, target, scales, weights, smoothing, grad_rows)

    def hessian_rows(self, rows, target, v_rows, change):
        """change[n] = mₙ (p v - p <p, v>), mₙ = Σₖ t[n, k] / N."""
        weights, smoothing = self.class_weights, self.label_smoothing
        for n in range(rows.shape[0]):
            if target.ndim == rows.ndim:
                mass = sum_mass(target[n], weights, smoothing, rows.dtype.type(0))
            else:
                mass = get_label_mass(target[n], rows.shape[1], weights, smoothing, rows.dtype.type(0))
            _, total = exp_row(rows[n], change[n])
            for k in range(rows.shape[1]):
                change[n, k] /= total
            mean = dot(change[n], v_rows[n])
            for k in range(rows.shape[1]):
                change[n, k] *= self.scales[n] * mass * (v_rows[n, k] - mean)

    def check_label_shape(self, y_shape, target_shape) -> None:
        if len(y_shape) < 2 or target_shape != y_shape:
            super().check_label_shape(y_shape, target_shape)

    def describe_target(self, y_shape, label_shape) -> str:
        return f"target {label_shape} (labels) or {y_shape} (distributions)"

    def _enter_fprop(self, raw, y, target, sample_weight=None):
        shapes = np.shape(y), np.shape(target)
        if len(shapes[0]) == len(shapes[1]) > 2 and not any(known[:2] == shapes for known in self._checked):
            self.check_class_axis(np.asarray(target), shapes[0])
        return super()._enter_fprop(raw, y, target, sample_weight)

    def check_targets(self, target, output_shape) -> None:
        super().check_targets(target, output_shape)
        self.check_class_axis(target, output_shape)

    def check_class_axis(self, target, output_shape) -> None:
        if target.ndim == len(output_shape) > 2 and self.class_axis is None:
            along = [np.allclose(np.sum(target, axis=axis, dtype=np.float64), 1, atol=1e-3) for axis in (1, -1)]
            if along == [True, False]:
                sums = f"the targets {target.shape} add up to 1 along axis 1 and not along the last one"
                raise ValueError(f"{self.label()}: {sums}, expected class_axis=1 for such distributions")

    def distribution(self, y) -> Categorical:
        return Categorical(self.move_classes_last(y))


def sum_mass(target, class_weights, smoothing, zero):
    """Σₖ of a smoothed and weighted distribution."""
    mass = zero
    for k in range(target.size):
        part = target[k]
        if smoothing is not None:
            part = part * (1 - smoothing) + smoothing / target.size
        mass += part * weight_of(class_weights, k)
    return mass


def get_label_mass(label, classes, class_weights, smoothing, zero):
    """Σₖ of the smoothed and weighted distribution of a label; 0 outside the classes (such a label is ignored)."""
    mass = zero
    if label < 0 or label >= classes:
        return mass
    if smoothing is None:
        return mass + weight_of(class_weights, label)
    mass += (1 - smoothing) * weight_of(class_weights, label)
    for k in range(classes):
        mass += smoothing / classes * weight_of(class_weights, k)
    return mass


def against_labels(y, labels, scales, class_weights, smoothing, grad_y):
    """Σₙ scales[n] lₙ of scores y (N, K) and labels (N,); writes grad_y (N, K)."""
    total, some, tops = np.float64(0), rows_together(y.shape[1]), columns_like(y)
    for n in range(y.shape[0]):
        if n % some == 0:
            exp_rows(y[n : n + some], grad_y[n : n + some], tops)
        label, scale = labels[n], scales[n]
        if scale == 0:
            grad_y[n].fill(0)
            continue
        largest, mass = tops[n % some], sum_of(grad_y[n])
        log_of_mass = np.log(mass)
        at_label = scale * weight_of(class_weights, label)
        if smoothing is not None:
            at_label *= 1 - smoothing
        total -= as_double(at_label * log_share(y[n, label], largest, log_of_mass))
        sum_of_targets = at_label
        if smoothing is not None:
            cost = y.dtype.type(0)
            for k in range(y.shape[1]):
                part = scale * smoothing / y.shape[1] * weight_of(class_weights, k)
                cost -= part * log_share(y[n, k], largest, log_of_mass)
                sum_of_targets += part
            total += as_double(cost)
        for k in range(y.shape[1]):
            grad_y[n, k] *= sum_of_targets / mass
        if smoothing is not None:
            for k in range(y.shape[1]):
                grad_y[n, k] -= scale * smoothing / y.shape[1] * weight_of(class_weights, k)
        grad_y[n, label] -= at_label
    return y.dtype.type(total)


def against_distribution(y, target, scales, class_weights, smoothing, grad_y):
    """Σₙ scales[n] lₙ of scores y (N, K) and distributions (N, K); writes grad_y (N, K)."""
    total = np.float64(0)
    for n in range(y.shape[0]):
        scale = scales[n]
        if scale == 0:
            grad_y[n].fill(0)
            continue
        largest, log_of_mass = log_mass(y[n])
        mass = cost = y.dtype.type(0)
        for k in range(y.shape[1]):
            part = target[n, k] * weight_of(class_weights, k)
            if smoothing is not None:
                part = (target[n, k] * (1 - smoothing) + smoothing / y.shape[1]) * weight_of(class_weights, k)
            if part != 0:  # 0 log 0 = 0: a masked score, -inf, may have no probability
                cost -= part * log_share(y[n, k], largest, log_of_mass)
            mass += part
            grad_y[n, k] = part
        total += as_double(scale * cost)
        for k in range(y.shape[1]):
            log_p = log_share(y[n, k], largest, log_of_mass)
            grad_y[n, k] = scale * (np.exp(log_p) * mass - grad_y[n, k])
    return y.dtype.type(total)
