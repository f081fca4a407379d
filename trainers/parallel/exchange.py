"""The exchange of gradients: every rank gets the sum of all covers, in the order of the tree.

    whole    each rank sends its covers to all others, and adds up all of it:            (N - 1) P numbers each, once
    slices   the vector is cut into N slices; a rank gets its slice of all covers, adds
             it up, and sends the sum to all others (reduce-scatter, then allgather):    2 (N - 1) / N P, in two rounds

Both give the same bits, as the order of the additions is that of the tree for each number. Beside the gradients each
rank sends a few numbers of its shards: their losses, and what changed in statistics.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .communicator import Ranks
from .tree import Sums, add_up

SMALL = 2**15  # bytes of gradients up to which more ranks than two send all of it in one round
ALIGN = 16  # numbers; slices begin at multiples of it
WHAT = "the gradients of a step"


def cut_slices(size: int, ranks: int) -> list[slice]:
    """Cut a vector into a slice for each rank."""
    bounds = [min(size, -(-rank * size // ranks // ALIGN) * ALIGN) for rank in range(ranks)] + [size]
    return [slice(*pair) for pair in pairwise(bounds)]


class Exchange:
    """The exchange between the ranks of a training, with memory that is used again at each step.

    Args: ranks: all of them; vector: of the gradients of the model, whose sum is written there.
    """

    def __init__(self, ranks: Ranks, vector: np.ndarray):
        self.ranks, self.vector = ranks, vector
        self.whole = ranks.size == 2 or vector.nbytes <= SMALL
        self.slices = cut_slices(vector.size, ranks.size)
        self._received: dict[tuple[int, int], np.ndarray] = {}  # by rank and number of covers

    def sum_up(
        self, stack: np.ndarray, covers: Sequence[int], rest: Sums, notes: np.ndarray, sizes
    ) -> list[np.ndarray]:
        """Write the sum of all covers to `vector`; returns the notes of all ranks.

        Args: stack (at least covers[rank], P): those of this rank come first, and are overwritten; covers: how many
            each rank has; rest: the sums over all of them; notes: float64; sizes: of the notes of each rank.
        """
        ranks = self.ranks
        others = [rank for rank in range(ranks.size) if rank != ranks.rank]
        noted = [notes if rank == ranks.rank else np.empty(sizes[rank]) for rank in range(ranks.size)]
        outgoing, incoming, leaves = [], [], []
        own = slice(0, self.vector.size) if self.whole else self.slices[ranks.rank]
        for rank in range(ranks.size):
            if rank == ranks.rank:
                leaves += [stack[k, own] for k in range(covers[rank])]
                continue
            arrays = self._get_room(rank, covers[rank], own.stop - own.start)
            leaves += list(arrays)
            incoming += [(array, rank) for array in arrays if array.size]
            theirs = own if self.whole else self.slices[rank]
            if theirs.stop > theirs.start:
                outgoing += [(stack[k, theirs], rank) for k in range(covers[ranks.rank])]
        self._run(outgoing, incoming, [(notes, r) for r in others if notes.size], [(noted[r], r) for r in others])
        self.vector[own] = add_up(rest, leaves)
        if not self.whole:
            total = self.vector[own]
            ranks.exchange(
                [(total, rank) for rank in others if total.size],
                [(self.vector[self.slices[rank]], rank) for rank in others if self.vector[self.slices[rank]].size],
                WHAT,
            )
        return noted

    def _run(self, outgoing, incoming, notes_out, notes_in) -> None:
        """Exchange gradients and notes at once: notes come last, so that those between two ranks keep their order."""
        self.ranks.exchange(
            [*outgoing, *notes_out], [*incoming, *((array, rank) for array, rank in notes_in if array.size)], WHAT
        )

    def _get_room(self, rank: int, covers: int, size: int) -> np.ndarray:
        key = rank, covers
        if key not in self._received:
            self._received[key] = np.empty((covers, size), self.vector.dtype)
        return self._received[key]
