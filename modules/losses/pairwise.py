"""Losses that compare several outputs: ranking pairs, similar pairs, triplets.

A loss has one output y, so that the outputs to compare are the rows of each sample: a model that maps x (N, 2,
features) to y (N, 2, D) sends both through the same weights.
"""

import numpy as np

from ..kernels.norms import largest_size
from ..kernels.sums import as_double, exact_ratio
from .loss import Reduction, check_at_least, refuse_targets
from .loss_bases import SampleLoss


class PairLoss(SampleLoss):
    """Base of losses of y (N, rows, D) with targets (N,) that are -1 or 1."""

    def __init__(self, shape: tuple, reduction: Reduction):
        super().__init__(reduction)
        self.row_shape = shape

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        fits = len(y_shape) == 1 + len(self.row_shape) and all(
            expected is None or size == expected for size, expected in zip(y_shape[1:], self.row_shape, strict=True)
        )
        if not fits or tuple(target_shape) != tuple(y_shape[:1]):
            expected = ", ".join("D" if size is None else str(size) for size in self.row_shape)
            expected = f"y (N, {expected}) and target (N,)"
            raise ValueError(f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected {expected}")
        return ()

    def check_targets(self, target, output_shape) -> None:
        refuse_targets(self, target, np.abs(target) == 1, "-1 or 1")


class MarginRanking(PairLoss):
    """Which of two scores should be larger: the first where the target is 1, the second where it is -1.

        value     = Σₙ max(0, margin - t (y[n, 0] - y[n, 1])) / N
        grad_y[0] = -t / N where that is above 0, else 0;   grad_y[1] = -grad_y[0]

    Shapes: y (N, 2), target (N,) of -1 or 1, sample_weight (N,).
    Args: margin: at least 0; reduction: mean (N counts samples) or sum (N is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Source: PyTorch's MarginRankingLoss, whose input1 and input2 are the columns of y.
    """

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean"):
        super().__init__((2,), reduction)
        self.margin = check_at_least("MarginRanking", "margin", margin, 0)

    def of_sample(self, y, target, grad_y):
        short = self.margin - target * (y[0] - y[1])
        if short <= 0:
            grad_y[0] = grad_y[1] = 0
            return y.dtype.type(0)
        grad_y[0], grad_y[1] = -target, target
        return short

    def change_of_sample(self, y, target, v, change):
        """0: the loss is linear on both sides of the margin."""


class CosineEmbedding(PairLoss):
    """The cosine of two vectors: 1 where they belong together (1), at most the margin where they do not (-1).

        c         = a·b / |a| |b|,   a = y[n, 0], b = y[n, 1]
        value     = Σₙ (1 - c where t = 1, else max(0, c - margin)) / N
        grad_y[0] = ∓ (b / |a| |b| - c a / |a|²) / N, - where t = 1;   grad_y[1] likewise; 0 where the value is

    Shapes: y (N, 2, D), target (N,) of -1 or 1, sample_weight (N,).
    Args: margin: -1 to 1; reduction: mean (N counts samples) or sum (N is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Numerics: 1e-12 is added to the squared lengths, so that zero vectors have the cosine 0; vectors with numbers above
        1 are divided by the largest first.
    Source: PyTorch's CosineEmbeddingLoss, whose input1 and input2 are the rows of each sample.
    """

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean"):
        super().__init__((2, None), reduction)
        if not -1 <= margin <= 1:
            raise ValueError(f"CosineEmbedding: margin is {margin}, expected -1 to 1")
        self.margin = float(margin)

    def of_sample(self, y, target, grad_y):
        zero, p, q = y.dtype.type(0), find_scale(y[0]), find_scale(y[1])
        aa, bb, cosine = compute_cosine(y[0], p, y[1], q)
        lengths = np.sqrt(aa) * np.sqrt(bb)
        if target != 1 and cosine <= self.margin:
            grad_y[:] = 0
            return zero
        for i in range(y.shape[1]):
            a, b = exact_ratio(y[0, i], p), exact_ratio(y[1, i], q)
            grad_y[0, i] = exact_ratio(-target * (b / lengths - cosine * a / aa), p)
            grad_y[1, i] = exact_ratio(-target * (a / lengths - cosine * b / bb), q)
        return 1 - cosine if target == 1 else cosine - self.margin

    def change_of_sample(self, y, target, v, change):
        """∓ R{∂c/∂a}, R{∂c/∂a} = (v_b - (α + β) b) / |a| |b| - ((R{c} - 2 c α) a + c v_a) / |a|², α = a·v_a / |a|²

        with R{c} = (a·v_b + b·v_a) / |a| |b| - c (α + β); b likewise, with β = b·v_b / |b|².
        """
        p, q = find_scale(y[0]), find_scale(y[1])
        aa, bb, cosine = compute_cosine(y[0], p, y[1], q)
        lengths = np.sqrt(aa) * np.sqrt(bb)
        if target != 1 and cosine <= self.margin:
            return
        alpha, beta = scaled_dot(y[0], p, v[0], p) / aa, scaled_dot(y[1], q, v[1], q) / bb
        turn = (scaled_dot(y[0], p, v[1], q) + scaled_dot(y[1], q, v[0], p)) / lengths - cosine * (alpha + beta)
        for i in range(y.shape[1]):
            a, b = exact_ratio(y[0, i], p), exact_ratio(y[1, i], q)
            v_a, v_b = exact_ratio(v[0, i], p), exact_ratio(v[1, i], q)
            across = (v_b - (alpha + beta) * b) / lengths
            turned = across - ((turn - 2 * cosine * alpha) * a + cosine * v_a) / aa
            change[0, i] = exact_ratio(-target * turned, p)
            across = (v_a - (alpha + beta) * a) / lengths
            turned = across - ((turn - 2 * cosine * beta) * b + cosine * v_b) / bb
            change[1, i] = exact_ratio(-target * turned, q)


def find_scale(a):
    """Find a divisor of a vector for squaring: its largest size, if that is above 1 and finite."""
    largest = largest_size(a)
    return largest if 1 < largest < np.inf else 0 * largest + 1


def compute_cosine(a, p, b, q):
    """Compute the squared lengths of a / p and b / q, and the cosine."""
    aa = scaled_dot(a, p, a, p) + exact_ratio(exact_ratio(1e-12, p), p)
    bb = scaled_dot(b, q, b, q) + exact_ratio(exact_ratio(1e-12, q), q)
    return aa, bb, scaled_dot(a, p, b, q) / (np.sqrt(aa) * np.sqrt(bb))


def scaled_dot(a, p, b, q):
    """Σₖ (a[k] / p) (b[k] / q)."""
    total = np.float64(0)
    for k in range(a.size):
        total += as_double(exact_ratio(a[k], p) * exact_ratio(b[k], q))
    return a.dtype.type(total)


class Triplet(PairLoss):
    """An anchor should be nearer to the first of two others than to the second, by the margin.

        value  = Σₙ max(0, margin + d(a, b) - d(a, c)) / N,   d(u, v) = (Σᵢ |uᵢ - vᵢ + eps|ᵖ)^(1/p)
        grad_b = -∂d(a, b), grad_c = ∂d(a, c), grad_a = -grad_b - grad_c, over N; 0 where the value is
        ∂d[i]  = sign(zᵢ) (|zᵢ| / d)ᵖ⁻¹,   zᵢ = uᵢ - vᵢ + eps

    The rows of a sample are the anchor a, then b and c; where the target is -1, b and c change places.

    Shapes: y (N, 3, D), target (N,) of -1 or 1, sample_weight (N,).
    Args: margin: at least 0; p: norm, at least 1; eps: keeps equal points apart; reduction: mean (N counts samples) or
        sum (N is 1).
    Errors: ValueError for settings out of range, and for shapes that do not fit.
    Source: Balntas et al., Learning shallow convolutional feature descriptors with triplet losses (2016); PyTorch's
        TripletMarginLoss (anchor, positive, negative) where all targets are 1.
    """

    def __init__(self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, reduction: Reduction = "mean"):
        super().__init__((3, None), reduction)
        self.margin = check_at_least("Triplet", "margin", margin, 0)
        self.p, self.eps = check_at_least("Triplet", "p", p, 1), check_at_least("Triplet", "eps", eps, 0)

    def of_sample(self, y, target, grad_y):
        b, c = (1, 2) if target == 1 else (2, 1)
        near, far = self.distance(y[0], y[b]), self.distance(y[0], y[c])
        short = self.margin + near - far
        grad_y[:] = 0
        if short <= 0:
            return y.dtype.type(0)
        for i in range(y.shape[1]):
            pull, push = self.slope(y[0, i] - y[b, i], near), self.slope(y[0, i] - y[c, i], far)
            grad_y[0, i], grad_y[b, i], grad_y[c, i] = pull - push, -pull, push
        return short

    def change_of_sample(self, y, target, v, change):
        """That of ∂d(a, b) and ∂d(a, c): R{∂d[i]} = (p - 1) ((|zᵢ| / d)ᵖ⁻² R{zᵢ} - ∂d[i] Σⱼ ∂d[j] R{zⱼ}) / d"""
        b, c = (1, 2) if target == 1 else (2, 1)
        near, far = self.distance(y[0], y[b]), self.distance(y[0], y[c])
        if self.margin + near - far > 0:
            self.add_turn(y, v, b, near, 1, change)
            self.add_turn(y, v, c, far, -1, change)

    def add_turn(self, y, v, other, distance, sign, change):
        """Add the change of ∂d(y[0], y[other]) along v, times the sign; 0 between equal points."""
        if distance == 0:
            return
        projection = y.dtype.type(0)
        for i in range(y.shape[1]):
            projection += self.slope(y[0, i] - y[other, i], distance) * (v[0, i] - v[other, i])
        for i in range(y.shape[1]):
            size = abs(y[0, i] - y[other, i] + self.eps) / distance
            bend = 0 * size if size == 0 and self.p != 2 else size ** (self.p - 2)
            turn = bend * (v[0, i] - v[other, i]) - self.slope(y[0, i] - y[other, i], distance) * projection
            turn *= sign * (self.p - 1) / distance
            change[0, i] += turn
            change[other, i] -= turn

    def distance(self, u, v):
        """The p-norm of u - v, from their largest difference, so that no power overflows."""
        largest = u.dtype.type(0)
        for i in range(u.size):
            size = abs(u[i] - v[i] + self.eps)
            if not size <= largest:  # NaN is not hidden
                largest = size
        if largest == 0:
            return largest
        total = u.dtype.type(0)
        for i in range(u.size):
            total += (abs(u[i] - v[i] + self.eps) / largest) ** self.p
        return largest * total ** (1 / self.p)

    def slope(self, difference, distance):
        """∂d[i]; 0 between equal points."""
        z = difference + self.eps
        if distance == 0:
            return 0 * distance
        return np.sign(z) * (abs(z) / distance) ** (self.p - 1)
