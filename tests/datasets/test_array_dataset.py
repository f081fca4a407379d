"""`ArrayDataset`: what it keeps, what it refuses, and the minibatches it cuts."""

import re

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, epoch_order

IMAGES = np.arange(240, dtype=np.uint8).reshape(10, 1, 4, 6)
LABELS = np.arange(10) % 3


@pytest.mark.parametrize(
    ("dtype", "x_dtype", "batch"),
    [
        ("uint8", "uint8", "float32"),
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
        ("float16", "float32", "float32"),
        ("int32", "int64", "float32"),
        ("int8", "int64", "float32"),
        ("bool", "float32", "float32"),
        (">f8", "float64", "float64"),
        (">f4", "float32", "float32"),
    ],
)
def test_dtype_of_x(dtype, x_dtype, batch):
    values = (np.arange(12) % 2).reshape(4, 3)
    ds = ArrayDataset(values.astype(dtype), np.zeros(4, int))
    assert (ds.x.dtype, ds.dtype, ds[:2][0].dtype, ds[[0]][0].dtype) == (x_dtype, batch, batch, batch)
    np.testing.assert_array_equal(ds[:][0], values)


@pytest.mark.parametrize(
    ("dtype", "y_dtype", "classes"),
    [
        ("int64", "int64", 3),
        ("uint8", "int64", 3),
        ("float16", "float32", None),
        ("float32", "float32", None),
        ("float64", "float64", None),
    ],
)
def test_dtype_of_y(dtype, y_dtype, classes):
    ds = ArrayDataset(IMAGES, LABELS.astype(dtype))
    assert (ds.y.dtype, ds.classes) == (y_dtype, classes)
    np.testing.assert_array_equal(ds.y, LABELS)


def test_truth_values_are_two_classes():
    ds = ArrayDataset(IMAGES, LABELS > 0)
    assert (ds.y.dtype, ds.classes) == (np.int64, 2)


def test_shapes_length_and_repr():
    ds = ArrayDataset(IMAGES, LABELS, classes=5)
    assert (len(ds), ds.input_shape, ds.target_shape, ds.classes) == (10, (1, 4, 6), (), 5)
    assert repr(ds) == "ArrayDataset(10 samples, x (1, 4, 6) uint8, 5 classes)"
    ds = ArrayDataset([[1.0, 2.0]], [[3.0]])
    assert (len(ds), ds.input_shape, ds.target_shape, ds.classes) == (1, (2,), (1,), None)
    assert repr(ds) == "ArrayDataset(1 samples, x (2,) float64, y (1,) float64)"


def test_arrays_that_fit_are_not_copied_and_others_become_contiguous():
    ds = ArrayDataset(IMAGES, LABELS)
    assert np.shares_memory(ds.x, IMAGES)
    assert np.shares_memory(ds.y, LABELS)
    ds = ArrayDataset(IMAGES[::2, :, ::2], LABELS[::2])
    assert ds.x.flags.c_contiguous
    assert ds.y.flags.c_contiguous


@pytest.mark.parametrize("rows", [slice(2, 7), slice(None, None, 3), [3, 1, 1], np.array([9, 0]), LABELS == 1])
def test_rows_are_gathered_and_scaled(rows):
    ds = ArrayDataset(IMAGES, LABELS, scale=1 / 255, shift=-0.5)
    x, y = ds[rows]
    np.testing.assert_array_equal(x, IMAGES[rows].astype("f4") * np.float32(1 / 255) + np.float32(-0.5))
    np.testing.assert_array_equal(y, LABELS[rows])
    assert x.flags.c_contiguous
    assert (x.dtype, y.dtype) == (np.float32, np.int64)


def test_float64_is_scaled_in_float64():
    values = np.linspace(0, 1, 10)
    np.testing.assert_array_equal(ArrayDataset(values, LABELS, scale=0.1, shift=0.2)[:][0], values * 0.1 + 0.2)


@pytest.mark.parametrize("x", [IMAGES, np.ones((10, 2), "f4"), np.ones((10, 2), "f8")])
@pytest.mark.parametrize("rows", [slice(None), np.arange(10)])
def test_minibatches_belong_to_the_caller(x, rows):
    ds = ArrayDataset(x.copy(), np.ones(10))
    batch, target = ds[rows]
    batch += 1
    target += 1
    np.testing.assert_array_equal(ds.x, x)
    np.testing.assert_array_equal(ds.y, np.ones(10))


