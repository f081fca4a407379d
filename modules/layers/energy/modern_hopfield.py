"""The continuous Hopfield network with an exponential energy: one update of it is attention over stored patterns."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import check_sizes, replace_features
from ...initializers.initializers import Initializer, PyTorchUniform
from ...kernels.buffers import as_rows, reuse, reuse_like
from ...kernels.matmul.gemm import matmul_into
from ...kernels.softmax import softmax_rows
from ...kernels.sums import dot


class ModernHopfield(Module):
    """Retrieval of stored patterns: their mean, weighted by how much x is like each of them.

        s           = β x Pᵀ,   a = softmax(s),   y = a P
        grad_s      = a (grad_a - Σₖ a[k] grad_a[k]),   grad_a = grad_y Pᵀ
        grad_x      = β grad_s P
        grad_weight += aᵀ grad_y + β grad_sᵀ x

    It is one update of a continuous Hopfield network with the energy E(x) = ½ |x|² - log(Σₖ exp β x·p[k]) / β, which
    never rises; β = 1 / √D is attention with the keys and values P. `retrieve` repeats it.

    Shapes: x (N, ..., D), y (N, ..., D), weight P (K, D).
    Args: features: D; patterns: K, each at least 1; beta: above 0, the larger, the nearer to a single pattern, by
        default 1 / √D; weight_init: initial patterns, by default those of Linear.
    Errors: ValueError for such settings, and for an x whose last axis is not D.
    Source: Ramsauer et al., Hopfield networks is all you need (2021), equation 3.
    """

    def __init__(
        self, features: int, patterns: int, beta: float | None = None, *, weight_init: Initializer | None = None
    ):
        super().__init__()
        check_sizes(self, features=features, patterns=patterns)
        if beta is not None and not (np.isfinite(beta) and beta > 0):
            raise ValueError(f"ModernHopfield: beta is {beta}, expected a number above 0")
        self.features, self.patterns = features, patterns
        self.beta = float(1 / np.sqrt(features) if beta is None else beta)
        self.weight = Parameter((weight_init or PyTorchUniform(features)).sample((patterns, features)))
        self.y = self.grad_x = self.a = self.grad_s = np.empty((0, 0))

    def fprop(self, x):
        self.x = x
        rows = as_rows(x)
        self.y, self.a = reuse_like(self.y, x), reuse(self.a, (rows.shape[0], self.patterns), x.dtype)
        self.grad_s = reuse_like(self.grad_s, self.a)
        matmul_into(rows, self.weight.T, self.grad_s, False)
        scale(self.grad_s, self.beta)
        softmax_rows(self.grad_s, self.a)
        matmul_into(self.a, self.weight, as_rows(self.y), False)
        return self.y

    def bprop(self, grad_y):
        grad_y = as_rows(grad_y)
        matmul_into(grad_y, self.weight.T, self.grad_s, False)
        bprop_softmax(self.a, self.grad_s, self.beta)
        if self.needs_grad_parameters:
            matmul_into(self.a.T, grad_y, self.grad_weight, self.accumulate)
            matmul_into(self.grad_s.T, as_rows(self.x), self.grad_weight, True)
        self.grad_x = reuse_like(self.grad_x, self.x)
        if self.needs_grad_x:
            matmul_into(self.grad_s, self.weight, as_rows(self.grad_x), False)
        return self.grad_x

    def jvp(self, v):
        """R{a} P + a V_P,   R{s} = β (v Pᵀ + x V_Pᵀ),   R{a} = a (R{s} - Σₖ a[k] R{s}[k])"""
        turn, out = np.empty(self.a.shape, v.dtype), np.empty(self.y.shape, v.dtype)
        matmul_into(as_rows(v), self.weight.T, turn, False)
        matmul_into(as_rows(self.x), self.v_weight.T, turn, True)
        bprop_softmax(self.a, turn, self.beta)
        matmul_into(turn, self.weight, as_rows(out), False)
        matmul_into(self.a, self.v_weight, as_rows(out), True)
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R of bprop's products, with R{grad_s} = R{a} (grad_a - c) + a (R{grad_a} - R{c}),   c = Σₖ a[k] grad_a[k]"""
        g, r, x, v_rows = as_rows(grad_y), as_rows(r_grad_y), as_rows(self.x), as_rows(v)
        turn, grad_a = np.empty(self.a.shape, v.dtype), np.empty(self.a.shape, v.dtype)
        r_grad_s, out = np.empty(self.a.shape, v.dtype), np.empty(self.y.shape, v.dtype)
        matmul_into(v_rows, self.weight.T, turn, False)
        matmul_into(x, self.v_weight.T, turn, True)
        bprop_softmax(self.a, turn, self.beta)
        matmul_into(g, self.weight.T, grad_a, False)
        matmul_into(r, self.weight.T, r_grad_s, False)
        matmul_into(g, self.v_weight.T, r_grad_s, True)
        for n in range(turn.shape[0]):
            c, r_c = dot(self.a[n], grad_a[n]), dot(turn[n], grad_a[n]) + dot(self.a[n], r_grad_s[n])
            for k in range(turn.shape[1]):
                change = turn[n, k] * (grad_a[n, k] - c) + self.a[n, k] * (r_grad_s[n, k] - r_c)
                r_grad_s[n, k] = self.beta * change
        matmul_into(turn.T, g, self.grad_weight, True)
        matmul_into(self.a.T, r, self.grad_weight, True)
        matmul_into(r_grad_s.T, x, self.grad_weight, True)
        matmul_into(self.grad_s.T, v_rows, self.grad_weight, True)
        matmul_into(r_grad_s, self.weight, as_rows(out), False)
        matmul_into(self.grad_s, self.v_weight, as_rows(out), True)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return replace_features(self, input_shape, self.features, self.features)

    def extra_repr(self) -> str:
        return f"{self.features}, {self.patterns} patterns, beta={self.beta:g}"

    # -- retrieving ----------------------------------------------------------------------------------------------------

    def store(self, patterns) -> None:
        """Set the patterns (K, D). Errors: ValueError for another shape."""
        patterns, weight = np.asarray(patterns), vars(self)["weight"]
        if patterns.shape != weight.shape:
            raise ValueError(f"{self.label()}: patterns has shape {patterns.shape}, expected {weight.shape}")
        weight[...] = patterns

    def retrieve(self, x, steps: int = 1) -> np.ndarray:
        """Update states x (N, D) so many times; returns the states (N, D)."""
        states = np.asarray(x, self.dtype)
        for _ in range(steps):
            states = self.fprop(states).copy()
        return states

    def energy(self, x) -> np.ndarray:
        """The energy (N,) of states x (N, D), which no update raises."""
        x = np.asarray(x, np.float64)
        scores = self.beta * (x @ vars(self)["weight"].T.astype(np.float64))
        return 0.5 * (x * x).sum(axis=1) - np.logaddexp.reduce(scores, axis=1) / self.beta


def scale(x, factor):
    """x *= factor for a matrix."""
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            x[n, k] *= factor


def bprop_softmax(a, grad, factor):
    """grad = factor a (grad - Σₖ a[k] grad[k]) in place: bprop and jvp of a softmax with the result a; all (N, K)."""
    for n in range(a.shape[0]):
        mean = dot(a[n], grad[n])
        for k in range(a.shape[1]):
            grad[n, k] = factor * a[n, k] * (grad[n, k] - mean)
