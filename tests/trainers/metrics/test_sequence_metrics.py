"""Metrics of sequences, next to plain NumPy."""

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import Embedding, Linear, Sequential, SoftmaxCrossEntropy
from bprop.trainers import SGD, Trainer
from bprop.trainers.metrics import (
    accuracy,
    bits_per_character,
    compute_metrics,
    find_metrics,
    perplexity,
    sequence_accuracy,
)

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(6, 4, 5))
LABELS = RANDOM.integers(0, 5, (6, 4))
P = np.exp(SCORES) / np.exp(SCORES).sum(axis=-1, keepdims=True)
NAMES = ["accuracy", "perplexity", "bits_per_character", "sequence_accuracy"]


def own(p, labels):
    return np.take_along_axis(p, labels[..., None], axis=-1)[..., 0]


def test_perplexity_and_bits():
    cost = -np.log(own(P, LABELS)).mean()
    assert perplexity(P, LABELS) == pytest.approx(np.exp(cost), rel=1e-12)
    assert bits_per_character(P, LABELS) == pytest.approx(cost / np.log(2), rel=1e-12)
    assert perplexity(np.full((2, 3, 8), 1 / 8), np.zeros((2, 3), int)) == pytest.approx(8)
    assert bits_per_character(np.full((2, 3, 8), 1 / 8), np.zeros((2, 3), int)) == pytest.approx(3)
    assert np.isnan(perplexity(P * np.nan, LABELS))


def test_weights_of_samples_weigh_their_tokens():
    weights = np.arange(6.0)
    costs = -np.log(own(P, LABELS)).mean(axis=1)
    assert perplexity(P, LABELS, weights) == pytest.approx(np.exp(np.average(costs, weights=weights)), rel=1e-12)


def test_a_sequence_is_right_if_all_its_tokens_are():
    labels = SCORES.argmax(axis=-1)
    labels[1, 2] = (labels[1, 2] + 1) % 5
    assert sequence_accuracy(SCORES, labels) == 5 / 6
    assert accuracy(SCORES, labels) == 23 / 24
    labels[1, 2] = -1  # which counts nothing
    assert sequence_accuracy(SCORES, labels) == 1
    labels[2] = -1
    assert sequence_accuracy(SCORES, labels) == 1
    labels[3, 0] = (labels[3, 0] + 1) % 5
    assert sequence_accuracy(SCORES, labels) == 4 / 5
    assert sequence_accuracy(SCORES, labels, np.array([1, 1, 9, 2, 1, 1.0])) == pytest.approx(4 / 6)
    assert np.isnan(sequence_accuracy(SCORES, labels * 0 - 1))


@pytest.mark.parametrize(
    ("y", "target", "message"),
    [
        (SCORES, LABELS[:, 1:], r"y has shape \(6, 4, 5\) and target \(6, 3\), expected a score for each class"),
        (SCORES, LABELS + 1, r"label 5 in row \d, expected 0\.\.4$"),
        (SCORES, LABELS * 0 - 2, r"label -2 in row 0, expected 0\.\.4$"),
    ],
)
def test_what_does_not_fit_is_refused(y, target, message):
    with pytest.raises(ValueError, match=f"^sequence_accuracy: {message}"):
        sequence_accuracy(y, target)


@pytest.mark.parametrize("ignored", [-100, 3])
@pytest.mark.parametrize("axis", [None, 1])
def test_tokens_that_the_loss_ignores_count_nothing(ignored, axis):
    labels = LABELS.copy()
    labels[::2, 1:3] = ignored
    labels[4] = ignored
    mask = labels != ignored
    loss, y = SoftmaxCrossEntropy(ignore_index=ignored, class_axis=axis), SCORES
    right = (SCORES.argmax(axis=-1) == labels) | ~mask
    cost = -np.log(own(P, LABELS))[mask].mean()
    expected = [
        right[mask].mean(),
        np.exp(cost),
        cost / np.log(2),
        np.delete(right.all(axis=1), np.flatnonzero(~mask.any(axis=1))).mean(),
    ]
    y = SCORES if axis is None else np.moveaxis(SCORES, -1, 1)
    data = ArrayDataset(y, labels, ignore_index=ignored)
    values = compute_metrics(find_metrics(NAMES), loss, y, labels, data)
    np.testing.assert_allclose(list(values.values()), expected, rtol=1e-12)
    weights = np.array([1.0, 0, 2, 1, 1, 3])
    values = compute_metrics(find_metrics(NAMES), loss, y, labels, data, weights)
    token_weights = np.where(mask, weights[:, None], 0)
    assert values["accuracy"] == pytest.approx(np.average(right, weights=token_weights))
    whole = weights * mask.any(axis=1)
    assert values["sequence_accuracy"] == pytest.approx(np.average(right.all(axis=1), weights=whole))


def test_a_training_reports_them():
    x = RANDOM.integers(0, 5, (40, 4))
    model = Sequential(Embedding(5, 8), Linear(8, 5))
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(lr=1.0), quiet=True)
    row = trainer.fit((x, x), (x, x), epochs=20, batch_size=8, metrics=NAMES)[-1]
    assert row["valid_perplexity"] == pytest.approx(np.exp(row["valid_loss"]), rel=1e-5)
    assert row["valid_bits_per_character"] == pytest.approx(row["valid_loss"] / np.log(2), rel=1e-5)
    assert row["valid_sequence_accuracy"] == 1