def test_take():
    ds = ArrayDataset(IMAGES, LABELS, scale=0.5, shift=2.0, classes=7)
    some = ds.take([4, 2])
    np.testing.assert_array_equal(some.x, IMAGES[[4, 2]])
    np.testing.assert_array_equal(some.y, LABELS[[4, 2]])
    assert (some.scale, some.shift, some.classes) == (0.5, 2.0, 7)
    assert not np.shares_memory(some.x, IMAGES)
    assert np.shares_memory(ds.take(slice(3, 6)).x, IMAGES)
    every_other = ds.take(slice(None, None, 2))
    assert every_other.x.flags.c_contiguous
    np.testing.assert_array_equal(every_other.x, IMAGES[::2])
    with pytest.raises(ValueError, match=r"^ArrayDataset: x has shape \(0, 1, 4, 6\), expected at least one sample$"):
        ds.take(LABELS > 5)


def test_weights_are_kept_and_taken():
    weights = np.arange(10, dtype=np.float32)
    ds = ArrayDataset(IMAGES, LABELS, weights)
    assert ds.sample_weight.dtype == np.float32
    np.testing.assert_array_equal(ds.take([4, 2]).sample_weight, [4, 2])
    np.testing.assert_array_equal(ds.take(slice(8, None)).sample_weight, [8, 9])
    assert ArrayDataset(IMAGES, LABELS, np.ones(10, int)).sample_weight.dtype == np.float32
    assert ArrayDataset(IMAGES, LABELS).sample_weight is None
    with pytest.raises(ValueError, match=r"^ArrayDataset: sample_weight is 0 for every sample, expected a positive"):
        ds.take([0, 0])


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(9), ValueError, "sample_weight has shape (9,), expected (10,)"),
        (np.ones((10, 1)), ValueError, "sample_weight has shape (10, 1), expected (10,)"),
        ([1] * 9 + [np.nan], ValueError, "row 9 of sample_weight holds NaN or infinity, expected finite numbers"),
        ([1, -2] * 5, ValueError, "row 1 of sample_weight is -2, expected at least 0"),
        (np.zeros(10), ValueError, "sample_weight is 0 for every sample, expected a positive one"),
        (["a"] * 10, TypeError, "sample_weight has dtype <U1, expected whole or floating point numbers"),
    ],
)
def test_refuses_weights(weights, error, message):
    with pytest.raises(error, match=f"^ArrayDataset: {re.escape(message)}$"):
        ArrayDataset(IMAGES, LABELS, weights)


def test_values_are_checked_a_piece_at_a_time(monkeypatch):
    monkeypatch.setattr("bprop.datasets.array_checks.CHECKED_AT_ONCE", 12)
    x = np.ones((50, 2, 2))
    ArrayDataset(x, np.zeros(50))
    x[37, 1, 1] = np.inf
    with pytest.raises(ValueError, match=r"^ArrayDataset: row 37 of x holds NaN or infinity, expected finite numbers$"):
        ArrayDataset(x, np.zeros(50))


def test_units_of_the_target_are_kept():
    ds = ArrayDataset(IMAGES, np.ones(10), target_mean=3, target_std=2.5)
    assert (ds.take([1]).target_mean, ds.take([1]).target_std) == (3.0, 2.5)
    with pytest.raises(ValueError, match=r"^ArrayDataset: target_std is nan, expected a finite number$"):
        ArrayDataset(IMAGES, np.ones(10), target_std=np.nan)


WITH_NAN = np.ones((5, 3, 2))
WITH_NAN[[3, 4], 2] = np.nan


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        (np.ones((5, 2)), [0, 1], {}, ValueError, "x has 5 samples and y has 2, expected as many"),
        (np.ones((0, 2)), [], {}, ValueError, "x has shape (0, 2), expected at least one sample"),
        (np.ones((2, 2)), [], {}, ValueError, "y has shape (0,), expected at least one sample"),
        (1.0, [1], {}, ValueError, "x has shape (), expected at least one sample"),
        (WITH_NAN, LABELS[:5], {}, ValueError, "row 3 of x holds NaN or infinity, expected finite numbers"),
        ([1, -np.inf], [0, 1], {}, ValueError, "row 1 of x holds NaN or infinity, expected finite numbers"),
        ([1, 2], [0.0, np.inf], {}, ValueError, "row 1 of y holds NaN or infinity, expected finite numbers"),
        ([1, 2], [[0.0], [np.nan]], {}, ValueError, "row 1 of y holds NaN or infinity"),
        ([1, 2, 3], [0, 1, -1], {}, ValueError, "row 2 of y has label -1, expected 0 to 1"),
        ([1, 2, 3], [0, 5, 9], {"classes": 5}, ValueError, "row 1 of y has label 5, expected 0 to 4"),
        ([1, 2], [0, 0], {"classes": 0}, ValueError, "classes is 0, expected a whole number of at least 1"),
        ([1, 2], [0, 0], {"classes": 2.5}, ValueError, "classes is 2.5, expected a whole number"),
        ([1, 2], [0.0, 0.5], {"classes": 2}, ValueError, "row 1 of y has label 0.5, expected a whole number"),
        ([1, 2], [0.0, 2.0], {"classes": 2}, ValueError, "row 1 of y has label 2, expected 0 to 1"),
        ([1, 2], [[0, 1], [1, -1]], {}, ValueError,
         "row 1 of y has label -1, expected 0 to 1; ignore_index names a label that counts nothing, and numbers to "
         "predict are given as floats"),
        (["1", "2"], [0, 1], {}, TypeError, "x has dtype <U1, expected whole or floating point numbers"),
        ([1, 2], ["cat", "dog"], {}, TypeError, "y has dtype <U3, expected whole or floating point numbers"),
        ([None, 2], [0, 1], {}, TypeError, "x has dtype object, expected whole or floating point numbers"),
        ([1j, 2], [0, 1], {}, TypeError, "x has dtype complex128, expected whole or floating point numbers"),
        ([1, 2], [0, 1], {"scale": np.nan}, ValueError, "scale is nan, expected a finite number"),
        ([1, 2], [0, 1], {"shift": np.inf}, ValueError, "shift is inf, expected a finite number"),
    ],
)  # fmt: skip
def test_refuses(x, y, options, error, message):
    with pytest.raises(error, match=f"^ArrayDataset: {re.escape(message)}"):
        ArrayDataset(x, y, **options)


