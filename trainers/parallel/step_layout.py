"""How a step is cut into shards: which samples each has, and what each rank does with its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .tree import Block, BlockSums, Sums, list_sums, plan_block, plan_rest

SHARE, FRESH, PLACE, ADDITIONS, TICKET = range(5)  # columns of what is set for each part


def cut_minibatch(samples: int, shards: int) -> np.ndarray:
    """Cut a minibatch into shards of sizes as equal as can be: places (shards + 1,), ⌊s n / S⌋."""
    return np.arange(shards + 1) * samples // shards


def find_shard_sizes(samples: int, shards: int) -> set[int]:
    """The sizes of the shards of a minibatch, without empty ones."""
    return set(np.diff(cut_minibatch(samples, shards)).tolist()) - {0}


@dataclass(frozen=True, eq=False)
class StepLayout:
    """A step of `samples` samples, in minibatches of `batch_size`, each cut into as many shards as all ranks compute.

    A part is the samples of a shard in one minibatch; parts are ordered by shards, and within them by minibatches. The
    own parts, `begin` to before `end`, are those of the shards of this rank.
    """

    samples: int
    batch_size: int
    shards: int
    blocks: Sequence[Block]
    rank: int

    @cached_property
    def parts(self) -> np.ndarray:
        """(L, 3): the shard of each part, and where its samples begin and end in the step."""
        rows = []
        for first in range(0, self.samples, self.batch_size):
            bounds = first + cut_minibatch(min(self.batch_size, self.samples - first), self.shards)
            rows.append(np.stack([np.arange(self.shards), bounds[:-1], bounds[1:]], axis=1))
        parts = np.concatenate(rows)
        parts = parts[parts[:, 1] < parts[:, 2]]
        return parts[np.argsort(parts[:, 0], kind="stable")]

    @cached_property
    def sizes(self) -> np.ndarray:
        """(S,): the number of samples of each shard in the step."""
        return np.bincount(self.parts[:, 0], self.parts[:, 2] - self.parts[:, 1], self.shards)

    @cached_property
    def present(self) -> list[bool]:
        """Whether each shard has samples."""
        return (self.sizes > 0).tolist()

    def find_parts(self, block: Block) -> tuple[int, int]:
        """Find the parts of a block of shards."""
        first, last = np.searchsorted(self.parts[:, 0], [block.begin, max(block.begin, block.end)])
        return int(first), int(last)

    @cached_property
    def own(self) -> tuple[int, int]:
        """The parts of this rank, first to before last."""
        return self.rank_parts[self.rank]

    @cached_property
    def own_shards(self) -> list[tuple[int, int, int]]:
        """Each shard of this rank that is not empty: its number, and its parts, first to before last."""
        return [(each, *self.find_parts(Block(each, each + 1))) for each in self.rank_shards[self.rank]]

    @cached_property
    def rank_parts(self) -> list[tuple[int, int]]:
        """The parts of each rank, first to before last."""
        return [self.find_parts(block) for block in self.blocks]

    @cached_property
    def rank_shards(self) -> list[list[int]]:
        """The shards of each rank that are not empty."""
        return [[s for s in range(block.begin, block.end) if self.present[s]] for block in self.blocks]

    @cached_property
    def block_sums(self) -> BlockSums:
        """How this rank adds up its shards."""
        return plan_block(self.shards, self.blocks[self.rank], self.present)

    @cached_property
    def covers(self) -> list[int]:
        """How many sums each rank has at the end."""
        return [plan_block(self.shards, block, self.present).covers for block in self.blocks]

    @cached_property
    def rest(self) -> Sums:
        """How the sums of all ranks are added up."""
        return plan_rest(self.shards, self.blocks, self.present)

    @cached_property
    def all_sums(self) -> Sums:
        """How all shards are added up, for what each rank does by itself."""
        return list_sums(0, self.shards, self.present)

    @cached_property
    def settings(self) -> np.ndarray:
        """(L, 5): what is set for each own part; the shares are those of a mean over samples, all alike."""
        table = np.zeros((len(self.parts), 5))
        first, last = self.own
        for k in range(first, last):
            shard = int(self.parts[k, 0])
            place, additions = self.block_sums.places[shard]
            is_first = k == first or self.parts[k - 1, 0] != shard
            is_last = k + 1 == last or self.parts[k + 1, 0] != shard
            table[k, FRESH], table[k, PLACE] = is_first, place
            table[k, ADDITIONS] = additions if is_last else 0
        return table

    def compute_shares(self, counts: np.ndarray) -> np.ndarray:
        """Compute the share of each part among what counts in the step (L,), of running sums of counts (samples + 1,).

        0 where nothing counts.
        """
        whole = counts[-1] - counts[0]
        parts = counts[self.parts[:, 2]] - counts[self.parts[:, 1]]
        return parts / whole if whole > 0 else np.zeros(len(parts))
