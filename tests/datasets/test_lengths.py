"""Sequences with lengths as a data set: what is refused, what keeps the lengths, minibatches of similar lengths."""

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, Dataset, Reconstruction, epoch_order, group_by_length, k_folds
from bprop.trainers.files.data_digests import compute_data_digests, describe_difference


def sequences(n=12, steps=5):
    """x (n, steps, 2), labels (n,), and lengths (n,) from 1 to steps."""
    return np.ones((n, steps, 2), np.float32), np.arange(n) % 3, np.arange(n) % steps + 1


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 6, 2], "ArrayDataset: row 1 of lengths is 6, expected a whole number from 1 to 5, the steps of x"),
        ([1, 2, 0], "ArrayDataset: row 2 of lengths is 0, expected a whole number from 1 to 5, the steps of x"),
        ([-1, 2, 3], "row 0 of lengths is -1, expected"),
        ([1, 2.5, 3], "row 1 of lengths is 2.5, expected"),
        ([1, np.nan, 3], "row 1 of lengths is nan, expected"),
        ([1, 2], r"ArrayDataset: lengths has shape \(2,\), expected \(3,\)"),
        ([[1], [2], [3]], r"lengths has shape \(3, 1\), expected \(3,\)"),
    ],
)
def test_wrong_lengths_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        ArrayDataset(np.ones((3, 5)), np.arange(3), lengths=lengths)


def test_lengths_of_what_is_no_sequence():
    with pytest.raises(ValueError, match=r"x has shape \(3,\) and lengths are given, expected sequences"):
        ArrayDataset(np.ones(3), np.arange(3), lengths=[1, 1, 1])
    with pytest.raises(TypeError, match="lengths has dtype <U1"):
        ArrayDataset(np.ones((3, 5)), np.arange(3), lengths=["1", "2", "3"])


def test_whole_floats_are_lengths():
    assert ArrayDataset(np.ones((3, 5)), np.arange(3), lengths=[1.0, 5.0, 2.0]).lengths.dtype == np.int64


def test_a_minibatch_is_a_table():
    x, y, lengths = sequences()
    data = ArrayDataset(x, y, lengths=lengths)
    assert data.minibatch_shape(4) == ((4, 5, 2), (4,))
    assert data.has_lengths
    assert repr(data) == "ArrayDataset(12 samples, x (5, 2) float32, 3 classes, lengths 1 to 5)"
    for rows in (slice(2, 5), [4, 2]):
        (own_x, own_lengths), own_y = data[rows]
        np.testing.assert_array_equal(own_x, x[rows])
        np.testing.assert_array_equal(own_lengths, lengths[rows])
        np.testing.assert_array_equal(own_y, y[rows])
        assert not np.shares_memory(own_lengths, data.lengths)
    assert ArrayDataset(x, y).minibatch_shape(4) == (4, 5, 2)


def test_parts_keep_their_lengths():
    x, y, lengths = sequences()
    data = ArrayDataset(x, y, np.ones(12), lengths=lengths)
    np.testing.assert_array_equal(data.take([3, 1]).lengths, lengths[[3, 1]])
    np.testing.assert_array_equal(data.take(slice(2, 4)).lengths, lengths[2:4])
    np.testing.assert_array_equal(ArrayDataset(x, y.astype(float), lengths=lengths).with_labels().lengths, lengths)
    for fold in k_folds(data, 3, stratify=False):
        assert fold.has_lengths
        assert fold.minibatch_shape(2) == ((2, 5, 2), (2,))
        assert sorted([*fold.train.lengths, *fold.valid.lengths]) == sorted(lengths)


class Parts(Dataset):
    """Sequences with lengths, of which the validation part has all steps."""

    input_shape, target_shape, classes, has_lengths = (5, 2), (), 3, True
    x, y, lengths = sequences()
    train = ArrayDataset(x, y, lengths=lengths)
    valid = ArrayDataset(x, y)


