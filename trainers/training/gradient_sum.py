"""Gradient accumulation: the gradients of several minibatches, added up before an update."""

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.stateful import Stateful
from ...modules.kernels.threads import parallel_for
from ..optimizers.vectors import BLOCK, count_blocks, weigh_sharing


class GradientSum(Stateful):
    """Adds up the gradients of several minibatches, each times its share of all samples.

        total    = share gradient                after the first minibatch of a step
        total    = total + share gradient        after the others
        gradient = total                         after the last, whereupon the update is due

    `share` and `last` are set for each minibatch: its share, and 1 for the last one of a step, else 0. `due` is the
    number of updates that follow, 0 or 1. After an update the gradients of the model are those of the whole step.

    Source: Goodfellow et al., Deep Learning, section 8.1.3: the gradient of a mean is the mean of gradients.
    """

    updates = True  # the update is a part of the step

    def __init__(self):
        super().__init__()
        self.share, self.last, self.due = 1.0, 1.0, 1
        self.total = np.zeros(0)

    def attach(self, net: Module) -> None:
        """Make the vector for the gradients of a model, unless it is there."""
        vector = net.flat_parameters
        if self.total.shape != vector.shape or self.total.dtype != vector.dtype:
            vars(self)["_dtype"] = vector.dtype
            self.total = np.zeros_like(vector)

    def begin(self) -> None:
        """Begin a step: what was added up before is forgotten."""
        self.write_number("due", 1)

    def gather(self, gradients):
        """Add the gradients of a minibatch."""
        first = self.due > 0
        self.due = 1 if self.last > 0 else 0
        blocks, cost = count_blocks(gradients), weigh_sharing(gradients)
        parallel_for(add_share, blocks, cost, gradients, self.total, self.share, first, self.due > 0)


def add_share(begin, end, gradients, total, share, first, is_last):
    """Add some blocks of the gradients; if they are the last ones, write the sum in their place."""
    begin, end = begin * BLOCK, end * BLOCK
    gradients, total = gradients[begin:end], total[begin:end]
    if first:
        for i in range(gradients.size):
            total[i] = share * gradients[i]
    else:
        for i in range(gradients.size):
            total[i] += share * gradients[i]
    if is_last:
        for i in range(gradients.size):
            gradients[i] = total[i]
