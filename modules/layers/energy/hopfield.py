"""The Hopfield network: an associative memory whose energy is a module, and whose recall goes downhill on it."""

from typing import Literal, NamedTuple

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import check_matrix_shape, check_sizes
from ...initializers.initializers import Constant, Initializer, get_generator
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.matmul.gemm import matmul_into, sum_rows
from ...kernels.sums import as_double
from ..gaussian_sample import check_choice
from .hopfield_rules import RULES

SWEEPS = 100  # after which a recall that is not stable ends
TIE = 1e-6  # of the sum of a unit's weights: a smaller field is 0


class Recall(NamedTuple):
    """What a Hopfield network recalls from N states.

    states (N, D); energies (steps + 1, N), before and after each update; stable (N,), whether no unit would change.

    Args: states, energies, stable: the arrays above.
    """

    states: np.ndarray
    energies: np.ndarray
    stable: np.ndarray


class Hopfield(Module):
    """The energy of states of D units, all connected with each other and none with itself.

        y           = -½ Σᵢⱼ x[i] W[i, j] x[j] - Σᵢ b[i] x[i],   i ≠ j
        grad_x      = -grad_y (h + b),   h = ½ (W + Wᵀ) x without the diagonal
        grad_weight += -½ Σₙ grad_y[n] x[n] x[n]ᵀ without the diagonal
        grad_bias   += -Σₙ grad_y[n] x[n]

    `store` learns patterns at once, by a rule; `recall` updates units until none changes. One at a time, the energy
    never rises. Hebb's rule is a step of gradient descent on the mean energy of the patterns from W = 0:
    SGD(lr=2 P / D) with all P patterns as one minibatch and the loss MeanOutput.

    Shapes: x (N, D), y (N, 1), weight (D, D), bias (D,).
    Args: units: D, at least 1; states: the values of a unit, ±1 (`bipolar`) or 0 and 1 (`binary`); weight_init,
        bias_init: initial values, by default 0. Training keeps a weight symmetric that is so.
    Errors: ValueError for such settings, and for an x of another shape.
    Source: Hopfield, Neural networks and physical systems with emergent collective computational abilities (1982);
        Géron, Hands-On Machine Learning, appendix E.
    """

    def __init__(
        self,
        units: int,
        states: Literal["bipolar", "binary"] = "bipolar",
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, units=units)
        check_choice(self, "states", states, ("bipolar", "binary"))
        self.units, self.states = units, states
        self.weight = Parameter((weight_init or Constant(0.0)).sample((units, units)))
        self.bias = Parameter((bias_init or Constant(0.0)).sample((units,)))
        self.y = self.grad_x = self.h = self.scaled = np.empty((0, 0))
        self.diagonal = np.empty(0)

    def fprop(self, x):
        self.x = x
        self.y, self.h = reuse(self.y, (x.shape[0], 1), x.dtype), reuse_like(self.h, x)
        compute_fields(x, self.weight, self.h)
        write_energies(x, self.h, self.bias, flat(self.y))
        return self.y

    def bprop(self, grad_y):
        self.grad_x, self.scaled = reuse_like(self.grad_x, self.x), reuse_like(self.scaled, self.x)
        self.diagonal = reuse(self.diagonal, (self.units,), self.x.dtype)
        for n in range(self.x.shape[0]):
            for i in range(self.x.shape[1]):
                self.scaled[n, i] = -grad_y[n, 0] * self.x[n, i]
                self.grad_x[n, i] = -grad_y[n, 0] * (self.h[n, i] + self.bias[i])
        if self.needs_grad_parameters:
            sum_rows(self.scaled, self.grad_bias, self.accumulate)
            if not self.accumulate:
                self.grad_weight[...] = 0
            add_half_outer(self.scaled, self.x, self.grad_weight, self.diagonal)
        return self.grad_x

    def jvp(self, v):
        """-v (h + b) - ½ x V_W x - v_b x"""
        fields, out = np.empty(v.shape, v.dtype), np.empty((v.shape[0], 1), v.dtype)
        compute_fields(self.x, self.v_weight, fields)
        write_energies(self.x, fields, self.v_bias, flat(out))
        for n in range(v.shape[0]):
            for i in range(v.shape[1]):
                out[n, 0] -= v[n, i] * (self.h[n, i] + self.bias[i])
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """R{grad_x} = -r_grad_y (h + b) - grad_y (W v + V_W x + v_b), R{grad_weight} = -½ (r x xᵀ + g v xᵀ + g x vᵀ)"""
        out, first, second = np.empty(v.shape, v.dtype), np.empty(v.shape, v.dtype), np.empty(v.shape, v.dtype)
        compute_fields(v, self.weight, first)
        compute_fields(self.x, self.v_weight, second)
        for n in range(v.shape[0]):
            for i in range(v.shape[1]):
                turn = grad_y[n, 0] * (first[n, i] + second[n, i] + self.v_bias[i])
                out[n, i] = -r_grad_y[n, 0] * (self.h[n, i] + self.bias[i]) - turn
                first[n, i] = -r_grad_y[n, 0] * self.x[n, i] - grad_y[n, 0] * v[n, i]
                second[n, i] = -grad_y[n, 0] * self.x[n, i]
        sum_rows(first, self.grad_bias, True)
        add_half_outer(first, self.x, self.grad_weight, self.diagonal)
        add_half_outer(second, v, self.grad_weight, self.diagonal)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_matrix_shape(self, input_shape, self.units), 1

    @property
    def low(self) -> float:
        """The lower of a unit's two states; the other is 1."""
        return -1.0 if self.states == "bipolar" else 0.0

    @property
    def connections(self) -> int:
        """Pairs of units, D (D - 1) / 2, each with one weight."""
        return self.units * (self.units - 1) // 2

    def extra_repr(self) -> str:
        return f"{self.units}" + ("" if self.states == "bipolar" else ", states='binary'")

    # -- storing and recalling -----------------------------------------------------------------------------------------

    def store(self, patterns, rule: Literal["hebb", "storkey", "pseudo_inverse"] = "hebb") -> None:
        """Set weight and bias so that patterns (P, D) are minima of the energy, as far as the rule can.

        hebb: W = Σ p pᵀ / D. storkey: the same, less what the patterns before say already, one after the other.
        pseudo_inverse: the projection on the span of the patterns, which are then stable if they are independent.
        Each without its diagonal, for states ±1; binary ones get the weights and thresholds that mean the same.
        Errors: ValueError for another rule, another shape, and values that are no states.
        Source: Storkey, Increasing the capacity of a Hopfield network without sacrificing functionality (1997);
            Personnaz, Guyon and Dreyfus, Information storage and retrieval in spin-glass like neural networks (1985).
        """
        check_choice(self, "rule", rule, tuple(RULES))
        p = self.as_bipolar(self.check_states("patterns", patterns))
        weight = RULES[rule](p)
        np.fill_diagonal(weight, 0)
        binary = self.states == "binary"
        vars(self)["weight"][...] = 4 * weight if binary else weight
        vars(self)["bias"][...] = -2 * weight.sum(axis=1) if binary else 0

    def recall(
        self,
        x,
        order: Literal["asynchronous", "synchronous"] = "asynchronous",
        *,
        sweeps: int = SWEEPS,
        seed: int | None = None,
    ) -> Recall:
        """Update units until none changes: one at a time in random order, or all at once.

        A unit becomes the state to which its field h + b points; at a field of 0 it stays. All at once, states may
        alternate for ever, and the energy may rise.
        Args: x (N, D): states; order: asynchronous or synchronous; sweeps: at most so many updates of each unit; seed:
            of the order, by default drawn from the initializers' stream.
        Errors: ValueError for another order, another shape, and values that are no states.
        """
        check_choice(self, "order", order, ("asynchronous", "synchronous"))
        states = self.check_states("x", x).astype(np.float64)
        weight, bias = (vars(self)[name].astype(np.float64) for name in ("weight", "bias"))
        weight = (weight + weight.T) / 2
        np.fill_diagonal(weight, 0)
        least = TIE * (abs(weight).sum(axis=1) + abs(bias))  # what rounding makes of a field of 0

        def energy() -> np.ndarray:
            return -0.5 * ((states @ weight) * states).sum(axis=1) - states @ bias

        def update() -> np.ndarray:
            fields = states @ weight + bias
            return np.where(fields > least, 1.0, np.where(fields < -least, self.low, states))

        random = get_generator() if seed is None else np.random.default_rng(seed)
        energies = [energy()]
        for _ in range(sweeps):
            before = states.copy()
            if order == "synchronous":
                states = update()
                energies.append(energy())
            else:
                turn = random.permutation(self.units).tolist()
                energies += update_in_turn(states, weight, bias, self.low, least, turn, energies[-1])
            if (states == before).all():
                break
        stable = (update() == states).all(axis=1)
        return Recall(states.astype(self.dtype), np.array(energies), stable)

    def check_states(self, name: str, x) -> np.ndarray:
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.units:
            raise ValueError(f"{self.label()}: {name} has shape {x.shape}, expected (N, {self.units})")
        allowed = (-1, 1) if self.states == "bipolar" else (0, 1)
        if wrong := np.argwhere(~np.isin(x, allowed)).tolist():
            row, unit = wrong[0]
            found, expected = f"{x[row, unit]:g} in row {row}, unit {unit}", f"{allowed[0]} or {allowed[1]}"
            raise ValueError(f"{self.label()}: {name} is {found}; expected {expected}")
        return x

    def as_bipolar(self, x: np.ndarray) -> np.ndarray:
        x = x.astype(np.float64)
        return x if self.states == "bipolar" else 2 * x - 1


