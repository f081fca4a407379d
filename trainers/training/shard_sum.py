"""The sum of the gradients of a minibatch's shards, in the order of a fixed binary tree."""

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.operations import Operation, iterate_with_inside
from ...modules.engine.stateful import Stateful
from ...modules.kernels.shared_words import notify
from ...modules.kernels.threads import parallel_for
from ..optimizers.vectors import BLOCK, count_blocks, weigh_sharing

FEWEST = 2**20  # bytes of gradients from which a backward pass is cut into sections
ALIGN = 16  # numbers; sections begin at multiples of it


class ShardSum(Stateful):
    """Adds up the gradients of shards, each times its share of what counts in the step, on a stack of vectors.

        stack[place]     = share gradient                   the first part of a shard
        stack[place]     = stack[place] + share gradient    its other parts, of further minibatches of the step
        stack[place - 1] = stack[place - 1] + stack[place]  `additions` times, from the top down, after its last part

    `share`, `fresh` (1 for the first part, else 0), `place` and `additions` are set for each part. Products and sums of
    the tree are taken in loops of their own: fused into one instruction they would be rounded otherwise than a sum of
    what another process has computed.

    Of a backward pass that is cut into sections (see `insert_sections`), `gather_section` adds each but the last one,
    and tells so by a byte into `pipe`, `ticket`, unless that is 0; `bounds` are the places between sections, from the
    end of the vector to its beginning.

    Args: depth: how many vectors the stack has.
    Source: see trainers/parallel/tree.py.
    """

    updates = False  # the update comes after the exchange

    def __init__(self, depth: int = 1):
        super().__init__()
        self.share, self.fresh, self.place, self.additions = 1.0, 1.0, 0.0, 0.0
        self.ticket, self.pipe, self.section = 0.0, -1, 0
        vars(self).update(_depth=depth, _early=False)
        self.stack = np.zeros((depth, 0))
        self.bounds = np.zeros(2, np.int64)

    def attach(self, net: Module) -> None:
        """Make the stack for the gradients of a model, unless it is there."""
        vector = net.flat_parameters
        if self.stack.shape[1:] != vector.shape or self.stack.dtype != vector.dtype:
            vars(self)["_dtype"] = vector.dtype
            self.stack = np.zeros((vars(self)["_depth"], vector.size), vector.dtype)
        self._reset_bounds(vector.size)

    def use_stack(self, stack: np.ndarray) -> None:
        """Use memory (depth, P) that is there, such as that which other ranks can read."""
        own = self.view("stack")
        if (own.ctypes.data, own.shape, own.dtype) == (stack.ctypes.data, stack.shape, stack.dtype):
            return  # plans stay valid
        vars(self)["_dtype"] = stack.dtype
        self.stack = stack
        self._reset_bounds(stack.shape[1])

    def _reset_bounds(self, size: int) -> None:
        """Forget the sections of another model."""
        if self.view("bounds")[0] != size:
            self.bounds = np.array([size, 0])

    def tell_early(self) -> None:
        """Let plans be cut into sections, each of which is told to whoever reads the pipe."""
        vars(self)["_early"] = True

    def insert_sections(self, operations: list[Operation], net: Module) -> list[Operation]:
        """Insert `gather_section` into a step, after the operations with which a section of the gradients is done."""
        if not vars(self)["_early"]:
            return operations
        result, done = [], 0
        found = find_sections(operations, net.flat_gradients)
        for number, (end, _) in enumerate(found):
            result += [*operations[done:end], Operation(f"section{number}", self, "gather_section", ("gradients",))]
            done = end
        self.bounds = np.array([net.flat_gradients.size, *(place for _, place in found), 0])
        return [*result, *operations[done:]]

    def gather(self, gradients):
        """Add the gradients of a part of a shard: all, or those of the last section."""
        self.add_gradients(gradients, 0, self.bounds[self.section])
        self.section = 0

    def gather_section(self, gradients):
        """Add the gradients of the next section of a part of a shard."""
        self.add_gradients(gradients, self.bounds[self.section + 1], self.bounds[self.section])
        self.section += 1
        if self.ticket > 0:
            notify(self.pipe, int(self.ticket))

    def add_gradients(self, gradients, begin, end):
        """Add a part of the gradients."""
        place, gradients, stack = int(self.place), gradients[begin:end], self.stack[:, begin:end]
        blocks, cost = count_blocks(gradients), weigh_sharing(gradients)
        parallel_for(write_share, blocks, cost, gradients, stack[place], self.share, self.fresh > 0)
        for _ in range(int(self.additions)):
            parallel_for(add_vector, blocks, cost, stack[place], stack[place - 1])
            place -= 1


def find_sections(operations: list[Operation], vector: np.ndarray) -> list[tuple[int, int]]:
    """Find how a backward pass is cut: after how many operations a section is done, and where it begins.

    A section is the last part of the gradients, or what is left of it; each has at least a third of all, so there are
    two or three. None for gradients of less than FEWEST bytes, or if nothing is done before the end.
    """
    done: dict[int, int] = {}  # by the place of each gradient, in numbers: after how many operations nobody adds to it
    for number, operation in enumerate(operations):
        for module in operation.modules if operation.backward else ():
            for each in iterate_with_inside(module):
                for name in each.gradient_names():
                    place = (vars(each)[name].ctypes.data - vector.ctypes.data) // vector.itemsize
                    done[place] = number + 1
    found: list[tuple[int, int]] = []
    last, end, latest = max(done.values(), default=0), vector.size, 0
    for first in sorted(done, reverse=True) if vector.nbytes >= FEWEST else ():
        latest, place = max(latest, done[first]), -(-first // ALIGN) * ALIGN
        if latest == last:
            break
        if found and latest == found[-1][0]:
            found[-1] = latest, place
        elif 3 * (end - place) >= vector.size:
            found.append((latest, place))
        end = found[-1][1] if found else end
    return found


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
