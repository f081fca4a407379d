"""The Boltzmann machine: a Hopfield network of stochastic units, some of them hidden, that learns a distribution."""

from collections.abc import Sequence

import numpy as np

from ...core.parameter import Buffer, Parameter
from ...core.shapes import check_matrix_shape, check_sizes
from ...initializers.initializers import Constant, Initializer, Normal, get_generator
from ...kernels.buffers import reuse, reuse_like
from ...kernels.matmul.gemm import matmul_into
from ...kernels.philox import uniform
from ...kernels.sums import as_double
from ..noise import EVALUATION, Noise
from .boltzmann_kernels import add_half, connect, sweep, write_coupling, write_probabilities
from .hopfield import write_energies

MOST = 16  # units whose states are all looked at


class BoltzmannMachine(Noise):
    """The energy of x with hidden units drawn for it, and that of a state which the whole machine draws.

        y           = [E(s), E(s')],   E(s) = -½ Σᵢⱼ s[i] W[i, j] s[j] - Σᵢ b[i] s[i],   i ~ j,   s = (x, h)
        grad_x      = -grad_y[0] (W s + b) of the visible units
        grad_weight += -½ Σₙ grad_y[n, 0] s sᵀ + grad_y[n, 1] s' s'ᵀ where i ~ j
        grad_bias   += -Σₙ grad_y[n, 0] s + grad_y[n, 1] s'

    i ~ j are connected units: all pairs, but for visible units of different `groups`. With the groups 1, 1, ... visible
    units meet by hidden ones alone. A unit is 1 with probability σ(W[i] s + b[i]). h is drawn by `sweeps` over the
    hidden units while x is held, s' by as many over all units, from where the last minibatch ended. With the loss
    ContrastiveDivergence, the mean of E(s) - E(s'), that is Boltzmann's learning rule. `exact` machines draw nothing:
    y = [F(x), -log Z] by all states, so the loss is the negative log-likelihood, and s sᵀ and s' s'ᵀ are means over
    their distributions.

    Shapes: x (N, V), y (N, 2), weight (V + H, V + H), bias (V + H,), chain (chains, V + H), mask (V + H, V + H), 1
        where i ~ j, else 0; other connections may be written into it, symmetrically.
    Args: visible, hidden: V at least 1, H at least 0; sweeps: at least 1; chains: states that go on, of which a
        minibatch moves as many as it has samples, at least 1; exact: by all states, 16 units at most; groups: sizes of
        the visible units' groups, V in all, by default one group; weight_init: by default normal of deviation 0.1, made
        symmetric.
    Errors: ValueError for such settings, and for an x of another shape.
    Numerics: what is drawn jumps with the weights, which the gradients leave out; checks look at exact machines alone.
    Source: Ackley, Hinton and Sejnowski, A learning algorithm for Boltzmann machines (1985); Géron, equation E-1.
    """

    @property
    def stream_axes(self) -> dict[str, int]:
        """The axis of the chains, one for each sample; an exact machine has none."""
        return {} if self.exact else {"chain": 0}

    def __init__(
        self,
        visible: int,
        hidden: int = 0,
        sweeps: int = 1,
        chains: int = 32,
        exact: bool = False,
        groups: Sequence[int] | None = None,
        *,
        weight_init: Initializer | None = None,
    ):
        super().__init__()
        check_sizes(self, visible=visible, sweeps=sweeps, chains=chains)
        if isinstance(hidden, bool) or not isinstance(hidden, int) or hidden < 0:
            raise ValueError(f"BoltzmannMachine: hidden is {hidden!r}, expected a whole number of at least 0")
        self.visible, self.hidden, self.units = visible, hidden, visible + hidden
        if exact and self.units > MOST:
            raise ValueError(f"BoltzmannMachine: {self.units} units have too many states to be exact, {MOST} at most")
        self.sweeps, self.chains, self.exact, self.estimates = sweeps, chains, bool(exact), not exact
        weight = (weight_init or Normal(std=0.1)).sample((self.units, self.units))
        self.groups = None if groups is None else tuple(groups)
        self.mask = connect(self.groups or (visible,), visible, hidden)
        weight = (weight + weight.T) / 2 * self.mask
        self.weight, self.bias = Parameter(weight), Parameter(Constant(0.0).sample((self.units,)))
        self.chain = Buffer(np.zeros((chains, self.units)))
        self.y = self.grad_x = self.s = self.fields = self.drawn = self.drawn_fields = np.empty((0, 0))
        self.scaled = self.scaled_drawn = np.empty((0, 0))
        self.probabilities, self.drawn_probabilities = np.empty(0), np.empty(0)
        self.noise, self.all_noise = np.empty(0), np.empty(0)
        self.coupling, self.outer = np.empty((0, 0)), np.empty((0, 0))

    def fprop(self, x):
        count = x.shape[0]
        self.x = x
        self.y = reuse(self.y, (count, 2), x.dtype)
        self.coupling = reuse_like(self.coupling, self.weight)
        write_coupling(self.weight, self.mask, self.coupling)
        if self.exact:
            self.list_states(x)
        else:
            self.draw_states(x)
        self.fields, self.drawn_fields = reuse_like(self.fields, self.s), reuse_like(self.drawn_fields, self.drawn)
        self.probabilities = reuse(self.probabilities, (self.s.shape[0],), x.dtype)
        self.drawn_probabilities = reuse(self.drawn_probabilities, (self.drawn.shape[0],), x.dtype)
        matmul_into(self.s, self.coupling, self.fields, False)
        matmul_into(self.drawn, self.coupling, self.drawn_fields, False)
        write_energies(self.s, self.fields, self.bias, self.probabilities)
        write_energies(self.drawn, self.drawn_fields, self.bias, self.drawn_probabilities)
        block = self.s.shape[0] // count
        for n in range(count):
            self.y[n, 0] = self.probabilities[n]
            if not self.exact:
                self.y[n, 1] = self.drawn_probabilities[n]
        if self.exact:
            for n in range(count):
                self.y[n, 0] = write_probabilities(self.probabilities[n * block : (n + 1) * block])
            value = write_probabilities(self.drawn_probabilities)
            for n in range(count):
                self.y[n, 1] = value
        else:
            self.probabilities[:] = 1
            self.drawn_probabilities[:] = 1
        return self.y

    def list_states(self, x):
        """s: each row of x with all states of the hidden units; drawn: all states of all units."""
        block = 1 << self.hidden
        self.s = reuse(self.s, (x.shape[0] * block, self.units), x.dtype)
        self.drawn = reuse(self.drawn, (1 << self.units, self.units), x.dtype)
        for row in range(self.s.shape[0]):
            for i in range(self.visible):
                self.s[row, i] = x[row // block, i]
            for i in range(self.hidden):
                self.s[row, self.visible + i] = row % block >> i & 1
        for row in range(self.drawn.shape[0]):
            for i in range(self.units):
                self.drawn[row, i] = row >> i & 1

    def draw_states(self, x):
        """s: x with hidden units drawn for it, from states of 0; drawn: the chains, moved on."""
        count = x.shape[0]
        self.s, self.drawn = (
            reuse(self.s, (count, self.units), x.dtype),
            reuse(self.drawn, (count, self.units), x.dtype),
        )
        self.noise = reuse(self.noise, (count * self.hidden,), x.dtype)
        self.all_noise = reuse(self.all_noise, (count * self.units,), x.dtype)
        for n in range(count):
            self.drawn[n] = self.chain[n % self.chains]
            for i in range(self.units):
                self.s[n, i] = x[n, i] if i < self.visible else 0 * x[n, 0]
        step = self.step if self.training else EVALUATION
        for k in range(self.sweeps):
            uniform(self.key, step + 2 * k, self.noise)
            sweep(self.s, self.visible, self.coupling, self.bias, self.noise)
            uniform(self.key, step + 2 * k + 1, self.all_noise)
            sweep(self.drawn, 0, self.coupling, self.bias, self.all_noise)
        if self.training:
            self.step += 2 * self.sweeps
            for n in range(min(count, self.chains)):
                self.chain[n] = self.drawn[n]

    def bprop(self, grad_y):
        self.grad_x, block = reuse_like(self.grad_x, self.x), self.s.shape[0] // self.x.shape[0]
        for n in range(self.x.shape[0]):
            for i in range(self.visible):
                pull = np.float64(0)
                for row in range(n * block, (n + 1) * block):
                    pull += as_double(self.probabilities[row]) * as_double(self.fields[row, i] + self.bias[i])
                self.grad_x[n, i] = -as_double(grad_y[n, 0]) * pull
        if self.needs_grad_parameters:
            self.bprop_parameters(grad_y, block)
        return self.grad_x

    def bprop_parameters(self, grad_y, block):
        """The gradients of weights and biases; `block` states are counted for each sample."""
        self.scaled, self.scaled_drawn = reuse_like(self.scaled, self.s), reuse_like(self.scaled_drawn, self.drawn)
        self.outer, total = reuse_like(self.outer, self.weight), np.float64(0)
        if not self.accumulate:
            self.grad_weight[...] = 0
            self.grad_bias[...] = 0
        for n in range(self.x.shape[0]):
            total += as_double(grad_y[n, 1])
        for row in range(self.s.shape[0]):
            factor = -grad_y[row // block, 0] * self.probabilities[row]
            for i in range(self.units):
                self.scaled[row, i] = factor * self.s[row, i]
                self.grad_bias[i] += self.scaled[row, i]
        for row in range(self.drawn.shape[0]):
            factor = -self.drawn_probabilities[row]
            if self.exact:
                factor *= total
            else:
                factor *= grad_y[row, 1]
            for i in range(self.units):
                self.scaled_drawn[row, i] = factor * self.drawn[row, i]
                self.grad_bias[i] += self.scaled_drawn[row, i]
        matmul_into(self.scaled.T, self.s, self.outer, False)
        matmul_into(self.scaled_drawn.T, self.drawn, self.outer, True)
        add_half(self.outer, self.mask, self.grad_weight)

    def jvp(self, v):
        """Σ p R{E} over the states of each distribution, R{E} = -(W s + b) v - ½ s V_W s - v_b s"""
        turns, drawn_turns = self.write_turns(v)
        block, out = self.s.shape[0] // self.x.shape[0], np.zeros((v.shape[0], 2), v.dtype)
        total = np.float64(0)
        for row in range(self.drawn.shape[0]):
            total += as_double(self.drawn_probabilities[row]) * as_double(drawn_turns[row])
        for n in range(v.shape[0]):
            for row in range(n * block, (n + 1) * block):
                out[n, 0] += self.probabilities[row] * turns[row]
            out[n, 1] = total if self.exact else drawn_turns[n]
        return out

    def write_turns(self, v):
        """R{E} of each state, and of each drawn one, whose units stand still."""
        turns, drawn_turns = np.empty(self.s.shape[0], v.dtype), np.empty(self.drawn.shape[0], v.dtype)
        fields, drawn_fields = np.empty(self.s.shape, v.dtype), np.empty(self.drawn.shape, v.dtype)
        coupling = np.empty(self.weight.shape, v.dtype)
        write_coupling(self.v_weight, self.mask, coupling)
        matmul_into(self.s, coupling, fields, False)
        matmul_into(self.drawn, coupling, drawn_fields, False)
        write_energies(self.s, fields, self.v_bias, turns)
        write_energies(self.drawn, drawn_fields, self.v_bias, drawn_turns)
        block = self.s.shape[0] // self.x.shape[0]
        for row in range(self.s.shape[0]):
            for i in range(self.visible):
                turns[row] -= (self.fields[row, i] + self.bias[i]) * v[row // block, i]
        return turns, drawn_turns

    def rbprop(self, v, grad_y, r_grad_y):
        """R of bprop's means over states, with R{p} = -p (R{E} - Σ p R{E})"""
        turns, drawn_turns = self.write_turns(v)
        tangent, out = self.jvp(v), np.zeros(v.shape, v.dtype)
        first, second = np.empty(self.s.shape, v.dtype), np.empty(self.s.shape, v.dtype)
        moving, fields = np.zeros(self.s.shape, v.dtype), np.empty(self.s.shape, v.dtype)
        outer, drawn = np.empty(self.weight.shape, v.dtype), np.empty(self.drawn.shape, v.dtype)
        block = self.s.shape[0] // self.x.shape[0]
        for row in range(self.s.shape[0]):
            for i in range(self.visible):
                moving[row, i] = v[row // block, i]
        write_coupling(self.v_weight, self.mask, outer)
        matmul_into(self.s, outer, fields, False)
        matmul_into(moving, self.coupling, second, False)
        for row in range(self.s.shape[0]):
            n = row // block
            weight = self.probabilities[row] * grad_y[n, 0]
            factor = self.probabilities[row] * r_grad_y[n, 0] - weight * (turns[row] - tangent[n, 0])
            for i in range(self.visible):
                out[n, i] -= factor * (self.fields[row, i] + self.bias[i])
                out[n, i] -= weight * (fields[row, i] + second[row, i] + self.v_bias[i])
            for i in range(self.units):
                first[row, i] = -factor * self.s[row, i] - weight * moving[row, i]
                second[row, i] = -weight * self.s[row, i]
        g, r = np.float64(0), np.float64(0)
        for n in range(v.shape[0]):
            g += as_double(grad_y[n, 1])
            r += as_double(r_grad_y[n, 1])
        for row in range(self.drawn.shape[0]):
            factor = r * self.drawn_probabilities[row] - g * self.drawn_probabilities[row] * (
                drawn_turns[row] - tangent[0, 1]
            )
            for i in range(self.units):
                drawn[row, i] = -factor * self.drawn[row, i]
        for row in range(first.shape[0]):
            for i in range(self.units):
                self.grad_bias[i] += first[row, i]
        for row in range(drawn.shape[0]):
            for i in range(self.units):
                self.grad_bias[i] += drawn[row, i]
        matmul_into(first.T, self.s, outer, False)
        matmul_into(second.T, moving, outer, True)
        matmul_into(drawn.T, self.drawn, outer, True)
        add_half(outer, self.mask, self.grad_weight)
        return out

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return check_matrix_shape(self, input_shape, self.visible), 2

    def extra_repr(self) -> str:
        return (
            f"{self.visible} and {self.hidden} units"
            + (", exact" if self.exact else "")
            + ("" if self.groups is None else f", groups={self.groups}")
        )

    # -- sampling ------------------------------------------------------------------------------------------------------

    def draw(
        self,
        x,
        sweeps: int,
        *,
        temperature: float = 1.0,
        cooling: float = 1.0,
        held: Sequence[int] | None = None,
        noise: float | None = None,
        seed: int | None = None,
    ) -> np.ndarray:
        """Draw states (N, V + H) of all units by so many sweeps from x (N, V), the hidden units from chance.

        Many sweeps at one temperature end in thermal equilibrium: in each state with probability exp(-E(s) / T) / Z.
        Args: temperature: T, a unit is 1 with probability σ((W s + b) / T); cooling: the factor of T from sweep to
            sweep (simulated annealing with one below 1); held: visible units that keep their values, as for an image
            that is completed; noise: the share of units of x that is wrong, as for an image that is denoised, which
            adds log((1 - noise) / noise) to the field of units that are 1 in x, and takes it off that of the others;
            seed: by default drawn from the initializers' stream.
        Errors: ValueError for another shape, a temperature or a cooling that is not above 0, held units that are no
            visible ones, and a noise that is not between 0 and 1.
        Source: Géron, equation E-1; Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing (1983).
        """
        x = np.asarray(x, np.float64)
        self.output_shape(x.shape)
        for name, value in (("temperature", temperature), ("cooling", cooling)):
            if not value > 0:
                raise ValueError(f"{self.label()}: {name} is {value}, expected a number above 0")
        if noise is not None and not 0 < noise < 1:
            raise ValueError(f"{self.label()}: noise is {noise}, expected a number between 0 and 1")
        if wrong := [unit for unit in held or () if not 0 <= unit < self.visible]:
            raise ValueError(f"{self.label()}: unit {wrong[0]} cannot be held, expected 0 to {self.visible - 1}")
        random = get_generator() if seed is None else np.random.default_rng(seed)
        weight, bias, mask = (vars(self)[name].astype(np.float64) for name in ("weight", "bias", "mask"))
        weight = (weight + weight.T) / 2 * mask
        fields = np.broadcast_to(bias, (len(x), self.units)).copy()
        if noise is not None:
            fields[:, : self.visible] += np.log((1 - noise) / noise) * (2 * x - 1)
        states = np.concatenate([x, random.integers(0, 2, (len(x), self.hidden))], axis=1)
        free = [unit for unit in range(self.units) if unit not in (held or ())]
        for _ in range(sweeps):
            for unit in free:
                p = 0.5 * (1 + np.tanh(0.5 * (states @ weight[unit] + fields[:, unit]) / temperature))
                states[:, unit] = random.random(len(states)) < p
            temperature *= cooling
        return states