def update_in_turn(states, weight, bias, low, least, order, energy):
    """Update units one after the other, in states (N, D) at once and in place; returns the energy (N,) after each.

    A unit is low or 1; it stays where its field is no larger than least (D,). order: a list of units.
    """
    fields, energies = states @ weight + bias, []
    for unit in order:
        field, column = fields[:, unit], states[:, unit]
        changed = np.where(column < 1, field > least[unit], field < -least[unit]).nonzero()[0]
        if changed.size:
            change = np.where(column[changed] < 1, 1 - low, low - 1)
            energy = energy.copy()
            energy[changed] -= field[changed] * change
            column[changed] += change
            fields[changed] += change[:, None] * weight[unit]
        energies.append(energy)
    return energies


def compute_fields(x, weight, out):
    """out = ½ x (W + Wᵀ) without the diagonal of W; x, out (N, D)."""
    matmul_into(x, weight, out, False)
    matmul_into(x, weight.T, out, True)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[n, i] = out[n, i] / 2 - weight[i, i] * x[n, i]


def write_energies(x, fields, bias, out):
    """out[n] = E(x[n]) = -½ x·(W x) - b·x, with the fields W x; x, fields (N, D), out (N,)."""
    for n in range(x.shape[0]):
        total = np.float64(0)
        for i in range(x.shape[1]):
            total -= as_double(x[n, i]) * (as_double(fields[n, i]) / 2 + as_double(bias[i]))
        out[n] = total


def add_half_outer(a, b, out, diagonal):
    """out += ½ aᵀ b but for its diagonal, kept in `diagonal` (D,) meanwhile; a is halved; a, b (N, D), out (D, D)."""
    for n in range(a.shape[0]):
        for i in range(a.shape[1]):
            a[n, i] /= 2
    for i in range(a.shape[1]):
        diagonal[i] = out[i, i]
    matmul_into(a.T, b, out, True)
    for i in range(a.shape[1]):
        out[i, i] = diagonal[i]
