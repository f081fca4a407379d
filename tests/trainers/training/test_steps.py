"""Training by steps: which samples, which rows of metrics, schedules, callbacks, and a stop at any pause."""

import numpy as np
import pytest
from bprop.modules import BatchNorm1d, Dropout, Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.trainers import (
    EMA,
    LBFGS,
    SGD,
    Adam,
    Callback,
    Checkpoint,
    ConstantSchedule,
    CosineSchedule,
    EarlyStopping,
    LinearSchedule,
    Trainer,
    TrainingError,
    WarmupSchedule,
)
from bprop.trainers.training import minibatches
from bprop.trainers.training.fit_state import FitState
from bprop.trainers.training.passes import count_rows, split_by_passes


def pairs(n=50, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def make(*callbacks, optimizer=None, schedules=None, net=None, seed=0):
    manual_seed(0)
    net = net or Sequential(Linear(4, 8), BatchNorm1d(8), Tanh(), Dropout(0.3), Linear(8, 3))
    optimizer = optimizer or SGD(lr=0.1, momentum=0.9)
    return Trainer(
        net, SoftmaxCrossEntropy(), optimizer, callbacks=callbacks, schedules=schedules, seed=seed, quiet=True
    )


def figures(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


@pytest.mark.parametrize("settings", [{}, {"drop_last": True}, {"balance": True}, {"shuffle": False}])
def test_as_many_steps_as_some_epochs_have(settings):
    """The same passes over the data, whatever rows they are cut into."""
    epochs, steps, rows = make(), make(), make()
    epochs.fit(pairs(), epochs=3, batch_size=8, **settings)
    count = 3 * (6 if "drop_last" in settings else 7)
    steps.fit(pairs(), steps=count, batch_size=8, **settings)
    rows.fit(pairs(), steps=count, evaluate_every=4, batch_size=8, **settings)
    for other in (steps, rows):
        assert np.array_equal(other.model.flat_parameters, epochs.model.flat_parameters)
        assert other.model.counters() == epochs.model.counters()
        assert other.step == epochs.step == count
        assert other.passes == 3
    assert [row.pop("step") for row in steps.history] == [count // 3, 2 * count // 3, count]
    assert figures(steps.history) == figures(epochs.history)
    assert [row["step"] for row in rows.history] == [*range(4, count, 4), count]


def test_the_figures_of_a_row_are_of_its_steps():
    """A row across the end of a pass has the smaller last minibatch of one, and the first ones of the next."""
    x, y = pairs(20)
    net = Sequential(Linear(4, 3))
    made = make(net=net, optimizer=SGD(lr=1e-20))
    made.fit((x, y), (x, y), steps=10, evaluate_every=4, batch_size=8)  # passes of 8, 8 and 4 samples
    scores = made.predict(x).astype(np.float64)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[range(20), y]
    from bprop.datasets import epoch_order

    orders = [epoch_order(20, seed=0, epoch=epoch) for epoch in range(4)]
    rows = [[*orders[0], *orders[1][:8]], [*orders[1][8:], *orders[2][:16]], [*orders[2][16:], *orders[3][:8]]]
    for row, own in zip(made.history, rows, strict=True):
        assert row["train_loss"] == pytest.approx(losses[own].mean(), rel=1e-5)
        assert row["train_accuracy"] == pytest.approx((scores[own].argmax(axis=1) == y[own]).mean())
    assert [row["step"] for row in made.history] == [4, 8, 10]


@pytest.mark.parametrize("room", [1, 9, 16, 17, 30, 40, 99])
def test_metrics_of_the_last_samples(monkeypatch, room):
    """Where the outputs of all samples of a row would fill the memory, those of the last steps are kept."""
    from bprop.trainers.training import epoch

    x, y = pairs(20)
    monkeypatch.setattr(epoch, "KEPT", room * 3 * 4)
    made = make(net=Sequential(Linear(4, 3)), optimizer=SGD(lr=1e-20))
    row, *_ = made.fit((x, y), steps=5, evaluate_every=5, batch_size=8, shuffle=False)
    rows = np.array([*range(20), *range(16)])  # minibatches of 8, 8, 4, 8 and 8
    begin = next((start for start in (0, 8, 16, 20, 28) if 36 - start <= room), 28)
    own = rows[begin:]
    assert row["train_accuracy"] == pytest.approx((made.predict(x)[own].argmax(axis=1) == y[own]).mean())
    plain = make(net=Sequential(Linear(4, 3)), optimizer=SGD(lr=1e-20))
    monkeypatch.setattr(epoch, "KEPT", 2**30)
    assert (
        plain.fit((x, y), steps=5, evaluate_every=5, batch_size=8, shuffle=False)[0]["train_loss"] == row["train_loss"]
    )


def test_a_second_fit_begins_a_new_pass():
    made, other = make(), make()
    made.fit(pairs(), steps=10, batch_size=8)
    made.fit(pairs(), epochs=1, batch_size=8)
    assert [row.get("step") for row in made.history] == [7, 10, None]
    assert (made.epoch, made.step, made.passes) == (3, 17, 3)
    other.fit(pairs(), steps=10, batch_size=8)
    assert other.passes == 2
    other.fit(pairs(), steps=3, batch_size=8)
    assert (other.history[-1]["step"], other.passes) == (13, 3)
    before = other.model.flat_parameters.copy()
    assert other.fit(pairs(), steps=0, batch_size=8) is other.history
    assert len(other.history) == 3
    assert np.array_equal(before, other.model.flat_parameters)


def test_rows_and_passes():
    assert [list(split_by_passes(range(a, b), 4)) for a, b in ((0, 4), (3, 9), (5, 7))] == [
        [(0, 0, 4)],
        [(0, 3, 4), (1, 0, 4), (2, 0, 1)],
        [(1, 1, 3)],
    ]
    assert [count_rows(*each) for each in ((10, 4), (8, 4), (10, 4, 8), (10, 4, 10), (12, 4, 10), (0, 4))] == [
        3,
        2,
        1,
        0,
        1,
        0,
    ]


def test_by_default_a_row_is_a_pass_or_all_steps():
    made = make()
    made.fit(pairs(), steps=3, batch_size=8)
    assert [row["step"] for row in made.history] == [3]
    made.fit(pairs(), steps=16, batch_size=8)
    assert [row["step"] for row in made.history] == [3, 10, 17, 19]


def test_the_order_of_a_pass_is_computed_once(monkeypatch):
    from bprop.trainers.training import passes

    calls, compute = [], passes.compute_order
    monkeypatch.setattr(passes, "compute_order", lambda *args: calls.append(args[3]) or compute(*args))
    make().fit(pairs(), steps=20, evaluate_every=2, batch_size=8)
    assert calls == [0, 1, 2]


# -- schedules -------------------------------------------------------------------------------------------------------


class Rates(Callback):
    """Notes the learning rate of each step."""

    def on_fit_start(self, trainer):
        self.rates = []

    def on_batch_end(self, trainer, row):
        self.rates.append(trainer.optimizer.lr)


def test_warmup_then_cosine_down_to_a_floor():
    schedule = WarmupSchedule(10, CosineSchedule(eta_min=1e-4, per="step"), start_factor=0.1)
    rates = Rates()
    made = make(rates, optimizer=Adam(lr=1e-3), schedules={"optimizer.lr": schedule})
    made.fit(pairs(), steps=60, evaluate_every=25, batch_size=8)
    t = np.arange(60)
    expected = np.where(t < 10, 1e-3 * (0.1 + 0.9 * t / 10), 1e-4 + 9e-4 * (1 + np.cos(np.pi * (t - 10) / 50)) / 2)
    np.testing.assert_allclose(rates.rates, expected, rtol=1e-5)
    assert [row["lr"] for row in made.history] == pytest.approx(expected[[24, 49, 59]], rel=1e-5)
    assert rates.rates[-1] < 1.02e-4
    assert made.optimizer.lr == 1e-3


def test_a_schedule_per_epoch_counts_rows():
    made = make(schedules={"optimizer.lr": LinearSchedule(1.0, 0.0)})
    made.fit(pairs(), steps=40, evaluate_every=10, batch_size=8)
    assert [row["lr"] for row in made.history] == pytest.approx([0.1, 0.075, 0.05, 0.025])


# -- callbacks -------------------------------------------------------------------------------------------------------


def test_early_stopping_counts_rows(tmp_path):
    stopping = EarlyStopping(patience=2)
    made = make(stopping, Checkpoint(tmp_path, best=1, seconds=0), optimizer=SGD(lr=0.5))
    made.fit(pairs(), pairs(20, 1), steps=2000, evaluate_every=5, batch_size=8)
    best = min(made.history, key=lambda row: row["valid_loss"])
    assert made.epoch == best["epoch"] + 2
    assert made.step == best["step"] + 10
    assert made.stopped == f"valid_loss has not improved since step {best['step']}"
    assert made.weights_epoch == best["epoch"]
    assert [path.name for path in (tmp_path / "best").iterdir()] == [f"epoch-{best['epoch']}.safetensors"]


def test_a_loss_that_is_not_finite():
    made = make(net=Sequential(Linear(4, 5), Linear(5, 3)), optimizer=SGD(lr=0.1))
    made.fit(pairs(), steps=4, evaluate_every=4, batch_size=8)
    good = made.model.flat_parameters.copy()

    class Worse(Callback):
        def on_epoch_end(self, trainer, row):
            trainer.optimizer.lr = 1e30

    made.callbacks.append(Worse())
    with pytest.raises(TrainingError, match=r"in step \d+; the model has its weights of the end of step 8 again"):
        made.fit(pairs(), steps=20, evaluate_every=4, batch_size=8)
    assert np.isfinite(made.model.flat_parameters).all()
    assert not np.array_equal(good, made.model.flat_parameters)


# -- stopping and going on -------------------------------------------------------------------------------------------


class Stopping(Callback):
    """Stands for Ctrl-C, at the pause of this number."""

    def __init__(self, at=0):
        self.at, self.pauses = at, 0

    def on_pause(self, trainer):
        self.pauses += 1
        if self.pauses == self.at:
            raise KeyboardInterrupt


@pytest.fixture
def pauses_after_each_step(monkeypatch):
    monkeypatch.setattr(FitState, "chunk", property(lambda fit: 1, lambda fit, count: None))
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)


@pytest.mark.parametrize(("accumulate", "room"), [(1, 2**30), (1, 12 * 4 * 3), (2, 2**30)])
def test_from_any_pause(tmp_path, monkeypatch, pauses_after_each_step, accumulate, room):
    """`room`: for the outputs of all samples of a row, or of the last 12."""
    monkeypatch.setattr("bprop.trainers.training.epoch.KEPT", room)

    def made(*callbacks):
        schedules = {"optimizer.lr": CosineSchedule(per="step"), "model.3.p": LinearSchedule()}
        return make(EMA(0.9), EarlyStopping(patience=9), *callbacks, optimizer=Adam(lr=0.01), schedules=schedules)

    settings = {"steps": 17, "evaluate_every": 5, "batch_size": 4, "accumulate": accumulate}
    whole = made(Stopping(), Stopping())
    whole.fit(pairs(), pairs(20, 1), **settings)
    pauses = whole.callbacks[-1].pauses
    assert pauses >= 17
    for at in range(1, pauses + 1):
        first = made(Checkpoint(tmp_path / str(at), seconds=0, minutes=0), Stopping(at))
        with pytest.raises(KeyboardInterrupt):
            first.fit(pairs(), pairs(20, 1), **settings)
        again = made(Checkpoint(tmp_path / str(at), seconds=0, minutes=0), Stopping())
        again.load(tmp_path / str(at))
        again.fit(pairs(), pairs(20, 1), **settings)
        assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters), at
        assert np.array_equal(again.optimizer.averages, whole.optimizer.averages)
        assert again.model.counters() == whole.model.counters()
        assert figures(again.history) == figures(whole.history)
        assert (again.step, again.passes, again.epoch) == (whole.step, whole.passes, whole.epoch)


@pytest.mark.parametrize("begun", [6, 7, 20])
def test_more_steps(tmp_path, begun):
    """A training that is over goes on, to the weights of one that was to be longer from the beginning."""
    whole, first, again = (make() for _ in range(3))
    whole.fit(pairs(), steps=25, batch_size=8)
    first.callbacks.append(Checkpoint(tmp_path, seconds=0))
    first.fit(pairs(), steps=begun, batch_size=8)
    again.callbacks.append(Checkpoint(tmp_path, seconds=0))
    again.load(tmp_path)
    again.fit(pairs(), steps=25, batch_size=8)
    assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters)
    every = min(begun, 7)
    assert (
        [row["step"] for row in again.history] == [*range(every, 25, every), 25] if begun < 20 else [7, 14, 20, 21, 25]
    )


