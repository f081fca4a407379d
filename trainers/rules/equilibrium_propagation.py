"""Equilibrium propagation: a net that settles twice, the second time nudged towards the target."""

import numpy as np

from ...modules.kernels.buffers import flat, reuse_like
from .chain import ChainRule, Switches
from .checks import check_at_least, check_scale


class SettlingStates(Switches, ChainRule):
    """Base with the states of a net that come to rest: methods of a block's copy, and the plan of their steps."""

    def begin(self, y):
        """Begin with zeros of the shape of y."""
        self.state, self.free = reuse_like(self.state, y), reuse_like(self.free, y)
        self.high, self.drive = reuse_like(self.high, y), reuse_like(self.drive, y)
        self.state[:] = 0
        return self.state

    def add(self, own, above):
        """The sum of what comes from below and from above."""
        drive, own, above = flat(self.drive), flat(own), flat(above)
        for i in range(drive.size):
            drive[i] = own[i] + above[i]
        return self.drive

    def nudge(self, y, grad_y):
        """y less the pull of the loss, whose gradient is of the mean over the samples."""
        drive, y, grad = flat(self.drive), flat(y), flat(grad_y)
        pull = y.dtype.type(self.sign * self.beta * len(grad_y))
        for i in range(drive.size):
            drive[i] = y[i] - pull * grad[i]
        return self.drive

    def move(self, y):
        """Take a step of the state."""
        state, y = flat(self.state), flat(y)
        for i in range(state.size):
            state[i] += self.rate * (y[i] - state[i])

    def keep_free(self):
        """Keep the state of the first rest, and pull towards the target."""
        self.free[:] = self.state
        self.sign = 1.0

    def keep_high(self):
        """Keep the state of the second rest, go back to the first, and pull the other way."""
        self.high[:] = self.state
        self.state[:] = self.free
        self.sign = -1.0

    def write_rest(self, operations, x) -> list[str]:
        """Write how the states come to rest without a target; returns the names of the input and of all states."""
        x = self.write_first(operations, x)
        states, y = [x], x
        for block in self.blocks:
            y = block.write_fprop(operations, y)
            states.append(operations.call(block.copy, "begin", y))
        for block in self.blocks[1:]:
            operations.call(block.copy, "ask_grad_x", other=block.layer)
        with operations.repeated(self.blocks[-1].copy, "steps"):
            self.write_moves(operations, states)
        self.write_end(operations)
        return states

    def write_moves(self, operations, states, loss=None, targets=()) -> None:
        """Write one step of all states, from the first block on; with a loss, nudged."""
        for k, block in enumerate(self.blocks):
            drive = operations.fprop(block.layer, states[k])
            if block is not self.blocks[-1]:
                above = self.blocks[k + 1]
                operations.fprop(above.layer, states[k + 1])  # so that its bprop knows the shape
                drive = operations.call(block.copy, "add", drive, operations.bprop(above.layer, states[k + 2]))
            y = block.write_units(operations, drive)
            if loss is not None and block is self.blocks[-1]:
                operations.call(loss, "fprop", states[-1], *targets)
                y = operations.call(block.copy, "nudge", y, operations.call(loss, "bprop"))
            operations.call(block.copy, "move", y)


