"""The figures of a training: loss and metrics of each part, against NumPy."""

import sys

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, Dataset, balanced_order
from bprop.modules import Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy
from bprop.trainers import SGD, Trainer
from bprop.trainers.training import evaluation


def scores(net, x):
    return x.astype(np.float64) @ net[0].weight.T.astype(np.float64) + net[0].bias


def cross_entropy(y, t):
    return -np.mean([np.log(np.exp(row[label]) / np.exp(row).sum()) for row, label in zip(y, t, strict=True)])


def classified(n, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def measured(n, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 4)).astype(np.float32), random.normal(size=(n, 3)).astype(np.float32)


@pytest.fixture
def classifier():
    return Trainer(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), quiet=True)


@pytest.fixture
def regression():
    return Trainer(Sequential(Linear(4, 3)), MeanSquaredError(), SGD(lr=0.1, momentum=0.9), quiet=True)


def test_figures_of_a_classifier(classifier):
    x, t = classified(20, 1)
    history = classifier.fit(classified(50), (x, t), epochs=2, batch_size=8, metrics=["accuracy", "error"])
    y = scores(classifier.model, x)
    right = np.mean(y.argmax(axis=1) == t)
    assert history[-1]["valid_loss"] == pytest.approx(cross_entropy(y, t), rel=1e-5)
    assert history[-1]["valid_accuracy"] == right
    assert history[-1]["valid_error"] == 1 - right
    figures = ["train_loss", "train_accuracy", "train_error", "valid_loss", "valid_accuracy", "valid_error"]
    assert list(history[0]) == ["epoch", *figures, "seconds"]


def test_figures_of_a_regression(regression):
    x, t = measured(20, 1)
    history = regression.fit(measured(50), (x, t), epochs=2, batch_size=8)
    mean = np.mean((scores(regression.model, x) - t) ** 2)
    assert history[-1]["valid_loss"] == pytest.approx(mean, rel=1e-5)
    assert history[-1]["valid_rmse"] == pytest.approx(np.sqrt(mean), rel=1e-5)


def test_evaluate_is_the_figures_of_validation(classifier):
    x, t = classified(20, 1)
    history = classifier.fit(classified(50), (x, t), epochs=1, batch_size=8)
    assert classifier.evaluate((x, t)) == {"loss": history[0]["valid_loss"], "accuracy": history[0]["valid_accuracy"]}
    assert list(classifier.evaluate((x, t), metrics=["error"])) == ["loss", "error"]
    assert list(classifier.evaluate((x, t), metrics=[])) == ["loss"]


def test_figures_of_training_are_those_of_the_weights_before_each_step(classifier):
    classifier.optimizer.lr = 0.0
    row = classifier.fit(classified(50), epochs=1, batch_size=8)[0]
    expected = classifier.evaluate(classified(50))
    assert row["train_loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert row["train_accuracy"] == expected["accuracy"]


def test_no_metrics(classifier):
    row = classifier.fit(classified(50), epochs=1, batch_size=8, metrics=[])[0]
    assert list(row) == ["epoch", "train_loss", "seconds"]


def test_a_large_set_is_evaluated_in_pieces(classifier, monkeypatch):
    x, t = classified(50)
    whole, outputs = classifier.evaluate((x, t)), classifier.predict(x)
    monkeypatch.setattr(evaluation, "SAMPLES", 8)
    assert classifier.evaluate((x, t))["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert classifier.evaluate((x, t))["accuracy"] == whole["accuracy"]
    np.testing.assert_allclose(classifier.predict(x), outputs, rtol=1e-5)


def test_predict(classifier):
    x, t = classified(20)
    y = classifier.predict(x)
    np.testing.assert_allclose(y, scores(classifier.model, x), atol=1e-5)
    for data in (x.tolist(), (x, t), ArrayDataset(x, t)):
        assert np.array_equal(classifier.predict(data), y)


class Parts(Dataset):
    """A data set whose parts can be told apart by their sizes."""

    input_shape, target_shape, classes = (4,), (), 3
    train = property(lambda self: ArrayDataset(*classified(50)))
    test = property(lambda self: ArrayDataset(*classified(20, 1)))


def test_a_dataset_stands_for_its_test_part(classifier):
    assert classifier.predict(Parts()).shape == (20, 3)
    assert classifier.evaluate(Parts()) == classifier.evaluate(Parts().test)


def test_a_dataset_without_validation(classifier):
    assert "valid_loss" not in classifier.fit(Parts(), epochs=1, batch_size=8)[0]


def test_float64_figures(regression):
    regression.model.to("float64")
    x, t = (array.astype(np.float64) for array in measured(20))
    assert regression.evaluate((x, t))["loss"] == pytest.approx(
        np.mean((scores(regression.model, x) - t) ** 2), rel=1e-13
    )


def test_evaluation_mode_is_left_again(classifier):
    modes = []
    plain = classifier.model.fprop
    vars(classifier.model)["fprop"] = lambda x: modes.append(classifier.model.training) or plain(x)
    classifier.predict(np.zeros((2, 4)))
    assert modes == [False]
    assert classifier.model.training
    classifier.model.eval()
    classifier.predict(np.zeros((2, 4)))
    assert not classifier.model.training


def test_quiet_prints_nothing(classifier, capsys):
    classifier.fit(classified(50), classified(20), epochs=2, batch_size=8)
    assert capsys.readouterr() == ("", "")


def test_lines_go_to_stderr(classifier, capsys):
    classifier.quiet = False
    classifier.fit(classified(50), classified(20), epochs=2, batch_size=8)
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("epoch")]
    assert lines[0].startswith("epoch   1  train_loss 1.")
    assert "valid_accuracy 0." in lines[1]
    assert lines[1].endswith(" s")


def test_a_terminal_gets_a_table(classifier, capsys, monkeypatch):
    classifier.quiet = False
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    classifier.fit(classified(50), epochs=2, batch_size=8)
    out, err = capsys.readouterr()
    rows = [line.split() for line in err.split("\n") if "/2 " in line]
    assert out == ""
    assert "%|" not in err  # so short an epoch has no live line
    assert [row[0] for row in rows] == ["1/2", "2/2"]
    assert {(row[3], row[-1]) for row in rows} == {(f"{classifier.optimizer.lr:.4g}", "00:00")}


def test_balance_shows_each_class_equally_often(classifier):
    """With a learning rate of 0, the loss of training is that of the balanced order."""
    classifier.optimizer.lr = 0.0
    x, _ = classified(50)
    labels = np.repeat([0, 1, 2], [40, 7, 3])
    row = classifier.fit((x, labels), epochs=1, batch_size=8, balance=True)[0]
    shown = balanced_order(labels, seed=0, epoch=0)
    assert row["train_loss"] == pytest.approx(classifier.evaluate((x[shown], labels[shown]))["loss"], rel=1e-5)
    assert abs(row["train_loss"] - classifier.evaluate((x, labels))["loss"]) > 1e-3


def test_balance_needs_labels_and_shuffling(classifier, regression):
    message = r"^Trainer: balance is true, expected class labels, and shuffle to be true$"
    with pytest.raises(ValueError, match=message):
        regression.fit(measured(50), balance=True)
    with pytest.raises(ValueError, match=message):
        classifier.fit(classified(50), balance=True, shuffle=False)
