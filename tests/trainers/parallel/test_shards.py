"""Steps that are cut into shards, in one process: what they give, what they refuse, and that a stop changes nothing."""

import numpy as np
import pytest
from bprop.modules import (
    LSTM,
    BatchNorm1d,
    Linear,
    MeanSquaredError,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.modules.engine.stateful import uncompiled
from bprop.trainers import LBFGS, SGD, Callback, Checkpoint, FeedbackAlignment, NanGuard, Trainer, TrainingError
from bprop.trainers.parallel.tree import add_up, divide_shards, list_sums
from bprop.trainers.training import minibatches
from bprop.trainers.training.fit_state import FitState
from bprop.trainers.training.step_layout import StepLayout, cut_minibatch, find_shard_sizes

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


REFUSED = {
    "number": ({}, {"shards": 0}, "shards is 0, expected a whole number of at least 1, or None"),
    "kind": ({}, {"shards": 2.5}, "shards is 2.5, expected a whole number"),
    "full batch": (
        {"optimizer": LBFGS()},
        {},
        "shards is 4, expected None, as LBFGS looks at all samples",
    ),
    "rule": ({"rule": FeedbackAlignment()}, {}, "shards is 4, expected None, as the rule FeedbackAlignment"),
    "guard": ({"callbacks": [NanGuard("x")]}, {}, "shards is 4, expected None, as NanGuard repeats whole minibatches"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut(name):
    parts, settings, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"Trainer: {message}"):
        make(**parts).fit(samples()[:2], epochs=1, batch_size=16, **{"shards": 4} | settings)


def test_state_that_is_carried_cannot_be_cut():
    net = Sequential(LSTM(3, 4, streams=4), Linear(4, 1))
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.1), quiet=True)
    data = np.zeros((8, 5, 3)), np.zeros((8, 5, 1))
    with pytest.raises(ValueError, match=r"shards is 2, expected None, as LSTM\(.*\) carries state"):
        trainer.fit(data, epochs=1, batch_size=4, shuffle=False, shards=2)


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
    assert set(nets.NETS) == {"mlp", "cnn", "graph", "transformer", "wide", "wide_sgd"}
