"""The exchange of gradients: every rank gets the sum of all covers, in the order of the tree.

    whole    each rank gets the covers of all others, and adds up all of it:              (N - 1) P numbers each, once
    slices   the vector is cut into N slices; a rank gets its slice of all covers and adds
             it up (reduce-scatter); then all get the slices of all (allgather):          2 (N - 1) / N P, in two rounds

Both give the same bits, as the order of the additions is that of the tree for each number. Ranks of one host read each
other's covers and slices in shared memory, and send only notes: a few numbers of each shard, its losses and what
changed in statistics, which say at once that its covers are there.

What is sent may be cut into sections, the last part of the vector first, whose exchange begins by itself: see
early_sections.py. A slice is cut of each section, then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .communicator import Pending, Ranks
from .shared_memory import share_memory
from .tree import Sums, add_up

SMALL = 2**15  # bytes of gradients up to which all of it is sent in one round
ALIGN = 64  # bytes; slices begin at multiples of it
WHAT = "the gradients of a step"


def cut_slices(size: int, ranks: int, align: int) -> list[slice]:
    """Cut a vector into a slice for each rank, at multiples of `align` numbers."""
    bounds = [min(size, -(-rank * size // ranks // align) * align) for rank in range(ranks)] + [size]
    return [slice(*pair) for pair in pairwise(bounds)]


@dataclass(frozen=True)
class Section:
    """A part of the vector that is exchanged by itself: the slice that each rank adds up, and `own`, this one's."""

    slices: list[slice]
    own: slice


