"""The loss of several labels for one sample."""

import numpy as np

from ..kernels.buffers import flat
from ..kernels.elementary_functions import sigmoid, softplus
from ..kernels.sample_weights import weight_of
from ..kernels.sums import as_double
from .distributions import Bernoulli
from .loss import Reduction, as_class_weights, refuse_targets
from .loss_bases import SampleLoss


class MultiLabelSoftMargin(SampleLoss):
    """Logistic regression for each of K classes, of which a sample may have any number.

        value        = -Σₙₖ v[k] (t log σ(y[n, k]) + (1 - t) log σ(-y[n, k])) / K / N,   t = t[n, k]
        grad_y[n, k] = v[k] (σ(y[n, k]) - t[n, k]) / K / N

    Shapes: y and target (0 to 1) (N, ..., K), sample_weight (N,).
    Args: class_weights: v, K numbers of at least 0; reduction: mean (N counts samples), sum (N is 1) or none.
    Errors: ValueError for settings out of range, for shapes that do not fit, and for targets out of range.
    Numerics: softplus, which never overflows.
    Source: PyTorch's MultiLabelSoftMarginLoss.
    """

    def __init__(self, class_weights: list[float] | None = None, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.class_weights = as_class_weights("MultiLabelSoftMargin", "class_weights", class_weights)

    def of_sample(self, y, target, grad_y):
        y, target, grad_y, classes = flat(y), flat(target), flat(grad_y), y.shape[-1]
        total = np.float64(0)
        for i in range(y.size):
            weight = y.dtype.type(weight_of(self.class_weights, i % classes)) / y.size
            total += as_double(weight * (target[i] * softplus(-y[i]) + (1 - target[i]) * softplus(y[i])))
            grad_y[i] = weight * ((1 - target[i]) * sigmoid(y[i]) - target[i] * sigmoid(-y[i]))
        return y.dtype.type(total)

    def change_of_sample(self, y, target, v, change):
        """v[k] σ(y) σ(-y) v_y / K"""
        y, v, change, classes = flat(y), flat(v), flat(change), y.shape[-1]
        for i in range(y.size):
            weight = y.dtype.type(weight_of(self.class_weights, i % classes)) / y.size
            change[i] = weight * sigmoid(y[i]) * sigmoid(-y[i]) * v[i]

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        if self.class_weights is not None and len(y_shape) > 1 and len(self.class_weights) != y_shape[-1]:
            raise ValueError(f"{self.label()}: y has {y_shape[-1]} scores, class_weights {len(self.class_weights)}")
        return super().check_arguments(y_shape, target_shape, weight_shape)

    def check_targets(self, target, output_shape) -> None:
        refuse_targets(self, target, (target >= 0) & (target <= 1), "0 to 1")

    def distribution(self, y) -> Bernoulli:
        return Bernoulli(scores=y)
