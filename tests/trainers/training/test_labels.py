"""What a training, an evaluation and a run make of labels: of any dtype, of several axes, ignored ones; and of inputs
that are whole numbers."""

import importlib
import re
import sys

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import (
    Conv2d,
    Linear,
    LossPart,
    MeanSquaredError,
    MultiLoss,
    Reinforce,
    Sequential,
    SoftmaxCrossEntropy,
)
from bprop.trainers import SGD, Trainer, compile_step, metrics
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.runs.dry_run import dry_run
from bprop.trainers.runs.inference import evaluate_run, predict_run
from bprop.trainers.runs.run_folder import train_config

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(20, 4)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 20)


def trainer(net=None, loss=None):
    return Trainer(net or Sequential(Linear(4, 3)), loss or SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)


OWN = '''\
import numpy as np
from bprop.modules import Module, Parameter


class Lookup(Module):
    """Rows of a table, by whole numbers (N, T)."""

    label_arguments = (0,)

    def __init__(self, count: int = 7, size: int = 3):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(1).normal(size=(count, size)))

    def fprop(self, x):
        self.x = x
        y = np.empty((*x.shape, self.weight.shape[1]), self.weight.dtype)
        for n in range(x.shape[0]):
            for t in range(x.shape[1]):
                y[n, t] = self.weight[x[n, t]]
        return y

    def bprop(self, grad_y):
        for n in range(self.x.shape[0]):
            for t in range(self.x.shape[1]):
                self.grad_weight[self.x[n, t]] += grad_y[n, t]
        return np.zeros(self.x.shape, grad_y.dtype)
'''


def test_float_labels_train_like_whole_numbers():
    both = []
    for labels in (LABELS, LABELS.astype(np.float64)):
        mine = trainer()
        mine.model.load_state_dict({"0.weight": np.ones((3, 4)), "0.bias": np.zeros(3)})
        history = mine.fit((X, labels), (X, labels), epochs=2, batch_size=8, balance=True)
        both.append([{k: v for k, v in row.items() if k != "seconds"} for row in history])
        both[-1].append(mine.evaluate((X, labels), metrics=["accuracy", "confusion_matrix", "roc_auc"]))
    assert both[0] == both[1]


@pytest.mark.parametrize("part", ["train", "valid", "evaluate"])
def test_labels_with_fractions_are_refused_before_a_step(part):
    wrong = LABELS + np.where(np.arange(20) == 7, 0.5, 0)
    data = {"train": (X, LABELS), "valid": (X, LABELS)} | {part: (X, wrong)}
    mine = trainer()
    with pytest.raises(ValueError, match=rf"^SoftmaxCrossEntropy\(\): label {wrong[7]:g} in row 7, expected 0\.\.2$"):
        mine.evaluate(data["evaluate"]) if part == "evaluate" else mine.fit(data["train"], data["valid"], batch_size=8)
    assert mine.history == []


@pytest.mark.parametrize(("wrap", "columns"), [(lambda loss: loss, 3), (lambda loss: Reinforce(loss, "none"), 4)])
def test_a_step_names_the_row_of_a_label_with_a_fraction(wrap, columns):
    """The parts of a loss read labels from a table of numbers, which compiled code does not format."""
    net = Sequential(Linear(4, columns))
    loss = wrap(MultiLoss([LossPart(SoftmaxCrossEntropy(), "0:3", 1), LossPart(MeanSquaredError(), 2, 0)]))
    step = compile_step(net, loss, SGD(lr=0.1))
    target = np.stack([np.zeros(20), LABELS], axis=1)
    step(X, target)
    target[7, 1] = 1.5
    for call in (step, step.by_parts, lambda x, target: loss.fprop(net.fprop(x), target)):
        with pytest.raises(ValueError, match=r"LossPart\(.*\): label 1\.5 in row 7, expected whole numbers") as refused:
            call(X, target)
        assert "parts[0]" in "".join(refused.value.__notes__)


def test_metrics_refuse_labels_with_fractions():
    with pytest.raises(ValueError, match=r"^accuracy: label 0\.5 in row 1, expected 0\.\.2$"):
        metrics.accuracy(np.eye(3), np.array([0, 0.5, 1]))
    assert metrics.accuracy(np.eye(3), np.array([0.0, 1, 2])) == 1


def test_labels_of_several_axes_with_ignored_ones():
    labels = RANDOM.integers(0, 3, (20, 4))
    labels[0], labels[1, 2] = -100, -100
    x = X.reshape(20, 4, 1)
    loss = SoftmaxCrossEntropy(ignore_index=-100)
    mine = trainer(Sequential(Linear(1, 3)), loss)
    mine.evaluation._pieces = lambda data: (slice(k, k + 3) for k in range(0, len(data), 3))
    mine.fit((x, labels), (x, labels.astype(np.float32)), epochs=2, batch_size=8)
    metrics = mine.evaluate((x, labels))
    y, mask = mine.predict(x), labels != -100
    assert metrics["accuracy"] == np.mean(y.argmax(-1)[mask] == labels[mask])
    assert metrics["loss"] == pytest.approx(loss.fprop(y, labels), rel=1e-6)
    with pytest.raises(ValueError, match=r"row 0 of y has label -100, expected 0 to 2; ignore_index names a label"):
        ArrayDataset(x, labels)
    with pytest.raises(ValueError, match=r"^Trainer: balance is true, expected class labels"):
        mine.fit((x, labels), epochs=2, batch_size=8, balance=True)


