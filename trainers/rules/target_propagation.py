"""Difference target propagation: targets in the place of gradients, through learned inverses of the layers."""

import numpy as np

from ...modules.containers.sequential import Sequential
from ...modules.initializers.initializers import Constant
from ...modules.kernels.buffers import flat, reuse_like
from ...modules.kernels.philox import normal
from ...modules.layers.linear import Linear
from ...modules.layers.reshape import Flatten, Reshape
from .chain import ChainRule, Switches
from .checks import check_scale


class LearnedInverse(Switches, ChainRule):
    """Base with the inverse of a block, which learns to undo it: compiled methods of the copy that stands there."""

    def make_inverse(self, net, below, block) -> None:
        """Make the inverse of a block, whose output is like that of the block below."""
        sizes = int(np.prod(block.output_shape)), int(np.prod(below.output_shape))
        linear = Linear(*sizes, weight_init=Constant(0), bias_init=Constant(0))
        before = [] if len(block.output_shape) == 1 else [Flatten()]
        after = [] if len(below.output_shape) == 1 else [Reshape(below.output_shape)]
        units = [unit.copy() for unit in below.units]
        inverse = Sequential(*before, linear.to(net.dtype), *after, *units).to(net.dtype)
        bound = 1 / np.sqrt(sizes[0])
        vars(linear)["weight"][...] = self.random().uniform(-bound, bound, sizes[::-1])
        vars(self)["_inverse"] = inverse
        vars(self).update(inverse_weights=inverse.flat_parameters, inverse_gradients=inverse.flat_gradients)

    def keep_mapped(self, mapped):
        """Keep the inverse of a block's output."""
        self.mapped = reuse_like(self.mapped, mapped)
        self.mapped[:] = mapped

    def aim_by_difference(self, h, mapped_aim):
        """The target of the block's input h."""
        self.input_aim = reuse_like(self.input_aim, h)
        aim, h, of_aim, of_output = flat(self.input_aim), flat(h), flat(mapped_aim), flat(self.mapped)
        for i in range(aim.size):
            aim[i] = h[i] + of_aim[i] - of_output[i]
        return self.input_aim

    def add_noise(self, h):
        """h with noise."""
        size = h.size + h.size % 2
        if self.random_numbers.size != size:
            self.random_numbers = np.empty(size, h.dtype)
        normal(self.key, self.calls, self.random_numbers)
        self.calls += 1
        self.noisy = reuse_like(self.noisy, h)
        noisy, h = flat(self.noisy), flat(h)
        for i in range(noisy.size):
            noisy[i] = h[i] + self.noise * self.random_numbers[i]
        return self.noisy

    def compare(self, inverse):
        """The gradient of the mean of ½|inverse - noisy|² over the samples."""
        grad, made, noisy, scale = flat(self.input_aim), flat(inverse), flat(self.noisy), 1 / len(inverse)
        for i in range(grad.size):
            grad[i] = scale * (made[i] - noisy[i])
        return self.input_aim

    def learn_inverse(self):
        """Take a step of the inverse's parameters."""
        for i in range(self.inverse_weights.size):
            self.inverse_weights[i] -= self.lr * self.inverse_gradients[i]


