"""Callbacks: their order, what they see and may add, and early stopping."""

import numpy as np
import pytest
from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy
from bprop.trainers import EMA, LBFGS, SGD, Callback, EarlyStopping, Trainer
from bprop.trainers.configs import ConfigError, load_config
from bprop.trainers.runs.run_folder import train_config
from safetensors.numpy import load_file


class Noting(Callback):
    """Writes what happens into a list, and a figure into the row."""

    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def on_fit_start(self, trainer):
        self.notes.append(f"{self.name} starts")

    def on_epoch_end(self, trainer, row):
        self.notes.append(f"{self.name} after epoch {row['epoch']}, sees {sorted(set(row) & {'a', 'b'})}")
        row[self.name] = 1

    def on_fit_end(self, trainer):
        self.notes.append(f"{self.name} ends")


def pairs(n=40, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def trainer(*callbacks, lr=0.1):
    sgd = SGD(lr=0.1, momentum=0.9)
    sgd.lr = lr
    return Trainer(Sequential(Linear(4, 3)), SoftmaxCrossEntropy(), sgd, callbacks=callbacks, quiet=True)


def test_callbacks_run_in_their_order():
    notes = []
    made = trainer(Noting("a", notes), Noting("b", notes))
    history = made.fit(pairs(), epochs=2)
    epochs = [f"{text}" for n in (1, 2) for text in (f"a after epoch {n}, sees []", f"b after epoch {n}, sees ['a']")]
    assert notes == ["a starts", "b starts", *epochs, "a ends", "b ends"]
    assert history[0]["a"] == history[0]["b"] == 1


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.filterwarnings("ignore:Linear.* has jit = False")
def test_every_minibatch_is_told_and_nothing_changes(jit, monkeypatch):
    class Watching(Callback):
        """Keeps the rows."""

        def __init__(self):
            self.rows = []

        def on_batch_end(self, trainer, row):
            self.rows.append(row)

    monkeypatch.setattr(Linear, "jit", jit)
    watching, alone = Watching(), trainer()
    made = trainer(watching)
    made.model.load_state_dict(alone.model.state_dict())
    (row,) = made.fit(pairs(), epochs=1, batch_size=16)
    assert [(r["epoch"], r["done"], r["samples"]) for r in watching.rows] == [(1, 16, 16), (1, 32, 16), (1, 40, 8)]
    assert sum(r["loss"] * r["samples"] for r in watching.rows) / 40 == pytest.approx(row["train_loss"])
    (other,) = alone.fit(pairs(), epochs=1, batch_size=16)
    assert other["train_loss"] == row["train_loss"]
    assert made.model.flat_parameters.tobytes() == alone.model.flat_parameters.tobytes()


def test_the_end_is_told_whatever_happens():
    class Failing(Callback):
        """Stands for Ctrl-C."""

        def on_epoch_end(self, trainer, row):
            raise KeyboardInterrupt

    notes = []
    with pytest.raises(KeyboardInterrupt):
        trainer(Noting("a", notes), Failing()).fit(pairs(), epochs=2)
    assert notes == ["a starts", "a after epoch 1, sees []", "a ends"]


def test_the_base_does_nothing():
    made = trainer(Callback())
    assert len(made.fit(pairs(), epochs=1)) == 1
    assert made.stopped is None


def test_stop():
    class StopAtTwo(Callback):
        """Stops after the second epoch."""

        def on_epoch_end(self, trainer, row):
            if row["epoch"] == 2:
                trainer.stop("two are enough")

    made = trainer(StopAtTwo())
    assert len(made.fit(pairs(), epochs=9)) == 2
    assert made.stopped == "two are enough"
    assert len(made.fit(pairs(), epochs=1)) == 3
    assert made.stopped is None


class Follow:
    """Stands for a trainer whose validation figures are given."""

    def __init__(self):
        self.model, self.optimizer, self.stopped = Sequential(Linear(1, 1)), SGD(lr=0.1), None

    def stop(self, reason):
        self.stopped = reason

    def run(self, callback, figures, name="valid_loss"):
        """Feeds the figures to the callback; returns the number of epochs, and the weight in the end."""
        callback.on_fit_start(self)
        for epoch, value in enumerate(figures, start=1):
            self.model.flat_parameters[:] = epoch
            callback.on_epoch_end(self, {"epoch": epoch, name: value})
            if self.stopped:
                break
        callback.on_fit_end(self)
        return epoch, self.model.flat_parameters[0]


@pytest.mark.parametrize(
    ("figures", "settings", "epochs", "best"),
    [
        ([5, 4, 3, 2, 1], {}, 5, 5),
        ([5, 4, 6, 7, 1], {}, 4, 2),
        ([5, 4, 6, 3, 4, 4], {}, 6, 4),
        ([5, 4, 6, 7, 1], {"patience": 3}, 5, 5),
        ([5, 4.9, 4.8, 1], {"min_delta": 0.5}, 3, 1),
        ([5, 4, 6, 7, 1], {"restore_best": False}, 4, 4),
        ([5, float("nan"), float("nan"), 1], {}, 3, 1),
    ],
)
def test_early_stopping(figures, settings, epochs, best):
    follow = Follow()
    assert follow.run(EarlyStopping(**{"patience": 2, **settings}), figures) == (epochs, best)
    stopped = f"valid_loss has not improved since epoch {best if settings.get('restore_best', True) else 2}"
    assert follow.stopped == (stopped if epochs < len(figures) or epochs == 6 else None)


def test_accuracy_is_better_when_larger():
    stopping = EarlyStopping(monitor="valid_accuracy", patience=2)
    assert Follow().run(stopping, [0.5, 0.7, 0.6, 0.6, 0.9], "valid_accuracy") == (4, 2)


def test_early_stopping_in_a_training():
    """Labels drawn by lot: what is learnt about some is wrong about the others, so validation soon gets worse."""
    made = trainer(EarlyStopping(patience=3), lr=0.3)
    history = made.fit(pairs(), pairs(40, 1), epochs=200, batch_size=10)
    losses = [row["valid_loss"] for row in history]
    best = int(np.argmin(losses)) + 1
    assert len(history) == best + 3 < 200
    assert made.stopped == f"valid_loss has not improved since epoch {best}"
    assert made.evaluate(pairs(40, 1))["loss"] == losses[best - 1]


def test_a_callback_can_be_used_again():
    stopping = EarlyStopping(patience=2)
    assert Follow().run(stopping, [1, 2, 3]) == (3, 1)
    assert Follow().run(stopping, [5, 4, 6, 7, 1]) == (4, 2)


def test_patience_is_at_least_1():
    with pytest.raises(ValueError, match=r"^EarlyStopping: patience is 0, expected at least 1$"):
        EarlyStopping(patience=0)


def test_a_figure_that_is_not_there():
    message = r"^EarlyStopping: there is no metric 'valid_loss', expected one of train_loss, train_accuracy, seconds$"
    made = trainer(EarlyStopping())
    with pytest.raises(ValueError, match=message):
        made.fit(pairs(), epochs=2)
    assert made.history == []  # it is known before the first epoch


def test_a_figure_of_a_callback_of_ones_own():
    """It may come or not, so it is waited for."""
    made = trainer(Noting("a", []), EarlyStopping("a", patience=1))
    assert len(made.fit(pairs(), epochs=9)) == 2
    assert made.stopped == "a has not improved since epoch 1"
    made = trainer(Noting("a", []), EarlyStopping("b"))
    with pytest.raises(ValueError, match=r"^EarlyStopping: there is no metric 'b', expected one of train_loss, .* a$"):
        made.fit(pairs(), epochs=2)


def test_a_change_that_counts_is_a_number():
    for delta in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=rf"^EarlyStopping: min_delta is {delta}, expected a finite number$"):
            EarlyStopping(min_delta=delta)