class EquilibriumPropagation(SettlingStates):
    """Equilibrium propagation: the difference of two states of rest is the gradient.

        Φ    = Σₗ <sₗ, fₗ(sₗ₋₁)>                               fₗ: the layer of block l, σₗ: its units; s₀ = x
        sₗ  += rate (σₗ(dΦ/dsₗ) - sₗ),   dΦ/dsₗ = fₗ(sₗ₋₁) + (dfₗ₊₁/dsₗ)ᵀ sₗ₊₁
        s_L  also moves by -β N dloss/ds_L                     while it is nudged
        grad = -(dΦ/dW at β - dΦ/dW at -β) / 2βN

    The state rests after `steps` from zero without a target, then after `nudged_steps` with β, and from the first rest
    with -β. Every weight carries activity both ways, so nothing but activity travels backward. The net answers with the
    first state of rest: in `Trainer.evaluate` and `predict`; its own fprop knows nothing of it.

    Args: steps, nudged_steps: at least 1; beta: β; rate: of the states' steps, up to 1.
    Errors: ValueError for settings out of range, for a net that is no Sequential.
    Source: Scellier and Bengio, Equilibrium propagation (2017); Laborieux et al., Scaling equilibrium propagation to
        deep ConvNets by drastically reducing its gradient estimator bias (2021), eqs. 7 and 10.
    """

    changes_outputs = True

    def __init__(self, steps: int = 20, nudged_steps: int = 4, beta: float = 0.5, rate: float = 1.0):
        super().__init__()
        check_at_least("EquilibriumPropagation", 1, steps=steps, nudged_steps=nudged_steps)
        self.steps, self.nudged_steps = steps, nudged_steps
        self.beta = check_scale("EquilibriumPropagation", beta, "beta")
        self.rate = check_scale("EquilibriumPropagation", rate, "rate")
        if rate > 1:
            raise ValueError(f"EquilibriumPropagation: rate is {rate}, expected at most 1")

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        empty = np.zeros((0,) * (len(output_shape) + 1))
        self.state, self.free, self.high, self.drive = (empty.copy() for _ in range(4))
        self.sign, self.accumulated = 0.0, True

    # -- compiled, at each block -------------------------------------------------------------------------------------

    def scale_high(self):
        """-s / 2βN of the second rest, as grad_y."""
        self.drive[:] = self.high * (-0.5 / (self.beta * len(self.high)))
        return self.drive

    def scale_low(self):
        """s / 2βN of the third rest."""
        self.drive[:] = self.state * (0.5 / (self.beta * len(self.state)))
        return self.drive

    def get_high(self):
        """The state of the second rest."""
        return self.high

    def ask_more(self, layer):
        """From now on the layer's bprop adds to its gradients."""
        self.accumulated = layer.accumulate
        layer.accumulate = True

    def ask_as_before(self, layer):
        """From now on the layer's bprop adds to its gradients only if it did before."""
        layer.accumulate = self.accumulated

    # -- the plan ----------------------------------------------------------------------------------------------------

    def write_outputs(self, operations, net, x):
        return self.write_rest(operations, x)[-1]

    def write_step(self, operations, net, loss, x, *targets):
        states = self.write_rest(operations, x)
        value = operations.call(loss, "fprop", states[-1], *targets)
        for block in self.blocks[1:]:
            operations.call(block.copy, "ask_grad_x", other=block.layer)
        for keep in ("keep_free", "keep_high"):
            for block in self.blocks:
                operations.call(block.copy, keep)
            with operations.repeated(self.blocks[-1].copy, "nudged_steps"):
                self.write_moves(operations, states, loss, targets)
        self.write_gradients(operations, states)
        self.write_end(operations)
        return value, operations.call(self.blocks[-1].copy, "get_free")

    def write_gradients(self, operations, states) -> None:
        """Write the gradients of all layers: of the second rest, less those of the third."""
        high = [states[0], *[operations.call(block.copy, "get_high") for block in self.blocks]]
        for k, block in enumerate(self.blocks):
            operations.call(block.copy, "ask_parameters", other=block.layer)
            operations.fprop(block.layer, high[k])
            operations.bprop(block.layer, operations.call(block.copy, "scale_high"))
            operations.call(block.copy, "ask_more", other=block.layer)
            operations.fprop(block.layer, states[k])
            operations.call(block.copy, "subtract", operations.call(block.copy, "scale_low"), other=block.layer)
            operations.call(block.copy, "ask_as_before", other=block.layer)

    def subtract(self, layer, grad_y):
        """Add the gradients of the third rest to the layer's."""
        layer.bprop(grad_y)

    def get_free(self):
        """The state of the first rest."""
        return self.free
