"""The sets that come with scikit-learn: the same arrays as its own loaders give, split and standardised."""

import importlib
import re
import subprocess
import sys

import numpy as np
import pytest
from bprop.datasets import BreastCancer, Dataset, Diabetes, Digits, Iris, Wine

SETS = [Digits, Iris, Wine, BreastCancer, Diabetes]
TABLES = [Iris, Wine, BreastCancer, Diabetes]
CLASSIFIED = [Digits, Iris, Wine, BreastCancer]
LOADERS = {
    Digits: "load_digits", Iris: "load_iris", Wine: "load_wine", BreastCancer: "load_breast_cancer",
    Diabetes: "load_diabetes",
}  # fmt: skip


def in_units(ds, part):
    """x and y of a part as they stand in the table, a row a sample."""
    x, y = part[:]
    x = x * ds.feature_std + ds.feature_mean
    y = y * ds.target_std + ds.target_mean if ds.classes is None else y
    return np.column_stack([x.reshape(len(x), -1), y])


@pytest.mark.parametrize("make", SETS)
def test_arrays_equal_those_of_scikit_learn(make):
    loader = getattr(importlib.import_module("sklearn.datasets"), LOADERS[make])
    x, y = loader(return_X_y=True, **({"scaled": False} if make is Diabetes else {}))
    own_x, own_y = make().read()
    np.testing.assert_array_equal(own_x.reshape(x.shape), x)
    np.testing.assert_array_equal(own_y.reshape(y.shape), y)


@pytest.mark.parametrize("make", SETS)
def test_shapes_are_known_without_reading(make, monkeypatch):
    monkeypatch.setattr(make, "read", lambda self: pytest.fail("the data was read"))
    ds = make()
    assert isinstance(ds, Dataset)
    assert repr(ds).startswith(f"{make.__name__}({ds.input_shape} -> ")
    assert ds.target_shape == (() if ds.classes else (1,))


@pytest.mark.parametrize("make", SETS)
@pytest.mark.parametrize("standardize", [False, True])
def test_parts_are_as_promised(make, standardize):
    ds = make(standardize=standardize)
    for part in (ds.train, ds.valid, ds.test):
        x, y = part[:5]
        assert (x.shape[1:], y.shape[1:]) == (ds.input_shape, ds.target_shape)
        assert (part.input_shape, part.target_shape) == (ds.input_shape, ds.target_shape)
        assert part.classes == ds.classes
        assert (x.dtype, y.dtype) == (np.float32, np.int64 if ds.classes else np.float32)
    assert ds.train is ds.train


@pytest.mark.parametrize("make", SETS)
def test_parts_together_are_the_whole_set(make):
    ds = make(standardize=True, valid_size=0.3, seed=5)
    whole = np.column_stack([array.reshape(ds.samples, -1) for array in ds.read()])
    parts = np.concatenate([in_units(ds, part) for part in (ds.train, ds.valid, ds.test)])
    weights = np.linspace(1, 2, whole.shape[1])  # one number a row, in which each column counts differently
    np.testing.assert_allclose(np.sort(parts @ weights), np.sort(whole @ weights), rtol=1e-5)


@pytest.mark.parametrize("make", SETS)
def test_sizes(make):
    ds = make(valid_size=0.1, test_size=25)
    assert (len(ds.valid), len(ds.test)) == (int(ds.samples * 0.1 + 0.5), 25)
    assert len(ds.train) == ds.samples - len(ds.valid) - len(ds.test)
    ds = make(valid_size=0, test_size=0)
    assert (ds.valid, ds.test, len(ds.train)) == (None, None, ds.samples)


@pytest.mark.parametrize("make", CLASSIFIED)
def test_split_is_stratified(make):
    ds = make()
    shares = np.bincount(ds.read()[1]) / ds.samples
    for part in (ds.train, ds.valid, ds.test):
        assert np.abs(np.bincount(part.y, minlength=ds.classes) - shares * len(part)).max() < 2


@pytest.mark.parametrize("make", SETS)
def test_split_is_a_function_of_the_seed(make):
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(getattr(first, part).x, getattr(again, part).x)
        np.testing.assert_array_equal(getattr(first, part).y, getattr(again, part).y)
        assert not np.array_equal(getattr(first, part).x, getattr(other, part).x)