# -- averaged weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EMA(1.0), r"^EMA: decay is 1\.0, expected between 0 and 1$"),
        (lambda: EMA(0.0), r"^EMA: decay is 0\.0, expected between 0 and 1$"),
        (
            lambda: EMA(0.9).prepare(SGD(lr=0.1, ema=0.5)),
            r"^EMA: decay is 0\.9, but SGD has ema=0\.5 already, expected one of both$",
        ),
        (
            lambda: Trainer(Linear(2, 2), SoftmaxCrossEntropy(), LBFGS(), callbacks=[EMA()]),
            r"^EMA: LBFGS looks at all samples for each step, expected an optimizer of minibatches$",
        ),
    ],
)
def test_averages_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_run_keeps_averaged_weights(tmp_path):
    """As the setting of the optimizer does, and in each thing that the config makes."""
    config = load_config("iris", ["trainer.epochs=3", "callbacks=[{EMA: {decay: 0.9}}]"])
    assert config.build().optimizer.ema == 0.9
    averaged = train_config(config, tmp_path / "callback", quiet=True)
    by_setting = load_config("iris", ["trainer.epochs=3", "callbacks=[]", "optimizer.SGD.ema=0.9"])
    expected = train_config(by_setting, tmp_path / "setting", quiet=True)
    assert averaged["test_loss"] == expected["test_loss"]
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("callback", "setting"))
    assert all(np.array_equal(a[name], b[name]) for name in b)
    with pytest.raises(ConfigError, match=r": callbacks\.0\.EMA: EMA: decay is 0\.5, but SGD has ema=0\.9 already, "):
        load_config("iris", ["optimizer.SGD.ema=0.9", "callbacks=[{EMA: {decay: 0.5}}]"]).build()
