"""Gradient accumulation: the result of one minibatch of as many times the size, up to rounding."""

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import (
    Linear,
    LossPart,
    MeanSquaredError,
    MultiLoss,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.trainers import (
    LBFGS,
    SGD,
    Adam,
    Callback,
    Checkpoint,
    ConstantSchedule,
    CosineSchedule,
    FeedbackAlignment,
    Group,
    NanGuard,
    Trainer,
    TrainingError,
    compile_step,
)
from bprop.trainers.training import minibatches
from bprop.trainers.training.fit_state import FitState
from bprop.trainers.training.shares import compute_shares

from .sequence_models import InPython, OfLengths, classifier, make_sequences


def make(*modules, loss=None, optimizer=None, dtype="float64", **parts):
    net = Sequential(Linear(4, 5), Tanh(), *modules, Linear(5, 3)).to(dtype)
    net.flat_parameters[:] = np.linspace(-1, 1, net.flat_parameters.size)
    optimizer = optimizer or SGD(lr=0.1, momentum=0.9, clip_norm=0.3)
    return Trainer(net, loss or SoftmaxCrossEntropy(), optimizer, quiet=True, **parts)


def samples(n=50, dtype=np.float64):
    random = np.random.default_rng(0)
    return random.normal(size=(n, 4)).astype(dtype), random.integers(0, 3, n), random.choice([0, 0.5, 1, 3], n)


LOSSES = {
    "mean": lambda: SoftmaxCrossEntropy(),
    "sum": lambda: SoftmaxCrossEntropy(reduction="sum"),
    "class weights": lambda: SoftmaxCrossEntropy(class_weights=[1, 5, 0.2]),
    "ignored labels": lambda: SoftmaxCrossEntropy(ignore_index=1),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_one_large_minibatch(name, weighted):
    """50 samples: the last step of a pass has one whole minibatch and one of 2 samples."""
    x, y, w = samples()
    data = (x, y, w) if weighted else (x, y)
    one, several = make(loss=LOSSES[name]()), make(loss=LOSSES[name]())
    rows = one.fit(data, epochs=3, batch_size=16), several.fit(data, epochs=3, batch_size=8, accumulate=2)
    np.testing.assert_allclose(several.model.flat_parameters, one.model.flat_parameters, rtol=1e-12)
    np.testing.assert_allclose(several.model.flat_gradients, one.model.flat_gradients, rtol=1e-9, atol=1e-14)
    assert several.step == one.step == 12
    if name == "mean":
        assert rows[1][-1]["train_loss"] == pytest.approx(rows[0][-1]["train_loss"], rel=1e-12)


def test_in_float32():
    one, several = make(dtype="float32"), make(dtype="float32")
    one.fit(samples()[:2], epochs=3, batch_size=12)
    several.fit(samples()[:2], epochs=3, batch_size=4, accumulate=3)
    np.testing.assert_allclose(several.model.flat_parameters, one.model.flat_parameters, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("drop_last", [False, True])
def test_with_all_that_an_optimizer_does(drop_last):
    """Clipping by the norm of the sum, decay, groups, averages, and schedules that count updates."""

    def made():
        common = {"clip_norm": 0.2, "weight_decay": 0.01, "ema": 0.9, "max_norm": 1.2}
        optimizer = Adam(lr=0.02, groups=[Group("*.bias", lr_factor=0.5)], **common)
        return make(optimizer=optimizer, schedules={"optimizer.lr": CosineSchedule(per="step")})

    one, several = made(), made()
    one.fit(samples()[:2], epochs=4, batch_size=20, drop_last=drop_last)
    several.fit(samples()[:2], epochs=4, batch_size=5, accumulate=4, drop_last=drop_last)
    np.testing.assert_allclose(several.model.flat_parameters, one.model.flat_parameters, rtol=1e-9)
    np.testing.assert_allclose(several.optimizer.averages, one.optimizer.averages, rtol=1e-9)
    assert several.optimizer.steps == one.optimizer.steps == (8 if drop_last else 12)
    assert [row["lr"] for row in several.history] == [row["lr"] for row in one.history]


@pytest.mark.filterwarnings("ignore:.*jit = False")
def test_the_same_part_by_part():
    x, y, w = samples()
    whole, parts = make(), make(InPython())
    for each in (whole, parts):
        each.fit((x, y, w), epochs=2, batch_size=6, accumulate=3)
    np.testing.assert_allclose(parts.model.flat_parameters, whole.model.flat_parameters, rtol=1e-12)


def test_tokens_of_sequences_count():
    """Each minibatch is a mean over as many labels as it has; cut to the longest sample, it is the same."""
    x, _, lengths = make_sequences(24, 9)
    labels = (x[:, :, 0] > 0).astype(np.int64)
    padded = np.arange(9) >= lengths[:, None]
    x[padded], labels[padded] = 0, -1
    data = ArrayDataset(x.astype(np.float64), labels, lengths=lengths, ignore_index=-1)
    ends = []
    for settings in (
        {"batch_size": 24},
        {"batch_size": 4, "accumulate": 6},
        {"batch_size": 4, "accumulate": 6, "group_by_length": True},
    ):
        net = OfLengths(Linear(3, 4), Tanh(), Linear(4, 2)).to("float64")
        net.flat_parameters[:] = np.linspace(-0.5, 0.5, net.flat_parameters.size)
        trainer = Trainer(net, SoftmaxCrossEntropy(ignore_index=-1), SGD(lr=1.0), quiet=True)
        trainer.fit(data, epochs=3, **settings)
        ends.append(net.flat_parameters)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-10)
    np.testing.assert_allclose(ends[2], ends[0], rtol=1e-10)


def test_with_lengths():
    x, labels, lengths = make_sequences()
    ends = []
    for settings in ({"batch_size": 12}, {"batch_size": 4, "accumulate": 3}):
        net = classifier().to("float64")
        net.flat_parameters[:] = 0
        trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1), quiet=True)
        trainer.fit(ArrayDataset(x.astype(float), labels, lengths=lengths), epochs=2, **settings)
        ends.append(net.flat_parameters)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-10)