class Exchange:
    """The exchange between the ranks of a training, with memory that is used again at each step.

    Args: ranks: all of them; vector: of a model's gradients (P,); depths: how many vectors each rank stacks.
    `stack` (depth, P) is where this rank writes its covers; `sections` are in the order of their exchange, one until
    they are `cut`; `whole` says that each rank adds up all of it, so that there is no second round; what is sent goes
    in messages of at most `piece` bytes, unless that is 0.
    """

    def __init__(self, ranks: Ranks, vector: np.ndarray, depths: Sequence[int]):
        self.ranks, self.vector, self.depths = ranks, vector, depths
        self.others = [rank for rank in range(ranks.size) if rank != ranks.rank]
        self.piece = 0
        self._round = 0  # which of two places is written next: others may still read the other one
        self._received: dict[tuple[int, int, int], np.ndarray] = {}  # by section, rank and number of covers
        self._stacks: list[np.ndarray] | None = None  # of all ranks, if they share memory
        self._results: list[np.ndarray] = []  # (2, n): the slices of all ranks
        self.whole = vector.nbytes <= SMALL
        self.sections: list[Section] = []
        self.cut([vector.size, 0])
        if not self.whole:
            self._share_memory()
        if self._stacks is None:
            self.stack = np.zeros((depths[ranks.rank], vector.size), vector.dtype)
            self.whole = self.whole or ranks.size == 2
            self.cut([vector.size, 0])

    @property
    def sends_gradients(self) -> bool:
        """Whether ranks send their gradients; else others read them."""
        return self._stacks is None

    @property
    def own(self) -> list[slice]:
        """The slices of the vector whose sums this rank computes."""
        return [section.own for section in self.sections if section.own.start < section.own.stop]

    def cut(self, bounds: Sequence[int]) -> None:
        """Cut the vector into sections, between these places from its end to its beginning, 0: multiples of ALIGN."""
        align, count, rank = ALIGN // self.vector.itemsize, self.ranks.size, self.ranks.rank
        self.sections, self._received = [], {}
        for end, begin in pairwise(bounds):
            cut = cut_slices(end - begin, count, align)
            slices = [slice(begin, end) if self.whole else slice(s.start + begin, s.stop + begin) for s in cut]
            self.sections.append(Section(slices, slices[rank]))

    def _share_memory(self) -> None:
        """Allocate the stacks, and two places for slices, in memory that all see, if they can.

        A stack is free again when all have read it, which the second round tells.
        """
        size, dtype = self.vector.size, self.vector.dtype
        rooms = [-(-depth * size * dtype.itemsize // ALIGN) * ALIGN for depth in self.depths]
        lengths = [2 * (each.stop - each.start) * dtype.itemsize for each in self.sections[0].slices]
        parts = share_memory(self.ranks, [sum(pair) for pair in zip(rooms, lengths, strict=True)])
        if parts is None:
            return
        each = list(zip(parts, rooms, self.depths, strict=True))
        self._stacks = [part[: d * size * dtype.itemsize].view(dtype).reshape(d, size) for part, _, d in each]
        self._results = [part[room:].view(dtype).reshape(2, -1) for part, room, _ in each]
        self.stack = self._stacks[self.ranks.rank]

    def begin(self, number: int, covers: Sequence[int]) -> Pending:
        """Begin to send a section of the covers, which others add up, and to receive theirs."""
        section, outgoing, incoming = self.sections[number], [], []
        for rank in self.others:
            incoming += [(array, rank) for array in self._get_room(number, rank, covers[rank]) if array.size]
            theirs = section.slices[rank]
            if theirs.stop > theirs.start:
                outgoing += [(self.stack[k, theirs], rank) for k in range(covers[self.ranks.rank])]
        return self.ranks.begin(outgoing, incoming, piece=self.piece)

    def sum_up(
        self, covers: Sequence[int], rest: Sums, notes: np.ndarray, sizes: Sequence[int], begun: Sequence[Pending] = ()
    ) -> list[np.ndarray]:
        """Write the own slices of the sum of all covers to `vector`; returns the notes of all ranks.

        Args: covers: how many each rank has, the first ones of its stack, which are overwritten; rest: the sums over
            all of them; notes: float64; sizes: of the notes of each rank, at least one number each; begun: the
            exchanges of the first sections, if these have begun.
        """
        ranks = self.ranks
        noted = [notes if rank == ranks.rank else np.empty(sizes[rank]) for rank in range(ranks.size)]
        pending = [*begun]
        if self._stacks is None:
            pending += [self.begin(number, covers) for number in range(len(begun), len(self.sections))]
        pending.append(ranks.begin([(notes, r) for r in self.others], [(noted[r], r) for r in self.others]))
        ranks.finish(pending, WHAT)
        for number, section in enumerate(self.sections):
            leaves: list[np.ndarray] = []
            for rank in range(ranks.size):
                if self._stacks is None and rank != ranks.rank:
                    leaves += list(self._get_room(number, rank, covers[rank]))
                else:
                    stack = self.stack if self._stacks is None else self._stacks[rank]
                    leaves += [stack[k, section.own] for k in range(covers[rank])]
            add_up(rest, leaves, self.vector[section.own])
        return noted

    def spread(self, vector: np.ndarray) -> None:
        """Give all ranks the slices of a vector (P,) of which each rank has its own ones."""
        if self.whole:
            return
        ranks = self.ranks
        if self._stacks is None:
            pairs = [(section.slices[rank], rank) for section in self.sections for rank in self.others]
            incoming = [(vector[each], rank) for each, rank in pairs if each.stop > each.start]
            outgoing = [(vector[own], rank) for own in self.own for rank in self.others]
            ranks.finish([ranks.begin(outgoing, incoming, piece=self.piece)], WHAT)
            return
        place, self._round = self._round, 1 - self._round
        (section,) = self.sections
        self._results[ranks.rank][place] = vector[section.own]
        ready = np.zeros((ranks.size, 1), np.uint8)
        own = ready[ranks.rank]
        ranks.exchange([(own, rank) for rank in self.others], [(ready[rank], rank) for rank in self.others], WHAT)
        for rank in self.others:
            vector[section.slices[rank]] = self._results[rank][place]

    def _get_room(self, number: int, rank: int, covers: int) -> np.ndarray:
        key, own = (number, rank, covers), self.sections[number].own
        if key not in self._received:
            self._received[key] = np.empty((covers, own.stop - own.start), self.vector.dtype)
        return self._received[key]
