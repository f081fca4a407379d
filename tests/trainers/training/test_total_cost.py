"""The total cost J = L + λΩ of the books: its columns, its gradient, and what has none."""

import csv

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.trainers import LBFGS, SGD, AdamW, ConstantSchedule, EarlyStopping, Group, PlateauSchedule, Trainer
from bprop.trainers.configs import ConfigError, parse_config
from bprop.trainers.runs.run_folder import train_config

GROUPS = [Group("2.weight", weight_decay=0.5), Group("*.bias", l1=0.0), Group("0.bias", frozen=True)]


def network():
    manual_seed(0)
    return Sequential(Linear(3, 4), Tanh(), Linear(4, 2)).to("float64")


def data(seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((12, 3)), random.standard_normal((12, 2))


def penalty_of(net, weight_decay, l1=0.0):
    """λΩ by hand, of weights, and l1 of biases too."""
    named = dict(net.named_parameters())
    squares = sum((w.astype(float) ** 2).sum() for name, w in named.items() if "weight" in name)
    return weight_decay / 2 * squares + l1 * sum(abs(w).sum() for w in named.values())


def test_the_cost_is_the_loss_plus_the_penalty_of_the_weights():
    net = network()
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.1, weight_decay=0.02, l1=0.003), quiet=True)
    for row in trainer.fit(data(), epochs=1, batch_size=4, total_cost=True):
        assert row["penalty"] == pytest.approx(penalty_of(net, 0.02, 0.003), rel=1e-12)
        assert row["train_cost"] == row["train_loss"] + row["penalty"]
        assert list(row)[:4] == ["epoch", "train_loss", "penalty", "train_cost"]
    assert "penalty" not in trainer.fit(data(), epochs=1, batch_size=4)[-1]


@pytest.mark.parametrize("groups", [(), GROUPS], ids=["alike", "groups"])
@pytest.mark.parametrize("decay", ["weights", "all"])
def test_the_step_follows_the_gradient_of_the_cost(groups, decay):
    """A step of SGD, beside central differences of L + λΩ: what is reported is what is minimised."""
    net, loss, (x, target) = network(), MeanSquaredError().to("float64"), data()
    optimizer = SGD(lr=1.0, weight_decay=0.02, l1=0.003, decay=decay, groups=groups)
    net.zero_grad()
    loss(net(x), target)
    net.bprop(loss.bprop())
    before = net.flat_parameters.copy()
    optimizer.update(net)
    step = before - net.flat_parameters

    def cost(w):
        net.flat_parameters[:] = w
        return loss(net(x), target) + optimizer.compute_penalty(net)

    units = 1e-6 * np.eye(before.size)
    slopes = np.array([(cost(before + unit) - cost(before - unit)) / 2e-6 for unit in units])
    moved = np.array(["0.bias" not in name or not groups for name, w in net.named_parameters() for _ in w.flat])
    np.testing.assert_allclose(step[moved], slopes[moved], atol=2e-9)
    np.testing.assert_array_equal(step[~moved], 0)


def test_without_a_penalty_the_cost_is_the_loss():
    (row,) = Trainer(network(), MeanSquaredError(), SGD(lr=0.1), quiet=True).fit(
        data(), epochs=1, batch_size=4, total_cost=True
    )
    assert (row["penalty"], row["train_cost"]) == (0, row["train_loss"])
    (row,) = Trainer(network(), MeanSquaredError(), LBFGS(), quiet=True).fit(
        data(), epochs=1, batch_size=4, total_cost=True
    )
    assert row["penalty"] == 0


def test_a_scheduled_weight_decay_counts_as_it_is():
    net, schedules = network(), {"optimizer.weight_decay": ConstantSchedule(0.5, total_iters=1)}
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.0, weight_decay=0.02), schedules=schedules, quiet=True)
    rows = trainer.fit(data(), epochs=2, batch_size=4, total_cost=True)
    for row, weight_decay in zip(rows, (0.01, 0.02), strict=True):
        assert row["penalty"] == pytest.approx(penalty_of(net, weight_decay), rel=1e-6)


def test_it_may_be_monitored_and_watched():
    stopping = EarlyStopping(monitor="train_cost")
    plateau = {"optimizer.lr": PlateauSchedule(monitor="train_cost")}
    parts = network(), MeanSquaredError(), SGD(lr=0.1, l1=0.01)
    made = Trainer(*parts, callbacks=[stopping], schedules=plateau, quiet=True)
    made.fit(data(), epochs=3, batch_size=4, total_cost=True)
    with pytest.raises(
        ValueError, match=r"^EarlyStopping: there is no metric 'train_cost', expected one of train_loss"
    ):
        made.check(data(), batch_size=4)


def test_what_has_no_total_cost_is_refused():
    message = "^AdamW: decoupled weight decay is no term of the loss, so there is no total cost$"
    with pytest.raises(ValueError, match=message):
        Trainer(network(), MeanSquaredError(), AdamW(lr=0.1), quiet=True).fit(data(), batch_size=4, total_cost=True)
    with pytest.raises(ValueError, match=message):
        AdamW(lr=0.1).compute_penalty(network())
    AdamW(lr=0.1, weight_decay=0.0).check_penalty()
    with pytest.raises(TypeError, match=r"^Trainer: total_cost is 'yes', expected true or false$"):
        Trainer(network(), MeanSquaredError(), SGD(lr=0.1), quiet=True).check(data(), batch_size=4, total_cost="yes")


TEXT = """\
dataset: Iris
model: [{Linear: {in_features: 4, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1, weight_decay: 0.01}}
trainer: {epochs: 2, total_cost: true}
"""


def test_it_is_a_column_of_the_metrics_of_a_run(tmp_path):
    train_config(parse_config(TEXT), tmp_path / "run", quiet=True)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["train_cost"]) == float(row["train_loss"]) + float(row["penalty"]) > float(row["train_loss"])
    assert len(rows) == 2
    with pytest.raises(ConfigError, match=r"total_cots.*total_cost"):
        parse_config(TEXT.replace("total_cost", "total_cots")).build()


def test_the_loss_of_a_classifier_too():
    random, net = np.random.default_rng(0), network()
    samples = random.standard_normal((12, 3)), random.integers(0, 2, 12)
    trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1, weight_decay=0.1, decay="all"), quiet=True)
    (row,) = trainer.fit(samples, epochs=1, batch_size=4, total_cost=True)
    assert row["penalty"] == pytest.approx(0.05 * (net.flat_parameters.astype(float) ** 2).sum(), rel=1e-12)
