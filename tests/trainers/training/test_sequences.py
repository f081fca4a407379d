"""Training on sequences with lengths: the model gets (x, lengths), minibatches may be cut to their longest sample."""

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import Linear, MeanSquaredError, SoftmaxCrossEntropy, Tanh
from bprop.modules.engine import cache
from bprop.trainers import (
    LBFGS,
    SGD,
    Adam,
    Callback,
    Checkpoint,
    FeedbackAlignment,
    NanGuard,
    Shift,
    Statistics,
    Trainer,
    TrainingError,
    compile_step,
)
from bprop.trainers.callbacks.nan_guard import replay_step
from bprop.trainers.files.checkpoints import read_checkpoint
from bprop.trainers.training import minibatches
from bprop.trainers.training.fit_state import FitState

from .sequence_models import InPython, OfLengths, classifier, make_sequences


def prepare(net, seed=0, **parts):
    """A trainer of a model whose weights begin with the same numbers each time."""
    net.flat_parameters[:] = np.linspace(-0.5, 0.5, net.flat_parameters.size)
    return Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), quiet=True, seed=seed, **parts)


def run_by_hand(data, batch_size, epochs):
    """The weights after a training by `compile_step`, minibatch by minibatch."""
    net = classifier()
    net.flat_parameters[:] = np.linspace(-0.5, 0.5, net.flat_parameters.size)
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    losses = []
    for epoch in range(epochs):
        losses.append([step(*batch) for batch in data.minibatches(batch_size, shuffle=True, epoch=epoch)])
    return net, losses


