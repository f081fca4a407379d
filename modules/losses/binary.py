"""Binary losses: targets 0 and 1 (or probabilities between), one for each output."""

import numpy as np

from ..kernels.buffers import flat, reuse, reuse_like
from ..kernels.elementary_functions import sigmoid, softplus
from ..kernels.sample_weights import fill_scales, multiply_parts, weight_of
from ..kernels.softplus_precision import binary_cost
from ..kernels.sums import as_double
from .distributions import Bernoulli
from .loss import Loss, Reduction, as_class_weights, check_at_least, refuse_targets
from .loss_bases import ElementwiseLoss

FAR = 1e30  # a score of Focal as good as infinite, whose products with 0 are 0


class BinaryCrossEntropy(ElementwiseLoss):
    """Negative log-likelihood of targets t under probabilities y; the model must end in a Sigmoid.

        value  = -Σ w (t log y + (1 - t) log(1 - y)) / size
        grad_y = w (y - t) / (y (1 - y)) / size

    Shapes: y (in 0..1) and target (in 0..1) of one and the same shape (N, ..., K), or (N,) for K = 1; sample_weight
        (N,).
    Args: reduction: mean (size counts all elements), sum (size is 1) or none; weight: w, what an element counts: a
        number, or one for each of the K columns.
    Errors: ValueError for settings out of range, for shapes that do not fit, and for targets out of range.
    Numerics: each logarithm is at least -100 and y (1 - y) at least 1e-12, so that 0 and 1 give finite numbers;
        BinaryCrossEntropyWithLogits needs neither.
    Source: Goodfellow et al., Deep Learning, section 6.2.2.2, in the draft 6.3.2; PyTorch's BCELoss.
    """

    def __init__(self, reduction: Reduction = "mean", weight: float | list[float] | None = None):
        super().__init__(reduction)
        self.weight = self.column_weights = as_column_weights("BinaryCrossEntropy", "weight", weight)

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        check_columns(self, y_shape, weight=self.weight)
        return super().check_arguments(y_shape, target_shape)

    def function(self, y, target):
        return -(target * max(np.log(y), -100) + (1 - target) * max(np.log1p(-y), -100))

    def derivative(self, y, target):
        return (y - target) / max(y * (1 - y), 1e-12)

    def second_derivative(self, y, target):
        spread = max(y * (1 - y), 1e-12)
        return (spread - (y - target) * (1 - 2 * y)) / (spread * spread)

    def check_targets(self, target, output_shape) -> None:
        refuse_targets(self, target, (target >= 0) & (target <= 1), "0 to 1")

    def distribution(self, y) -> Bernoulli:
        return Bernoulli(probabilities=y)