def test_with_a_learning_rule():
    rows = [
        make(rule=FeedbackAlignment(), optimizer=SGD(lr=0.1)).fit(samples()[:2], epochs=2, **settings)
        for settings in ({"batch_size": 12}, {"batch_size": 4, "accumulate": 3})
    ]
    assert rows[0][-1]["train_loss"] == pytest.approx(rows[1][-1]["train_loss"], rel=1e-9)


def test_a_custom_loop():
    x, y, w = samples()
    one, several = make(), make()
    steps = [compile_step(each.model, each.loss, each.optimizer, accumulate=k) for each, k in ((one, 1), (several, 4))]
    for first in range(0, 50, 18):  # a last one of 14 samples
        rows = slice(first, first + 18)
        values = [step(x[rows], y[rows], w[rows]) for step in steps]
        assert values[1] == pytest.approx(values[0], rel=1e-12)
    np.testing.assert_allclose(several.model.flat_parameters, one.model.flat_parameters, rtol=1e-12)
    np.testing.assert_allclose(several.model[0].grad_weight, one.model[0].grad_weight, rtol=1e-9)
    x[0] = np.nan
    before = several.model.flat_parameters.copy()
    assert not np.isfinite(steps[1](x, y))
    assert np.array_equal(several.model.flat_parameters, before)


def test_plain_python():
    from bprop.modules.engine.stateful import uncompiled

    x, y, w = samples()
    whole, plain = make(), make()
    whole.fit((x, y, w), epochs=1, batch_size=6, accumulate=3)
    with uncompiled():
        plain.fit((x, y, w), epochs=1, batch_size=6, accumulate=3)
    np.testing.assert_allclose(plain.model.flat_parameters, whole.model.flat_parameters, rtol=1e-10)


def test_shares():
    counts, starts, steps = np.array([1.0, 2, 3, 0, 0, 4]), np.array([0, 2, 3, 4]), np.array([0, 0, 1, 2])
    shares = compute_shares(counts, starts, steps, SoftmaxCrossEntropy())
    np.testing.assert_allclose(shares, [[0.5, 0], [0.5, 1], [0, 1], [1, 1]])
    assert compute_shares(counts, starts, steps, SoftmaxCrossEntropy(reduction="sum")).tolist() == [
        [1, 0],
        [1, 1],
        [1, 1],
        [1, 1],
    ]


class Batches(Callback):
    """Notes the samples of each step."""

    def on_fit_start(self, trainer):
        self.samples = []

    def on_batch_end(self, trainer, row):
        self.samples.append(row["samples"])


