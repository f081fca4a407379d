"""State that is carried from minibatch to minibatch: where it begins, what evaluation leaves, a stop at any pause."""

import numpy as np
import pytest
from bprop.modules import SoftmaxCrossEntropy
from bprop.modules.core.carried_state import find_carriers, find_streams
from bprop.trainers import LBFGS, SGD, Callback, Checkpoint, Statistics, Trainer
from bprop.trainers.training import minibatches
from bprop.trainers.training.fit_state import FitState

from .sequence_models import classifier, follower

STREAMS = 4


def make(*callbacks, optimizer=None, net=None):
    net = net or follower(STREAMS)
    net.flat_parameters[:] = np.linspace(-1, 1, net.flat_parameters.size)
    optimizer = optimizer or SGD(lr=0.1, momentum=0.9)
    return Trainer(net, SoftmaxCrossEntropy(), optimizer, callbacks=callbacks, quiet=True)


def streams(steps=6, seed=0):
    """Samples in streams: row t STREAMS + n is what stream n has at time t; labels depend on the time before."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(steps, STREAMS, 3)).astype(np.float32)
    before = np.concatenate([np.zeros_like(x[:1]), x[:-1]])
    return x.reshape(-1, 3), (before.sum(axis=2) > 0).astype(np.int64).ravel()


SETTINGS = {"batch_size": STREAMS, "shuffle": False}


def follow(net, x):
    """The outputs of a follower for streams that begin at 0, by NumPy, and the state at the end."""
    first, leaky, last = (net[k] for k in range(3))
    state, outputs = np.zeros((STREAMS, 3)), []
    for row in x.reshape(-1, STREAMS, 3):
        state = leaky.decay * state + row @ first.weight.T + first.bias
        outputs.append((state * leaky.weight) @ last.weight.T + last.bias)
    return np.concatenate(outputs), state


def test_it_is_reset_at_the_start_of_each_pass():
    x, y = streams()
    made = make(optimizer=SGD(lr=1e-20))
    history = made.fit((x, y), epochs=3, **SETTINGS)
    scores, state = follow(made.model, x)
    loss = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[range(len(y)), y])
    assert [row["train_loss"] for row in history] == pytest.approx([loss] * 3, rel=1e-5)
    np.testing.assert_allclose(made.model[1].state, state, rtol=1e-4)


def test_steps_cut_no_pass():
    """A row of steps that ends within a pass leaves its state to the next one."""
    whole, rows = make(), make()
    whole.fit(streams(), epochs=3, **SETTINGS)
    rows.fit(streams(), streams(5, 1), steps=18, evaluate_every=4, **SETTINGS)
    assert np.array_equal(rows.model.flat_parameters, whole.model.flat_parameters)
    assert np.array_equal(rows.model[1].state, whole.model[1].state)


def test_evaluation_begins_anew_and_leaves_the_state():
    x, y = streams()
    made = make()
    made.fit((x, y), epochs=1, **SETTINGS)
    state = made.model[1].state.copy()
    assert state.any()
    np.testing.assert_allclose(made.predict(x), follow(made.model, x)[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.predict(x), made.predict(x))
    made.evaluate((x, y))
    assert np.array_equal(made.model[1].state, state)

    class Looking(Callback):
        def on_epoch_end(self, trainer, row):
            trainer.predict(x)
            trainer.evaluate(streams(9, 2))

    looked, plain = make(Looking()), make()
    looked.fit((x, y), streams(7, 1), epochs=3, **SETTINGS)
    plain.fit((x, y), epochs=3, **SETTINGS)
    assert np.array_equal(looked.model.flat_parameters, plain.model.flat_parameters)
    assert np.array_equal(looked.model[1].state, plain.model[1].state)


class Stopping(Callback):
    """Stands for Ctrl-C, at the pause of this number."""

    def __init__(self, at=0):
        self.at, self.pauses = at, 0

    def on_pause(self, trainer):
        self.pauses += 1
        if self.pauses == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("length", [{"epochs": 3}, {"steps": 16, "evaluate_every": 5}])
def test_a_stop_at_any_pause(tmp_path, monkeypatch, length):
    monkeypatch.setattr(FitState, "chunk", property(lambda fit: 1, lambda fit, count: None))
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)
    whole = make(Stopping(), Stopping())
    whole.fit(streams(), streams(5, 1), **length, **SETTINGS)
    pauses = whole.callbacks[0].pauses
    assert pauses >= 16
    for at in range(1, pauses + 1):
        first = make(Checkpoint(tmp_path / str(at), seconds=0, minutes=0), Stopping(at))
        with pytest.raises(KeyboardInterrupt):
            first.fit(streams(), streams(5, 1), **length, **SETTINGS)
        again = make(Checkpoint(tmp_path / str(at), seconds=0, minutes=0), Stopping())
        again.load(tmp_path / str(at))
        again.fit(streams(), streams(5, 1), **length, **SETTINGS)
        assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters), at
        assert np.array_equal(again.model[1].state, whole.model[1].state), at
        for a, b in zip(again.history, whole.history, strict=True):
            assert {**a, "seconds": 0} == {**b, "seconds": 0}


def test_all_samples_at_once():
    """An optimizer that looks at all samples for each step lets each look begin anew."""
    made = make(optimizer=LBFGS(max_iter=8))
    history = made.fit(streams(), epochs=1, **SETTINGS)
    assert history[0]["train_loss"] == pytest.approx(made.evaluate(streams())["loss"], rel=1e-3)


def test_statistics_look_at_as_many_samples_as_streams(tmp_path):
    made = make(Statistics(folder=tmp_path))
    made.fit(streams(), epochs=1, **SETTINGS)
    assert (tmp_path / "statistics.csv").read_text().count("\n") == 4


def test_which_modules_carry_state():
    net = follower(5)
    assert find_carriers(net) == [net[1]]
    assert find_streams(net) == 5
    assert find_carriers(classifier()) == []
    assert find_streams(classifier()) is None
