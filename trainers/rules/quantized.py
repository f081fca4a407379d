"""Weights of few levels: forward and backward with rounded weights, updates of the real ones behind them."""

import numpy as np

from ...modules.kernels.buffers import flat
from ...modules.kernels.philox import uniform
from .checks import check_at_least, check_scale
from .feedback import count_inputs
from .gradients import exchange
from .rule import Rule


class QuantizedWeights(Rule):
    """Weights of a few levels, trained by the straight-through estimator.

        q           = W rounded to the nearest of `levels` values, evenly spaced from -limit to limit
        y, grad_x   = the layer's with q in the place of W
        grad_weight = the gradient by q, and 0 where it would move a W that is beyond the limit further out

    limit = scale / √n, n the inputs of a unit. The optimizer changes the real weights W. With two levels this is
    BinaryConnect, with three ternary weights. Stochastic: W is rounded up with the probability that keeps its mean, by
    random numbers of the step; evaluation rounds to the nearest. A trained net answers with rounded weights in
    `Trainer.evaluate` and `predict`; `write_weights(net)` rounds them in the net itself.

    Args: levels: at least 2; stochastic: round at random in training; scale: of the limit; seed: of the random numbers.
    Errors: ValueError for settings out of range, and for a layer with several matrices.
    Source: Bengio, Léonard and Courville, Estimating or propagating gradients through stochastic neurons (2013),
        section 4; Courbariaux, Bengio and David, BinaryConnect (2015), algorithm 1.
    """

    kept = ("step",)

    def __init__(self, levels: int = 2, stochastic: bool = False, scale: float = 1.0, seed: int = 0):
        super().__init__(seed)
        check_at_least("QuantizedWeights", 2, levels=levels)
        self.levels, self.stochastic = levels, stochastic
        self.scale = check_scale("QuantizedWeights", scale)
        self.matrix = self.noise = np.empty((0, 0))
        self.step = 0

    def start(self, layer, input_shape, output_shape, outputs) -> None:
        self.matrix, self.noise = np.zeros(self.weight.shape), np.zeros(self.weight.shape)
        self.limit = float(self.scale / np.sqrt(count_inputs(self.weight)))
        self.key = int(self.random().integers(2**62))

    def fprop(self, layer, x):
        at_random = self.stochastic and self.training
        if at_random:
            uniform(self.key, self.step, flat(self.noise))
        if self.training:
            self.step += 1
        weight, noise, rounded = flat(self.weight), flat(self.noise), flat(self.matrix)
        unit = 2 * self.limit / (self.levels - 1)
        for i in range(weight.size):
            place = (min(max(weight[i], -self.limit), self.limit) + self.limit) / unit
            rounded[i] = unit * np.floor(place + (noise[i] if at_random else 0.5)) - self.limit
            rounded[i] = min(rounded[i], self.limit)
        exchange(self.weight, self.matrix)
        y = layer.fprop(x)
        exchange(self.weight, self.matrix)
        return y

    def bprop(self, layer, grad_y):
        exchange(self.weight, self.matrix)
        grad_x = layer.bprop(grad_y)
        exchange(self.weight, self.matrix)
        weight, grad = flat(self.weight), flat(self.grad_weight)
        for i in range(weight.size):
            if (weight[i] > self.limit and grad[i] < 0) or (weight[i] < -self.limit and grad[i] > 0):
                grad[i] = 0
        return grad_x

    def write_weights(self, net) -> None:
        """Round the weights of a net, in place."""
        for _, layer in net.named_modules():
            for name in layer._parameters:
                weight = vars(layer)[name]
                if weight.ndim > 1:
                    limit = self.scale / np.sqrt(count_inputs(weight))
                    unit = 2 * limit / (self.levels - 1)
                    weight[...] = unit * np.floor((np.clip(weight, -limit, limit) + limit) / unit + 0.5) - limit
