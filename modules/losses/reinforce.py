"""REINFORCE: a loss as the reward of each sample, from which stochastic units inside a model learn."""

from typing import Literal

import numpy as np

from ..core.parameter import Buffer
from ..kernels.buffers import reuse, reuse_like
from ..kernels.sums import as_double, dot, sum_of
from .loss import Loss, check_at_least


class Reinforce(Loss):
    """The mean of another loss, and an estimate of its gradient for the units that drew s at random before it.

        value          = Σₙ c[n] / N,   c[n] = loss(out[n], target[n]),   y = [out, log_p] or [out, log_p, b]
        grad_out[n]    = ∂c[n]/∂out / N
        grad_log_p[n]  = (c[n] - baseline[n]) / max(1, σ) N
        grad_b[n]      = 2 (baseline[n] - c[n]) / N                           if the baseline depends on the input

    with baseline[n] the running mean of c, or that plus b[n], and σ the running deviation of c - baseline. Any baseline
    that does not know of s leaves the mean of the estimate as it is, and a good one takes most of its variance away.
    b is a column of the model's, such as a branch of a Concat beside BernoulliUnits; it learns by squared error.
    What runs is that of the steps before: bprop takes this one in.

    Shapes: y (N, M + 1), or (N, M + 2) with a column b; target as the other loss has it, for an output (N, M).
    Args: loss: any loss; baseline: none, running or input; normalize: divide by max(1, σ); momentum: how much a
        minibatch counts in what runs, above 0 to 1.
    Errors: ValueError for such settings, and for what the other loss refuses.
    Numerics: the gradient is an estimate and no derivative of the value, so checks leave it out.
    Source: Williams, REINFORCE (1992); Mnih and Gregor, Neural variational inference and learning in belief networks
        (2014), section 2.3; Goodfellow et al., Deep Learning, section 20.9.1, in the draft 6.4.5.
    """

    estimates = True

    def __init__(
        self,
        loss: Loss,
        baseline: Literal["none", "running", "input"] = "running",
        normalize: bool = True,
        momentum: float = 0.1,
    ):
        super().__init__()
        if not isinstance(loss, Loss):
            raise TypeError(f"Reinforce: loss is {loss!r}, expected a Loss")
        if baseline not in ("none", "running", "input"):
            raise ValueError(f"Reinforce: baseline is {baseline!r}, expected 'none', 'running' or 'input'")
        self.momentum = check_at_least("Reinforce", "momentum", momentum, 0, strictly=True)
        if momentum > 1:
            raise ValueError(f"Reinforce: momentum is {momentum}, expected a number of at most 1")
        self.loss, self.baseline, self.normalize = loss, baseline, normalize
        self.label_arguments, self.jit = loss.label_arguments, loss.jit
        self.takes_distributions = loss.takes_distributions
        self.running_mean, self.running_var = Buffer(np.zeros(1)), Buffer(np.zeros(1))
        self.columns = 2 if baseline == "input" else 1
        self.costs, self.errors = np.empty(0), np.empty(0)
        self.row = self.grad_y = np.empty((0, 0))

    def fprop(self, y, target):
        count, width = y.shape[0], y.shape[1] - self.columns
        self.grad_y, self.row = reuse_like(self.grad_y, y), reuse(self.row, (1, width), y.dtype)
        self.costs, self.errors = reuse(self.costs, (count,), y.dtype), reuse(self.errors, (count,), y.dtype)
        scale = y.dtype.type(1)
        if self.normalize:
            scale = np.maximum(scale, np.sqrt(self.running_var[0]))
        total = np.float64(0)
        for n in range(count):
            for k in range(width):
                self.row[0, k] = y[n, k]
            cost = self.loss.fprop(self.row, target[n : n + 1])
            grad_row = self.loss.bprop()
            for k in range(width):
                self.grad_y[n, k] = grad_row[0, k] / count
            error = cost
            if self.baseline != "none":
                error -= self.running_mean[0]
            if self.baseline == "input":
                error -= y[n, width + 1]
                self.grad_y[n, width + 1] = -2 * error / count
            self.grad_y[n, width] = error / (scale * count)
            self.costs[n], self.errors[n] = cost, error
            total += as_double(cost)
        return y.dtype.type(total / count)

    def bprop(self):
        mean, square = sum_of(self.costs) / self.costs.size, dot(self.errors, self.errors) / self.costs.size
        self.running_mean[0] += self.momentum * (mean - self.running_mean[0])
        self.running_var[0] += self.momentum * (square - self.running_var[0])
        return self.grad_y

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        if len(y_shape) != 2 or y_shape[1] <= self.columns:
            expected = "(N, M + 2)" if self.columns == 2 else "(N, M + 1)"
            raise ValueError(f"{self.label()}: y has shape {y_shape}, expected {expected}")
        self.loss.check_arguments((y_shape[0], y_shape[1] - self.columns), target_shape)
        return ()

    def check_targets(self, target, output_shape) -> None:
        self.loss.check_targets(target, (*output_shape[:1], output_shape[1] - self.columns))

    def check_labels(self, target) -> None:
        self.loss.check_labels(target)

    def distribution(self, y):
        return self.loss.distribution(np.asarray(y)[:, : -self.columns])