def test_more_steps_within_a_row(tmp_path, pauses_after_each_step):
    """The row that was running becomes longer."""
    whole, first, again = (make() for _ in range(3))
    whole.fit(pairs(), steps=25, evaluate_every=10, batch_size=8)
    first.callbacks += [Checkpoint(tmp_path, seconds=0, minutes=0), Stopping(13)]
    with pytest.raises(KeyboardInterrupt):
        first.fit(pairs(), steps=14, evaluate_every=10, batch_size=8)
    again.callbacks += [Checkpoint(tmp_path, seconds=0), Stopping()]
    again.load(tmp_path)
    again.fit(pairs(), steps=25, evaluate_every=10, batch_size=8)
    assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters)
    assert figures(again.history) == figures(whole.history)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 5}, "Trainer: steps is 5, expected at least 10, as so many have begun"),
        (
            {"steps": 20, "evaluate_every": 3},
            "Trainer: evaluate_every is 3, expected 4 as in the training that is resumed",
        ),
        ({"steps": 20, "accumulate": 2}, "Trainer: accumulate is 2, expected 1 as in"),
        ({"epochs": 3}, "Trainer: epochs are counted, expected steps as in the training that is resumed"),
        (
            {"steps": 20},
            "schedules: with 20 steps, not 10, optimizer.lr would have been different until now",
        ),
    ],
)
def test_another_fit_is_refused(tmp_path, settings, message):
    schedules = {"optimizer.lr": CosineSchedule(per="step")}
    first, again = make(schedules=schedules), make(schedules=schedules)
    for each in (first, again):
        each.callbacks.append(Checkpoint(tmp_path, seconds=0))
    first.fit(pairs(), steps=10, evaluate_every=4, batch_size=8)
    again.load(tmp_path)
    settings = {"batch_size": 8, **({"evaluate_every": 4} if "steps" in settings else {}), **settings}
    with pytest.raises(ValueError, match=message):
        again.fit(pairs(), **settings)
    with pytest.raises(ValueError, match=message):
        again.check(pairs(), **settings)


