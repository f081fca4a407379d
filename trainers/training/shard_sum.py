"""The sum of the gradients of a minibatch's shards, in the order of a fixed binary tree."""

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.stateful import Stateful
from ...modules.kernels.threads import parallel_for
from ..optimizers.vectors import BLOCK, count_blocks, weigh_sharing


class ShardSum(Stateful):
    """Adds up the gradients of shards, each times its share of what counts in the step, on a stack of vectors.

        stack[place]     = share gradient                   the first part of a shard
        stack[place]     = stack[place] + share gradient    its other parts, of further minibatches of the step
        stack[place - 1] = stack[place - 1] + stack[place]  `additions` times, from the top down, after its last part

    `share`, `fresh` (1 for the first part, else 0), `place` and `additions` are set for each part. Products and sums of
    the tree are taken in loops of their own: fused into one instruction they would be rounded otherwise than a sum of
    what another process has computed.

    Args: depth: how many vectors the stack has.
    Source: see trainers/parallel/tree.py.
    """

    updates = False  # the update comes after the exchange

    def __init__(self, depth: int = 1):
        super().__init__()
        self.share, self.fresh, self.place, self.additions = 1.0, 1.0, 0.0, 0.0
        vars(self)["_depth"] = depth
        self.stack = np.zeros((depth, 0))

    def attach(self, net: Module) -> None:
        """Make the stack for the gradients of a model, unless it is there."""
        vector = net.flat_parameters
        if self.stack.shape[1:] != vector.shape or self.stack.dtype != vector.dtype:
            vars(self)["_dtype"] = vector.dtype
            self.stack = np.zeros((vars(self)["_depth"], vector.size), vector.dtype)

    def use_stack(self, stack: np.ndarray) -> None:
        """Use memory (depth, P) that is there, such as that which other ranks can read."""
        vars(self)["_dtype"] = stack.dtype
        self.stack = stack

    def gather(self, gradients):
        """Add the gradients of a part of a shard."""
        place, blocks, cost = int(self.place), count_blocks(gradients), weigh_sharing(gradients)
        parallel_for(write_share, blocks, cost, gradients, self.stack[place], self.share, self.fresh > 0)
        for _ in range(int(self.additions)):
            parallel_for(add_vector, blocks, cost, self.stack[place], self.stack[place - 1])
            place -= 1


def write_share(begin, end, gradients, total, share, fresh):
    """Write, or add, the share of some blocks of the gradients."""
    begin, end = begin * BLOCK, end * BLOCK
    gradients, total = gradients[begin:end], total[begin:end]
    if fresh:
        for i in range(gradients.size):
            total[i] = share * gradients[i]
    else:
        for i in range(gradients.size):
            total[i] += share * gradients[i]


def add_vector(begin, end, vector, total):
    """Add some blocks of a vector to a total."""
    begin, end = begin * BLOCK, end * BLOCK
    vector, total = vector[begin:end], total[begin:end]
    for i in range(vector.size):
        total[i] += vector[i]