@pytest.mark.parametrize("make", SETS)
def test_features_are_standardised_by_the_training_part(make):
    ds, raw = make(standardize=True), make(standardize=False)
    train = raw.train.x.astype("f8")
    varies = train.std(axis=0) > 0
    np.testing.assert_allclose(ds.feature_mean, train.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(ds.feature_std[varies], train.std(axis=0)[varies], rtol=1e-5)
    for part, table in ((ds.train, raw.train), (ds.valid, raw.valid), (ds.test, raw.test)):
        expected = (table.x - ds.feature_mean) / ds.feature_std
        np.testing.assert_allclose(part.x, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ds.train.x.mean(axis=0, dtype="f8"), 0.0, atol=1e-6)
    np.testing.assert_allclose(ds.train.x.std(axis=0, dtype="f8")[varies], 1.0, atol=1e-6)


def test_constant_features_become_zero():
    ds = Digits(standardize=True)
    constant = Digits().train.x.std(axis=0) == 0
    assert constant.any()
    np.testing.assert_array_equal(ds.feature_std[constant], 1.0)
    np.testing.assert_array_equal(ds.train.x[:, constant], 0.0)


@pytest.mark.parametrize("make", TABLES)
def test_tables_are_in_their_own_units_without_standardize(make):
    ds = make(standardize=False, valid_size=0, test_size=0)
    np.testing.assert_array_equal(ds.feature_mean, np.zeros(ds.input_shape))
    np.testing.assert_array_equal(ds.feature_std, np.ones(ds.input_shape))
    np.testing.assert_array_equal(np.sort(ds.train.x, axis=0), np.sort(ds.read()[0].astype("f4"), axis=0))


def test_digits_are_bytes_scaled_to_one():
    ds = Digits()
    assert ds.train.x.dtype == np.uint8
    assert ds.train.x.max() == 16
    np.testing.assert_array_equal(ds.train[:][0], ds.train.x / np.float32(16))


def test_diabetes_target_goes_back_to_units():
    ds, raw = Diabetes(), Diabetes(standardize=False)
    assert (raw.target_mean, raw.target_std) == (0.0, 1.0)
    assert ds.target_mean == pytest.approx(raw.train.y.mean(dtype="f8"))
    assert ds.target_std == pytest.approx(raw.train.y.std(dtype="f8"))
    for part, table in ((ds.train, raw.train), (ds.valid, raw.valid), (ds.test, raw.test)):
        np.testing.assert_allclose(part.y * ds.target_std + ds.target_mean, table.y, rtol=1e-5)


@pytest.mark.parametrize("make", SETS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_size": 1.5}, "test_size is 1.5, expected a fraction from 0.0 up to but not including 1.0"),
        ({"valid_size": -0.1}, "valid_size is -0.1, expected a fraction from 0.0"),
        ({"valid_size": 0.5, "test_size": 0.5}, "valid_size 0.5 and test_size 0.5 take"),
        ({"seed": -3}, "seed is -3, expected a whole number of at least 0"),
        ({"seed": 1.5}, "seed is 1.5, expected a whole number of at least 0"),
    ],
)
def test_refuses_when_it_is_made(make, options, message):
    with pytest.raises(ValueError, match=f"^{make.__name__}: {re.escape(message)}"):
        make(**options)


def test_names_what_is_missing(monkeypatch):
    reader = importlib.import_module("bprop.datasets.files.scikit_learn")
    with pytest.raises(FileNotFoundError, match=r"has no file .*nothing\.csv, expected one of release 1\.5"):
        reader.find_data_file("nothing.csv")
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"^scikit-learn is not installed, but packs iris\.csv: run"):
        Iris().train  # noqa: B018


def test_nothing_slow_is_imported():
    code = (
        "import sys; from bprop.datasets import Diabetes, Digits; Digits().train; Diabetes().test;"
        "print({'sklearn', 'scipy', 'numba', 'pandas', 'urllib.request', 'pickle'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(re.findall(r"'(.*?)'", done.stdout)) <= {"pickle"}, done.stdout  # NumPy itself imports pickle