@pytest.mark.parametrize("rows", [3, 1.5, [0.0], [[0, 1]], []])
def test_refuses_rows_that_are_no_slice_or_index_array(rows):
    message = f"ArrayDataset: rows is {rows}, expected a slice or a 1-D array of row numbers"
    ds = ArrayDataset(IMAGES, LABELS)
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        ds[rows]
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        ds.take(rows)


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "sizes"),
    [
        (4, False, [4, 4, 2]),
        (4, True, [4, 4]),
        (5, False, [5, 5]),
        (5, True, [5, 5]),
        (1, True, [1] * 10),
        (10, False, [10]),
        (10, True, [10]),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_minibatches_visit_the_set_once(batch_size, drop_last, sizes, shuffle):
    ds = ArrayDataset(IMAGES, np.arange(10), scale=0.25)
    pairs = list(ds.minibatches(batch_size, shuffle=shuffle, seed=6, epoch=2, drop_last=drop_last))
    order = epoch_order(10, seed=6, epoch=2) if shuffle else np.arange(10)
    assert [len(y) for _, y in pairs] == sizes
    np.testing.assert_array_equal(np.concatenate([y for _, y in pairs]), order[: sum(sizes)])
    for x, y in pairs:
        np.testing.assert_array_equal(x, IMAGES[y] * np.float32(0.25))


def test_shuffled_order_is_a_function_of_seed_and_epoch():
    ds = ArrayDataset(np.ones(100), np.arange(100))

    def order(batch_size, **options):
        return np.concatenate([y for _, y in ds.minibatches(batch_size, shuffle=True, **options)]).tolist()

    assert order(7, seed=1, epoch=3) == order(32, seed=1, epoch=3)
    assert order(7, seed=1, epoch=3) != order(7, seed=1, epoch=4)
    assert order(7, seed=1, epoch=3) != order(7, seed=2, epoch=3)


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        (0, "ArrayDataset: batch_size is 0, expected a whole number of at least 1"),
        (2.0, "ArrayDataset: batch_size is 2.0, expected a whole number of at least 1"),
        (64, "ArrayDataset: batch_size 64 is larger than the set of 10 samples"),
    ],
)
def test_refuses_a_batch_size_at_the_call(batch_size, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ArrayDataset(IMAGES, LABELS).minibatches(batch_size)


def test_labels_may_have_several_axes_and_one_that_counts_nothing():
    ds = ArrayDataset(IMAGES[:2], [[0, 2], [-100, 1]], ignore_index=-100)
    assert (ds.classes, ds.target_shape, ds.y.dtype) == (3, (2,), np.int64)
    assert ArrayDataset(IMAGES[:2], [0, 255], ignore_index=255).classes == 1
    assert ArrayDataset(IMAGES[:2], [0.0, 1.0], classes=3).classes == 3


def test_whole_numbers_are_inputs_as_they_are():
    ids = np.array([[0, 2**24 + 1]])
    ds = ArrayDataset(ids, [0])
    assert ds[:1][0].dtype == np.float32
    assert np.array_equal(ds.inputs(slice(None), whole=True), ids)
    assert ArrayDataset(ids, [0], scale=0.5).inputs([0], whole=True).dtype == np.float32
