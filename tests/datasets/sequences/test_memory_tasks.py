"""AddingProblem and CopyMemory: what their samples are, the same for a seed, and what they refuse."""

import re

import numpy as np
import pytest
from bprop.datasets import AddingProblem, CopyMemory
from bprop.datasets.sequences import memory_tasks


def test_two_numbers_are_added():
    data = AddingProblem(20, train_size=2000, valid_size=5, test_size=7, seed=3)
    assert (data.input_shape, data.target_shape, data.classes) == ((20, 2), (1,), None)
    x, y = data.train[:]
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((2000, 20, 2), (2000, 1), np.float32, np.float32)
    numbers, marks = x[:, :, 0], x[:, :, 1]
    assert set(np.unique(marks)) == {0, 1}
    assert (marks.sum(axis=1) == 2).all()
    np.testing.assert_allclose(y[:, 0], (numbers * marks).sum(axis=1), rtol=1e-6)
    assert abs(np.mean((y - 1) ** 2) - 1 / 6) < 0.02
    counts = np.histogram(numbers, 16, (0, 1))[0]
    assert abs(counts - 2500).max() < 5 * np.sqrt(2500)
    assert abs(marks.sum(axis=0) - 200).max() < 5 * np.sqrt(200)
    _, pairs = np.unique([np.flatnonzero(row) for row in marks], axis=0, return_counts=True)
    assert len(pairs) == 190
    assert pairs.max() < 35


def test_symbols_are_copied():
    data = CopyMemory(5, length=3, symbols=4, train_size=1000, valid_size=5, test_size=7)
    assert (data.input_shape, data.target_shape, data.classes) == ((11,), (11,), 6)
    x, y = data.train.values(slice(None), whole=True), data.train.y
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((1000, 11), (1000, 11), np.int64, np.int64)
    np.testing.assert_array_equal(y[:, -3:], x[:, :3])
    assert not y[:, :-3].any()
    assert not x[:, 3:7].any()
    assert (x[:, 7:] == 5).all()
    assert [(x[:, :3] == symbol).sum() > 600 for symbol in range(1, 5)] == [True] * 4


@pytest.mark.parametrize("make", [AddingProblem, CopyMemory])
def test_parts_are_functions_of_the_seed(make, monkeypatch):
    data, same, other = (make(5, train_size=30, valid_size=20, test_size=10, seed=seed) for seed in (1, 1, 2))
    assert [len(part) for part in (data.train, data.valid, data.test)] == [30, 20, 10]
    monkeypatch.setattr(memory_tasks, "AT_ONCE", 4 * same.words + 1)  # four samples at a time
    np.testing.assert_array_equal(same.train.x, data.train.x)
    np.testing.assert_array_equal(same.train.y, data.train.y)
    np.testing.assert_array_equal(make(5, train_size=50, seed=1).train.x[:30], data.train.x)
    for another in (data.valid, other.train):
        assert not np.array_equal(another.x[:20], data.train.x[:20])
    alone = make(5, train_size=1, valid_size=0, test_size=0)
    assert (alone.valid, alone.test) == (None, None)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (AddingProblem, {"steps": 1}, "steps is 1, expected a whole number of at least 2"),
        (AddingProblem, {"train_size": 0}, "train_size is 0, expected a whole number of at least 1"),
        (CopyMemory, {"memory": 0}, "memory is 0, expected a whole number of at least 1"),
        (CopyMemory, {"length": 0.5}, "length is 0.5, expected a whole number of at least 1"),
        (CopyMemory, {"symbols": 255}, "symbols is 255, expected a whole number from 1 to 254"),
        (CopyMemory, {"test_size": -1}, "test_size is -1, expected a whole number of at least 0"),
        (CopyMemory, {"seed": -1}, "seed is -1, expected a whole number"),
    ],
)
def test_refuses(make, options, message):
    with pytest.raises(ValueError, match=f"^{make.__name__}: {re.escape(message)}"):
        make(**options)
