"""Bernoulli (binary stochastic) units inside a model, whose gradient is an estimate.

By REINFORCE the loss of each sample says how good its draws were; straight-through pretends that the mean was drawn.
"""

from typing import Literal

import numpy as np

from ..containers.concat import concatenate, infer_concat_shape, split_gradient
from ..containers.container import Container, as_plain_shape, infer_shape
from ..containers.sequential import Sequential
from ..core.internal_op import InternalOp
from ..core.module import Module
from ..kernels.buffers import flat, reuse, reuse_like
from ..kernels.elementary_functions import sigmoid
from ..kernels.philox import uniform
from ..kernels.softplus_precision import binary_cost
from .gaussian_sample import check_choice
from .noise import EVALUATION, Noise


class Draw(Noise, InternalOp):
    """y[i] = 1 with probability σ(x[i]), else 0; straight-through, grad_x = grad_y σ(x) (1 - σ(x))."""

    locally_linear = True

    def __init__(self):
        super().__init__()
        self.y = self.slope = self.grad_x = np.empty((0, 0))

    def fprop(self, x):
        self.y, self.slope = reuse_like(self.y, x), reuse_like(self.slope, x)
        x, y, slope = flat(x), flat(self.y), flat(self.slope)
        uniform(self.key, self.step if self.training else EVALUATION, y)
        if self.training:
            self.step += 1
        for i in range(x.size):
            p = sigmoid(x[i])
            slope[i] = p * (1 - p)
            y[i] = 1 if y[i] < p else 0 * p  # NaN stays NaN
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, grad_y)
        grad_y, slope, grad_x = flat(grad_y), flat(self.slope), flat(self.grad_x)
        for i in range(grad_x.size):
            grad_x[i] = grad_y[i] * slope[i]
        return self.grad_x

    def jvp(self, v):
        """0: a draw stays what it is"""
        return np.zeros_like(v)


class LogProbability(InternalOp):
    """log p(s | x) = Σₖ s[k] x[k] - log(1 + exp x[k]) of draws s (N, D), as a column; grad_x = grad_y (s - σ(x))."""

    def __init__(self):
        super().__init__()
        self.y = self.slope = self.grad_x = np.empty((0, 0))

    def fprop(self, x, s):  # type: ignore[override]
        self.x = x
        self.y, self.slope = reuse(self.y, (x.shape[0], 1), x.dtype), reuse_like(self.slope, x)
        for n in range(x.shape[0]):
            total = x.dtype.type(0)
            for k in range(x.shape[1]):
                total -= binary_cost(s[n, k], 1 - s[n, k], x[n, k])
                self.slope[n, k] = s[n, k] - sigmoid(x[n, k])
            self.y[n, 0] = total
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.slope)
        for n in range(self.slope.shape[0]):
            for k in range(self.slope.shape[1]):
                self.grad_x[n, k] = grad_y[n, 0] * self.slope[n, k]
        return self.grad_x

    def jvp(self, v_x, v_s):
        """Σₖ (s - σ) v_x + x v_s"""
        out = np.zeros((v_x.shape[0], 1), v_x.dtype)
        for n in range(v_x.shape[0]):
            for k in range(v_x.shape[1]):
                out[n, 0] += self.slope[n, k] * v_x[n, k] + self.x[n, k] * v_s[n, k]
        return out

    def rbprop(self, v_x, v_s, grad_y, r_grad_y):
        """r_grad_y (s - σ) + grad_y (v_s - σ (1 - σ) v_x)"""
        out = np.empty(v_x.shape, v_x.dtype)
        for n in range(v_x.shape[0]):
            for k in range(v_x.shape[1]):
                p = sigmoid(self.x[n, k])
                change = v_s[n, k] - p * (1 - p) * v_x[n, k]
                out[n, k] = r_grad_y[n, 0] * self.slope[n, k] + grad_y[n, 0] * change
        return out

    def check_arguments(self, *shapes):
        return (shapes[0][0], 1)


