"""REINFORCE: a loss as the reward of each sample, from which stochastic units inside a model learn."""

from typing import Any, Literal

import numpy as np

from ..core.parameter import Buffer
from ..core.shapes import check_sizes
from ..kernels.buffers import reuse, reuse_like
from ..kernels.sums import as_double, dot, sum_of
from .loss import Loss, check_at_least

# beside log p, for each sample and for each unit
EXTRA_COLUMNS = {"none": (0, 0), "constant": (0, 0), "running": (0, 0), "input": (1, 0), "optimal": (0, 2)}


class Reinforce(Loss):
    """The mean of another loss, and an estimate of its gradient for the units that drew s at random before it.

        value            = Σₙ c[n] / N,   c[n] = loss(out[n], target[n]),   y = [out, log_p], [out, log_p, b] or
            [out, log_p, A, B]
        grad_out[n]      = ∂c[n]/∂out / N
        grad_log_p[n, k] = (c[n] - baseline[n, k]) / max(1, σ) N
        grad_b[n]        = 2 (baseline[n] - c[n]) / N
        grad_A[n, k]     = 2 (A[n, k] - c[n] q[n, k]) / N
        grad_B[n, k]     = 2 (B[n, k] - q[n, k]) / N,   q[n, k] = (∂log p[n, k]/∂x[n, k])²

    with σ the running deviation of c - baseline. Any baseline that does not know of s leaves the mean of the estimate
    as it is, and a good one takes most of its variance away. The baseline is

        none       0
        constant   a number
        running    the running mean of c
        input      that plus b[n], which comes to be E[c | x] by squared error
        optimal    A / B for each unit k: the least variance of all, where A is E[c q] and B is E[q]

    b, A and B are columns of the model's, such as a branch of a Concat beside BernoulliUnits; they learn by squared
    error. What runs is that of the steps before: bprop takes this one in. q follows from log p, of one unit with two
    states: the probability of its state falls short of 1 by the slope of log p.

    Shapes: y (N, M + units), (N, M + units + 1) for `input`, (N, M + 3 units) for `optimal`; target as the other loss
        has it, for an output (N, M).
    Args: loss: any loss; baseline: as above; normalize: divide by max(1, σ); momentum: how much a minibatch counts in
        what runs, above 0 to 1; constant: of that baseline; units: the columns of log p, 1 for that of all units
        together, as many as units with BernoulliUnits(per_unit=True).
    Errors: ValueError for such settings, and for what the other loss refuses.
    Numerics: the gradient is an estimate and no derivative of the value, so checks leave it out. The optimal baseline
        is a weighted mean of costs, so an A / B that is not between the running lowest and highest cost, as before
        they have learned, counts as the nearest of the two.
    Source: Goodfellow et al., Deep Learning, draft of chapter 6, section 6.4.5, the optimal baseline eq. 6.16 (in the
        published book section 20.9.1); Williams, REINFORCE (1992); Mnih and Gregor, Neural variational inference and
        learning in belief networks (2014), section 2.3; Weaver and Tao, The optimal reward baseline (2001).
    """

    estimates = True

    def __init__(
        self,
        loss: Loss,
        baseline: Literal["none", "constant", "running", "input", "optimal"] = "running",
        normalize: bool = True,
        momentum: float = 0.1,
        *,
        constant: float = 0.0,
        units: int = 1,
    ):
        super().__init__()
        if not isinstance(loss, Loss):
            raise TypeError(f"Reinforce: loss is {loss!r}, expected a Loss")
        loss.check_reduction("Reinforce")
        if baseline not in EXTRA_COLUMNS:
            names = [repr(name) for name in EXTRA_COLUMNS]
            raise ValueError(f"Reinforce: baseline is {baseline!r}, expected {', '.join(names[:-1])} or {names[-1]}")
        self.momentum = check_at_least("Reinforce", "momentum", momentum, 0, strictly=True)
        if momentum > 1:
            raise ValueError(f"Reinforce: momentum is {momentum}, expected a number of at most 1")
        if constant != 0 and baseline != "constant":
            raise ValueError(f"Reinforce: constant is {constant} with baseline {baseline!r}, expected 'constant'")
        check_sizes(self, units=units)
        self.loss, self.baseline, self.normalize = loss, baseline, normalize
        self.constant, self.units = float(constant), units
        self.label_arguments, self.jit = loss.label_arguments, loss.jit
        self.takes_distributions = loss.takes_distributions
        self.running_mean, self.running_var = Buffer(np.zeros(1)), Buffer(np.zeros(1))
        make: Any = Buffer if baseline == "optimal" else np.array  # others need no range of costs
        self.lowest, self.highest = make(np.zeros(1)), make(np.zeros(1))
        of_inputs, of_units = EXTRA_COLUMNS[baseline]
        self.columns = units * (1 + of_units) + of_inputs
        self.costs, self.errors = np.empty(0), np.empty(0)
        self.row = self.grad_y = np.empty((0, 0))

    def fprop(self, y, target):
        count, width = y.shape[0], y.shape[1] - self.columns
        self.grad_y, self.row = reuse_like(self.grad_y, y), reuse(self.row, (1, width), y.dtype)
        baselines = self.units if self.baseline == "optimal" else 1
        self.costs, self.errors = (
            reuse(self.costs, (count,), y.dtype),
            reuse(self.errors, (count * baselines,), y.dtype),
        )
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
            self.costs[n] = cost
            if self.baseline == "optimal":
                self.estimate_by_unit(y, n, width, scale * count)
            else:
                self.estimate(y, n, width, scale * count)
            total += as_double(cost)
        return y.dtype.type(total / count)

    def estimate(self, y, n, width, divisor):
        """Write sample n's gradients of log p and of b, with one baseline for all units."""
        error = self.costs[n]
        if self.baseline == "constant":
            error -= self.constant
        elif self.baseline != "none":
            error -= self.running_mean[0]
        if self.baseline == "input":
            error -= y[n, width + self.units]
            self.grad_y[n, width + self.units] = -2 * error / self.costs.size
        for k in range(self.units):
            self.grad_y[n, width + k] = error / divisor
        self.errors[n] = error

    def estimate_by_unit(self, y, n, width, divisor):
        """Write sample n's gradients of log p, A and B, with the optimal baseline for each unit."""
        cost, units, count = self.costs[n], self.units, self.costs.size
        for k in range(units):
            a, b = y[n, width + units + k], y[n, width + 2 * units + k]
            slope = 1 - np.exp(min(y[n, width + k], y.dtype.type(0)))
            q = slope * slope
            baseline = a / b if b > 0 else a
            baseline = min(max(baseline, self.lowest[0]), self.highest[0])
            error = cost - baseline
            self.grad_y[n, width + k] = error / divisor
            self.grad_y[n, width + units + k] = 2 * (a - cost * q) / count
            self.grad_y[n, width + 2 * units + k] = 2 * (b - q) / count
            self.errors[n * units + k] = error

    def bprop(self):
        mean, square = sum_of(self.costs) / self.costs.size, dot(self.errors, self.errors) / self.errors.size
        self.running_mean[0] += self.momentum * (mean - self.running_mean[0])
        self.running_var[0] += self.momentum * (square - self.running_var[0])
        if self.baseline == "optimal":
            lowest = highest = self.costs[0]
            for cost in self.costs:
                lowest, highest = min(lowest, cost), max(highest, cost)
            self.lowest[0] += self.momentum * (lowest - self.lowest[0])
            self.highest[0] += self.momentum * (highest - self.highest[0])
        return self.grad_y

    def check_arguments(self, y_shape, target_shape, weight_shape=None):
        if len(y_shape) != 2 or y_shape[1] <= self.columns:
            raise ValueError(f"{self.label()}: y has shape {y_shape}, expected (N, M + {self.columns})")
        self.loss.check_arguments((y_shape[0], y_shape[1] - self.columns), target_shape)
        return ()

    def check_shapes(self, output_shape, target_shape, classes=None) -> None:
        self.check_arguments(output_shape, target_shape)
        try:
            self.loss.check_shapes((output_shape[0], output_shape[1] - self.columns), target_shape, classes)
        except ValueError as error:
            error.add_note(f"in {self.label()}, which takes {self.columns} of {output_shape[1]} columns")
            raise

    def check_targets(self, target, output_shape) -> None:
        self.loss.check_targets(target, (*output_shape[:1], output_shape[1] - self.columns))

    def check_labels(self, target) -> None:
        self.loss.check_labels(target)

    def distribution(self, y):
        return self.loss.distribution(np.asarray(y)[:, : -self.columns])
