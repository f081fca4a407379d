"""Each epoch looks the compiled loop up once, and takes what has changed since the last one."""

import numpy as np
import pytest
from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.modules.engine.step import StepPlan
from bprop.trainers import SGD, Callback, ConstantSchedule, ExponentialSchedule, Trainer

pytestmark = pytest.mark.jit


def data(n=50):
    random = np.random.default_rng(0)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def trainer(**settings):
    manual_seed(0)
    net = Sequential(Linear(4, 8), Tanh(), Linear(8, 3))
    return Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True, **settings)


@pytest.fixture
def loops(monkeypatch):
    """The loops that are looked for."""
    found, find_loop = [], StepPlan.find_loop

    def note(self, *arguments):
        found.append(self)
        return find_loop(self, *arguments)

    monkeypatch.setattr(StepPlan, "find_loop", note)
    return found


def test_it_is_looked_up_once_an_epoch(loops):
    trainer().fit(data(), epochs=5, batch_size=16, threads=1)
    assert len(loops) == 5


def test_targets_that_are_replaced_count_from_the_next_epoch_on():
    class Turning(Callback):
        """Other labels from the second epoch on."""

        def on_epoch_end(self, trainer, row):
            trainer.data.y = 2 - labels

    x, labels = data()
    made, plain = trainer(callbacks=[Turning()]), trainer()
    made.fit((x, labels), epochs=2, batch_size=16, threads=1)
    for y in (labels, 2 - labels):
        plain.fit((x, y), epochs=1, batch_size=16, threads=1)
    assert [row["train_loss"] for row in made.history] == [row["train_loss"] for row in plain.history]


def test_a_change_within_a_fit_counts():
    class Smoothing(Callback):
        """Another loss from the second epoch on."""

        def on_epoch_end(self, trainer, row):
            trainer.loss.label_smoothing = 0.2

    made, plain = trainer(callbacks=[Smoothing()]), trainer()
    made.fit(data(), epochs=3, batch_size=16, threads=1)
    plain.fit(data(), epochs=1, batch_size=16, threads=1)
    plain.loss.label_smoothing = 0.2
    plain.fit(data(), epochs=2, batch_size=16, threads=1)
    assert [row["train_loss"] for row in made.history] == [row["train_loss"] for row in plain.history]


def test_a_batch_size_that_changes():
    class Doubling(Callback):
        """Notes the batch sizes."""

        def on_epoch_end(self, trainer, row):
            sizes.append(row["batch_size"])

    sizes: list[int] = []
    made = trainer(schedules={"batch_size": ExponentialSchedule(2)}, callbacks=[Doubling()])
    made.fit(data(), epochs=3, batch_size=8, threads=1)
    assert sizes == [8, 16, 32]


def test_values_by_step_are_those_of_each_epoch():
    """The table of a schedule belongs to an epoch, not to the loop."""
    by_step = ExponentialSchedule(0.5, per="step")
    made, plain = trainer(schedules={"optimizer.lr": by_step}), trainer(schedules={"optimizer.lr": ConstantSchedule()})
    for each in (made, plain):
        each.fit(data(16), epochs=3, batch_size=16, threads=1)
    assert made.history[0]["train_loss"] == plain.history[0]["train_loss"]
    assert made.history[2]["train_loss"] != plain.history[2]["train_loss"]
    expected = trainer()
    for k in range(3):
        expected.optimizer.lr = 0.1 * 0.5**k
        expected.fit(data(16), epochs=1, batch_size=16, threads=1)
    np.testing.assert_allclose(made.model.flat_parameters, expected.model.flat_parameters, rtol=1e-5)
