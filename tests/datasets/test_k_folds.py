"""`k_folds` and `balanced_order`: every sample once, classes in proportion or in equal shares, the same for a seed."""

import re

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, CsvDataset, Diabetes, InverseProblem, Iris, balanced_order, k_folds

LABELS = np.repeat([0, 1, 2], [60, 31, 9])
SAMPLES = ArrayDataset(np.arange(100.0), LABELS, np.arange(100.0) + 1)


@pytest.mark.parametrize("k", [2, 5, 7, 100])
@pytest.mark.parametrize("stratify", [True, False])
def test_each_sample_validates_once(k, stratify):
    folds = list(k_folds(SAMPLES, k, seed=3, stratify=stratify))
    assert len(folds) == k
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.valid.x for fold in folds])), np.arange(100))
    for fold in folds:
        assert abs(len(fold.valid) - 100 / k) < 1
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.train.x, fold.valid.x])), np.arange(100))
        np.testing.assert_array_equal(fold.valid.sample_weight, fold.valid.x + 1)
        assert (fold.test, fold.classes, fold.input_shape, fold.target_shape) == (None, 3, (), ())


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_in_proportion(seed):
    for fold in k_folds(SAMPLES, 5, seed=seed):
        assert abs(np.bincount(fold.valid.y, minlength=3) - np.array([12, 6.2, 1.8])).max() <= 1.5
    counts = [np.bincount(fold.valid.y, minlength=3)[2] for fold in k_folds(SAMPLES, 5, seed=seed, stratify=False)]
    assert sum(counts) == 9


def test_folds_are_a_function_of_the_seed():
    first, again, other = ([fold.valid.x.tolist() for fold in k_folds(SAMPLES, 5, seed=seed)] for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("make", [Iris, Diabetes])
def test_means_are_fitted_to_each_fold(make):
    ds = make()
    folds = list(k_folds(ds, 4))
    raw = make(standardize=False)
    assert len({float(fold.feature_mean[0]) for fold in folds}) == 4
    for fold in folds:
        np.testing.assert_allclose(fold.train.x.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_array_equal(fold.test.y.shape, ds.test.y.shape)
        assert len(fold.train) + len(fold.valid) == len(ds.train) + len(ds.valid)
    valid = np.concatenate([fold.valid.x * fold.feature_std + fold.feature_mean for fold in folds])
    together = np.concatenate([raw.train.x, raw.valid.x])
    np.testing.assert_allclose(np.sort(valid, axis=0), np.sort(together, axis=0), rtol=1e-4, atol=1e-4)
    assert ds.train is ds.train  # as it was


def test_folds_of_a_table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,t\n" + "".join(f"{i},{'xyz'[i % 3]}\n" for i in range(30)))
    ds = CsvDataset(path, target="t", valid_path=path, test_size=6)
    folds = list(k_folds(ds, 3))
    assert [len(fold.valid) for fold in folds] == [8, 8, 8]
    assert [len(fold.train) for fold in folds] == [16, 16, 16]
    assert len({fold.preprocessing.columns[0].mean for fold in folds}) == 3
    for fold in folds:
        np.testing.assert_allclose(fold.train.x.mean(), 0, atol=1e-6)
        assert np.bincount(fold.valid.y, minlength=3).min() >= 2
    assert len(ds.valid) == 30


def test_folds_of_any_other_data_set():
    ds = InverseProblem(train_size=20, valid_size=10, test_size=5)
    folds = list(k_folds(ds, 3))
    assert [len(fold.valid) for fold in folds] == [10, 10, 10]
    assert [fold.test for fold in folds] == [ds.test] * 3
    together = np.concatenate([ds.train.x, ds.valid.x])
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.valid.x for fold in folds]), 0), np.sort(together, 0))


@pytest.mark.parametrize("k", [1, 101, 2.0])
def test_refuses_k_at_the_call(k):
    with pytest.raises(ValueError, match=rf"^k_folds: k is {k}, expected a whole number from 2 to 100$"):
        k_folds(SAMPLES, k)


@pytest.mark.parametrize("labels", [LABELS, np.array([5, 5, 7]), np.array([1]), np.arange(10) > 7])
def test_balanced_order(labels):
    classes, counts = np.unique(labels, return_counts=True)
    for epoch in range(3):
        order = balanced_order(labels, seed=4, epoch=epoch)
        assert (order.shape, order.dtype) == ((len(labels),), np.int64)
        shown = [(labels[order] == name).sum() for name in classes]
        assert max(shown) - min(shown) <= 1
        times = np.bincount(order, minlength=len(labels))
        for name, count, share in zip(classes, counts, shown, strict=True):
            own = times[labels == name]
            assert own.max() - own.min() <= 1
            assert own.sum() == share
            assert (own > 0).sum() == min(count, share)
        np.testing.assert_array_equal(order, balanced_order(labels, seed=4, epoch=epoch))


def test_a_large_class_shows_other_samples_in_each_epoch():
    epochs = [set(balanced_order(LABELS, seed=0, epoch=epoch)) for epoch in range(20)]
    assert len(set.union(*epochs)) == 100
    assert epochs[0] != epochs[1]
    order = balanced_order(LABELS, seed=0, epoch=0)
    assert 5 < (LABELS[order[:33]] == 2).sum() < 17  # the classes are mixed
    assert not np.array_equal(order, balanced_order(LABELS, seed=1, epoch=0))


@pytest.mark.parametrize("labels", [np.ones(3), np.ones((3, 1), int)])
def test_balanced_order_refuses(labels):
    message = f"balanced_order: labels is {labels.dtype} {labels.shape}, expected class labels (n,)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        balanced_order(labels, seed=0, epoch=0)
