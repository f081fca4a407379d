"""`Trainer.fit`: what it learns, in which order, and that the seed alone decides."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
from bprop.datasets import ArrayDataset, Dataset, epoch_order
from bprop.modules import (
    BatchNorm1d,
    Dropout,
    Linear,
    Module,
    Parameter,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.trainers import SGD, Adam, Callback, ConstantSchedule, ExponentialSchedule, Trainer, compile_step

from ...fork_server import run_python


class Shift(Module):
    """y = x + weight: a module of a user's own."""

    def __init__(self, features):
        super().__init__()
        self.weight = Parameter(np.zeros(features))

    def fprop(self, x):
        return x + self.weight

    def bprop(self, grad_y):
        self.grad_weight += grad_y.sum(axis=0)
        return grad_y


def three_corners(n=50, seed=0):
    """Points around three corners of a square, and the corner's number; n is no multiple of the batch sizes below."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    corners = np.array([[0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 1, 0]])
    return (corners[labels] + 0.3 * random.normal(size=(n, 4))).astype(np.float32), labels


class Corners(Dataset):
    """The points as a data set with all three parts."""

    input_shape, target_shape, classes = (4,), (), 3
    train = property(lambda self: ArrayDataset(*three_corners(50, 0)))
    valid = property(lambda self: ArrayDataset(*three_corners(20, 1)))
    test = property(lambda self: ArrayDataset(*three_corners(30, 2)))


def trainer(lr=0.1, seed=0, callbacks=(), net=None, dtype="float32"):
    manual_seed(0)
    net = net or Sequential(Linear(4, 5), Tanh(), Shift(5), Linear(5, 3))
    sgd = SGD(lr=0.1, momentum=0.9)
    sgd.lr = lr
    return Trainer(net.to(dtype), SoftmaxCrossEntropy(), sgd, seed=seed, callbacks=callbacks, quiet=True)


@contextmanager
def silent_about(cls):
    """Without the warning that a module runs as Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bprop.modules.engine.plan._warned_classes", {cls})
        yield


def test_it_learns():
    made = trainer()
    history = made.fit(Corners(), epochs=10, batch_size=8)
    assert history is made.history
    assert [row["epoch"] for row in history] == list(range(1, 11))
    assert history[-1]["train_loss"] < 0.3 < 0.8 < history[0]["train_loss"]
    assert made.evaluate(Corners())["accuracy"] > 0.9


@pytest.mark.parametrize("data", [Corners(), Corners().train, three_corners(), list(three_corners())])
def test_a_dataset_an_array_dataset_and_a_pair_are_alike(data):
    made, expected = trainer(), trainer()
    made.fit(data, epochs=1, batch_size=8)
    expected.fit(Corners().train, epochs=1, batch_size=8)
    assert np.array_equal(made.model.flat_parameters, expected.model.flat_parameters)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [8, 50])
def test_an_epoch_is_a_loop_over_minibatches_in_epoch_order(batch_size, drop_last):
    made, x, t = trainer(seed=7), *three_corners()
    net, values = made.model.copy(), []
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    for epoch in range(2):
        order = epoch_order(50, seed=7, epoch=epoch)
        pieces = [order[first : first + batch_size] for first in range(0, 50, batch_size)]
        pieces = [rows for rows in pieces if len(rows) == batch_size or not drop_last]
        values.append([step(x[rows], t[rows]) * len(rows) for rows in pieces])
    history = made.fit((x, t), epochs=2, batch_size=batch_size, drop_last=drop_last)
    assert np.array_equal(made.model.flat_parameters, net.flat_parameters)
    used = 48 if drop_last and batch_size == 8 else 50
    assert [row["train_loss"] for row in history] == pytest.approx([sum(sums) / used for sums in values], rel=1e-6)


