"""Margin losses: hinge, squared hinge, soft margin and others."""

import numpy as np

from ..kernels.buffers import reuse
from ..kernels.elementary_functions import sigmoid, softplus
from ..kernels.sample_weights import fill_label_scales, weight_of
from ..kernels.sums import as_double
from .label_loss import LabelLoss
from .loss import Reduction, check_at_least, refuse_targets
from .loss_bases import ElementwiseLoss


class MarginLoss(ElementwiseLoss):
    """Base of the losses of scores y with targets -1 or 1, one for each score."""

    def check_targets(self, target, output_shape) -> None:
        refuse_targets(self, target, np.abs(target) == 1, "-1 or 1")


class Hinge(MarginLoss):
    """How far each score is from being right by the margin: the loss of support vector machines.

        value  = Σ max(0, margin - t y) / size
        grad_y = -t / size where t y < margin, else 0

    Shapes: y and target (-1 or 1) of one and the same shape, sample_weight (N,).
    Args: margin: a finite number of at least 0; reduction: mean (size counts all elements) or sum (size is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Source: Bishop, Pattern Recognition and Machine Learning, eq. 7.45; scikit-learn's hinge_loss.
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.margin = check_at_least("Hinge", "margin", margin, 0)

    def function(self, y, target):
        return max(self.margin - target * y, 0)

    def derivative(self, y, target):
        return -target if target * y < self.margin else 0 * target

    def second_derivative(self, y, target):
        return 0


class Perceptron(MarginLoss):
    """How far a score is on the wrong side: the perceptron's criterion, whose stochastic gradient step is its rule.

        value  = Σ max(0, -t y) / size
        grad_y = -t / size where t y <= 0, else 0

    A step of SGD with lr 1 on one sample, with y = w x + b, is Rosenblatt's rule: w += t x where the sample is wrong,
    and nothing where it is right. A score of 0 counts as wrong, so that training may start at w = 0; there the gradient
    is one of several, as at every kink.

    Shapes: y and target (-1 or 1) of one and the same shape, sample_weight (N,).
    Args: reduction: mean (size counts all elements) or sum (size is 1).
    Source: Rosenblatt, The perceptron (1958); Bishop, Pattern Recognition and Machine Learning, eq. 4.54 and 4.55.
    """

    def function(self, y, target):
        return max(-target * y, 0)

    def derivative(self, y, target):
        return 0 * target if target * y > 0 else -target

    def second_derivative(self, y, target):
        return 0


class SquaredHinge(MarginLoss):
    """The square of the hinge: smooth where the margin is reached.

        value  = Σ max(0, margin - t y)² / size
        grad_y = -2 t max(0, margin - t y) / size

    Shapes: y and target (-1 or 1) of one and the same shape, sample_weight (N,).
    Args: margin: at least 0; reduction: mean (size counts all elements) or sum (size is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Source: Tang, Deep Learning using Linear Support Vector Machines (2013), eq. 5.
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.margin = check_at_least("SquaredHinge", "margin", margin, 0)

    def function(self, y, target):
        short = max(self.margin - target * y, 0)
        return short * short

    def derivative(self, y, target):
        return -2 * target * max(self.margin - target * y, 0)

    def second_derivative(self, y, target):
        return 2 * target * target if target * y < self.margin else 0


class SoftMargin(MarginLoss):
    """The hinge without a corner: logistic regression with targets -1 and 1.

        value  = Σ log(1 + exp(-t y)) / size
        grad_y = -t σ(-t y) / size

    Shapes: y and target (-1 or 1) of one and the same shape, sample_weight (N,).
    Args: reduction: mean (size counts all elements) or sum (size is 1).
    Numerics: softplus, which never overflows.
    Source: Bishop, Pattern Recognition and Machine Learning, eq. 7.47; PyTorch's SoftMarginLoss.
    """

    def function(self, y, target):
        return softplus(-target * y)

    def derivative(self, y, target):
        return -target * sigmoid(-target * y)

    def second_derivative(self, y, target):
        return target * target * sigmoid(target * y) * sigmoid(-target * y)


class HingeEmbedding(MarginLoss):
    """Distances y: small where the pair is alike (1), beyond the margin where it is not (-1).

        value  = Σ (y where t = 1, else max(0, margin - y)) / size
        grad_y = (1 where t = 1, else -1 where y < margin, else 0) / size

    Shapes: y (a distance each) and target (-1 or 1) of one and the same shape, sample_weight (N,).
    Args: margin: a finite number of at least 0; reduction: mean (size counts all elements) or sum (size is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Source: PyTorch's HingeEmbeddingLoss.
    """

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.margin = check_at_least("HingeEmbedding", "margin", margin, 0)

    def function(self, y, target):
        return y if target == 1 else max(self.margin - y, 0)

    def derivative(self, y, target):
        return target if target == 1 or y < self.margin else 0 * target

    def second_derivative(self, y, target):
        return 0


class MultiMargin(LabelLoss):
    """The right class's score should lead every other one by the margin.

        value     = Σₙ Σ_{k≠t} v[t] max(0, margin - y[n, t] + y[n, k])ᵖ / K / N
        grad_y[k] = v[t] p max(0, margin - y[t] + y[k])ᵖ⁻¹ / K / N for k ≠ t; grad_y[t] = -Σ_{k≠t} grad_y[k]

    Shapes: y (N, ..., K), target (N, ...) whole numbers 0..K-1, sample_weight (N,). N counts all rows.
    Args: p: 1 or 2; margin: at least 0; class_weights: v, K numbers of at least 0; ignore_index: a label whose rows
        count nothing; reduction: mean or sum; class_axis: that of the K scores, by default the last.
    Errors: ValueError for shapes that do not fit and for a label outside 0..K-1.
    Source: Weston and Watkins, Support Vector Machines for Multi-Class Pattern Recognition (1999); PyTorch's
        MultiMarginLoss.
    """

    metrics = ("accuracy",)
    divides_by_class_weights = False

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        class_weights: list[float] | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        class_axis: int | None = None,
    ):
        super().__init__(class_weights, ignore_index, reduction, class_axis)
        if p not in (1, 2):
            raise ValueError(f"MultiMargin: p is {p}, expected 1 or 2")
        self.p, self.margin = p, check_at_least("MultiMargin", "margin", margin, 0)

    def fprop_rows(self, rows, target, samples, sample_weight, grad_rows):
        self.scales = reuse(self.scales, (rows.shape[0],), rows.dtype)
        fill_label_scales(
            self.scales, target, samples, sample_weight, None, self.ignore_index, rows.shape[1], self.averages
        )
        total = np.float64(0)
        for n in range(rows.shape[0]):
            grad_rows[n].fill(0)
            if self.scales[n] != 0:
                scale = self.scales[n] * weight_of(self.class_weights, target[n]) / rows.shape[1]
                total += as_double(self.row(rows[n], target[n], grad_rows[n], scale))
        return rows.dtype.type(total)

    def row(self, y, label, grad_y, scale):
        """scale Σ_{k≠label} max(0, margin - y[label] + y[k])ᵖ; writes grad_y."""
        total, pull = y.dtype.type(0), y.dtype.type(0)
        for k in range(y.size):
            short = self.margin - y[label] + y[k]
            if k != label and not short <= 0:  # NaN is not hidden
                total += short if self.p == 1 else short * short
                grad_y[k] = scale if self.p == 1 else 2 * scale * short
                pull += grad_y[k]
        grad_y[label] = -pull
        return scale * total

    def hessian_rows(self, rows, target, v_rows, change):
        """2 v[t] (v_y[k] - v_y[t]) / K / N for each k short of the margin and p = 2; 0 for p = 1."""
        for n in range(rows.shape[0] if self.p == 2 else 0):
            label = target[n]
            if self.scales[n] != 0:
                scale = 2 * self.scales[n] * weight_of(self.class_weights, label) / rows.shape[1]
                for k in range(rows.shape[1]):
                    if k != label and self.margin - rows[n, label] + rows[n, k] > 0:
                        part = scale * (v_rows[n, k] - v_rows[n, label])
                        change[n, k] += part
                        change[n, label] -= part
