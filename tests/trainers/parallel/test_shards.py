"""Steps that are cut into shards, in one process: what they give, what they refuse, and that a stop changes nothing."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import (
    LSTM,
    RBM,
    BatchNorm1d,
    Buffer,
    ClassRBM,
    ContrastiveDivergence,
    Linear,
    MeanSquaredError,
    Module,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import (
    SGD,
    Callback,
    Checkpoint,
    DifferenceTargetPropagation,
    DirectFeedbackAlignment,
    EquilibriumPropagation,
    FeedbackAlignment,
    Hebbian,
    NanGuard,
    PredictiveCoding,
    SignSymmetry,
    Trainer,
    TrainingError,
    UpDown,
)
from bprop.trainers.callbacks.nan_guard import replay_step
from bprop.trainers.files.checkpoints import read_checkpoint
from bprop.trainers.parallel.step_layout import StepLayout, cut_minibatch, find_shard_sizes
from bprop.trainers.parallel.tree import add_up, divide_shards, list_sums
from bprop.trainers.training import minibatches
from bprop.trainers.training.fit_state import FitState

from . import nets


def make(*modules, dtype="float64", loss=None, optimizer=None, **parts):
    manual_seed(0)
    net = Sequential(Linear(4, 5), Tanh(), *modules, Linear(5, 3)).to(dtype)
    return Trainer(net, loss or SoftmaxCrossEntropy(), optimizer or SGD(lr=0.1, momentum=0.9), quiet=True, **parts)


def samples(n=50):
    random = np.random.default_rng(0)
    return random.normal(size=(n, 4)), random.integers(0, 3, n), random.choice([0, 0.5, 1, 3], n)


@pytest.mark.parametrize("settings", [{"batch_size": 16}, {"batch_size": 8, "accumulate": 2}])
def test_the_result_of_whole_minibatches_up_to_rounding(settings):
    whole, shards = make(), make()
    rows = whole.fit(samples(), epochs=3, batch_size=16), shards.fit(samples(), epochs=3, shards=6, **settings)
    np.testing.assert_allclose(shards.model.flat_parameters, whole.model.flat_parameters, rtol=1e-11)
    if "accumulate" not in settings:
        assert rows[1][-1]["train_loss"] == pytest.approx(rows[0][-1]["train_loss"], rel=1e-11)
        assert rows[1][-1]["train_accuracy"] == rows[0][-1]["train_accuracy"]


def test_sums_in_float32_have_the_order_of_the_tree():
    """The gradient of a step is what single gradients give by hand, bit for bit."""
    x, y, _ = samples(24)
    trainer, alone = make(dtype="float32", optimizer=SGD(lr=0.0)), make(dtype="float32")
    trainer.fit((x, y), epochs=1, batch_size=24, shards=6, shuffle=False)
    leaves = []
    for k in range(6):
        part = make(dtype="float32", optimizer=SGD(lr=0.0))
        part.fit((x[4 * k : 4 * k + 4], y[4 * k : 4 * k + 4]), epochs=1, batch_size=4, shuffle=False)
        leaves.append(np.float32(1 / 6) * part.model.flat_gradients)
    expected = add_up(list_sums(0, 6, [True] * 6), leaves)
    assert np.array_equal(trainer.model.flat_gradients, expected)
    assert alone.model.flat_gradients.size == expected.size


def test_as_plain_python():
    compiled, plain = make(), make()
    compiled.fit(samples(), epochs=1, batch_size=16, shards=4)
    with uncompiled():
        plain.fit(samples(), epochs=1, batch_size=16, shards=4)
    np.testing.assert_allclose(plain.model.flat_parameters, compiled.model.flat_parameters, rtol=1e-10)


def test_running_statistics_are_means_over_shards():
    """Each shard's statistics are its own; the running ones follow their mean."""
    x, y, _ = samples(12)
    trainer = make(BatchNorm1d(5), optimizer=SGD(lr=0.0))
    trainer.fit((x, y), epochs=1, batch_size=12, shards=3, shuffle=False)
    hidden = np.tanh(x @ trainer.model[0].weight.T + trainer.model[0].bias).reshape(3, 4, 5)
    norm = trainer.model[2]
    np.testing.assert_allclose(norm.running_mean, 0.1 * hidden.mean(axis=1).mean(axis=0), rtol=1e-10)
    variance = hidden.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(norm.running_var, 0.9 + 0.1 * variance, rtol=1e-10)
    assert norm.num_batches_tracked == 1