class DifferenceTargetPropagation(LearnedInverse):
    """Difference target propagation: each block has a target, which an inverse of the block above carries down.

        ĥ_{L-1} = h_{L-1} - step N dloss/dh_{L-1}                   hₗ = fₗ(hₗ₋₁); the last block has the gradient
        ĥₗ₋₁    = hₗ₋₁ + gₗ(ĥₗ) - gₗ(hₗ)
        grad    = (dfₗ/dWₗ)ᵀ (hₗ - ĥₗ) / (step N)                    of ½|hₗ - ĥₗ|², in the size of a gradient
        gₗ learns, by SGD with the rate lr, to undo fₗ near hₗ₋₁: to make hₗ₋₁ + noise of fₗ(hₗ₋₁ + noise)

    gₗ is a Linear followed by the units of block l - 1, for l from 2 to L - 1.

    Args: step: of the first target; noise: its standard deviation; lr: of the inverses; seed: of their first weights
        and the noise.
    Errors: ValueError for settings out of range, for a net that is no Sequential, or of fewer than two blocks.
    Source: Lee, Zhang, Fischer and Bengio, Difference target propagation (2015), algorithm 1.
    """

    kept = ("calls", "inverse_weights")

    def __init__(self, step: float = 0.1, noise: float = 0.1, lr: float = 0.01, seed: int = 0):
        super().__init__(seed)
        self.step = check_scale("DifferenceTargetPropagation", step, "step")
        self.noise = check_scale("DifferenceTargetPropagation", noise, "noise")
        self.lr = check_scale("DifferenceTargetPropagation", lr, "lr")
        self.calls = 0

    def make_copies(self, net, x_shape) -> None:
        super().make_copies(net, x_shape)
        if len(self.blocks) < 2:
            raise ValueError(f"{self.label()}: the model has one layer with weights, expected at least 2")
        for below, block in zip(self.blocks, self.blocks[1:-1], strict=False):
            block.copy.make_inverse(net, below, block)

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        self.aim = np.zeros((0,) * (len(output_shape) + 1))
        self.input_aim, self.mapped, self.noisy = (np.zeros((0,) * (len(input_shape) + 1)) for _ in range(3))
        self.random_numbers = np.zeros(0)
        self.key = int(self.random().integers(2**62))
        self.inverse_weights, self.inverse_gradients = np.zeros(0), np.zeros(0)

    # -- compiled, at each block -------------------------------------------------------------------------------------

    def aim_down(self, h, grad):
        """The first target, of the output of the block before the last."""
        self.input_aim = reuse_like(self.input_aim, h)
        aim, h, grad, pull = flat(self.input_aim), flat(h), flat(grad), self.step * len(h)
        for i in range(aim.size):
            aim[i] = h[i] - pull * grad[i]
        return self.input_aim

    def miss(self, h, aim):
        """The gradient by the block's output h, in the size of the loss's."""
        self.aim = reuse_like(self.aim, h)
        miss, h, aim, scale = flat(self.aim), flat(h), flat(aim), 1 / (self.step * len(h))
        for i in range(miss.size):
            miss[i] = scale * (h[i] - aim[i])
        return self.aim

    # -- the plan ----------------------------------------------------------------------------------------------------

    def write_step(self, operations, net, loss, x, *targets):
        blocks, last = self.blocks, self.blocks[-1]
        outputs = [self.write_first(operations, x)]
        for block in blocks:
            outputs.append(block.write_fprop(operations, outputs[-1]))
        value = operations.call(loss, "fprop", outputs[-1], *targets)
        grad = last.write_bprop(operations, operations.call(loss, "bprop"))
        aim = operations.call(last.copy, "aim_down", outputs[-2], grad)
        for block in blocks[:-1]:
            operations.call(block.copy, "ask_parameters", other=block.layer)
        aims = {len(blocks) - 1: aim}
        for k in range(len(blocks) - 2, 0, -1):
            copy, inverse = blocks[k].copy, blocks[k].copy._inverse
            operations.call(copy, "keep_mapped", operations.fprop(inverse, outputs[k + 1]))
            mapped = operations.fprop(inverse, aims[k + 1])
            aims[k] = operations.call(copy, "aim_by_difference", outputs[k], mapped)
        for k, block in enumerate(blocks[:-1]):
            block.write_bprop(operations, operations.call(block.copy, "miss", outputs[k + 1], aims[k + 1]))
        for k, block in reversed(list(enumerate(blocks[1:-1], start=1))):  # as it overwrites the block's output
            noisy = operations.call(block.copy, "add_noise", outputs[k])
            made = operations.fprop(block.copy._inverse, block.write_fprop(operations, noisy))
            operations.bprop(block.copy._inverse, operations.call(block.copy, "compare", made))
            operations.call(block.copy, "learn_inverse")
        self.write_end(operations)
        return value, outputs[-1]
