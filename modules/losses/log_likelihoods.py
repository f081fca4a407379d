"""Losses of outputs that are logarithms already: of probabilities, or of expected counts."""

import math

import numpy as np

from ..kernels.buffers import flat, reuse
from ..kernels.sample_weights import fill_label_scales, weight_of
from ..kernels.sums import as_double
from .distributions import Categorical, Poisson
from .label_loss import LabelLoss
from .loss import Reduction, check_at_least, refuse_targets
from .loss_bases import ElementwiseLoss, SampleLoss


class NegativeLogLikelihood(LabelLoss):
    """The log-probability of the right class, negative; the model must end in a LogSoftmax.

        value             = -Σₙ v[t[n]] y[n, t[n]] / Σₙ v[t[n]]
        grad_y[n, t[n]]   = -v[t[n]] / Σₙ v[t[n]], all others 0

    Shapes: y (N, ..., K), target (N, ...) whole numbers 0..K-1, sample_weight (N,).
    Args: class_weights: v, K numbers of at least 0; ignore_index: a label whose rows count nothing; reduction: mean, or
        sum, which is not divided; class_axis: that of the K log-probabilities, by default the last (a LogSoftmax takes
        the last).
    Errors: ValueError for shapes that do not fit and for a label outside 0..K-1.
    Source: Goodfellow et al., Deep Learning, eq. 6.12 (in the draft: section 6.3.2); PyTorch's NLLLoss.
    """

    metrics = ("accuracy",)

    def fprop_rows(self, rows, target, samples, sample_weight, grad_rows):
        self.scales = scales = reuse(self.scales, (rows.shape[0],), rows.dtype)
        weights = self.class_weights
        fill_label_scales(
            scales, target, samples, sample_weight, weights, self.ignore_index, rows.shape[1], self.averages
        )
        total = np.float64(0)
        for n in range(rows.shape[0]):
            grad_rows[n].fill(0)
            if scales[n] != 0:
                scale = scales[n] * weight_of(weights, target[n])
                if scale != 0:  # a class that counts nothing may have the probability 0
                    total -= as_double(scale * rows[n, target[n]])
                    grad_rows[n, target[n]] = -scale
        return rows.dtype.type(total)

    def hessian_rows(self, rows, target, v_rows, change):
        """0: the loss is linear in y."""

    def distribution(self, y) -> Categorical:
        return Categorical(self.move_classes_last(y))


class KLDivergence(SampleLoss):
    """How much the target's distribution t differs from the one whose log-probabilities are y.

        value  = Σₙₖ t[n, k] (log t[n, k] - y[n, k]) / N
        grad_y = -t / N

    Shapes: y and target of one and the same shape (N, ..., K), sample_weight (N,). N counts the first axis.
    Args: log_target: targets are log-probabilities, too; reduction: mean (PyTorch's batchmean) or sum.
    Errors: ValueError for settings out of range, for shapes that do not fit, and for targets out of range.
    Numerics: 0 log 0 = 0, and a y of -inf costs nothing where t is 0.
    Source: Goodfellow et al., Deep Learning, eq. 3.50; PyTorch's KLDivLoss.
    """

    def __init__(self, log_target: bool = False, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.log_target = log_target

    def of_sample(self, y, target, grad_y):
        y, target, grad_y = flat(y), flat(target), flat(grad_y)
        total = y.dtype.type(0)
        for k in range(y.size):
            t = np.exp(target[k]) if self.log_target else target[k]
            grad_y[k] = -t
            if t != 0:
                log_t = target[k] if self.log_target else np.log(target[k])
                total += t * (log_t - y[k])
        return total

    def change_of_sample(self, y, target, v, change):
        """0: the loss is linear in y."""

    def check_targets(self, target, output_shape) -> None:
        if not self.log_target:
            refuse_targets(self, target, (target >= 0) & (target <= 1), "0 to 1")

    def distribution(self, y) -> Categorical:
        return Categorical(y)


class PoissonNLL(ElementwiseLoss):
    """Negative log-likelihood of counts t; y is the logarithm of the expected count.

        value  = Σ (exp(y) - t y + log t!) / size
        grad_y = (exp(y) - t) / size

    Without log_input y is the expected count itself: value = Σ (y - t log(y + eps) + log t!) / size,
    grad_y = (1 - t / (y + eps)) / size.

    Shapes: y and target (counts of at least 0) of one and the same shape, sample_weight (N,).
    Args: log_input: see above; full: with log t!, which does not depend on y (PyTorch leaves it out by default, and
        approximates it); eps: at least 0; reduction: mean (size counts all elements) or sum (size is 1).
    Errors: ValueError for settings out of range, for shapes that do not fit, and for targets out of range.
    Numerics: an expected count beyond the range of the data's type (log 88 in float32) costs infinitely much.
    Source: Bishop and Bishop, Deep Learning, section 3.4 (exponential family); PyTorch's PoissonNLLLoss.
    """

    def __init__(self, log_input: bool = True, full: bool = True, eps: float = 1e-8, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, check_at_least("PoissonNLL", "eps", eps, 0)

    def function(self, y, target):
        constant = math.lgamma(target + 1) if self.full else 0 * target
        log_y = y if self.log_input else np.log(y + self.eps)
        expected = np.exp(y) if self.log_input else y
        return (expected - target * log_y if target != 0 else expected) + constant  # 0 log 0 = 0

    def derivative(self, y, target):
        if self.log_input:
            return np.exp(y) - target
        return 1 - target / (y + self.eps) if target != 0 else 1 - target

    def second_derivative(self, y, target):
        return np.exp(y) if self.log_input else target / ((y + self.eps) * (y + self.eps))

    def check_targets(self, target, output_shape) -> None:
        refuse_targets(self, target, target >= 0, "a count of at least 0")

    def distribution(self, y) -> Poisson:
        y = np.asarray(y, np.float64)
        return Poisson(y if self.log_input else np.log(y + self.eps))
