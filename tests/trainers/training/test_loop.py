"""The epochs of a fit share the compiled loop and its buffers, until something that they depend on changes."""

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


def test_the_epochs_of_a_fit_share_it(loops):
    made = trainer()
    made.fit(data(), epochs=5, batch_size=16, threads=1)
    assert len(loops) == 1
    made.fit(data(), epochs=5, batch_size=16, threads=1)
    assert len(loops) == 2, "another fit, other data"
    assert len(made.history) == 10


def test_a_change_within_a_fit_finds_another(loops):
    class Smoothing(Callback):
        """Another loss from the second epoch on."""

        def on_epoch_end(self, trainer, row):
            trainer.loss.label_smoothing = 0.2

    made, plain = trainer(callbacks=[Smoothing()]), trainer()
    made.fit(data(), epochs=3, batch_size=16, threads=1)
    assert len(loops) == 2
    plain.fit(data(), epochs=1, batch_size=16, threads=1)
    plain.loss.label_smoothing = 0.2
    plain.fit(data(), epochs=2, batch_size=16, threads=1)
    assert [row["train_loss"] for row in made.history] == [row["train_loss"] for row in plain.history]


def test_a_batch_size_that_changes_finds_another(loops):
    class Doubling(Callback):
        """Notes the batch sizes."""

        def on_epoch_end(self, trainer, row):
            sizes.append(row["batch_size"])

    sizes: list[int] = []
    made = trainer(schedules={"batch_size": ExponentialSchedule(2)}, callbacks=[Doubling()])
    made.fit(data(), epochs=3, batch_size=8, threads=1)
    assert sizes == [8, 16, 32]
    assert len(loops) == 3


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
