"""`epoch_order`: a permutation that is a function of (seed, epoch) alone, today and with the next NumPy."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bprop.datasets import epoch_order


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 1000, 60000])
def test_is_a_permutation(n):
    order = epoch_order(n, seed=3, epoch=5)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


@pytest.mark.parametrize("n", [1, 5, 8, 1000])
def test_sorts_the_words_of_philox(n):
    words = [int(word) for word in np.random.Philox(key=[4, 9]).random_raw(n)]
    expected = sorted(range(n), key=words.__getitem__)
    np.testing.assert_array_equal(epoch_order(n, seed=4, epoch=9), expected)


def test_is_the_same_on_every_machine_and_with_every_numpy():
    np.testing.assert_array_equal(epoch_order(10, seed=1, epoch=2), [4, 2, 0, 6, 1, 5, 9, 8, 7, 3])


def test_does_not_depend_on_or_touch_the_global_generator():
    np.random.seed(1)
    first = epoch_order(100, seed=0, epoch=0)
    state = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(epoch_order(100, seed=0, epoch=0), first)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_each_seed_and_each_epoch_has_its_own_order():
    orders = {tuple(epoch_order(20, seed=seed, epoch=epoch)) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100


def test_every_permutation_is_as_likely():
    orders = [tuple(epoch_order(3, seed=0, epoch=epoch)) for epoch in range(6000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert 880 < min(counts) <= max(counts) < 1120  # four standard deviations around 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "epoch_order: n is 0, expected a whole number of at least 1"),
        ({"seed": -1}, "epoch_order: seed is -1, expected a whole number of at least 0"),
        ({"seed": 2**64}, f"epoch_order: seed is {2**64}, expected a whole number of at least 0"),
        ({"epoch": 1.0}, "epoch_order: epoch is 1.0, expected a whole number of at least 0"),
        ({"seed": True}, "epoch_order: seed is True, expected a whole number of at least 0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        epoch_order(**{"n": 5, "seed": 0, "epoch": 0} | arguments)


def test_is_the_same_in_every_thread():
    with ThreadPoolExecutor(4) as pool:
        orders = list(pool.map(lambda epoch: epoch_order(500, seed=1, epoch=epoch % 7), range(140)))
    for epoch, order in enumerate(orders):
        np.testing.assert_array_equal(order, epoch_order(500, seed=1, epoch=epoch % 7))