def test_steps_where_epochs_were_counted(tmp_path):
    first, again = make(Checkpoint(tmp_path)), make(Checkpoint(tmp_path))
    first.fit(pairs(), epochs=1)
    again.load(tmp_path)
    with pytest.raises(
        ValueError, match="Trainer: steps are counted, expected epochs as in the training that is resumed"
    ):
        again.fit(pairs(), steps=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 3, "epochs": 2}, "Trainer: epochs is 2 and steps is 3, expected one of them, the other None"),
        ({"steps": -1}, "Trainer: steps is -1, expected a whole number of at least 0"),
        ({"steps": 2.5}, "Trainer: steps is 2.5, expected a whole number of at least 0"),
        ({"epochs": 2, "evaluate_every": 3}, "Trainer: evaluate_every is 3 without steps, expected both or none"),
        ({"steps": 3, "evaluate_every": 0}, "Trainer: evaluate_every is 0, expected a whole number of at least 1"),
        ({"steps": 3, "evaluate_every": True}, "evaluate_every is True, expected a whole number of at least 1"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        make().fit(pairs(), **settings)


def test_what_counts_no_steps():
    with pytest.raises(ValueError, match="Trainer: steps is 3, but LBFGS looks at all samples, expected epochs"):
        make(optimizer=LBFGS()).fit(pairs(), steps=3)
    sized = make(schedules={"batch_size": ConstantSchedule(0.5)})
    with pytest.raises(ValueError, match="schedules: batch_size has a schedule, expected none where steps are counted"):
        sized.fit(pairs(), steps=3)
