"""Predictive coding: activities settle between the layers' predictions and the target, then weights follow."""

import numpy as np

from ...modules.kernels.buffers import flat, reuse_like
from .chain import ChainRule, Switches
from .checks import check_at_least, check_scale


class Activities:
    """The activities of a block, and how they settle: compiled methods of the copy that stands there."""

    def begin(self, prediction):
        """Begin with the prediction as the activities."""
        self.value, self.error = reuse_like(self.value, prediction), reuse_like(self.error, prediction)
        self.grad = reuse_like(self.grad, prediction)
        self.value[:] = prediction
        return self.value

    def compare(self, prediction):
        """-e = f - v, what the block's bprop is given."""
        value, prediction, error = flat(self.value), flat(prediction), flat(self.error)
        for i in range(value.size):
            error[i] = prediction[i] - value[i]
        return self.error

    def scale_up(self, grad_y):
        """The gradient of the sum over the samples, from that of the mean."""
        self.grad = reuse_like(self.grad, grad_y)
        self.grad[:] = grad_y * len(grad_y)
        return self.grad

    def scale_down(self, error):
        """The gradient of the mean over the samples, from that of the sum."""
        self.grad[:] = error / len(error)
        return self.grad

    def settle(self, grad):
        """Take a step of the activities; `grad` is of the block above."""
        value, error, grad = flat(self.value), flat(self.error), flat(grad)
        for i in range(value.size):
            value[i] -= self.rate * (grad[i] - error[i])


class PredictiveCoding(Activities, Switches, ChainRule):
    """Predictive coding: each layer predicts the activities v of the next, and all lower one energy.

        F    = N loss(f_L(v_{L-1}), target) + Σₗ ½ |eₗ|²,    eₗ = vₗ - fₗ(vₗ₋₁),   v₀ = x
        vₗ  -= rate (eₗ + dF/dvₗ of the block above)          `steps` times, from vₗ = fₗ(vₗ₋₁) on
        grad = -(dfₗ/dWₗ)ᵀ eₗ / N                             with the activities in which that ends

    Each block needs its own error and the one above alone. With few steps of a small rate the gradients are nearly in
    the direction of backprop's; each step takes a forward and a backward pass.

    Args: steps: of the activities, at least 1; rate: of their steps.
    Errors: ValueError for settings out of range, for a net that is no Sequential.
    Source: Whittington and Bogacz, An approximation of the error backpropagation algorithm in a predictive coding
        network with local Hebbian synaptic plasticity (2017), eqs. 2.17 and 2.18.
    """

    def __init__(self, steps: int = 20, rate: float = 0.1):
        super().__init__()
        check_at_least("PredictiveCoding", 1, steps=steps)
        self.steps, self.rate = steps, check_scale("PredictiveCoding", rate, "rate")

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        empty = np.zeros((0,) * (len(output_shape) + 1))
        self.value, self.error, self.grad = empty, empty.copy(), empty.copy()

    def write_step(self, operations, net, loss, x, *targets):
        blocks, last = self.blocks, self.blocks[-1]
        values = [self.write_first(operations, x)]
        for block in blocks[:-1]:
            values.append(operations.call(block.copy, "begin", block.write_fprop(operations, values[-1])))
        y = last.write_fprop(operations, values[-1])
        value = operations.call(loss, "fprop", y, *targets)
        if len(blocks) > 1:
            for block in blocks[1:]:
                operations.call(block.copy, "ask_grad_x", other=block.layer)
            with operations.repeated(last.copy, "steps"):
                self.write_errors(operations, values, loss, targets, settling=True)
        for block in blocks:
            operations.call(block.copy, "ask_parameters", other=block.layer)
        self.write_errors(operations, values, loss, targets, settling=False)
        self.write_end(operations)
        return value, y

    def write_errors(self, operations, values, loss, targets, *, settling: bool) -> None:
        """Write the errors of all blocks at the present activities, and what follows from them."""
        blocks, last = self.blocks, self.blocks[-1]
        outputs = [block.write_fprop(operations, values[k]) for k, block in enumerate(blocks)]
        errors = [operations.call(block.copy, "compare", outputs[k]) for k, block in enumerate(blocks[:-1])]
        operations.call(loss, "fprop", outputs[-1], *targets)
        error = operations.call(loss, "bprop")
        if not settling:
            last.write_bprop(operations, error)
            for block, own in zip(blocks[:-1], errors, strict=True):
                block.write_bprop(operations, operations.call(block.copy, "scale_down", own))
            return
        grads = [operations.call(last.copy, "scale_up", error)]
        grads = [
            block.write_bprop(operations, grad) for block, grad in zip(blocks[1:], errors[1:] + grads, strict=True)
        ]
        for block, grad in zip(blocks, grads, strict=False):
            operations.call(block.copy, "settle", grad)
