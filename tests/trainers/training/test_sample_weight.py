"""Weights of samples through training and evaluation: against PyTorch, against NumPy, and what they leave alone."""

import re

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, k_folds
from bprop.modules import Linear, Loss, MeanSquaredError, Module, Sequential, SoftmaxCrossEntropy
from bprop.trainers import LBFGS, SGD, CosineSchedule, Trainer, compile_step
from bprop.trainers.configs import parse_config
from bprop.trainers.runs.run_folder import train_config
from sklearn import metrics as sklearn


class Pass(Module):
    """y = x, in Python."""

    jit = False

    def fprop(self, x):
        return x.copy()

    def bprop(self, grad_y):
        return grad_y.copy()


class Plain(Loss):
    """The sum of y, which takes no weights."""

    def fprop(self, y, target):
        self.y = y
        return y.sum()

    def bprop(self):
        return np.ones_like(self.y)


def samples(n=50):
    """Inputs (n, 4), labels (n,) and weights (n,), some of which are 0."""
    random = np.random.default_rng(0)
    weights = random.choice([0.0, 0.5, 1.0, 3.0], n)
    weights[:8] = 0
    return random.normal(size=(n, 4)), random.integers(0, 3, n), weights


def trained(data, *modules, epochs=3, **settings):
    """A trainer after some epochs with minibatches of 8, in the data's order."""
    trainer = Trainer(Sequential(Linear(4, 3), *modules), SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), quiet=True)
    start = np.linspace(-1, 1, trainer.model.flat_parameters.size)
    trainer.model.flat_parameters[:] = start
    trainer.fit(data, epochs=epochs, batch_size=8, shuffle=False, **settings)
    return trainer


def test_minibatches_are_weighted_as_in_pytorch():
    torch = pytest.importorskip("torch")
    x, labels, w = samples()
    trainer = trained((x, labels, w))
    net = torch.nn.Linear(4, 3)
    with torch.no_grad():
        start = torch.linspace(-1, 1, 15)
        net.weight[:], net.bias[:] = start[:12].reshape(3, 4), start[12:]
    sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, labels, w = torch.tensor(x, dtype=torch.float32), torch.tensor(labels), torch.tensor(w, dtype=torch.float32)
    for _ in range(3):
        for first in range(0, 50, 8):
            rows = slice(first, first + 8)
            each = torch.nn.functional.cross_entropy(net(x[rows]), labels[rows], reduction="none")
            loss = (each * w[rows]).sum() / w[rows].sum().clamp(min=0.1)  # the first minibatch has no weight
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    np.testing.assert_allclose(trainer.model[0].weight, net.weight.detach(), atol=1e-5)
    np.testing.assert_allclose(trainer.model[0].bias, net.bias.detach(), atol=1e-5)