def test_a_step_is_what_callbacks_see():
    batches = Batches()
    made = make(callbacks=[batches])
    made.fit(samples()[:2], epochs=1, batch_size=8, accumulate=2)
    assert batches.samples == [16, 16, 16, 2]


class Stopping(Callback):
    def __init__(self, at=0):
        self.at, self.pauses = at, 0

    def on_pause(self, trainer):
        self.pauses += 1
        if self.pauses == self.at:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:.*jit = False")
@pytest.mark.parametrize("modules", [[], [InPython]])
def test_a_stop_at_any_pause(tmp_path, monkeypatch, modules):
    monkeypatch.setattr(FitState, "chunk", property(lambda fit: 1, lambda fit, count: None))
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)

    def made(*callbacks):
        return make(*[module() for module in modules], callbacks=callbacks)

    whole = made(Stopping(), Stopping())
    whole.fit(samples(), epochs=2, batch_size=6, accumulate=3)
    for at in range(1, whole.callbacks[0].pauses + 1):
        first = made(Checkpoint(tmp_path / str(at), seconds=0, minutes=0), Stopping(at))
        with pytest.raises(KeyboardInterrupt):
            first.fit(samples(), epochs=2, batch_size=6, accumulate=3)
        again = made(Checkpoint(tmp_path / str(at), seconds=0, minutes=0), Stopping())
        again.load(tmp_path / str(at))
        again.fit(samples(), epochs=2, batch_size=6, accumulate=3)
        assert np.array_equal(again.model.flat_parameters, whole.model.flat_parameters)


def test_a_guard_finds_the_minibatch(tmp_path):
    x, y, _ = samples()
    x[37] = [1e308, -1e308, 1e308, -1e308]
    made = make(callbacks=[NanGuard(tmp_path)])
    made.model[0].weight[:] = 10
    with pytest.raises(TrainingError) as info:
        made.fit((x, y), epochs=1, batch_size=4, accumulate=3, shuffle=False)
    assert "in epoch 1, step 4" in str(info.value)
    assert "in step 4" in info.value.__notes__[0]
    assert "model[0]" in info.value.__notes__[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accumulate": 0}, "Trainer: accumulate is 0, expected a whole number of at least 1"),
        ({"accumulate": 1.5}, "Trainer: accumulate is 1.5, expected a whole number of at least 1"),
        (
            {"accumulate": 4, "batch_size": 16},
            "Trainer: batch_size is 16 and accumulate 4, which take 64 samples, expected at most 50",
        ),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        make().fit(samples()[:2], epochs=1, **settings)


def test_what_does_not_accumulate():
    x, y, _ = samples()
    with pytest.raises(
        ValueError, match="accumulate is 2, expected 1, as LBFGS looks at all samples for each step anyway"
    ):
        make(optimizer=LBFGS()).fit((x, y), epochs=1, batch_size=8, accumulate=2)
    grown = make(schedules={"batch_size": ConstantSchedule(4, 1)})
    with pytest.raises(ValueError, match="batch_size would be 32 in epoch 1, with accumulate 2: 64 samples a step"):
        grown.fit((x, y), epochs=2, batch_size=8, accumulate=2)
    parts = {"ignored": SoftmaxCrossEntropy(ignore_index=2), "sum": SoftmaxCrossEntropy(reduction="sum")}
    messages = {"ignored": "a part of the loss, is a mean over labels of its own", "sum": "adds means and sums"}
    for name, part in parts.items():
        loss = MultiLoss([LossPart(part, outputs="0:2", targets=0), LossPart(MeanSquaredError(), outputs=2, targets=1)])
        data = (x, np.stack([y % 2, x[:, 0]], axis=1))
        with pytest.raises(ValueError, match=f"accumulate is 2, expected 1, as .*{messages[name]}"):
            make(loss=loss).fit(data, epochs=1, batch_size=8, accumulate=2)
        with pytest.raises(ValueError, match="compile_step: accumulate is 2, expected 1"):
            compile_step(make().model, loss, SGD(lr=0.1), accumulate=2)
    with pytest.raises(ValueError, match="compile_step: accumulate is 0, expected a whole number of at least 1"):
        compile_step(make().model, SoftmaxCrossEntropy(), SGD(lr=0.1), accumulate=0)
