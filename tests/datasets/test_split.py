"""`split_rows`: every row in one part, the same each time, classes in proportion."""

import re

import numpy as np
import pytest
from bprop.datasets import split_rows

LABELS = np.repeat([2, 0, 1], [60, 25, 15])


@pytest.mark.parametrize("labels", [None, LABELS])
@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize(("valid_size", "test_size"), [(0.15, 0.2), (7, 31), (0, 0.5), (0.001, 0)])
def test_every_row_is_in_one_part(labels, seed, valid_size, test_size):
    parts = split_rows(100, valid_size=valid_size, test_size=test_size, seed=seed, labels=labels)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    assert all(part.dtype == np.int64 for part in parts)


@pytest.mark.parametrize(
    ("n", "valid_size", "test_size", "lengths"),
    [
        (100, 0.15, 0.2, (65, 15, 20)),
        (100, 15, 20, (65, 15, 20)),
        (100, 0, 0.0, (100, 0, 0)),
        (10, 0.01, 0.26, (6, 1, 3)),  # at least one sample, and to the nearest number
        (10, 0.5, 4, (1, 5, 4)),
        (9, 0.5, 0, (4, 5, 0)),
    ],
)
def test_sizes(n, valid_size, test_size, lengths):
    parts = split_rows(n, valid_size=valid_size, test_size=test_size)
    assert tuple(len(part) for part in parts) == lengths


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("names", [np.array([0, 1, 2]), np.array(["cat", "dog", "owl"]), np.array([-5, 7, 1000])])
def test_classes_are_in_proportion(seed, names):
    labels = names[LABELS]
    for part, size in zip(split_rows(100, seed=seed, labels=labels), (65, 15, 20), strict=True):
        for name in names:
            expected = (labels == name).mean() * size
            assert abs((labels[part] == name).sum() - expected) <= 1.5


def test_every_row_can_be_in_every_part():
    tests = np.concatenate([split_rows(100, seed=seed, labels=LABELS)[2] for seed in range(200)])
    counts = np.bincount(tests, minlength=100)
    assert 15 < counts.min() <= counts.max() < 65  # four and more standard deviations around 40


def test_is_a_function_of_the_seed():
    first, again, other = (split_rows(100, seed=seed, labels=LABELS) for seed in (3, 3, 4))
    for part, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(part, same)
        assert set(part) != set(different)


def test_the_test_part_does_not_depend_on_valid_size():
    first, second = (split_rows(100, valid_size=size, labels=LABELS)[2] for size in (0.1, 30))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"valid_size": 1.0}, "valid_size is 1.0, expected a fraction from 0.0 up to but not including 1.0, "
                              "or a number of samples below 100"),
        ({"test_size": -1}, "test_size is -1, expected a fraction from 0.0"),
        ({"test_size": 100}, "test_size is 100, expected a fraction from 0.0"),
        ({"test_size": True}, "test_size is True, expected a fraction from 0.0"),
        ({"test_size": np.nan}, "test_size is nan, expected a fraction from 0.0"),
        ({"valid_size": 0.5, "test_size": 50}, "valid_size 0.5 and test_size 50 take 100 of 100 samples, "
                                               "expected at least one to be left for training"),
        ({"valid_size": 0.905, "test_size": 0.095}, "valid_size 0.905 and test_size 0.095 take 101 of 100"),
        ({"labels": [0, 1]}, "labels has shape (2,), expected (100,)"),
    ],
)  # fmt: skip
def test_refuses(options, message):
    with pytest.raises(ValueError, match=f"^split_rows: {re.escape(message)}"):
        split_rows(100, **options)
