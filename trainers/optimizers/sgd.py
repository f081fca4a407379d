"""Stochastic gradient descent, with PyTorch's update exactly."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.operations import Operations
from ...modules.kernels.threads import parallel_for
from .checks import check_not_negative
from .slices import SliceOptimizer
from .vectors import BLOCK, count_blocks, weigh_sharing


class SGD(SliceOptimizer):
    """Gradient descent with momentum.

        velocity = momentum velocity + (1 - dampening) gradient      (velocity = gradient in the first step)
        g        = gradient + momentum velocity if nesterov else velocity
        parameter -= lr g

    Without momentum and weight decay a step leaves out the rows of an Embedding whose tokens do not occur: their
    gradient is zero, and so is their change.

    Args: lr: learning rate; momentum, dampening: at least 0; nesterov: needs momentum and no dampening; common: the
        settings of all optimizers, such as weight_decay.
    Errors: ValueError for negative settings and for nesterov without momentum or with dampening.
    Source: Goodfellow et al., Deep Learning, algorithms 8.1 to 8.3; PyTorch's torch.optim.SGD.
    """

    def __init__(self, lr: float, momentum: float = 0.0, dampening: float = 0.0, nesterov: bool = False, **common: Any):
        super().__init__(**common)
        check_not_negative("SGD", lr=lr, momentum=momentum, dampening=dampening)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov with momentum {momentum} and dampening {dampening}, "
                "expected momentum > 0 and no dampening"
            )
        self.lr, self.momentum, self.dampening = float(lr), float(momentum), float(dampening)
        self.nesterov = nesterov
        self.steps = 0
        self.slices = np.zeros((0, 2), np.int64)  # of the parameters that are no rows of embeddings

    def start(self, parameters: np.ndarray) -> None:
        self.steps = 0
        self.velocity = np.zeros_like(parameters)

    def count_step(self):
        self.steps += 1

    def update_slice(self, parameters, gradients, begin, end):
        lr, momentum, share = self.lr, self.momentum, 1 - self.dampening if self.steps > 1 else 1.0
        parameters, gradients, velocity = parameters[begin:end], gradients[begin:end], self.velocity[begin:end]
        blocks, cost = count_blocks(parameters), weigh_sharing(parameters)
        if momentum == 0:
            parallel_for(descend, blocks, cost, parameters, gradients, lr)
        elif self.nesterov:
            parallel_for(look_ahead, blocks, cost, parameters, gradients, velocity, lr, momentum, share)
        else:
            parallel_for(roll, blocks, cost, parameters, gradients, velocity, lr, momentum, share)

    def write_row_update(
        self, operations: Operations, parameters: str, gradients: str, layers: Sequence[Module]
    ) -> str | None:
        if self.momentum != 0:
            return None
        vector = None if self._vector is None else self._vector()
        if vector is None:
            return None
        places = [(layer.weight.ctypes.data - vector.ctypes.data) // vector.itemsize for layer in layers]
        rows = sorted((place, place + layer.weight.size) for place, layer in zip(places, layers, strict=True))
        bounds = np.array([0, *(bound for pair in rows for bound in pair), vector.size], np.int64).reshape(-1, 2)
        setattr(self, "slices", bounds)  # noqa: B010 - an assignment would make it a part of the state
        target = operations.call(self, "update_others", parameters, gradients)
        for layer in layers:
            target = operations.call(self, "update_rows", other=layer)
        return target

    def update_others(self, parameters, gradients):
        """The update of all but the rows of embeddings; with momentum, which a schedule may begin, of all."""
        if self.momentum != 0:
            self.update(parameters, gradients)
            return
        self.steps += 1
        for k in range(self.slices.shape[0]):
            begin, end = self.slices[k, 0], self.slices[k, 1]
            some, slopes = parameters[begin:end], gradients[begin:end]
            parallel_for(descend, count_blocks(some), weigh_sharing(some), some, slopes, self.lr)

    def update_rows(self, layer):
        """The update of an embedding's rows that occur, without momentum."""
        if self.momentum == 0:
            for k in range(layer.row_count):
                row, slope = layer.weight[layer.rows[k]], layer.grad_weight[layer.rows[k]]
                for i in range(row.size):
                    row[i] -= self.lr * slope[i]


def descend(first, last, parameters, gradients, lr):
    """Update some blocks without momentum."""
    begin, end = first * BLOCK, last * BLOCK
    parameters, gradients = parameters[begin:end], gradients[begin:end]
    for i in range(parameters.size):
        parameters[i] -= lr * gradients[i]


def roll(first, last, parameters, gradients, velocity, lr, momentum, share):
    """Update some blocks with momentum."""
    begin, end = first * BLOCK, last * BLOCK
    parameters, gradients, velocity = parameters[begin:end], gradients[begin:end], velocity[begin:end]
    for i in range(parameters.size):
        velocity[i] = momentum * velocity[i] + share * gradients[i]
        parameters[i] -= lr * velocity[i]


def look_ahead(first, last, parameters, gradients, velocity, lr, momentum, share):
    """Update some blocks with Nesterov's momentum."""
    begin, end = first * BLOCK, last * BLOCK
    parameters, gradients, velocity = parameters[begin:end], gradients[begin:end], velocity[begin:end]
    for i in range(parameters.size):
        velocity[i] = momentum * velocity[i] + share * gradients[i]
        parameters[i] -= lr * (gradients[i] + momentum * velocity[i])