class BinaryCrossEntropyWithLogits(Loss):
    """Negative log-likelihood of targets t under the sigmoid of the scores y.

        value  = Σ w (v t softplus(-y) + (1 - t) softplus(y)) / size,   softplus(y) = log(1 + exp y)
        grad_y = w ((1 - t) σ(y) - v t σ(-y)) / size

    Shapes: y and target (in 0..1) of one and the same shape (N, ..., K), or (N,) for K = 1; sample_weight (N,).
    Args: pos_weight: v, what a 1 counts: a number, or one for each of the K columns; reduction: mean (size counts all
        elements), sum (size is 1) or none; weight: w, what an element counts, likewise.
    Errors: ValueError for settings out of range, for shapes that do not fit, and for targets out of range.
    Numerics: softplus(y) = max(y, 0) + log(1 + exp(-|y|)), so scores of any size cost at most their size.
    Source: Goodfellow et al., Deep Learning, eq. 6.26 (in the draft: section 6.3.2); PyTorch's BCEWithLogitsLoss.
    """

    takes_sample_weight = True
    has_values = True

    def __init__(
        self,
        pos_weight: float | list[float] | None = None,
        reduction: Reduction = "mean",
        weight: float | list[float] | None = None,
    ):
        super().__init__(reduction)
        self.pos_weight = as_column_weights("BinaryCrossEntropyWithLogits", "pos_weight", pos_weight)
        self.weight = as_column_weights("BinaryCrossEntropyWithLogits", "weight", weight)
        self.grad_y, self.scales = np.empty((0, 0)), np.empty(0)

    def fprop(self, y, target, sample_weight=None):
        self.grad_y = reuse_like(self.grad_y, y)
        columns, total = count_columns(y), np.float64(0)
        if self.each is not None:
            return self.compute_values(y, target, sample_weight, columns)
        self.scales = reuse(self.scales, (y.size // columns,), y.dtype)
        fill_scales(self.scales, y.shape[0], sample_weight, self.averages)
        scale = y.dtype.type(1)
        if self.averages:
            scale = scale / columns
        y, target, grad_y = flat(y), flat(target), flat(self.grad_y)
        for n in range(self.scales.size):
            rows = slice(n * columns, (n + 1) * columns)
            if self.scales[n] == 0:
                grad_y[rows].fill(0)
            else:
                total += as_double(self.row(y[rows], target[rows], grad_y[rows], scale * self.scales[n], 0))
        return self.grad_y.dtype.type(total)

    def compute_values(self, y, target, sample_weight, columns):
        """l of each element, times its sample's weight; writes grad_y likewise."""
        self.values, size = reuse_like(self.values, y), y.size // y.shape[0]
        y, target, grad_y, values = flat(y), flat(target), flat(self.grad_y), flat(self.values)
        for i in range(y.size):
            weight, place = y.dtype.type(weight_of(sample_weight, i // size)), slice(i, i + 1)
            if weight == 0:
                values[i], grad_y[i] = 0, 0
            else:
                values[i] = self.row(y[place], target[place], grad_y[place], weight, i % columns)
        return self.values

    def row(self, y, target, grad_y, scale, first):
        """scale Σₖ l(y[k], target[k]) of columns from `first` on; writes grad_y."""
        total = y.dtype.type(0)
        for k in range(y.size):
            yes, no = target[k], 1 - target[k]
            if self.pos_weight is not None:
                yes *= self.pos_weight[(first + k) % self.pos_weight.size]
            if self.weight is not None:
                weight = self.weight[(first + k) % self.weight.size]
                yes, no = weight * yes, weight * no
            total += binary_cost(yes, no, y[k])
            grad_y[k] = scale * (no * sigmoid(y[k]) - yes * sigmoid(-y[k]))
        return scale * total

    def hessian_times(self, y, target, v):
        """w (v t + 1 - t) σ(y) σ(-y) times the direction, over size: the change of grad_y along it, without weights."""
        out, columns = np.empty(v.shape, v.dtype), count_columns(y)
        scale = self.scales[0]
        if self.averages:
            scale = scale / columns
        y, target, v, change = flat(y), flat(target), flat(v), flat(out)
        for i in range(y.size):
            yes, no = target[i], 1 - target[i]
            if self.pos_weight is not None:
                yes *= self.pos_weight[i % columns % self.pos_weight.size]
            if self.weight is not None:
                weight = self.weight[i % columns % self.weight.size]
                yes, no = weight * yes, weight * no
            change[i] = scale * (yes + no) * sigmoid(y[i]) * sigmoid(-y[i]) * v[i]
        return out

    def bprop(self, grad_values=None):
        if grad_values is not None:
            self.grad_each = reuse_like(self.grad_each, self.grad_y)
            multiply_parts(self.grad_y, grad_values, self.grad_each)
            return self.grad_each
        return self.grad_y

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        check_columns(self, y_shape, pos_weight=self.pos_weight, weight=self.weight)
        return super().check_arguments(y_shape, target_shape)

    def check_targets(self, target, output_shape) -> None:
        refuse_targets(self, target, (target >= 0) & (target <= 1), "0 to 1")

    def distribution(self, y) -> Bernoulli:
        return Bernoulli(y)


def as_column_weights(who: str, name: str, weights) -> np.ndarray | None:
    """Convert a weight, or a list of them, to an array; None stays."""
    return as_class_weights(who, name, [weights] if isinstance(weights, int | float) else weights)


def check_columns(loss: Loss, y_shape, **weights: np.ndarray | None) -> None:
    """Raise ValueError unless there is one weight, or one for each column of y."""
    columns = y_shape[-1] if len(y_shape) > 1 else 1
    for name, each in weights.items():
        if each is not None and len(each) not in (1, columns):
            raise ValueError(f"{loss.label()}: y has {columns} columns, {name} {len(each)}")


def count_columns(y):
    """K of scores (N, ..., K); 1 of scores (N,)."""
    return y.shape[-1] if y.ndim > 1 else 1


class Focal(ElementwiseLoss):
    """Binary cross-entropy that forgets what is right already, for classes of very different sizes.

        value  = Σ a (1 - p)ᵞ (-log p) / size,   p = σ(s), s = y where t = 1, -y where t = 0: the target's probability
        grad_y = ± a (1 - p)ᵞ (γ p log p - (1 - p)) / size, + where t = 1

    Shapes: y (scores) and target (0 or 1) of one and the same shape, sample_weight (N,).
    Args: gamma: γ, at least 0, where 0 is plain cross-entropy; alpha: a of the ones, 1 - alpha that of the zeros, or
        None for 1; reduction: mean (size counts all elements) or sum (size is 1).
    Errors: ValueError for settings out of range, for shapes that do not fit, and for targets out of range.
    Numerics: -log p = softplus(-s) and (1 - p)ᵞ = exp(-γ softplus(s)); at ±infinity the limits.
    Source: Lin et al., Focal Loss for Dense Object Detection (2017), eq. 5; torchvision's sigmoid_focal_loss.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = 0.25, reduction: Reduction = "mean"):
        super().__init__(reduction)
        self.gamma = check_at_least("Focal", "gamma", gamma, 0)
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"Focal: alpha is {alpha}, expected 0 to 1 or None")
        self.alpha = None if alpha is None else float(alpha)

    def weight(self, target):
        if self.alpha is None:
            return 1
        return self.alpha * target + (1 - self.alpha) * (1 - target)

    def function(self, y, target):
        score = min((2 * target - 1) * y, FAR)
        return self.weight(target) * np.exp(-self.gamma * softplus(score)) * softplus(-score)

    def derivative(self, y, target):
        sign = 2 * target - 1
        score = max(min(sign * y, FAR), -FAR)
        slope = self.gamma * sigmoid(score) * softplus(-score) + sigmoid(-score)
        return -sign * self.weight(target) * np.exp(-self.gamma * softplus(score)) * slope

    def second_derivative(self, y, target):
        """a (1 - p)ᵞ (γ p A - p (1 - p) (γ (-log p) - γ - 1)), with A = γ p (-log p) + 1 - p"""
        score = max(min((2 * target - 1) * y, FAR), -FAR)
        p, q, cost = sigmoid(score), sigmoid(-score), softplus(-score)
        change = self.gamma * p * (self.gamma * p * cost + q) - p * q * (self.gamma * (cost - 1) - 1)
        return self.weight(target) * np.exp(-self.gamma * softplus(score)) * change

    def check_targets(self, target, output_shape) -> None:
        refuse_targets(self, target, (target == 0) | (target == 1), "0 or 1")

    def distribution(self, y) -> Bernoulli:
        return Bernoulli(y)
