"""Pairs of digits."""

import numpy as np
import pytest
from bprop.datasets import DigitPairs, Digits
from bprop.datasets.digit_pairs import find_partners


def test_half_of_the_pairs_show_the_same_digit():
    pairs, digits = DigitPairs(seed=3), Digits(seed=3)
    train, alone = pairs.train, digits.train
    assert train.x.shape == (2 * len(alone), *pairs.input_shape)
    assert (train.y[: len(alone)] == 1).all()
    assert (train.y[len(alone) :] == -1).all()
    known = {image.tobytes(): label for image, label in zip(alone.x, alone.y, strict=True)}
    for (first, second), y in zip(train.x[::50], train.y[::50], strict=True):
        assert (known[first.tobytes()] == known[second.tobytes()]) == (y == 1)
        assert not np.array_equal(first, second)
    assert len(pairs.valid) == 2 * len(digits.valid)
    assert len(pairs.test) == 2 * len(digits.test)


def test_targets_are_signs_or_labels():
    assert (DigitPairs().classes, DigitPairs(targets="labels").classes) == (None, 2)
    np.testing.assert_array_equal(DigitPairs(targets="labels").test.y * 2 - 1, DigitPairs().test.y)
    assert DigitPairs(valid_size=0, test_size=0).valid is DigitPairs(valid_size=0, test_size=0).test is None
    with pytest.raises(ValueError, match=r"^DigitPairs: targets is 'both', expected signs or labels$"):
        DigitPairs(targets="both")


def test_partners_depend_on_the_seed_alone():
    labels = np.random.default_rng(0).integers(0, 3, 50)
    first, second = find_partners(labels, 1)
    np.testing.assert_array_equal(find_partners(labels, 1)[1], second)
    assert not np.array_equal(find_partners(labels, 2)[1], second)
    np.testing.assert_array_equal(np.sort(first), np.sort(np.tile(np.arange(50), 2)))
    np.testing.assert_array_equal(labels[first] == labels[second], np.arange(100) < 50)


def test_a_label_of_more_than_half_the_rows_has_too_few_partners():
    with pytest.raises(ValueError, match=r"^partners: 3 of 5 rows have one label, expected at most half$"):
        find_partners(np.array([0, 0, 0, 1, 2]), 0)
