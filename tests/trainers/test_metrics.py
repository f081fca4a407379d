"""Metrics against what they say in NumPy."""

import numpy as np
import pytest
from bprop.trainers.metrics import METRICS, accuracy, error, find_metrics, rmse


@pytest.fixture
def scored():
    """Scores (9, 3) and labels (9,)."""
    random = np.random.default_rng(0)
    return random.normal(size=(9, 3)).astype(np.float32), random.integers(0, 3, 9)


def test_accuracy_and_error(scored):
    y, labels = scored
    right = sum(int(max(range(3), key=lambda k: row[k]) == label) for row, label in zip(y, labels, strict=True))
    assert 0 < right < 9
    assert accuracy(y, labels) == right / 9
    assert error(y, labels) == 1 - right / 9


def test_one_hot_targets_count_like_labels(scored):
    y, labels = scored
    assert accuracy(y, np.eye(3)[labels]) == accuracy(y, labels)


def test_a_score_at_each_place():
    random = np.random.default_rng(0)
    y, labels = random.normal(size=(4, 5, 3)), random.integers(0, 3, (4, 5))
    assert accuracy(y, labels) == accuracy(y.reshape(20, 3), labels.reshape(20))


def test_rmse():
    y, target = np.array([[1.0], [2.0]], np.float32), np.array([[4.0], [6.0]], np.float32)
    assert rmse(y, target) == pytest.approx(np.sqrt((9 + 16) / 2))


def test_rmse_of_float32_adds_up_in_float64():
    y = np.full((100_000, 1), 1000.1, np.float32)
    assert rmse(y, np.zeros_like(y)) == pytest.approx(float(y[0, 0]), rel=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "error"])
@pytest.mark.parametrize(("y_shape", "target_shape"), [((8, 3), (7,)), ((8, 1), (8, 1)), ((8, 3), (8, 1))])
def test_accuracy_refuses_shapes_that_do_not_fit(name, y_shape, target_shape):
    message = r"^accuracy: y has shape .* and target .*, expected a score for each class$"
    with pytest.raises(ValueError, match=message):
        METRICS[name](np.zeros(y_shape), np.zeros(target_shape))


def test_rmse_broadcasts_nothing():
    with pytest.raises(ValueError, match=r"^rmse: y has shape \(8, 1\) and target \(8,\), expected the same shape$"):
        rmse(np.zeros((8, 1)), np.zeros(8))


def test_names():
    assert find_metrics(["rmse", "error"]) == {"rmse": rmse, "error": error}
    with pytest.raises(ValueError, match=r"^Trainer: there is no metric 'f1', expected some of accuracy, error, rmse$"):
        find_metrics(["accuracy", "f1"])