def test_the_model_gets_the_lengths():
    """Steps beyond the length are huge, so nothing is learned where they are read."""
    x, labels, lengths = make_sequences(60)
    trainer = prepare(classifier())
    history = trainer.fit(((x, lengths), labels), ((x, lengths), labels), epochs=3, batch_size=8)
    assert history[-1]["train_loss"] < 0.7
    means = np.stack([row[:length].mean(axis=0) for row, length in zip(x, lengths, strict=True)])
    layer = trainer.model.layer1
    expected = means @ layer.weight.T + layer.bias
    for y in (
        trainer.predict(x, lengths),
        trainer.predict((x, lengths)),
        trainer.predict(((x, lengths), labels)),
        trainer.predict(ArrayDataset(x, labels, lengths=lengths)),
    ):
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    loss = -np.mean(np.log((np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True))[np.arange(60), labels]))
    assert trainer.evaluate(((x, lengths), labels))["loss"] == pytest.approx(loss, rel=1e-4)
    assert history[-1]["valid_loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_training_is_a_loop_of_steps(weighted):
    x, labels, lengths = make_sequences()
    weights = np.random.default_rng(1).uniform(0.1, 2, 40) if weighted else None
    data = ArrayDataset(x, labels, weights, lengths=lengths)
    net, _ = run_by_hand(data, 6, epochs=2)
    trainer = prepare(classifier())
    trainer.fit(data, epochs=2, batch_size=6)
    np.testing.assert_allclose(trainer.model.flat_parameters, net.flat_parameters, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*jit = False")
@pytest.mark.parametrize("group", [False, True])
def test_the_same_part_by_part(group):
    x, labels, lengths = make_sequences()
    data = ArrayDataset(x, labels, np.random.default_rng(1).uniform(0.1, 2, 40), lengths=lengths)
    whole, parts = prepare(classifier()), prepare(classifier(3, 2, InPython()))
    for trainer in (whole, parts):
        trainer.fit(data, epochs=2, batch_size=6, group_by_length=group)
    np.testing.assert_allclose(parts.model.flat_parameters, whole.model.flat_parameters, rtol=1e-5)
    for a, b in zip(whole.history, parts.history, strict=True):
        assert {**a, "seconds": 0} == pytest.approx({**b, "seconds": 0}, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_grouped_and_cut_minibatches(weighted):
    """The compiled loop trains on the minibatches that the data set gives."""
    x, labels, lengths = make_sequences()
    weights = np.random.default_rng(1).uniform(0.1, 2, 40) if weighted else None
    data = ArrayDataset(x, labels, weights, lengths=lengths)
    trainer, by_hand = prepare(classifier()), prepare(classifier())
    trainer.fit(data, epochs=2, batch_size=6, group_by_length=True)
    step = compile_step(by_hand.model, by_hand.loss, by_hand.optimizer)
    for epoch in range(2):
        for batch in data.minibatches(6, shuffle=True, epoch=epoch, group_by_length=True):
            step(*batch)
    np.testing.assert_allclose(trainer.model.flat_parameters, by_hand.model.flat_parameters, rtol=1e-5)
    source = cache.plan_source(next(iter(trainer.compiled_step._plans.values())).name)
    assert "x = cut_buffer(x_buffer, rows.size, longest)" in source
    assert "target = target_buffer" in source


def test_targets_of_each_step_are_cut_likewise():
    """Padded labels are ignored, so that cutting changes nothing but the work; outputs of metrics are padded again."""
    x, _, lengths = make_sequences(30, 9)
    labels = (x[:, :, 0] > 0).astype(np.int64)
    padded = np.arange(9) >= lengths[:, None]
    x[padded], labels[padded] = 0, -1
    rows = []
    for group in (False, True):
        net = OfLengths(Linear(3, 4), Tanh(), Linear(4, 2))
        net.flat_parameters[:] = np.linspace(-0.5, 0.5, net.flat_parameters.size)
        trainer = Trainer(net, SoftmaxCrossEntropy(ignore_index=-1), SGD(lr=1e-6), quiet=True)
        data = ArrayDataset(x, labels, lengths=lengths, ignore_index=-1)
        rows += trainer.fit(data, data, epochs=1, batch_size=30, group_by_length=group)
        assert trainer.compiled_step.cut == ("x and target" if group else "")
    assert {**rows[0], "seconds": 0} == pytest.approx({**rows[1], "seconds": 0}, rel=1e-5)
    assert 0 < rows[0]["train_accuracy"] < 1
    assert rows[0]["train_accuracy"] == pytest.approx(rows[0]["valid_accuracy"])


def test_a_target_with_as_many_numbers_as_steps_stays():
    x, _, lengths = make_sequences(20, 5)
    net = classifier(3, 5)
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.01), quiet=True)
    trainer.fit(ArrayDataset(x, np.zeros((20, 5)), lengths=lengths), epochs=1, batch_size=4, group_by_length=True)
    assert trainer.compiled_step.cut == "x"


def test_whole_numbers_with_lengths():
    """A module that takes whole numbers gets them as they are, beyond what float32 holds."""
    from bprop.modules import Module, Parameter

    class Table(Module):
        """y = weight[x % rows], of whole numbers x (N, T)."""

        label_arguments = (0,)

        def __init__(self):
            super().__init__()
            self.weight = Parameter(np.linspace(-1, 1, 6).reshape(3, 2))

        def fprop(self, x):
            self.x = x
            y = np.zeros((x.shape[0], x.shape[1], 2), self.weight.dtype)
            for n in range(x.shape[0]):
                for t in range(x.shape[1]):
                    y[n, t] = self.weight[x[n, t] % 3]
            return y

        def bprop(self, grad_y):
            for n in range(grad_y.shape[0]):
                for t in range(grad_y.shape[1]):
                    self.grad_weight[self.x[n, t] % 3] += grad_y[n, t]
            return np.zeros(self.x.shape, grad_y.dtype)

        def output_shape(self, input_shape):
            return (*input_shape, 2)

    from .sequence_models import MeanOverSteps

    random = np.random.default_rng(0)
    x, lengths = random.integers(0, 3, (24, 5)) + 3 * 2**40, random.integers(1, 6, 24)
    labels = (x[:, 0] % 3 > 0).astype(np.int64)
    trainer = Trainer(
        OfLengths(Table(), MeanOverSteps(), Linear(2, 2)), SoftmaxCrossEntropy(), Adam(lr=0.1), quiet=True
    )
    history = trainer.fit(((x, lengths), labels), epochs=20, batch_size=6, group_by_length=True)
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 1.2
    assert trainer.predict(x, lengths).shape == (24, 2)
    broken = x.astype(float)
    broken[3, 1] = 0.5
    with pytest.raises(ValueError, match=r"x has 0.5 in row 3, expected whole numbers"):
        trainer.fit(((broken, lengths), labels), epochs=1, batch_size=6)


class Stopping(Callback):
    """Stands for Ctrl-C, at the pause of this number."""

    def __init__(self, at=0):
        self.at, self.pauses = at, 0

    def on_pause(self, trainer):
        self.pauses += 1
        if self.pauses == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("group", [False, True])
def test_a_stop_at_any_pause(tmp_path, monkeypatch, group):
    monkeypatch.setattr(FitState, "chunk", property(lambda fit: 1, lambda fit, count: None))
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)
    x, labels, lengths = make_sequences(30)
    data = ArrayDataset(x, labels, np.random.default_rng(1).uniform(0.1, 2, 30), lengths=lengths)
    settings = {"steps": 11, "evaluate_every": 4, "batch_size": 4, "group_by_length": group}
    whole = prepare(classifier(), callbacks=[Stopping(), Stopping()])
    whole.fit(data, data, **settings)
    for at in range(1, whole.callbacks[0].pauses + 1):
        folder = tmp_path / str(at)
        first = prepare(classifier(), callbacks=[Checkpoint(folder, seconds=0, minutes=0), Stopping(at)])
        with pytest.raises(KeyboardInterrupt):
            first.fit(data, data, **settings)
        again = prepare(classifier(), callbacks=[Checkpoint(folder, seconds=0, minutes=0), Stopping()])
        again.load(folder)
        again.fit(data, data, **settings)
        assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters), at
        for a, b in zip(again.history, whole.history, strict=True):
            assert {**a, "seconds": 0} == {**b, "seconds": 0}
    other = prepare(classifier(), callbacks=[Checkpoint(tmp_path / "1", seconds=0), Stopping()])
    other.load(tmp_path / "1")
    changed = ArrayDataset(x, labels, data.sample_weight, lengths=np.full(30, 7))
    with pytest.raises(ValueError, match="Trainer: the train data are others, expected the lengths of the training"):
        other.fit(changed, data, **settings)