def test_weights_of_classes_and_samples_count_in_an_evaluation_of_pieces():
    loss = SoftmaxCrossEntropy(class_weights=[1.0, 5.0, 0.5])
    mine, weights = trainer(loss=loss), np.arange(20) + 1.0
    mine.evaluation._pieces = lambda data: (slice(k, k + 3) for k in range(0, len(data), 3))
    expected = loss.fprop(mine.predict(X), LABELS, weights)
    assert mine.evaluate((X, LABELS, weights))["loss"] == pytest.approx(expected, rel=1e-6)


def test_a_class_for_each_pixel():
    x = RANDOM.normal(size=(12, 2, 3, 3)).astype(np.float32)
    labels = (x[:, 0] > x[:, 1]).astype(np.uint8)
    mine = trainer(Sequential(Conv2d(2, 2, 1)), SoftmaxCrossEntropy(class_axis=1))
    mine.fit((x, labels), epochs=2, batch_size=4)
    y = mine.predict(x)
    assert mine.evaluate((x, labels))["accuracy"] == np.mean(y.argmax(1) == labels)
    metrics = mine.evaluate((x, labels, np.arange(12) + 1.0), metrics=["accuracy", "log_loss"])
    right = (y.argmax(1) == labels).mean((1, 2))
    assert metrics["accuracy"] == pytest.approx(np.average(right, weights=np.arange(12) + 1.0))


# -- inputs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module that takes whole numbers, in a file of its own."""
    (tmp_path / "own_lookup.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("own_lookup")


def test_a_net_of_whole_numbers_is_trained_on_them(own):
    ids, labels = RANDOM.integers(0, 7, (20, 2)), RANDOM.integers(0, 3, (20, 2))
    results = []
    for x in (ids, ids.astype(np.float32), ids.astype(np.uint8)):
        mine = trainer(Sequential(own.Lookup()))
        mine.fit((x, labels), (x, labels), epochs=2, batch_size=8)
        assert mine.check((x, labels), batch_size=8) is None
        results.append(mine.predict(x))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    with pytest.raises(ValueError, match=r"^Sequential\(\): x has 0\.5 in row 3, expected whole numbers$"):
        mine.fit((np.where(np.arange(20)[:, None] == 3, 0.5, ids), labels), batch_size=8)
    with pytest.raises(ValueError, match=r"scaled by 0\.5 and shifted by 0, and Sequential\(\) takes whole numbers"):
        mine.fit(ArrayDataset(ids, labels, scale=0.5), batch_size=8)


CONFIG = """\
dataset:
  NpzDataset: {{path: {path}, valid_size: 4, test_size: 4}}
model: [own.Lookup]
loss:
  SoftmaxCrossEntropy: {{ignore_index: -100}}
optimizer:
  SGD: {{lr: 0.1}}
trainer: {{epochs: 1, batch_size: 4}}
"""


def told(capsys) -> str:
    """The last line on stderr."""
    return capsys.readouterr().err.splitlines(keepends=True)[-1]


def test_a_run_of_words_with_labels_of_several_axes(tmp_path, capsys):
    (tmp_path / "own.py").write_text(OWN)
    ids, labels = RANDOM.integers(0, 7, (20, 2)), RANDOM.integers(0, 3, (20, 2)).astype(np.float64)
    path = tmp_path / "words.npz"
    (tmp_path / "c.yaml").write_text(CONFIG.format(path=path))
    np.savez(path, x=ids, y=labels + 0.5)
    with pytest.raises(ValueError, match=r"label [0-2]\.5 in row 0, expected 0\.\.2$"):
        train_config(load_config(tmp_path / "c.yaml"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    sys.modules.pop("own")
    assert main(["train", str(tmp_path / "c.yaml"), "--run", str(tmp_path / "run")]) == 2
    assert re.fullmatch(r"bprop: error: SoftmaxCrossEntropy\(.*\): label .* in row 0, expected 0\.\.2\n", told(capsys))
    assert not (tmp_path / "run").exists()
    sys.modules.pop("own")
    labels[0, 0] = -100
    for kind in (np.float64, np.int32):
        np.savez(path, x=ids, y=labels.astype(kind))
        config = load_config(tmp_path / "c.yaml")
        assert dry_run(config)["train_samples"] == 12
        summary = train_config(config, tmp_path / f"run{kind.__name__}", quiet=True)
        sys.modules.pop("own")
        metrics = evaluate_run(tmp_path / f"run{kind.__name__}")
        assert metrics["test_loss"] == pytest.approx(summary["test_loss"])
        np.save(tmp_path / "x.npy", ids)
        sys.modules.pop("own")
        outputs = predict_run(tmp_path / f"run{kind.__name__}", tmp_path / "x.npy").outputs
        assert outputs.shape == (20, 2, 3)
        sys.modules.pop("own")
