"""The binary tree of sums: one and the same sequence of additions for any number of ranks."""

import numpy as np
import pytest
from bprop.trainers.parallel.exchange import cut_slices
from bprop.trainers.parallel.tree import (
    Block,
    add_up,
    divide_shards,
    list_covers,
    list_sums,
    plan_block,
    plan_rest,
    split_node,
)


def add_by_recursion(leaves, first, last, present):
    """The sum of a node, as its definition says; None if it is empty."""
    if last - first == 1:
        return leaves[first].copy() if present[first] else None
    middle = split_node(first, last)
    parts = [add_by_recursion(leaves, *node, present) for node in ((first, middle), (middle, last))]
    parts = [part for part in parts if part is not None]
    return parts[0] + parts[1] if len(parts) == 2 else parts[0] if parts else None


def add_on_ranks(leaves, ranks, present):
    """The same, as the ranks do it: each on its stack, then over the covers of all."""
    shards, covers = len(leaves), []
    blocks = divide_shards(shards, ranks)
    for block in blocks:
        plan, stack = plan_block(shards, block, present), {}
        for leaf, (place, additions) in plan.places.items():
            stack[place] = leaves[leaf].copy()
            for k in range(additions):
                stack[place - k - 1] = stack[place - k - 1] + stack.pop(place - k)
        assert sorted(stack) == list(range(plan.covers))
        covers += [stack[k] for k in range(plan.covers)]
    return add_up(plan_rest(shards, blocks, present), covers)


@pytest.mark.parametrize("shards", [1, 2, 3, 6, 8, 12, 13])
def test_the_same_bits_for_any_number_of_ranks(shards, random):
    """Sums of numbers of many sizes in float32, where each order of additions gives other digits."""
    leaves = [(random.normal(size=200) * 10.0 ** random.integers(-4, 5, 200)).astype(np.float32) for _ in range(shards)]
    for present in (np.ones(shards, bool), random.random(shards) < 0.6):
        if not present.any():
            present[-1] = True
        expected = add_by_recursion(leaves, 0, shards, present)
        for ranks in [n for n in range(1, 2 * shards + 1) if shards % n == 0 or n % shards == 0]:
            assert np.array_equal(add_on_ranks(leaves, ranks, present), expected)
        wanted = sum(np.float64(leaf) for leaf, there in zip(leaves, present, strict=True) if there)
        np.testing.assert_allclose(expected, wanted, rtol=1e-4, atol=1e-2)


def test_a_power_of_two_gives_one_cover():
    assert list_covers(0, 8, 4, 8) == [(4, 8)]
    assert list_covers(0, 6, 3, 6) == [(3, 4), (4, 6)]
    assert list_sums(0, 4, [True] * 4) == [(0, 0), (1, 1), (2, 0), (3, 2)]
    assert list_sums(0, 4, [True, False, False, True]) == [(0, 0), (3, 1)]


def test_blocks():
    assert divide_shards(8, 2) == [Block(0, 4), Block(4, 8)]
    sizes = [max(0, block.end - block.begin) for block in divide_shards(2, 6)]
    assert sizes == [1, 0, 0, 1, 0, 0]
    with pytest.raises(ValueError, match="shards is 8 on 3 ranks, expected a multiple of 3 or one of its divisors"):
        divide_shards(8, 3)


def test_slices_cover_a_vector():
    for size in (0, 1, 15, 16, 100, 1000):
        for ranks in (1, 2, 3, 7):
            slices = cut_slices(size, ranks, 16)
            assert [each.start for each in slices[1:]] == [each.stop for each in slices[:-1]]
            assert (slices[0].start, slices[-1].stop) == (0, size)