def test_without_shuffle_rows_come_as_they_are():
    made, x, t = trainer(), *three_corners()
    net = made.model.copy()
    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9))
    for first in range(0, 50, 8):
        step(x[first : first + 8], t[first : first + 8])
    made.fit((x, t), epochs=1, batch_size=8, shuffle=False)
    assert np.array_equal(made.model.flat_parameters, net.flat_parameters)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    runs = [trainer(seed=seed) for seed in (3, 3, 4)]
    for made in runs:
        made.fit(Corners(), epochs=3, batch_size=8)
    first, again, other = [made.model.flat_parameters for made in runs]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.jit
def test_the_order_depends_on_the_seed_alone():
    class Recorder(Module):
        """y = x; remembers what it saw."""

        jit = False
        rows: list

        def fprop(self, x):
            Recorder.rows += x[:, 0].tolist()
            return x

        def bprop(self, grad_y):
            return grad_y

        def output_shape(self, input_shape):
            return input_shape

    orders = []
    x = np.arange(50.0).reshape(50, 1)
    for batch_size, outputs, lr in ((8, 3, 0.0), (50, 4, 0.1)):
        Recorder.rows = []
        made = trainer(lr, seed=5, net=Sequential(Recorder(), Linear(1, outputs)))
        with silent_about(Recorder):
            made.fit((x, three_corners()[1]), epochs=2, batch_size=batch_size)
        orders.append([int(value) for value in Recorder.rows[-100:]])
    assert orders[0] == orders[1]
    assert orders[0] == [*epoch_order(50, seed=5, epoch=0), *epoch_order(50, seed=5, epoch=1)]


def test_fit_goes_on_where_it_stopped():
    once, twice = trainer(), trainer()
    once.fit(Corners(), epochs=4, batch_size=8)
    twice.fit(Corners(), epochs=3, batch_size=8)
    history = twice.fit(Corners(), epochs=1, batch_size=8)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert np.array_equal(once.model.flat_parameters, twice.model.flat_parameters)


def test_no_epochs_change_nothing():
    made = trainer()
    before = made.model.flat_parameters.copy()
    assert made.fit(Corners(), epochs=0) == []
    assert np.array_equal(made.model.flat_parameters, before)


def test_two_processes_give_the_same_weights(tmp_path):
    for name in ("a", "b"):
        run_python(["-m", "bprop", "train", "iris", "trainer.epochs=3", "--run", name], tmp_path).check_returncode()
    first, second = (tmp_path / name / "model.safetensors" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_scaled_bytes_are_equal_to_floats():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4)).astype(np.uint8)
    labels = (pixels[:, 0] > 128).astype(int)
    runs = trainer(), trainer()
    runs[0].fit(ArrayDataset(pixels, labels, scale=1 / 256, shift=-0.5), epochs=2, batch_size=8)
    runs[1].fit((pixels.astype(np.float32) / 256 - 0.5, labels), epochs=2, batch_size=8)
    assert np.array_equal(runs[0].model.flat_parameters, runs[1].model.flat_parameters)
    assert runs[0].history[-1]["train_accuracy"] == runs[1].history[-1]["train_accuracy"]


def test_float64():
    runs = trainer(dtype="float64"), trainer()
    for made in runs:
        made.fit(Corners(), epochs=2, batch_size=8)
    wide, narrow = (made.model.flat_parameters for made in runs)
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, narrow, atol=1e-5)
    assert not np.array_equal(wide, narrow)


class Halve(Callback):
    """Halves the learning rate after each epoch."""

    def on_epoch_end(self, trainer, row):
        trainer.optimizer.lr /= 2


def test_a_callback_may_change_the_learning_rate():
    made, (x, t) = trainer(callbacks=[Halve()]), three_corners()
    net, sgd = made.model.copy(), SGD(lr=0.1, momentum=0.9)
    step = compile_step(net, SoftmaxCrossEntropy(), sgd)
    for epoch in range(3):
        step(x, t)
        sgd.lr = 0.1 / 2 ** (epoch + 1)
    made.fit((x, t), epochs=3, batch_size=50, shuffle=False)
    np.testing.assert_allclose(made.model.flat_parameters, net.flat_parameters, rtol=1e-6)
    assert made.optimizer.lr == 0.1 / 8


