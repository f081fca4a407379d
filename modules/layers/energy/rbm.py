"""The restricted Boltzmann machine: the free energies of data and of samples, whose difference is learned from."""

from typing import ClassVar, Literal

import numpy as np

from ...core.parameter import Buffer, Parameter
from ...core.shapes import check_matrix_shape, check_sizes
from ...initializers.initializers import Constant, Initializer, Normal
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.elementary_functions import sigmoid, softplus
from ...kernels.matmul.gemm import add_to_rows, matmul_into, sum_rows
from ...kernels.philox import normal, uniform
from ...kernels.sums import as_double, dot
from ..gaussian_sample import check_choice
from ..noise import EVALUATION, Noise


class RBM(Noise):
    """The free energy of x, and of a sample that Gibbs sampling reaches from x.

        y           = [F(x), F(x')],   F(v) = -b v - Σⱼ softplus(c[j] + W[j] v)         Bernoulli visible units
                                       F(v) = ½ |v - b|² - Σⱼ softplus(c[j] + W[j] v)   Gaussian ones, of variance 1
        grad_x      = grad_y[0] (-b - h W), Gaussian grad_y[0] (x - b - h W),   h = σ(c + W x)
        grad_weight += -Σₙ grad_y[n, 0] h xᵀ + grad_y[n, 1] h' x'ᵀ
        grad_hidden_bias += -Σₙ grad_y[n, 0] h + grad_y[n, 1] h'
        grad_visible_bias += -Σₙ grad_y[n, 0] x + grad_y[n, 1] x', Gaussian with x - b and x' - b

    x' is a constant for the gradients. With the loss ContrastiveDivergence, the mean of F(x) - F(x'), they are those of
    CD-k: `steps` times, hidden states are drawn given the visible ones, and visible ones given these. With
    `chains` x' goes on from where the last minibatch ended (persistent CD), not from x.

    Shapes: x (N, V), y (N, 2), weight (H, V), hidden_bias (H,), visible_bias (V,), chain (chains, V).
    Args: visible, hidden: V and H, at least 1; steps: k, at least 1; chains: 0, or the number of chains that persist,
        of which a minibatch moves on as many as it has samples; units: of the visible side, bernoulli (x in 0 to 1) or
        gaussian; weight_init: by default normal of deviation 0.01.
    Errors: ValueError for such settings, and for an x of another shape.
    Numerics: Gaussian samples move with the weights, which the gradients leave out: they are no derivatives of y[1],
        and checks leave them out. Binary ones do not move but by jumps.
    Source: Hinton, Training products of experts by minimizing contrastive divergence (2002); Tieleman, Training
        restricted Boltzmann machines using approximations to the likelihood gradient (2008); Géron, appendix E.
    """

    stream_axes: ClassVar[dict[str, int]] = {"chain": 0}  # a chain for each sample

    def __init__(
        self,
        visible: int,
        hidden: int,
        steps: int = 1,
        chains: int = 0,
        units: Literal["bernoulli", "gaussian"] = "bernoulli",
        *,
        weight_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, visible=visible, hidden=hidden, steps=steps)
        if isinstance(chains, bool) or not isinstance(chains, int) or chains < 0:
            raise ValueError(f"RBM: chains is {chains!r}, expected a whole number of at least 0")
        check_choice(self, "units", units, ("bernoulli", "gaussian"))
        self.visible, self.hidden, self.steps, self.chains, self.units = visible, hidden, steps, chains, units
        self.gaussian = self.estimates = units == "gaussian"  # whose samples move with the weights
        self.weight = Parameter((weight_init or Normal(std=0.01)).sample((hidden, visible)))
        self.hidden_bias = Parameter(Constant(0.0).sample((hidden,)))
        self.visible_bias = Parameter(Constant(0.0).sample((visible,)))
        self.chain = Buffer(np.zeros((chains, visible)))
        self.y = self.grad_x = self.v = self.sample = self.states = np.empty((0, 0))
        self.h_v = self.h = self.h_sample = self.weighted = self.centred = np.empty((0, 0))
        self.noise, self.hidden_noise = np.empty(0), np.empty(0)

    def fprop(self, x):
        count = x.shape[0]
        self.x = x
        self.y = reuse(self.y, (count, 2), x.dtype)
        self.v = reuse(self.v, (2 * count, self.visible), x.dtype)  # x and x', so that both are one matrix
        self.h_v = reuse(self.h_v, (2 * count, self.hidden), x.dtype)
        self.sample, self.h, self.h_sample = self.v[count:], self.h_v[:count], self.h_v[count:]
        self.states = reuse_like(self.states, self.h)
        for n in range(count):
            self.v[n] = x[n]
            if self.chains > 0:
                self.sample[n] = self.chain[n % self.chains]
            else:
                self.sample[n] = x[n]
        step = self.step if self.training else EVALUATION
        persistent = self.chains > 0  # else the chains start at x, whose scores serve both
        self.write_scores(self.v if persistent else self.v[:count], self.h_v if persistent else self.h)
        self.states[...] = self.h_sample if persistent else self.h
        for k in range(self.steps):
            if k > 0:
                self.write_scores(self.sample, self.states)
            self.draw_hidden(step + 2 * k)
            self.draw_visible(step + 2 * k + 1)
        if self.training:
            self.step += 2 * self.steps
            for n in range(min(count, self.chains)):
                self.chain[n] = self.sample[n]
        self.write_scores(self.sample, self.h_sample)
        self.write_free_energies()
        return self.y

    def write_scores(self, v, out):
        """out = c + W v."""
        matmul_into(v, self.weight.T, out, False)
        add_to_rows(out, self.hidden_bias)

    def draw_hidden(self, step):
        """states = 1 with probability σ(states), else 0."""
        self.hidden_noise = reuse(self.hidden_noise, (self.states.size,), self.states.dtype)
        uniform(self.key, step, self.hidden_noise)
        draw_bits(flat(self.states), self.hidden_noise)

    def draw_visible(self, step):
        """sample = 1 with probability σ(b + states W), else 0; Gaussian, b + states W + z."""
        self.noise = reuse(self.noise, (self.sample.size + self.sample.size % 2,), self.sample.dtype)
        matmul_into(self.states, self.weight, self.sample, False)
        add_to_rows(self.sample, self.visible_bias)
        if self.gaussian:
            normal(self.key, step, self.noise)
            sample = flat(self.sample)
            for i in range(sample.size):
                sample[i] += self.noise[i]
        else:
            uniform(self.key, step, self.noise)
            draw_bits(flat(self.sample), self.noise)

    def write_free_energies(self):
        """y[n] = F(x[n]), F(x'[n]), and h_v = σ(h_v), which is c + W v, for both."""
        v, count = self.v, self.y.shape[0]
        self.weighted = reuse_like(self.weighted, self.h_v)
        write_softplus_and_sigmoid(flat(self.h_v), flat(self.weighted))
        for n in range(v.shape[0]):
            total = np.float64(0)
            for j in range(self.hidden):
                total -= as_double(self.weighted[n, j])
            for i in range(v.shape[1]):
                if self.gaussian:
                    distance = as_double(v[n, i]) - as_double(self.visible_bias[i])
                    total += distance * distance / 2
                else:
                    total -= as_double(v[n, i]) * as_double(self.visible_bias[i])
            self.y[n % count, n // count] = total

    def bprop(self, grad_y):
        self.centred = reuse_like(self.centred, self.v)
        weighted, centred, count = self.weighted, self.centred, self.x.shape[0]
        for n in range(2 * count):
            g = -grad_y[n % count, n // count]
            write_scaled(self.h_v[n], g, weighted[n])
            if self.gaussian:
                for i in range(self.visible):
                    centred[n, i] = g * (self.v[n, i] - self.visible_bias[i])
            else:
                write_scaled(self.v[n], g, centred[n])
        if self.needs_grad_parameters:
            matmul_into(weighted.T, self.v, self.grad_weight, self.accumulate)
            sum_rows(weighted, self.grad_hidden_bias, self.accumulate)
            sum_rows(centred, self.grad_visible_bias, self.accumulate)
        if self.needs_grad_x:
            self.grad_x = reuse_like(self.grad_x, self.x)
            matmul_into(weighted[:count], self.weight, self.grad_x, False)
            for n in range(count):
                for i in range(self.visible):
                    if self.gaussian:
                        self.grad_x[n, i] -= centred[n, i]
                    else:
                        self.grad_x[n, i] -= grad_y[n, 0] * self.visible_bias[i]
        return self.grad_x

    def jvp(self, v):
        """-Σⱼ h R{c + W x} - R{b x}, Gaussian + (x - b) (v - v_b); of x' the same with its v = 0"""
        turn, out = np.empty(self.h.shape, v.dtype), np.empty(self.y.shape, v.dtype)
        still = np.zeros(v.shape, v.dtype)
        for column in range(2):
            x, h, v_x = (self.x, self.h, v) if column == 0 else (self.sample, self.h_sample, still)
            self.write_turn(x, v_x, turn)
            for n in range(x.shape[0]):
                total = -as_double(dot(h[n], turn[n]))
                for i in range(x.shape[1]):
                    if self.gaussian:
                        away, change = x[n, i] - self.visible_bias[i], v_x[n, i] - self.v_visible_bias[i]
                        total += as_double(away) * as_double(change)
                    else:
                        total -= as_double(self.visible_bias[i] * v_x[n, i] + self.v_visible_bias[i] * x[n, i])
                out[n, column] = total
        return out

    def write_turn(self, x, v_x, turn):
        """turn = R{c + W x} = v_c + W v_x + V_W x."""
        matmul_into(v_x, self.weight.T, turn, False)
        matmul_into(x, self.v_weight.T, turn, True)
        add_to_rows(turn, self.v_hidden_bias)

    def rbprop(self, v, grad_y, r_grad_y):
        """R of bprop's sums, with R{h} = h (1 - h) R{c + W x}"""
        turn, part, out = np.empty(self.h.shape, v.dtype), np.empty(self.h.shape, v.dtype), np.empty(v.shape, v.dtype)
        still, centred = np.zeros(v.shape, v.dtype), np.empty(v.shape, v.dtype)
        for column in range(2):
            x, h, v_x = (self.x, self.h, v) if column == 0 else (self.sample, self.h_sample, still)
            self.write_turn(x, v_x, turn)
            for n in range(x.shape[0]):
                for j in range(h.shape[1]):
                    change = h[n, j] * (1 - h[n, j]) * turn[n, j]
                    turn[n, j] = -r_grad_y[n, column] * h[n, j] - grad_y[n, column] * change
                    part[n, j] = -grad_y[n, column] * h[n, j]
                for i in range(x.shape[1]):
                    bias, v_bias = self.visible_bias[i], self.v_visible_bias[i]
                    if not self.gaussian:
                        bias, v_bias = 0 * bias, 0 * v_bias
                    centred[n, i] = -r_grad_y[n, column] * (x[n, i] - bias) - grad_y[n, column] * (v_x[n, i] - v_bias)
            matmul_into(turn.T, x, self.grad_weight, True)
            matmul_into(part.T, v_x, self.grad_weight, True)
            sum_rows(turn, self.grad_hidden_bias, True)
            sum_rows(centred, self.grad_visible_bias, True)
            if column == 0:
                matmul_into(turn, self.weight, out, False)
                matmul_into(part, self.v_weight, out, True)
                for n in range(x.shape[0]):
                    for i in range(x.shape[1]):
                        if self.gaussian:
                            out[n, i] -= centred[n, i]
                        else:
                            out[n, i] -= r_grad_y[n, 0] * self.visible_bias[i] + grad_y[n, 0] * self.v_visible_bias[i]
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_matrix_shape(self, input_shape, self.visible), 2

    def extra_repr(self) -> str:
        further = [f"steps={self.steps}"] if self.steps > 1 else []
        further += [f"chains={self.chains}"] if self.chains else []
        return ", ".join([f"{self.visible} -> {self.hidden}", *further, *(["gaussian"] if self.gaussian else [])])


def draw_bits(scores, noise):
    """scores[i] = 1 where noise[i] < σ(scores[i]), else 0; NaN stays NaN."""
    for i in range(scores.size):
        p = sigmoid(scores[i])
        scores[i] = 1 if noise[i] < p else 0 * p


def write_softplus_and_sigmoid(scores, out):
    """out[i] = log(1 + exp scores[i]), then scores[i] = σ(scores[i]): loops of one function are vectorised."""
    for i in range(scores.size):
        out[i] = softplus(scores[i])
    for i in range(scores.size):
        scores[i] = sigmoid(scores[i])


def write_scaled(row, factor, out):
    """out = factor row."""
    for i in range(row.size):
        out[i] = factor * row[i]