class UnitLogProbabilities(InternalOp):
    """log p(s[k] | x[k]) = s[k] x[k] - log(1 + exp x[k]) of each draw; grad_x = grad_y (s - σ(x))."""

    def __init__(self):
        super().__init__()
        self.y = self.slope = self.grad_x = np.empty((0, 0))

    def fprop(self, x, s):  # type: ignore[override]
        self.x = x
        self.y, self.slope = reuse_like(self.y, x), reuse_like(self.slope, x)
        x, s, y, slope = flat(x), flat(s), flat(self.y), flat(self.slope)
        for i in range(x.size):
            y[i] = -binary_cost(s[i], 1 - s[i], x[i])
            slope[i] = s[i] - sigmoid(x[i])
        return self.y

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.slope)
        for n in range(self.slope.shape[0]):
            for k in range(self.slope.shape[1]):
                self.grad_x[n, k] = grad_y[n, k] * self.slope[n, k]
        return self.grad_x

    def jvp(self, v_x, v_s):
        """(s - σ) v_x + x v_s"""
        return self.slope * v_x + self.x * v_s

    def rbprop(self, v_x, v_s, grad_y, r_grad_y):
        """r_grad_y (s - σ) + grad_y (v_s - σ (1 - σ) v_x)"""
        out = np.empty(v_x.shape, v_x.dtype)
        for n in range(v_x.shape[0]):
            for k in range(v_x.shape[1]):
                p = sigmoid(self.x[n, k])
                change = v_s[n, k] - p * (1 - p) * v_x[n, k]
                out[n, k] = r_grad_y[n, k] * self.slope[n, k] + grad_y[n, k] * change
        return out

    def check_arguments(self, *shapes):
        return shapes[0]


class BernoulliUnits(Container):
    """Units that are 1 with probability σ(x), else 0, and the layers after them.

        s[i]   = 1 where u[i] < σ(x[i]), else 0,   u[i] ~ U(0, 1)
        y      = [rest(s), log p(s)],   log p(s) = Σₖ s[k] x[k] - log(1 + exp x[k])
        grad_x = grad_log_p (s - σ(x))                                    by REINFORCE
        grad_x = σ(x) (1 - σ(x)) grad_s,   y = rest(s)                    straight-through

    By REINFORCE the last column of y is for the loss of that name, which gives it the gradient (cost - baseline). Then
    the mean of grad_x over all draws is the gradient of the mean cost. With `per_unit` the last D columns are log p of
    each unit, so that each can have a baseline of its own. The other estimate is biased: its grad_x is no derivative of
    y, and checks leave it out.

    Shapes: x (N, D); y (N, M + 1), (N, M + D) with per_unit, or (N, M) straight-through, with rest(s) (N, M).
    Args: layers: those after the units, at least one module; estimator: reinforce or straight_through; per_unit: tell
        log p unit by unit. Evaluation draws, too, the same numbers in each run.
    Errors: ValueError for no layers, another estimator, per_unit straight-through, and an x or a rest(s) that is no
        matrix.
    Source: Williams, Simple statistical gradient-following algorithms (1992); Bengio, Léonard and Courville, Estimating
        or propagating gradients through stochastic neurons (2013); Goodfellow et al., Deep Learning, section 20.9.1
        (draft: 6.4.5).
    """

    framework_base = True

    def __init__(
        self,
        *layers: Module,
        estimator: Literal["reinforce", "straight_through"] = "reinforce",
        per_unit: bool = False,
    ):
        super().__init__()
        check_choice(self, "estimator", estimator, ("reinforce", "straight_through"))
        if not layers:
            raise ValueError("BernoulliUnits: got no layers, expected at least one module after the units")
        if per_unit and estimator == "straight_through":
            raise ValueError("BernoulliUnits: per_unit is about log p, which straight_through has not")
        self.estimator, self.per_unit = estimator, per_unit
        self.estimates = estimator == "straight_through"
        self._add_module("_draw", Draw())
        self._add_module("_score", UnitLogProbabilities() if per_unit else LogProbability())
        self.rest = Sequential(*layers)

    def call_fprop(self, call, x):
        s = call(self._modules["_draw"], "fprop", x)
        y = call(self.rest, "fprop", s)
        if self.estimates:
            return y
        return concatenate(self, call, (y, call(self._modules["_score"], "fprop", x, s)))

    def call_bprop(self, call, grad_y):
        if self.estimates:
            return call(self._modules["_draw"], "bprop", call(self.rest, "bprop", grad_y))
        grad_rest, grad_log_p = split_gradient(self, call, grad_y, 2)
        call(self.rest, "bprop", grad_rest)
        return call(self._modules["_score"], "bprop", grad_log_p)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(input_shape) != 2:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected (N, D)")
        shape = as_plain_shape(infer_shape(self.rest, "fprop", input_shape))
        if len(shape) != 2:
            raise ValueError(f"{self.label()}: the layers make {shape}, expected (N, M)")
        if self.estimates:
            return shape
        scores = (shape[0], input_shape[1] if self.per_unit else 1)
        return infer_concat_shape(self, [shape, scores], 1, "part {} has shape")

    def extra_repr(self) -> str:
        return "straight-through" if self.estimates else "per unit" if self.per_unit else ""