def test_folds_and_reconstructions_of_a_dataset():
    lengths = np.concatenate(
        [next(iter(k_folds(Parts(), 2))).train.lengths, next(iter(k_folds(Parts(), 2))).valid.lengths]
    )
    assert sorted(lengths) == sorted([*Parts.lengths, *[5] * 12])
    same = Reconstruction(Parts())
    assert same.has_lengths
    assert same.minibatch_shape(3) == ((3, 5, 2), (3,))
    np.testing.assert_array_equal(same.train.lengths, Parts.lengths)
    np.testing.assert_array_equal(same.train.y, Parts.x)


def test_other_lengths_are_other_data():
    x, y, lengths = sequences()
    one, other = (compute_data_digests(ArrayDataset(x, y, lengths=each)) for each in (lengths, np.full(12, 5)))
    assert describe_difference(one, other) == "lengths"
    assert describe_difference(one, compute_data_digests(ArrayDataset(x, y))) == "lengths"


# -- grouping --------------------------------------------------------------------------------------------------------


def padding(order, lengths, size):
    """How many steps are padded where each minibatch is cut to its longest sample."""
    whole = len(order) - len(order) % size
    minibatches = lengths[order[:whole]].reshape(-1, size)
    return int((minibatches.max(axis=1, keepdims=True) - minibatches).sum())


def test_samples_of_similar_lengths_come_together():
    lengths = np.random.default_rng(0).integers(1, 101, 1000)
    plain = epoch_order(1000, seed=3, epoch=2)
    order = group_by_length(plain, lengths, 8, seed=3, epoch=2)
    assert sorted(order) == list(range(1000))
    assert padding(order, lengths, 8) < padding(plain, lengths, 8) / 10
    np.testing.assert_array_equal(order, group_by_length(plain, lengths, 8, seed=3, epoch=2))
    other = group_by_length(epoch_order(1000, seed=3, epoch=3), lengths, 8, seed=3, epoch=3)
    assert (order != other).mean() > 0.9
    longest = lengths[order.reshape(-1, 8)].max(axis=1)
    assert abs(np.corrcoef(longest, np.arange(125))[0, 1]) < 0.3  # short ones do not come first


def test_what_is_left_stays_at_the_end():
    lengths = np.arange(1, 12)
    plain = epoch_order(11, seed=0, epoch=0)
    order = group_by_length(plain, lengths, 4, seed=0, epoch=0)
    np.testing.assert_array_equal(order[8:], plain[8:])  # not the longest ones
    np.testing.assert_array_equal(group_by_length(plain[:3], lengths, 4, seed=0, epoch=0), plain[:3])
    one = group_by_length(plain, lengths, 4, seed=0, epoch=0, pool=1)
    assert {frozenset(one[:4]), frozenset(one[4:8])} == {frozenset(plain[:4]), frozenset(plain[4:8])}


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"batch_size": 4, "pool": 0}])
def test_settings_of_the_order(settings):
    with pytest.raises(
        ValueError, match=r"group_by_length: (batch_size|pool) is 0, expected a whole number of at least 1"
    ):
        group_by_length(np.arange(8), np.ones(8, int), **settings, seed=0, epoch=0)


def test_minibatches_are_cut_to_the_longest():
    x, _, lengths = sequences(40, 9)
    data = ArrayDataset(x, np.zeros((40, 9)), np.arange(1.0, 41.0), lengths=lengths)
    seen = []
    for (own, own_lengths), y, weights in data.minibatches(4, shuffle=True, seed=1, group_by_length=True):
        assert own.shape == (4, own_lengths.max(), 2)
        assert y.shape == (4, own_lengths.max())
        assert own.flags.c_contiguous
        np.testing.assert_array_equal(lengths[weights.astype(int) - 1], own_lengths)
        seen += list(weights)
    assert sorted(seen) == list(range(1, 41))
    for shuffle, own in ((False, data), (True, ArrayDataset(x, np.zeros(40)))):
        with pytest.raises(ValueError, match="group_by_length is true, expected lengths, and shuffle to be true"):
            own.minibatches(4, shuffle=shuffle, group_by_length=True)
