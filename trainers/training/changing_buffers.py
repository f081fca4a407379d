"""What modules and rules keep while they train, such as running statistics, over the shards of a step.

Each shard begins with the values of before the step. Afterwards a number is what it was, plus the mean change:

    new = old + Σₛ nₛ/n (newₛ - old)     over the shards s with nₛ of the step's n samples, in the order of the tree

so a running mean follows the mean of the shards' means, what learns by steps along a mean gradient takes that of all
samples, and a number that does not change stays as it is. Whole numbers, such as a count of minibatches, change as in
the first shard. States with a row for each sample are not among them: see carried_rows.py.
"""

from collections.abc import Mapping

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.sources import is_internal
from ...modules.losses.loss import Loss
from ..parallel.tree import Sums, add_up
from ..rules import Rule
from .carried_rows import find_carried


def find_changing_buffers(net: Module, loss: Loss, rule: Rule | None = None) -> list[np.ndarray]:
    """Find the buffers that a training may change, each once, and the arrays that a rule keeps."""
    found: dict[int, np.ndarray] = {}
    for module in (*net.all_modules(), *loss.all_modules()):
        constant = is_internal(type(module).__module__) and not (
            isinstance(module, Loss) or module.changes_in_training()
        )
        for name in () if constant else module._buffers:
            array = vars(module)[name]
            if array.size:
                found.setdefault(array.__array_interface__["data"][0], array)
    for copy in [] if rule is None else [copy for _, copy in rule.list_copies()]:
        for name in copy.kept:
            if isinstance(array := copy.view(name), np.ndarray) and array.size:
                found.setdefault(array.__array_interface__["data"][0], array)
    for array, _ in find_carried(net, rule):
        found.pop(array.__array_interface__["data"][0], None)
    return list(found.values())


class ChangingBuffers:
    """The buffers of a training: `read` and `write` all of them as one vector in float64."""

    def __init__(self, net: Module, loss: Loss, rule: Rule | None = None):
        self.arrays = find_changing_buffers(net, loss, rule)
        self.size = sum(array.size for array in self.arrays)
        kinds = [np.full(array.size, array.dtype.kind == "f") for array in self.arrays]
        self.averaged = np.concatenate(kinds) if kinds else np.zeros(0, bool)

    def read(self) -> np.ndarray:
        """Read all values (Q,)."""
        if not self.arrays:
            return np.empty(0)
        return np.concatenate([array.reshape(-1).astype(np.float64) for array in self.arrays])

    def write(self, values: np.ndarray) -> None:
        """Write all values (Q,)."""
        first = 0
        for array in self.arrays:
            array[...] = values[first : first + array.size].reshape(array.shape)
            first += array.size

    def combine(self, old: np.ndarray, changes: Mapping[int, np.ndarray], shares: np.ndarray, sums: Sums) -> None:
        """Write the values of after the step; changes, shares: of each shard that is not empty, by its number."""
        mean = add_up(sums, {shard: shares[shard] * change for shard, change in changes.items()})
        self.write(old + np.where(self.averaged, mean, changes[min(changes)]))