@pytest.mark.parametrize("constant", [1, 0.3])
def test_weights_that_are_alike_change_no_bit(constant):
    x, labels, _ = samples()
    plain, weighted = trained((x, labels)), trained((x, labels, np.full(50, constant)))
    assert weighted.model.flat_parameters.tobytes() == plain.model.flat_parameters.tobytes()
    for a, b in zip(plain.history, weighted.history, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    assert weighted.evaluate((x, labels, np.full(50, constant))) == plain.evaluate((x, labels))


def test_weights_that_are_alike_count_in_a_sum():
    x, labels, _ = samples()
    for loss, factor in ((SoftmaxCrossEntropy(reduction="sum"), 2), (SoftmaxCrossEntropy(), 1)):
        trainer = Trainer(Sequential(Linear(4, 3)), loss, SGD(lr=0.1), quiet=True)
        twice = trainer.evaluate((x, labels, np.full(50, 2)))["loss"]
        assert twice == pytest.approx(factor * trainer.evaluate((x, labels))["loss"])


@pytest.mark.filterwarnings("ignore:.*jit = False")
def test_the_same_part_by_part():
    data = samples()
    parts = trained(data, Pass())
    whole = trained(data)
    np.testing.assert_allclose(parts.model.flat_parameters, whole.model.flat_parameters, atol=1e-6)
    for a, b in zip(parts.history, whole.history, strict=True):
        assert {**a, "seconds": 0} == pytest.approx({**b, "seconds": 0}, rel=1e-5)


def test_figures_are_weighted():
    x, labels, w = samples()
    trainer = trained((x, labels, w), epochs=1, valid=(x, labels, w), metrics=["accuracy", "f1_macro", "log_loss"])
    p = trainer.distribution(x).probabilities
    row = trainer.history[0]
    expected = {
        "loss": -np.average(np.log(p[range(50), labels]), weights=w),
        "accuracy": sklearn.accuracy_score(labels, p.argmax(axis=1), sample_weight=w),
        "f1_macro": sklearn.f1_score(labels, p.argmax(axis=1), average="macro", sample_weight=w),
        "log_loss": sklearn.log_loss(labels, p, sample_weight=w),
    }
    assert {name: row[f"valid_{name}"] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert row["valid_accuracy"] != trainer.evaluate((x, labels))["accuracy"]
    x[w == 0] = 1e30  # what has no weight is not looked at
    assert trainer.evaluate((x, labels, w))["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_the_training_figures_are_weighted_too():
    """With a rate so small that the weights stay as they are, they are those of an evaluation."""
    x, labels, w = samples()
    trainer = Trainer(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), SGD(lr=1e-9, momentum=0.9), quiet=True)
    row = trainer.fit((x, labels, w), (x, labels, w), epochs=1, batch_size=8)[0]
    assert row["train_loss"] == pytest.approx(row["valid_loss"], rel=1e-5)
    assert row["train_accuracy"] == pytest.approx(row["valid_accuracy"])


def test_weights_beside_a_schedule_per_step():
    schedules = {"optimizer.lr": CosineSchedule(per="step")}
    x, labels, w = samples()
    trainer = Trainer(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), SGD(lr=0.1), schedules=schedules, quiet=True)
    history = trainer.fit((x, labels, w), epochs=5, batch_size=8)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


@pytest.mark.parametrize("batch_size", [60, 7])
def test_weighted_least_squares_by_l_bfgs(batch_size):
    """Minibatches of different weight make up one sum."""
    random = np.random.default_rng(0)
    x, t, w = random.normal(size=(60, 4)), random.normal(size=(60, 2)), random.random(60)
    optimizer = LBFGS(tolerance_grad=1e-10, tolerance_change=0.0)
    trainer = Trainer(Sequential(Linear(4, 2)).to("float64"), MeanSquaredError(), optimizer, quiet=True)
    history = trainer.fit((x, t, w), epochs=20, batch_size=batch_size)
    a, root = np.c_[x, np.ones(60)], np.sqrt(w)[:, None]
    expected, *_ = np.linalg.lstsq(root * a, root * t, rcond=None)
    np.testing.assert_allclose(np.c_[trainer.model[0].weight, trainer.model[0].bias], expected.T, atol=1e-8)
    assert history[-1]["train_loss"] == pytest.approx(np.average(np.mean((a @ expected - t) ** 2, axis=1), weights=w))


def test_a_step_takes_weights():
    x, labels, w = samples(8)
    w += np.arange(8)
    nets = [Sequential(Linear(4, 3)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    step = compile_step(nets[0], SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    value = step(x, labels, w)
    loss = SoftmaxCrossEntropy()
    assert value == pytest.approx(loss(nets[1](x), labels, w), rel=1e-6)
    nets[1].zero_grad()
    nets[1].bprop(loss.bprop())
    np.testing.assert_allclose(nets[0].flat_gradients, nets[1].flat_gradients, atol=1e-6)
    assert step(x, labels) != step(x, labels, w)
    with pytest.raises(ValueError, match=r"^SoftmaxCrossEntropy\(\): sample_weight has shape \(7,\), expected \(8,\)$"):
        step(x, labels, w[:7])


def test_a_loss_without_weights_refuses_them():
    x, labels, w = samples()
    trainer = Trainer(Sequential(Linear(4, 1)), Plain(), SGD(lr=0.1), quiet=True)
    before = trainer.model.flat_parameters.copy()
    message = re.escape("Plain(): takes no sample_weight")
    data = ArrayDataset(x, labels[:, None].astype(np.float32), w)
    for use in (trainer.fit, trainer.evaluate):
        with pytest.raises(ValueError, match=f"^{message}$"):
            use(data)
    with pytest.raises(ValueError, match=f"^{message}$"):
        compile_step(trainer.model, Plain(), SGD(lr=0.1))(x[:5], data.y[:5], w[:5])
    assert np.array_equal(trainer.model.flat_parameters, before)


def test_minibatches_hold_weights():
    data = ArrayDataset(*samples())
    for x, y, w in data.minibatches(8, shuffle=True):
        assert len(x) == len(y) == len(w)
    assert sum(len(w) for *_, w in data.minibatches(8)) == 50
    assert sum(w.sum() for *_, w in data.minibatches(8, shuffle=True)) == data.sample_weight.sum()


def test_folds_keep_the_weights_of_either_part():
    """A part without weights counts as much as it has samples."""
    from bprop.datasets.k_folds import join_samples

    x, labels, w = samples()
    plain, weighted = ArrayDataset(x, labels), ArrayDataset(x, labels, w)
    np.testing.assert_array_equal(join_samples(plain, weighted).sample_weight, np.r_[np.ones(50), w])
    assert join_samples(plain, plain).sample_weight is None
    assert next(iter(k_folds(weighted, 5))).train.sample_weight.shape == (40,)


CONFIG = """
seed: 0
dataset:
  CsvDataset: {path: TABLE, target: kind, sample_weight: count}
model:
  - Linear: {in_features: 2, out_features: 2}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 2, batch_size: 8}
"""


def test_a_config_with_a_column_of_weights(tmp_path):
    random = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{b:.3f},{'yes' if a + b > 0 else 'no'},{n}" for n, (a, b) in enumerate(random.normal(size=(60, 2)))
    ]
    (tmp_path / "table.csv").write_text("a,b,kind,count\n" + "\n".join(rows) + "\n")
    config = parse_config(CONFIG.replace("TABLE", str(tmp_path / "table.csv")))
    data = config.build().dataset
    assert data.preprocessing.features == ["a", "b"]
    assert sorted(np.concatenate([data.train.sample_weight, data.valid.sample_weight, data.test.sample_weight])) == [
        *range(60)
    ]
    summary = train_config(config, tmp_path / "run", quiet=True)
    assert summary["epochs"] == 2
    assert "sample_weight: count" in (tmp_path / "run" / "config.yaml").read_text()
