"""The binary tree in whose order the gradients of shards are added up, whoever computes them.

A node of more than one shard is the sum of its two children; the left one has the largest power of two of shards that
leaves some for the right one. A shard that is empty adds nothing, not even a zero. So the sum is one and the same
sequence of additions for any number of ranks: a rank adds up the largest nodes that lie wholly in its own block of
neighbouring shards, its covers, and what is left of the tree is added up over the covers of all ranks.

    8 shards, 2 ranks:  ((0 + 1) + (2 + 3))  +  ((4 + 5) + (6 + 7))
                            rank 0                  rank 1

Source: Demmel and Nguyen, Parallel reproducible summation (2015), section 2: a fixed tree makes a sum reproducible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Sums = list[tuple[int, int]]  # (leaf, how many additions of the two topmost sums of a stack follow it)


def split_node(first: int, last: int) -> int:
    """Find where the shards first to last are split between the two children of their node."""
    return first + (1 << ((last - first - 1).bit_length() - 1))


def join_sums(left: Sums, right: Sums) -> Sums:
    """Join the sums of two children; one that is empty adds nothing."""
    if not (left and right):
        return left or right
    leaf, additions = right[-1]
    return [*left, *right[:-1], (leaf, additions + 1)]


def list_sums(first: int, last: int, present: Sequence[bool]) -> Sums:
    """List the leaves of a node in order, and the additions after each."""
    if last - first == 1:
        return [(first, 0)] if present[first] else []
    middle = split_node(first, last)
    return join_sums(list_sums(first, middle, present), list_sums(middle, last, present))


def list_covers(first: int, last: int, begin: int, end: int) -> list[tuple[int, int]]:
    """List the largest nodes within the shards begin to end."""
    if begin <= first and last <= end:
        return [(first, last)]
    if last <= begin or end <= first:
        return []
    middle = split_node(first, last)
    return [*list_covers(first, middle, begin, end), *list_covers(middle, last, begin, end)]


@dataclass(frozen=True)
class Block:
    """The neighbouring shards of a rank, `begin` to before `end`."""

    begin: int
    end: int

    def contains(self, first: int, last: int) -> bool:
        """Whether a node lies in this block."""
        return self.begin <= first and last <= self.end


def divide_shards(shards: int, ranks: int) -> list[Block]:
    """Divide shards among ranks; of more ranks than shards, some get none.

    Errors: ValueError unless one of the two numbers divides the other.
    """
    if shards % ranks == 0:
        each = shards // ranks
        return [Block(rank * each, (rank + 1) * each) for rank in range(ranks)]
    if ranks % shards == 0:
        each = ranks // shards
        return [Block(-(-rank // each), rank // each + 1) for rank in range(ranks)]
    raise ValueError(
        f"Trainer: shards is {shards} on {ranks} ranks, expected a multiple of {ranks} or one of its divisors"
    )


@dataclass(frozen=True)
class BlockSums:
    """How a rank adds up its shards on a stack: for each that is not empty its place there and the additions after it.

    `covers` is the number of sums that are left on the stack at the end.
    """

    places: dict[int, tuple[int, int]]
    covers: int


def plan_block(shards: int, block: Block, present: Sequence[bool]) -> BlockSums:
    """Plan the sums of a block."""
    places: dict[int, tuple[int, int]] = {}
    covers = 0
    for node in list_covers(0, shards, block.begin, block.end) if block.begin < block.end else []:
        height = covers
        for leaf, additions in list_sums(*node, present):
            places[leaf] = height, additions
            height += 1 - additions
        covers = height
    return BlockSums(places, covers)


def count_sums(shards: int, block: Block) -> int:
    """How many sums a rank has at once, at most: empty shards make them fewer."""
    places = plan_block(shards, block, [True] * shards).places.values()
    return 1 + max((place for place, _ in places), default=0)


def plan_rest(shards: int, blocks: Sequence[Block], present: Sequence[bool]) -> Sums:
    """Plan the rest of the tree: the leaves are the covers of all ranks, numbered in order."""
    count = 0

    def join(first: int, last: int) -> Sums:
        nonlocal count
        if not any(present[first:last]):
            return []
        if any(block.contains(first, last) for block in blocks):
            count += 1
            return [(count - 1, 0)]
        middle = split_node(first, last)
        left = join(first, middle)
        return join_sums(left, join(middle, last))

    return join(0, shards)


def add_up(
    sums: Sums, leaves: Sequence[np.ndarray] | Mapping[int, np.ndarray], total: np.ndarray | None = None
) -> np.ndarray:
    """Add up arrays in the order of `sums`; those that come first in a sum are overwritten.

    Args: total: where the sum is written, if it is not to be in the place of the first array.
    """
    stack: list[np.ndarray] = []
    last = len(sums) - 1
    for k, (leaf, additions) in enumerate(sums):
        stack.append(leaves[leaf])
        for _ in range(additions):
            above = stack.pop()
            place = total if total is not None and k == last and len(stack) == 1 else stack[-1]
            np.add(stack[-1], above, out=place)
            stack[-1] = place
    if total is not None and stack[0] is not total:
        total[...] = stack[0]
    return stack[0] if total is None else total
