"""The exchange of gradients: every rank gets the sum of all covers, in the order of the tree.

    whole    each rank gets the covers of all others, and adds up all of it:              (N - 1) P numbers each, once
    slices   the vector is cut into N slices; a rank gets its slice of all covers and adds
             it up (reduce-scatter); then all get the slices of all (allgather):          2 (N - 1) / N P, in two rounds

Both give the same bits, as the order of the additions is that of the tree for each number. Ranks of one host read each
other's covers and slices in shared memory, and send only notes: a few numbers of each shard, its losses and what
changed in statistics, which say at once that its covers are there.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .communicator import Ranks
from .shared_memory import share_memory
from .tree import Sums, add_up

SMALL = 2**15  # bytes of gradients up to which all of it is sent in one round
ALIGN = 64  # bytes; slices begin at multiples of it
WHAT = "the gradients of a step"


def cut_slices(size: int, ranks: int, align: int) -> list[slice]:
    """Cut a vector into a slice for each rank, at multiples of `align` numbers."""
    bounds = [min(size, -(-rank * size // ranks // align) * align) for rank in range(ranks)] + [size]
    return [slice(*pair) for pair in pairwise(bounds)]


class Exchange:
    """The exchange between the ranks of a training, with memory that is used again at each step.

    Args: ranks: all of them; vector: of the gradients of the model (P,); depths: how many vectors each rank stacks.
    `stack` (depth, P) is where this rank writes its covers; `own` the slice whose sum it computes; `whole` says that
    this is all of it, so that there is no second round.
    """

    def __init__(self, ranks: Ranks, vector: np.ndarray, depths: Sequence[int]):
        self.ranks, self.vector, self.depths = ranks, vector, depths
        self.others = [rank for rank in range(ranks.size) if rank != ranks.rank]
        self.slices = cut_slices(vector.size, ranks.size, ALIGN // vector.itemsize)
        self._round = 0  # which of two places is written next: others may still read the other one
        self._received: dict[tuple[int, int], np.ndarray] = {}  # by rank and number of covers
        self._stacks: list[np.ndarray] | None = None  # of all ranks, if they share memory
        self._results: list[np.ndarray] = []  # (2, n): the slices of all ranks
        self.whole = vector.nbytes <= SMALL
        if not self.whole:
            self._share_memory()
        if self._stacks is None:
            self.whole = self.whole or ranks.size == 2
            self.stack = np.zeros((depths[ranks.rank], vector.size), vector.dtype)
        self.own = slice(0, vector.size) if self.whole else self.slices[ranks.rank]

    def _share_memory(self) -> None:
        """Allocate the stacks, and two places for slices, in memory that all see, if they can.

        A stack is free again when all have read it, which the second round tells.
        """
        size, dtype = self.vector.size, self.vector.dtype
        rooms = [-(-depth * size * dtype.itemsize // ALIGN) * ALIGN for depth in self.depths]
        lengths = [2 * (each.stop - each.start) * dtype.itemsize for each in self.slices]
        parts = share_memory(self.ranks, [sum(pair) for pair in zip(rooms, lengths, strict=True)])
        if parts is None:
            return
        each = list(zip(parts, rooms, self.depths, strict=True))
        self._stacks = [part[: d * size * dtype.itemsize].view(dtype).reshape(d, size) for part, _, d in each]
        self._results = [part[room:].view(dtype).reshape(2, -1) for part, room, _ in each]
        self.stack = self._stacks[self.ranks.rank]

    def sum_up(self, covers: Sequence[int], rest: Sums, notes: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
        """Write the own slice of the sum of all covers to `vector`; returns the notes of all ranks.

        Args: covers: how many each rank has, the first ones of its stack, which are overwritten; rest: the sums over
            all of them; notes: float64; sizes: of the notes of each rank, at least one number each.
        """
        ranks, own, leaves = self.ranks, self.own, []
        noted = [notes if rank == ranks.rank else np.empty(sizes[rank]) for rank in range(ranks.size)]
        notes_out, notes_in = [(notes, rank) for rank in self.others], [(noted[rank], rank) for rank in self.others]
        if self._stacks is not None:
            ranks.exchange(notes_out, notes_in, WHAT)
            leaves = [self._stacks[rank][k, own] for rank in range(ranks.size) for k in range(covers[rank])]
        else:
            outgoing, incoming = [], []
            for rank in range(ranks.size):
                if rank == ranks.rank:
                    leaves += [self.stack[k, own] for k in range(covers[rank])]
                    continue
                arrays = self._get_room(rank, covers[rank])
                leaves += list(arrays)
                incoming += [(array, rank) for array in arrays if array.size]
                theirs = own if self.whole else self.slices[rank]
                if theirs.stop > theirs.start:
                    outgoing += [(self.stack[k, theirs], rank) for k in range(covers[ranks.rank])]
            ranks.exchange([*outgoing, *notes_out], [*incoming, *notes_in], WHAT)
        add_up(rest, leaves, self.vector[own])
        return noted

    def spread(self, vector: np.ndarray) -> None:
        """Give all ranks the slices of a vector (P,) of which each rank has its own one."""
        if self.whole:
            return
        mine, ranks = vector[self.own], self.ranks
        if self._stacks is None:
            theirs = [(vector[self.slices[rank]], rank) for rank in self.others]
            outgoing = [(mine, rank) for rank in self.others if mine.size]
            ranks.exchange(outgoing, [each for each in theirs if each[0].size], WHAT)
            return
        place, self._round = self._round, 1 - self._round
        self._results[ranks.rank][place] = mine
        ready = np.zeros((ranks.size, 1), np.uint8)
        own = ready[ranks.rank]
        ranks.exchange([(own, rank) for rank in self.others], [(ready[rank], rank) for rank in self.others], WHAT)
        for rank in self.others:
            vector[self.slices[rank]] = self._results[rank][place]

    def _get_room(self, rank: int, covers: int) -> np.ndarray:
        key = rank, covers
        if key not in self._received:
            self._received[key] = np.empty((covers, self.own.stop - self.own.start), self.vector.dtype)
        return self._received[key]
