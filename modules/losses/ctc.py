"""Connectionist temporal classification: labels of a sequence without their places in time."""

import numpy as np

from ..kernels.buffers import reuse, reuse_like
from ..kernels.ctc import check_sequence, count_labels, ctc
from ..kernels.sample_weights import fill_scales, multiply_parts
from ..kernels.sums import as_double
from ..kernels.threads import parallel_for
from .label_loss import as_whole_number
from .loss import Loss, Reduction, refuse_targets

FLOPS = 60  # of one state in one step


class CTC(Loss):
    """Negative log-likelihood of a sequence of labels under scores for each step, summed over all alignments.

        value        = Σₙ -log P(l[n] | y[n]) / |l[n]| / N,   P(l | y) = Σ over paths π that read as l of Πₜ p[t, π[t]]
        grad_y[n, t] = (p[t] - P(π[t] = · | l[n], y[n])) / |l[n]| / N,   p = softmax y

    A path is a label or the blank for each step; it reads as l if repetitions of one label, and then blanks, are left
    out: a model needs no alignment of the labels with the steps. The scores become probabilities by the loss itself;
    log-probabilities are scores, too.

    Shapes: y (N, T, K); target (N, S) whole numbers 0..K-1 other than the blank, then ignore_index up to S; with
        input_lengths (N, 1 + S), its first column the number of steps of y[n] that count, 1 to T; sample_weight (N,).
    Args: blank: the class that stands for no label; ignore_index: what fills up short targets; reduction: mean, over
        the labels of a target (at least 1) and then over samples, the sum of both, or none; zero_infinity: a target
        with more labels than there are steps, which no path reads as, costs 0 and not infinity; input_lengths: see
        Shapes.
    Errors: ValueError for a blank outside of 0..K-1, shapes that do not fit, and labels or lengths out of range;
        before a training for a target that needs more steps than there are (without zero_infinity).
    Numerics: log space; the variables of each step are divided by the largest, and the sum is float64.
    Source: Graves et al., Connectionist temporal classification (2006), eq. 5 to 16; PyTorch's CTCLoss, which takes
        (T, N, K) log-probabilities and lengths.
    """

    label_arguments = (1,)
    takes_sample_weight = True
    has_values = True

    def __init__(
        self,
        blank: int = 0,
        ignore_index: int = -1,
        reduction: Reduction = "mean",
        zero_infinity: bool = False,
        input_lengths: bool = False,
    ):
        super().__init__(reduction)
        self.blank = as_whole_number("CTC", "blank", blank)
        self.ignore_index = as_whole_number("CTC", "ignore_index", ignore_index)
        if self.blank is None or self.blank < 0:
            raise ValueError(f"CTC: blank is {blank}, expected a class, 0 or more")
        if self.ignore_index is None or self.blank == self.ignore_index:
            raise ValueError(f"CTC: ignore_index is {ignore_index}, expected a whole number other than the blank")
        self.zero_infinity, self.input_lengths = bool(zero_infinity), bool(input_lengths)
        self.grad_y, self.alpha, self.betas = np.empty((0, 0, 0)), np.empty((0, 0, 0)), np.empty((0, 0, 0))
        self.scales, self.costs = np.empty(0), np.empty(0)

    def fprop(self, y, target, sample_weight=None):
        samples, states = y.shape[0], 2 * target.shape[1] + 1
        self.grad_y = reuse_like(self.grad_y, y)
        self.scales, self.costs = reuse(self.scales, (samples,), y.dtype), reuse(self.costs, (samples,), y.dtype)
        self.alpha = reuse(self.alpha, (samples, y.shape[1], states), y.dtype)
        self.betas = reuse(self.betas, (samples, 3, states), y.dtype)
        fill_scales(self.scales, samples, sample_weight, self.averages)
        parallel_for(
            run_samples, samples, FLOPS * self.alpha.size, y, target, self.blank, self.ignore_index, self.averages,
            self.zero_infinity, self.input_lengths, self.scales, self.alpha, self.betas, self.costs, self.grad_y,
        )  # fmt: skip
        if self.each is not None:
            return self.costs
        total = np.float64(0)
        for n in range(samples):
            total += as_double(self.costs[n])
        return y.dtype.type(total)

    def bprop(self, grad_values=None):
        if grad_values is not None:
            self.grad_each = reuse_like(self.grad_each, self.grad_y)
            multiply_parts(self.grad_y, grad_values, self.grad_each)
            return self.grad_each
        return self.grad_y

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        if len(y_shape) != 3 or len(target_shape) != 2 or target_shape[0] != y_shape[0]:
            expected = "y (N, T, K) and target (N, S)"
            raise ValueError(f"{self.label()}: y has shape {y_shape} and target {target_shape}, expected {expected}")
        if self.blank >= y_shape[2]:
            raise ValueError(f"{self.label()}: y has {y_shape[2]} scores, expected more than {self.blank}, the blank")
        if target_shape[1] <= self.input_lengths:
            raise ValueError(f"{self.label()}: target has shape {target_shape}, expected a column of labels at least")
        return ()

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        self.check_arguments(output_shape, target_shape)

    def check_targets(self, target, output_shape) -> None:
        steps, classes = output_shape[1:]
        lengths = np.full(len(target), steps)
        if self.input_lengths:
            lengths, target = target[:, 0], target[:, 1:]
            refuse_targets(self, lengths, (lengths >= 1) & (lengths <= steps), f"1..{steps}", "length")
        inside = (target >= 0) & (target < classes) & (np.floor(target) == target)
        within = np.cumsum(target == self.ignore_index, axis=1) == 0
        refuse_targets(self, target, inside | ~within, f"0..{classes - 1}", "label")
        refuse_targets(self, target, (target != self.blank) | ~within, "a label other than the blank", "label")
        if not self.zero_infinity:
            repeated = ((target[:, 1:] == target[:, :-1]) & within[:, 1:]).sum(axis=1)
            needed = within.sum(axis=1) + repeated
            wrong = np.flatnonzero(needed > lengths)
            if wrong.size:
                row = wrong[0]
                text = f"{self.label()}: the target in row {row} needs {needed[row]} steps, y has {int(lengths[row])}"
                raise ValueError(f"{text}; zero_infinity=True leaves such samples out")

    def check_labels(self, target) -> None:
        shape = self.grad_y.shape  # of the scores that a pass began with
        if np.ndim(target) == 2 and len(shape) == 3 and len(target) == shape[0]:
            self.check_targets(np.asarray(target), shape)


def run_samples(
    first, last, y, target, blank, padding, averages, zero_infinity, input_lengths, scales, alpha, betas, costs, grad_y
):
    """The costs and gradients of the samples `first` to `last`, each times its scale."""
    for n in range(first, last):
        grad, labels, steps = grad_y[n], target[n], y.shape[1]
        grad[:], costs[n] = 0, 0
        if scales[n] == 0:
            continue
        if input_lengths:
            labels, steps = target[n][1:], target[n, 0]
            if steps < 1 or steps > y.shape[1]:
                raise ValueError("a length of a CTC target lies outside of 1..T")
        count = count_labels(labels, padding)
        check_sequence(labels, count, blank, y.shape[2])
        states = 2 * count + 1
        cost = ctc(y[n][:steps], labels[:count], blank, alpha[n][:steps, :states], betas[n][:, :states], grad[:steps])
        scale = scales[n] / max(1, count) if averages else scales[n]
        if zero_infinity and cost == np.inf:
            continue
        costs[n] = scale * cost
        for t in range(steps):
            for k in range(grad.shape[1]):
                grad[t, k] *= scale