def test_a_guard_keeps_the_lengths(tmp_path):
    """The failed step is saved with them, and can be repeated."""
    x, labels, lengths = make_sequences()
    x[17, 0] = np.float32(3e38)
    trainer = prepare(classifier(), callbacks=[NanGuard(tmp_path)])
    trainer.model.layer1.weight[:] = [[5, 5, 5], [-5, -5, -5]]
    with pytest.raises(TrainingError) as info:
        trainer.fit(((x, lengths), labels), epochs=1, batch_size=8)
    assert "the first value that is not finite is in the output of" in info.value.__notes__[0]
    again = replay_step(prepare(classifier(), callbacks=[]), read_checkpoint(tmp_path))
    assert "the first value that is not finite is in the output of" in again.problem


def test_callbacks_and_lengths(tmp_path):
    x, labels, lengths = make_sequences()
    trainer = prepare(classifier(), callbacks=[Statistics(folder=tmp_path), NanGuard(tmp_path / "failure")])
    trainer.fit(((x, lengths), labels), epochs=1, batch_size=8)
    assert "layer1" in (tmp_path / "statistics.csv").read_text()


def test_l_bfgs_and_lengths():
    x, labels, lengths = make_sequences()
    rows = []
    for batch_size in (40, 7):
        net = classifier()
        net.flat_parameters[:] = 0
        trainer = Trainer(net, SoftmaxCrossEntropy(), LBFGS(max_iter=5), quiet=True)
        rows += trainer.fit(((x, lengths), labels), epochs=1, batch_size=batch_size)
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], rel=1e-4)
    assert rows[0]["train_loss"] < 0.6


def test_a_table_by_compile_step():
    x, labels, lengths = make_sequences()
    step = compile_step(classifier(), SoftmaxCrossEntropy(), SGD(lr=0.1))
    first = step((x, lengths), labels)
    assert step((x, lengths), labels) < first
    for row, length in ((3, 0), (5, 8)):
        wrong = lengths.copy()
        wrong[row] = length
        with pytest.raises(ValueError, match=f"step: row {row} of lengths is {length}, expected 1 to 7"):
            step((x, wrong), labels)
    with pytest.raises(ValueError, match=r"x has 6\.5 in row 0, expected whole numbers"):
        step((x, lengths + 0.5), labels)


MISTAKES = {
    "lengths too long": (
        {"lengths": np.full(40, 8)},
        {},
        "row 0 of lengths is 8, expected a whole number from 1 to 7",
    ),
    "grouping without lengths": (
        {"lengths": None},
        {"group_by_length": True},
        "Trainer: group_by_length is true, but the data have no lengths",
    ),
    "grouping without shuffle": (
        {},
        {"group_by_length": True, "shuffle": False},
        "Trainer: group_by_length is true, expected shuffle to be true",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    data, settings, message = MISTAKES[name]
    x, labels, lengths = make_sequences()
    net = classifier() if data.get("lengths", lengths) is not None else Linear(3, 2)
    x = x if data.get("lengths", lengths) is not None else x[:, 0]
    with pytest.raises(ValueError, match=message):
        prepare(net).fit(ArrayDataset(x, labels, **{"lengths": lengths, **data}), epochs=1, batch_size=8, **settings)


def test_what_takes_no_lengths():
    x, labels, lengths = make_sequences()
    data = ArrayDataset(x, labels, lengths=lengths)
    with pytest.raises(ValueError, match=r"x has shape \(\(1, 7, 3\), \(1,\)\), expected \(N, 3\)") as info:
        prepare(Linear(3, 2)).fit(data, epochs=1, batch_size=8)
    assert "so the model gets a table (x, lengths)" in info.value.__notes__[-1]
    with pytest.raises(ValueError, match=r"FeedbackAlignment.*: takes no lengths"):
        prepare(classifier(), rule=FeedbackAlignment()).fit(data, epochs=1, batch_size=8)
    with pytest.raises(ValueError, match="there are augmentations, expected images, and no sequences with lengths"):
        prepare(classifier(), augment=[Shift(1)]).fit(data, epochs=1, batch_size=8)
    with pytest.raises(TypeError, match="group_by_length is 1, expected true or false"):
        prepare(classifier()).fit(data, epochs=1, batch_size=8, group_by_length=1)


def test_a_model_of_fixed_steps_is_not_cut():
    from bprop.modules import Flatten, Sequential

    x, labels, lengths = make_sequences()
    net = OfLengths(Sequential(Flatten(), Linear(21, 2)))
    with pytest.raises(ValueError, match="cut to their longest sample, and the model refuses sequences of 1 steps"):
        prepare(net).fit(ArrayDataset(x, labels, lengths=lengths), epochs=1, batch_size=8, group_by_length=True)
