"""Trainings at the ends of what numbers can be: huge scores, a variance that vanishes, a class that is not there."""

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import GaussianNLL, Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy
from bprop.trainers import SGD, Trainer


def classifier():
    return Trainer(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), quiet=True)


def samples(n=40):
    random = np.random.default_rng(0)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


@pytest.mark.parametrize("right", [True, False])
def test_scores_of_ten_thousand(right):
    """Sure and right: nothing to learn. Sure and wrong: a loss of 20,000, and gradients of at most 1 / N each."""
    trainer, (x, _) = classifier(), samples()
    x = np.sign(x[:, :1]) * np.eye(4, dtype=np.float32)[0]
    labels = np.where((x[:, 0] > 0) == right, 0, 1)
    trainer.model[0].weight[:] = 0
    trainer.model[0].bias[:] = [0, 0, -1e4]
    trainer.model[0].weight[:2, 0] = [1e4, -1e4]
    before = trainer.model.flat_parameters.copy()
    row = trainer.fit((x, labels), epochs=1, batch_size=40)[0]
    assert row["train_loss"] == pytest.approx(0 if right else 2e4)
    assert row["train_accuracy"] == right
    change = trainer.model.flat_parameters - before
    assert np.abs(change).max() <= 0.11
    assert change.any() != right


def test_a_variance_that_tends_to_zero():
    """Targets that the net fits exactly: the density grows without bound, in finite numbers."""
    x, _ = samples()
    trainer = Trainer(Sequential(Linear(4, 2)), GaussianNLL(), SGD(lr=0.1, momentum=0.9), quiet=True)
    history = trainer.fit((x, np.zeros((40, 1), np.float32)), epochs=200, batch_size=40)
    losses = [row["train_loss"] for row in history]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[20] < losses[0]
    distribution = trainer.distribution(np.zeros((3, 4)))
    assert distribution.mean.shape == (3, 1)
    assert (distribution.std < 0.3).all()
    assert (distribution.quantile(0.05) < distribution.mean).all()
    assert distribution.sample(np.random.default_rng(0), 7).shape == (7, 3, 1)
    assert (distribution.interval(0.9)[1] == distribution.quantile(0.95)).all()


def test_a_class_and_the_variation_of_a_column_are_missing():
    x, labels = samples()
    x[:, 2] = 0  # as a constant column is after it was standardised
    labels[labels == 1] = 2
    trainer = classifier()
    data = ArrayDataset(x, labels, classes=3)
    metrics = ["accuracy", "f1_macro", "roc_auc", "log_loss", "confusion_matrix"]
    weight = trainer.model[0].weight.copy()
    row = trainer.fit(data, data, epochs=5, batch_size=8, metrics=metrics)[-1]
    assert np.isfinite([value for name, value in row.items() if name != "epoch"]).all()
    assert [sum(counts) for counts in trainer.evaluate(data, metrics=metrics)["confusion_matrix"]][1] == 0
    assert trainer.distribution(x).probabilities[:, 1].max() < 0.5
    assert set(trainer.distribution(x).classes()) <= {0, 2}
    np.testing.assert_array_equal(trainer.model[0].weight[:, 2], weight[:, 2])


def test_a_loss_that_is_no_likelihood_has_no_distribution():
    trainer = Trainer(Sequential(Linear(4, 3)), MeanSquaredError(), SGD(lr=0.1), quiet=True)
    with pytest.raises(ValueError, match=r"^MeanSquaredError\(\): is not the likelihood of a distribution$"):
        trainer.distribution(samples()[0])
