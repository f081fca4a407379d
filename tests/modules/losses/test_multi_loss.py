"""Several losses on columns of one output: in a compiled step, with a loss of one's own, from YAML."""

import re

import numpy as np
import pytest
from bprop.modules import (
    Linear,
    Loss,
    LossPart,
    MeanSquaredError,
    MultiLoss,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
)
from bprop.trainers import SGD, Trainer, compile_step
from bprop.trainers.configs import ConfigError, parse_config


class Own(Loss):
    """value = Σ (y - t)⁴ / N, grad_y = 4 (y - t)³ / N, as a user writes it"""

    def fprop(self, y, target):
        self.d = y - target
        return (self.d**4).sum() / len(y)

    def bprop(self):
        return 4 * self.d**3 / len(self.d)


class InPython(Own):
    """The same, but numba does not see it."""

    jit = False


def losses(own=Own):
    return MultiLoss(
        [
            LossPart(SoftmaxCrossEntropy(), "0:3", 0, 0.5),
            LossPart(MeanSquaredError(), [3, 4], [1, 2]),
            LossPart(own(), 5, 3),
        ]
    )


def data(random):
    target = np.column_stack([random.integers(0, 3, 6), random.standard_normal((6, 3))])
    return random.standard_normal((6, 4)), target


@pytest.mark.filterwarnings("ignore:.*has jit = False:UserWarning")
@pytest.mark.parametrize("own", [Own, InPython])
def test_it_trains_as_by_hand(own, random):
    x, target = data(random)
    net = Sequential(Linear(4, 8), Tanh(), Linear(8, 6))
    other, loss, sgd = net.copy(), losses(own), SGD(lr=0.1)
    step = compile_step(net, losses(own), SGD(lr=0.1))
    for _ in range(3):
        other.zero_grad()
        value = loss.fprop(other.fprop(x), target)
        other.bprop(loss.bprop())
        sgd.update(other)
        assert step(x, target) == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(net.flat_parameters, other.flat_parameters, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_loss_of_ones_own_has_the_right_gradient(random):
    _, target = data(random)
    check_gradients(losses(), random.standard_normal((6, 6)), target).raise_if_wrong()


def test_overlapping_columns_add_up(random):
    y = random.standard_normal((4, 2))
    target = random.standard_normal((4, 2))
    once, twice = MeanSquaredError(), MultiLoss([MeanSquaredError(), MeanSquaredError()])
    assert twice.fprop(y, target) == pytest.approx(2 * once.fprop(y, target), rel=1e-6)
    np.testing.assert_allclose(twice.bprop(), 2 * once.bprop(), rtol=1e-6)


@pytest.mark.slow
def test_losses_of_parts_inside_losses_of_parts(random):
    inner = MultiLoss([LossPart(MeanSquaredError(), "0:2", "0:2"), LossPart(MeanSquaredError(), 1, 1, 0.5)])
    other = MultiLoss([LossPart(MeanSquaredError(), 2, 2), LossPart(MeanSquaredError(), [0], [0])])
    loss = MultiLoss([LossPart(inner, [0, 1], [0, 1], 2.0), other]).to("float64")
    y, target = random.standard_normal((2, 5, 3))
    a, b, c = np.square(y - target).T
    expected = np.mean(a + b) + np.mean(b) + np.mean(c) + np.mean(a)
    assert loss.fprop(y, target) == pytest.approx(expected, rel=1e-12)
    assert check_gradients(loss, y, target).ok


def test_a_weight_may_be_changed(random):
    y, (_, target) = random.standard_normal((6, 6)), data(random)
    loss = losses()
    before = loss.fprop(y, target)
    first = loss.parts[0].fprop(y, target)
    loss.parts[0].weight = 0.0
    assert loss.fprop(y, target) == pytest.approx(before - first, rel=1e-5)
    assert not loss.bprop()[:, :3].any()


def test_sample_weights_where_all_parts_take_them(random):
    y, (_, target) = random.standard_normal((6, 6)), data(random)
    with pytest.raises(ValueError, match=r"takes no sample_weight$"):
        losses()(y, target, np.ones(6))
    assert not losses().takes_sample_weight


CONFIG = """\
seed: 0
dataset: Diabetes
model:
  - Linear: {in_features: 10, out_features: 4}
loss:
  MultiLoss:
    parts:
      - LossPart: {loss: MeanSquaredError, outputs: [0], targets: [0], weight: 0.5}
      - LossPart: {loss: {Huber: {delta: 0.5}}, outputs: "3:4", targets: "0:1"}
      - LossPart: {loss: LogCosh, outputs: 1, targets: 0}
optimizer:
  SGD: {lr: 0.1}
trainer: {epochs: 1, batch_size: 5}
"""


def test_it_comes_from_yaml():
    config = parse_config(CONFIG)
    loss = config.build().loss
    assert [part.weight for part in loss.parts] == [0.5, 1.0, 1.0]
    assert loss.parts[1].loss.delta == 0.5
    assert parse_config(config.resolved()).resolved() == config.resolved()
    with pytest.raises(ConfigError, match=r"c.yaml:6:3: loss.MultiLoss: .*, expected \(N, 2 or more\); in parts\[0\]"):
        parse_config(CONFIG.replace("targets: [0]", "targets: [1]"), source="c.yaml").build()


def test_the_trainer_checks_labels(random):
    x, target = data(random)
    target[2, 0] = 7
    net = Linear(4, 6)
    with pytest.raises(
        ValueError, match=r"^SoftmaxCrossEntropy\(\): label 7 in row 2, expected 0\.\.2\nin parts\[0\]$"
    ):
        Trainer(net, losses(), SGD(lr=0.1), quiet=True).fit((x, target), epochs=1, batch_size=3)
    target[2, 0] = 0.5
    with pytest.raises(ValueError, match=r"target 0.5 in row 2, expected a label, a whole number\nin parts\[0\]$"):
        losses().check_targets(target, (6, 6))


@pytest.mark.parametrize("columns", [-1, [], [0, 0], [0.5], "3", "3:3", ":", "a:b", True, [0, -1]])
def test_columns_are_checked(columns):
    message = f"LossPart: outputs is {columns!r}, expected columns such as 0, [0, 2] or '0:3', each once"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LossPart(MeanSquaredError(), columns, 0)


def test_settings_are_checked():
    with pytest.raises(TypeError, match=r"^LossPart: loss is .*, expected a Loss$"):
        LossPart(MeanSquaredError, 0, 0)
    with pytest.raises(ValueError, match=r"^LossPart: weight is -1, expected a number of at least 0$"):
        LossPart(MeanSquaredError(), 0, 0, -1)
    with pytest.raises(ValueError, match=r"^MultiLoss: parts is empty, expected at least one loss$"):
        MultiLoss([])
    with pytest.raises(TypeError, match=r"^MultiLoss: parts\[0\] is .*, expected a Loss$"):
        MultiLoss([Linear(2, 2)])
    with pytest.raises(ValueError, match=r"^MultiLoss: some parts want labels, others numbers, expected a LossPart"):
        MultiLoss([MeanSquaredError(), SoftmaxCrossEntropy()])


def named():
    return MultiLoss(
        [
            LossPart(SoftmaxCrossEntropy(), "0:3", 0, name="kind"),
            LossPart(MeanSquaredError(), 3, 1, name="size"),
        ]
    )


@pytest.mark.slow
def test_parts_with_names_have_metrics(random):
    x, target = random.standard_normal((40, 4)), np.zeros((40, 2))
    target[:, 0], target[:, 1] = x[:, 0] > 0, x[:, 1]
    trainer = Trainer(Linear(4, 4), named(), SGD(lr=0.3), quiet=True)
    row = trainer.fit((x, target), epochs=3, batch_size=8)[-1]
    assert {"train_kind_accuracy", "train_size_rmse"} <= set(row)
    y = trainer.predict(x)
    figures = trainer.evaluate((x, target), metrics=["kind_accuracy", "size_mae", "kind_log_loss"])
    assert figures["kind_accuracy"] == np.mean(y[:, :3].argmax(axis=1) == target[:, 0])
    assert figures["size_mae"] == pytest.approx(np.abs(y[:, 3] - target[:, 1]).mean(), rel=1e-5)
    p = np.exp(y[:, :3]) / np.exp(y[:, :3]).sum(axis=1, keepdims=True)
    expected = -np.log(p[np.arange(40), target[:, 0].astype(int)]).mean()
    assert figures["kind_log_loss"] == pytest.approx(expected, rel=1e-4)
    distributions = trainer.distribution(x)
    assert list(distributions) == ["kind"]
    np.testing.assert_allclose(distributions["kind"].probabilities, p, 1e-4, 1e-6)
    with pytest.raises(ValueError, match=r"^MultiLoss\(1 parts\): no part with a name is the likelihood"):
        MultiLoss([MeanSquaredError()]).distribution(y)
    for wrong in ("kind_acuracy", "kin_accuracy"):
        with pytest.raises(ValueError, match=f"^Trainer: there is no metric '{wrong}'"):
            trainer.evaluate((x, target), metrics=[wrong])


def test_names_of_parts_are_words_and_differ():
    with pytest.raises(ValueError, match=r"^LossPart: name is 'a b', expected a word$"):
        LossPart(MeanSquaredError(), 0, 0, name="a b")
    with pytest.raises(ValueError, match=r"^MultiLoss: parts are called a, a, expected different names$"):
        MultiLoss([LossPart(MeanSquaredError(), 0, 0, name="a"), LossPart(MeanSquaredError(), 1, 1, name="a")])