class Stopping(Callback):
    def __init__(self, at=0):
        self.at, self.pauses = at, 0

    def on_pause(self, trainer):
        self.pauses += 1
        if self.pauses == self.at:
            raise KeyboardInterrupt


def test_a_stop_at_any_pause(tmp_path, monkeypatch):
    monkeypatch.setattr(FitState, "chunk", property(lambda fit: 1, lambda fit, count: None))
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)
    settings = {"epochs": 2, "batch_size": 16, "shards": 4}
    whole = make(callbacks=[Stopping(), Stopping()])
    whole.fit(samples(), **settings)
    for at in range(1, whole.callbacks[0].pauses + 1, 2):
        folder = tmp_path / str(at)
        first = make(callbacks=[Checkpoint(folder, seconds=0, minutes=0), Stopping(at)])
        with pytest.raises(KeyboardInterrupt):
            first.fit(samples(), **settings)
        again = make(callbacks=[Checkpoint(folder, seconds=0, minutes=0), Stopping()])
        again.load(folder)
        again.fit(samples(), **settings | {"shards": None})  # those of the checkpoint
        assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters)
    other = make(callbacks=[Checkpoint(folder, seconds=0, minutes=0), Stopping()])
    other.load(folder)
    with pytest.raises(ValueError, match="shards is 2, expected 4 as in the training that is resumed"):
        other.fit(samples(), **settings | {"shards": 2})


def test_a_loss_that_is_not_finite():
    x, y, _ = samples()
    x[37] = [1e308, -1e308, 1e308, -1e308]
    trainer = make()
    trainer.model[0].weight[:] = 10
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1, step 3"):
        trainer.fit((x, y), epochs=1, batch_size=16, shards=4, shuffle=False)


class Averaging(FeedbackAlignment):
    kept = ("mean",)

    def __init__(self):
        super().__init__()
        self.mean = 0.5