def test_a_net_with_a_module_in_python():
    class PythonShift(Shift):
        """The same, but never compiled."""

        jit = False

    made, compiled = trainer(net=Sequential(Linear(4, 5), Tanh(), PythonShift(5), Linear(5, 3))), trainer()
    made.model.load_state_dict(compiled.model.state_dict())
    with silent_about(PythonShift):
        made.fit(Corners(), epochs=2, batch_size=8)
    compiled.fit(Corners(), epochs=2, batch_size=8)
    np.testing.assert_allclose(made.model.flat_parameters, compiled.model.flat_parameters, atol=1e-5)
    for row, expected in zip(made.history, compiled.history, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], abs=1e-5)
        assert row["train_accuracy"] == expected["train_accuracy"]


# -- copies -----------------------------------------------------------------------------------------------------------


class Counting(Callback):
    """Remembers what it has seen, and whom it serves."""

    def on_fit_start(self, trainer):
        self.trainer, self.epochs = trainer, getattr(self, "epochs", 0)

    def on_epoch_end(self, trainer, row):
        self.epochs += 1


class Copying(Callback):
    """Copies the trainer in the middle of its fit."""

    def on_epoch_end(self, trainer, row):
        if row["epoch"] == 2 and not hasattr(self, "copy"):
            self.copy = None
            self.copy = copy.deepcopy(trainer)


def scheduled(*callbacks):
    manual_seed(3)
    net = Sequential(Linear(4, 8), BatchNorm1d(8), Dropout(0.3), Tanh(), Linear(8, 3))
    schedules = {"optimizer.lr": ExponentialSchedule(0.8), "model.2.p": ConstantSchedule(0.5, 2)}
    optimizer = Adam(lr=0.02, ema=0.9)
    return Trainer(net, SoftmaxCrossEntropy(), optimizer, callbacks=callbacks, schedules=schedules, quiet=True)


def losses(trainer):
    return [row["train_loss"] for row in trainer.history]


def test_a_copy_goes_on_as_the_original_would():
    """Between two fits: the same bits, by parts of its own, which its own schedules move."""
    data, made = three_corners(), scheduled(Counting())
    made.fit(data, epochs=3)
    other, net = copy.deepcopy((made, made.model))
    assert other.model is net
    assert other.callbacks[0].trainer is other
    assert np.array_equal(other.predict(data[0]), made.predict(data[0])), "by the averaged weights"
    owners = {id(part) for part in (other.optimizer, other.loss, *other.model.all_modules())}
    assert all(id(setting.owner) in owners for setting in other.timetable.settings)
    before = made.model.flat_parameters.copy(), losses(made)
    other.fit(data, epochs=2)
    assert (made.optimizer.lr, made.model[2].p, other.optimizer.lr) == (0.02, 0.3, 0.02)
    assert np.array_equal(made.model.flat_parameters, before[0])
    assert (losses(made), made.epoch, other.epoch, made.callbacks[0].epochs) == (before[1], 3, 5, 3)
    made.fit(data, epochs=2)
    assert np.array_equal(made.model.flat_parameters, other.model.flat_parameters)
    assert losses(made) == losses(other)


def test_a_copy_within_a_fit_finishes_it():
    data, made = three_corners(), scheduled(Copying())
    made.fit(data, epochs=5)
    other = made.callbacks[0].copy
    assert (other.epoch, made.epoch) == (2, 5)
    other.fit(data, epochs=5)
    assert losses(made) == losses(other)
    assert np.array_equal(made.model.flat_parameters, other.model.flat_parameters)


def test_a_callback_that_cannot_be_copied():
    made = scheduled(Callback())
    made.callbacks[0].file = (n for n in range(3))
    with pytest.raises(TypeError, match=r"^Trainer: its callback Callback cannot be copied: cannot pickle 'generator'"):
        copy.deepcopy(made)


def test_a_copied_step_goes_on():
    x, y = three_corners()
    step = compile_step(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), Adam(lr=0.1))
    step(x, y)
    other = copy.deepcopy(step)
    assert [step(x, y), step(x, y)] == [other(x, y), other(x, y)]