REFUSED = {
    "number": ({}, {"shards": 0}, "shards is 0, expected a whole number of at least 1, or None"),
    "kind": ({}, {"shards": 2.5}, "shards is 2.5, expected a whole number"),
    "rule": (
        {"rule": Averaging()},
        {},
        r"shards is 4, expected None, as the rule Averaging\(\) keeps mean, 0.5, from minibatch to minibatch, and only "
        "whole numbers that count",
    ),
    "chains": (
        {"rule": UpDown(chains=3)},
        {},
        "shards is 4, expected None, as 3 states are carried from minibatch to minibatch, expected at least 16, the "
        "batch size",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut(name):
    parts, settings, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"Trainer: {message}"):
        make(**parts).fit(samples()[:2], epochs=1, batch_size=16, **{"shards": 4} | settings)


class Mixture(Module):
    """y = x, and a sum of all inputs so far."""

    def __init__(self):
        super().__init__()
        self.state = Buffer(np.zeros((4, 3)))

    def reset_state(self):
        self.state[...] = 0

    def fprop(self, x):
        self.state[: len(x)] += x[:, 0]
        return x.copy()

    def bprop(self, grad_y):
        return grad_y


def follow(samples=22, dtype="float64", model=None, **settings):
    """Train a model that carries state on sequences; returns the trainer."""
    manual_seed(0)
    net = model or Sequential(LSTM(3, 4, num_layers=2, streams=8), Linear(4, 2))
    random = np.random.default_rng(0)
    data = random.normal(size=(samples, 3, 3)), random.normal(size=(samples, 3, 2))
    trainer = Trainer(net.to(dtype), MeanSquaredError(), SGD(lr=0.5), quiet=True)
    with uncompiled():
        trainer.fit(data, **{"epochs": 2, "batch_size": 8, "shuffle": False} | settings)
    return trainer


@pytest.mark.parametrize(("module", "pieces"), [(Mixture, 1), (Tanh, 0)])
def test_state_without_streams_is_evaluated_by_each_rank(module, pieces):
    """Of one minibatch and two ranks, the first evaluates nothing where nothing is carried."""
    trainer = Trainer(Sequential(module()), MeanSquaredError(), SGD(lr=0.1), quiet=True)
    trainer.evaluation.ranks = SimpleNamespace(rank=0, size=2)
    data = ArrayDataset(np.ones((3, 2, 3)), np.ones((3, 2, 3)))
    with uncompiled():
        assert len(list(trainer.evaluation._answer_pieces(data, False))) == pieces


@pytest.mark.parametrize("settings", [{"shards": 4}, {"shards": 3, "accumulate": 2, "samples": 24}])
def test_state_that_is_carried_goes_on_in_each_shard(settings):
    shards, whole = follow(**settings), follow(**settings | {"shards": None})
    for name, array in whole.model.state_dict().items():
        np.testing.assert_allclose(shards.model.state_dict()[name], array, rtol=1e-9, atol=1e-12, err_msg=name)
    assert np.abs(shards.model[0].hidden_state).min() > 0


def test_chains_go_on_in_each_shard():
    """Each shard moves its own chains, from where they were."""
    x = np.random.default_rng(0).integers(0, 2, (16, 6)).astype(np.float64)
    trainer = Trainer(RBM(6, 4, chains=8).to("float64"), ContrastiveDivergence(), SGD(lr=0.1), quiet=True)
    with uncompiled():
        trainer.fit((x, np.zeros(16)), epochs=1, batch_size=8, shards=4)
    assert (trainer.model.chain.sum(axis=1) > 0).all()
    assert len(np.unique(trainer.model.chain, axis=0)) > 4


def test_chains_of_a_rule_go_on_in_each_shard():
    x = np.random.default_rng(0).integers(0, 2, (16, 6)).astype(np.float64)
    rule = UpDown(steps=1, chains=8)
    loss = SoftmaxCrossEntropy()
    trainer = Trainer(Sequential(ClassRBM(6, 4, 3)).to("float64"), loss, SGD(lr=0.1), rule=rule, quiet=True)
    with uncompiled():
        trainer.fit((x, np.arange(16) % 3), epochs=1, batch_size=8, shards=4)
    state = rule.state_dict()
    assert state["0.label_chain"].sum(axis=1).tolist() == [1.0] * 8
    assert len(np.unique(state["0.chain"], axis=0)) > 4


def test_state_that_has_no_rows_cannot_be_cut():
    own = r'Mixture\(\) carries state .* stream_axes = \{"state": 0\}, the axis with a row for each sample'
    with pytest.raises(ValueError, match=f"shards is 2, expected None, as {own}"):
        follow(model=Sequential(Mixture(), Linear(3, 2)), batch_size=4, shards=2)
    with pytest.raises(ValueError, match="and with accumulate 2 the last one has 6 samples in place of 8; drop_last"):
        follow(shards=2, accumulate=2)
    Mixture.stream_axes = {"state": 0}
    with pytest.raises(ValueError, match=r"as 4 states are carried .* expected at least 8, the batch size"):
        follow(model=Sequential(Mixture(), Linear(3, 2)), shards=2)


RULES = {
    "FeedbackAlignment": FeedbackAlignment(),
    "SignSymmetry": SignSymmetry(),
    "DirectFeedbackAlignment": DirectFeedbackAlignment(),
    "Hebbian": Hebbian(),
    "PredictiveCoding": PredictiveCoding(steps=2),
    "EquilibriumPropagation": EquilibriumPropagation(steps=12, nudged_steps=6),
}


def make_deep(rule):
    manual_seed(0)
    return make(Linear(5, 5), Tanh(), rule=rule)


@pytest.mark.parametrize("name", RULES)
def test_rules_whose_updates_are_means_over_samples(name):
    results = []
    for settings in ({}, {"shards": 3}, {"shards": 2, "accumulate": 2, "batch_size": 8}):
        trainer = make_deep(RULES[name].copy())
        with uncompiled():
            row = trainer.fit(samples()[:2], **{"epochs": 1, "batch_size": 16} | settings)[-1]
        results.append((trainer.model.flat_parameters.copy(), row["angle.0"]))
    for parameters, angle in results[1:]:
        np.testing.assert_allclose(parameters, results[0][0], rtol=1e-9)
        assert angle == pytest.approx(results[0][1], rel=1e-6, abs=1e-5)


def test_a_rule_learns_inverses_by_the_mean_over_shards():
    """Without noise the inverses learn from the samples alone, whatever the number of shards."""
    inverses = []
    for shards in (None, 3):
        rule = DifferenceTargetPropagation(noise=1e-12, lr=0.5)
        trainer = make_deep(rule)
        with uncompiled():
            trainer.fit(samples(32)[:2], epochs=1, batch_size=16, shards=shards)
        inverses.append(trainer.rule.state_dict()["1.inverse_weights"])
    np.testing.assert_allclose(inverses[1], inverses[0], rtol=1e-8)


def test_a_guard_finds_the_shard(tmp_path):
    x, y, _ = samples()
    x[37] = [1e308, -1e308, 1e308, -1e308]
    trainer = make(callbacks=[NanGuard(tmp_path)])
    trainer.model[0].weight[:] = 10
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1, step 3") as info:
        trainer.fit((x, y), epochs=1, batch_size=16, shards=4, shuffle=False)
    problem = r"the first value that is not finite is in the output of model\[0\] Linear\(4 -> 5\): . of 20, NaN"
    assert re.match(f"{problem}, in step 3, shard 1; it is saved in ", info.value.__notes__[0]), info.value.__notes__
    state = read_checkpoint(tmp_path)
    assert np.array_equal(state["batch"][0], x[36:40])
    assert replay_step(trainer, state).problem == state["trouble"]


def test_a_guard_finds_an_update_of_all_shards(tmp_path):
    trainer = make(callbacks=[NanGuard(tmp_path)])
    trainer.optimizer.lr = float("inf")
    with pytest.raises(TrainingError, match="a weight is not finite in epoch 1, step 1") as info:
        trainer.fit(samples()[:2], epochs=1, batch_size=50, shards=4)
    note = info.value.__notes__[0]
    where = r"is in weight of model\[0\] Linear\(4 -> 5\) after the update"
    assert re.search(f"{where}: .*, in step 1; it is saved", note), note


def test_shards_that_are_too_small_are_told():
    with pytest.raises(ValueError, match="the last minibatch has 1 sample, not 4: BatchNorm1d") as info:
        make(BatchNorm1d(5)).fit(samples(35)[:2], epochs=1, batch_size=16, shards=4)
    assert "a minibatch is cut into 4 shards (trainer.shards), the sizes are theirs" in info.value.__notes__


def test_a_communicator_must_be_one():
    with pytest.raises(TypeError, match="Trainer: communicator is int, expected one of mpi4py, or False"):
        make(communicator=3)


def test_cuts():
    assert cut_minibatch(10, 4).tolist() == [0, 2, 5, 7, 10]
    assert find_shard_sizes(2, 4) == {1}
    layout = StepLayout(7, 5, 4, divide_shards(4, 2), 1)
    assert layout.parts.tolist() == [[0, 0, 1], [1, 1, 2], [1, 5, 6], [2, 2, 3], [3, 3, 5], [3, 6, 7]]
    assert layout.own == (3, 6)
    assert layout.sizes.tolist() == [1, 2, 1, 3]
    np.testing.assert_allclose(layout.compute_shares(np.arange(8.0)), [1 / 7, 1 / 7, 1 / 7, 1 / 7, 2 / 7, 1 / 7])
    assert layout.compute_shares(np.zeros(8)).tolist() == [0] * 6


def test_more_shards_than_samples():
    few, one = make(), make()
    few.fit(samples(12), epochs=2, batch_size=4, shards=8)
    one.fit(samples(12), epochs=2, batch_size=4)
    np.testing.assert_allclose(few.model.flat_parameters, one.model.flat_parameters, rtol=1e-11)


def test_all_nets_of_the_tests_train():
    minibatch = {"mlp", "cnn", "graph", "transformer", "wide", "wide_sgd", "streams", "targets"}
    assert set(nets.NETS) == minibatch | {"lbfgs", "conjugate", "newton", "edge"}
