"""Schedules: their values against PyTorch's, what they move in a training, and what they refuse."""

import csv

import numpy as np
import pytest
from bprop.modules import Dropout, Linear, MeanSquaredError, Module, Sequential
from bprop.trainers import (
    SGD,
    Callback,
    ConstantSchedule,
    CosineRestartsSchedule,
    CosineSchedule,
    ExponentialSchedule,
    InverseTimeSchedule,
    LambdaSchedule,
    LinearSchedule,
    MultiStepSchedule,
    OneCycleSchedule,
    PlateauSchedule,
    PolynomialSchedule,
    Schedule,
    StepSchedule,
    Trainer,
    WarmupSchedule,
)
from bprop.trainers.configs import ConfigError, parse_config
from bprop.trainers.runs.resume import resume_run
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.training.minibatches import Epoch

TOTAL = 12
PAIRS = [
    (ConstantSchedule(0.5, 4), "ConstantLR", {"factor": 0.5, "total_iters": 4}),
    (LinearSchedule(0.1, 0.7, 5), "LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 5}),
    (StepSchedule(3, 0.5), "StepLR", {"step_size": 3, "gamma": 0.5}),
    (MultiStepSchedule([2, 7], 0.3), "MultiStepLR", {"milestones": [2, 7], "gamma": 0.3}),
    (ExponentialSchedule(0.8), "ExponentialLR", {"gamma": 0.8}),
    (PolynomialSchedule(8, 2.0), "PolynomialLR", {"total_iters": 8, "power": 2.0}),
    (CosineSchedule(eta_min=0.01), "CosineAnnealingLR", {"T_max": TOTAL, "eta_min": 0.01}),
    (CosineRestartsSchedule(3, 1), "CosineAnnealingWarmRestarts", {"T_0": 3}),
    (CosineRestartsSchedule(2, 2, 0.01), "CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2, "eta_min": 0.01}),
    (OneCycleSchedule(), "OneCycleLR", {"max_lr": 0.1, "total_steps": TOTAL}),
    (
        OneCycleSchedule(0.4, "linear", 5.0, 20.0),
        "OneCycleLR",
        {
            "max_lr": 0.1,
            "total_steps": TOTAL,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "div_factor": 5.0,
            "final_div_factor": 20.0,
        },
    ),
]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def torch_values(torch, make, steps=TOTAL):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, values = make(optimizer), []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


@pytest.mark.parametrize(
    ("schedule", "name", "settings"), PAIRS, ids=[f"{name}{k}" for k, (_, name, _) in enumerate(PAIRS)]
)
def test_values_like_torch(torch, schedule, name, settings):
    theirs = getattr(torch.optim.lr_scheduler, name)
    expected = torch_values(torch, lambda optimizer: theirs(optimizer, **settings))
    values = [schedule.value(0.1, t, TOTAL) for t in range(TOTAL)]
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)


def test_a_warmup_before_another_like_torch(torch):
    lr = torch.optim.lr_scheduler

    def make(optimizer):
        parts = [lr.LinearLR(optimizer, 0.25, 1.0, 4), lr.CosineAnnealingLR(optimizer, TOTAL - 4)]
        return lr.SequentialLR(optimizer, parts, [4])

    schedule = WarmupSchedule(4, CosineSchedule(), 0.25)
    np.testing.assert_allclose(
        [schedule.value(0.1, t, TOTAL) for t in range(TOTAL)], torch_values(torch, make), rtol=1e-12
    )


def test_a_function_like_torch(torch):
    theirs = torch.optim.lr_scheduler.LambdaLR
    expected = torch_values(torch, lambda optimizer: theirs(optimizer, lambda t: 0.9**t))
    values = [LambdaSchedule(lambda t: 0.9**t).value(0.1, t, TOTAL) for t in range(TOTAL)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    linear = LambdaSchedule(lambda t, total: 1 - t / total, per="step")
    assert [linear.value(0.1, t, 4) for t in range(4)] == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_a_function_is_known_by_its_name():
    """By which a training that is resumed knows that it is the same."""
    assert repr(LambdaSchedule(np.sqrt)) == "LambdaSchedule(function=numpy.sqrt, per='epoch')"
    name = f"{__name__}.test_a_function_is_known_by_its_name.<locals>.<lambda>"
    assert repr(LambdaSchedule(lambda t: t, per="step")) == f"LambdaSchedule(function={name}, per='step')"


def test_functions_that_do_not_fit():
    for wrong, message in ((0.5, "function is 0.5, expected a function of t, or of t and total"), (lambda: 1, "takes")):
        with pytest.raises(TypeError, match=f"^LambdaSchedule: .*{message}"):
            LambdaSchedule(wrong)
    with pytest.raises(ValueError, match=r"^LambdaSchedule: .*<lambda>\(3\) is None, expected a number$"):
        LambdaSchedule(lambda t: None).value(0.1, 3, 9)


def test_a_function_in_yaml(tmp_path):
    (tmp_path / "my_schedules.py").write_text("def halved(t):\n    return 0.5**t\n")
    text = (
        CONFIG[: CONFIG.index("schedules:")]
        + "schedules:\n  optimizer.lr: {LambdaSchedule: {function: my_schedules.halved}}\n"
    )
    config = parse_config(text, folder=tmp_path)
    assert "function: my_schedules.halved" in config.resolved()
    train_config(config, tmp_path / "run", quiet=True)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([rates[0] * 0.5**k for k in range(len(rates))])
    resumed, over = resume_run(tmp_path / "run", [f"trainer.epochs={len(rates) + 1}"], quiet=True)
    assert resumed["epochs"] == len(rates) + 1
    assert not over


def test_inverse_time():
    assert [InverseTimeSchedule(0.5).value(0.3, t, 9) for t in (0, 2, 4)] == pytest.approx([0.3, 0.15, 0.1])


@pytest.mark.parametrize("mode", ["rel", "abs"])
def test_plateau_like_torch(torch, mode):
    figures = np.concatenate([np.linspace(1, 0.5, 5), np.full(12, 0.5), [0.4], 0.4 + 0.01 * np.arange(12)])
    ours = PlateauSchedule("valid_loss", 0.5, 2, 0.01, mode, cooldown=1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", 0.5, 2, 0.01, mode, 1)
    values = []
    for figure in figures:
        ours.observe({"valid_loss": figure})
        theirs.step(figure)
        values.append(ours.value(0.1, 0, 1))
        assert values[-1] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert len(set(values)) > 3
    again = PlateauSchedule("valid_loss", 0.5, 2, 0.01, mode, cooldown=1)
    again.load_state_dict(ours.state_dict())
    assert again.state_dict() == ours.state_dict()
    accuracy = PlateauSchedule("valid_f1_macro", 0.5, 0)
    for figure in (0.1, 0.5, 0.4):
        accuracy.observe({"valid_f1_macro": figure})
    assert accuracy.scale == 0.5


# -- in a training ----------------------------------------------------------------------------------------------------


def data(n=50):
    random = np.random.default_rng(0)
    return random.normal(size=(n, 4)).astype(np.float32), random.normal(size=(n, 3)).astype(np.float32)


def made(schedules, net=None, optimizer=None, callbacks=()):
    net = net or Sequential(Linear(4, 3))
    optimizer = optimizer or SGD(lr=0.1, momentum=0.9)
    return Trainer(net, MeanSquaredError(), optimizer, schedules=schedules, callbacks=callbacks, quiet=True)


class StopAfter(Callback):
    """Ends a training after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, trainer, row):
        if row["epoch"] == self.epochs:
            trainer.stop("enough")


class PythonScale(Module):
    """y = 2 x, never compiled."""

    jit = False

    def fprop(self, x):
        return 2 * x

    def bprop(self, grad_y):
        return 2 * grad_y


@pytest.mark.filterwarnings("ignore:PythonScale.*has jit = False")
@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize("inner", [(), (PythonScale,)])
def test_training_like_torch(torch, per, inner):
    """Three epochs of seven steps, the last of them smaller; compiled in one loop, and in parts."""
    x, t = data()
    net = Sequential(*[cls() for cls in inner], Linear(4, 3))
    layer = torch.nn.Linear(4, 3)
    layer.load_state_dict({name: torch.tensor(getattr(net[len(net) - 1], name).copy()) for name in ("weight", "bias")})
    sgd = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, 3 if per == "epoch" else 21)
    rates = []
    for _ in range(3):
        for first in range(0, 50, 8):
            sgd.zero_grad()
            xb = torch.tensor(x[first : first + 8]) * (2 if inner else 1)
            torch.nn.functional.mse_loss(layer(xb), torch.tensor(t[first : first + 8])).backward()
            rates.append(sgd.param_groups[0]["lr"])
            sgd.step()
            if per == "step":
                scheduler.step()
        if per == "epoch":
            scheduler.step()
    trainer = made({"optimizer.lr": CosineSchedule(per=per)}, net)
    history = trainer.fit((x, t), epochs=3, batch_size=8, shuffle=False)
    expected = torch.cat([layer.weight.ravel(), layer.bias]).detach().numpy()
    np.testing.assert_allclose(net.flat_parameters, expected, atol=1e-5)
    assert [row["lr"] for row in history] == pytest.approx(rates[6::7], rel=1e-6)
    assert trainer.optimizer.lr == 0.1  # as it was before


@pytest.mark.parametrize("per", ["epoch", "step"])
def test_a_training_in_two_parts_is_the_same(per):
    schedules = {"optimizer.lr": OneCycleSchedule(per=per), "optimizer.momentum": LinearSchedule(0.5, per=per)}
    whole, first = made(schedules), made(schedules, callbacks=[StopAfter(2)])
    first.model.load_state_dict(whole.model.state_dict())
    whole.fit(data(), epochs=4, batch_size=8)
    first.fit(data(), epochs=4, batch_size=8)
    resumed = made(schedules, first.model)
    resumed.optimizer.load_state_dict(first.optimizer.state_dict())
    resumed.epoch = 2
    resumed.fit(data(), epochs=2, batch_size=8)
    assert np.array_equal(whole.model.flat_parameters, resumed.model.flat_parameters)
    assert [row["lr"] for row in first.history + resumed.history] == [row["lr"] for row in whole.history]


def test_batch_size():
    x, t = data()
    trainer = made({"batch_size": StepSchedule(1, 2.0), "optimizer.lr": LinearSchedule(0.5, per="step")})
    history = trainer.fit((x, t), epochs=3, batch_size=8)
    assert [row["batch_size"] for row in history] == [8, 16, 32]
    steps = 7 + 4 + 2
    assert [row["lr"] for row in history] == pytest.approx([0.05 + 0.05 * t / steps for t in (6, 10, 12)], rel=1e-6)
    with pytest.raises(
        ValueError, match=r"^schedules: batch_size would be 64 in epoch 4, expected 1 to 50, the number"
    ):
        trainer.fit((x, t), epochs=1, batch_size=8)


def test_settings_of_modules_and_columns():
    net = Sequential(Linear(4, 8), Dropout(0.5), Linear(8, 3))
    trainer = made({"model.1.p": LinearSchedule(0.2), "optimizer.lr": ExponentialSchedule(0.5)}, net)
    history = trainer.fit(data(), epochs=3, batch_size=8)
    values = [row["p"] for row in history]
    assert values == pytest.approx([0.5 * (0.2 + 0.8 * t / 3) for t in range(3)], rel=1e-6)
    assert list(history[0])[-3:] == ["p", "lr", "seconds"]
    assert net[1].p == 0.5


@pytest.mark.jit
def test_a_schedule_by_steps_stays_in_the_compiled_loop(tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))
    net = Sequential(Linear(4, 8), Dropout(0.5), Linear(8, 3))
    schedules = {"optimizer.lr": CosineSchedule(per="step"), "model.1.p": LinearSchedule(per="step")}
    trainer = made(schedules, net)
    monkeypatch.setattr(Epoch, "_step_by_step", None)
    trainer.fit(data(), epochs=1, batch_size=8)
    text = "".join(path.read_text() for path in tmp_path.glob("plan_*.py"))
    assert ".p = schedule[(begin - start) // size, 0]" in text
    assert ".lr = schedule[(begin - start) // size, 1]" in text


def test_weight_decay_that_begins_at_nothing():
    """A schedule that starts at 0 finds the lines of weight decay in the compiled step."""
    runs = []
    for schedules in ({}, {"optimizer.weight_decay": LinearSchedule(0.0, 1.0, per="step")}):
        net = Sequential(Linear(4, 3)).to("float64")
        net.flat_parameters[:] = 1
        trainer = made(schedules, net, SGD(lr=0.1, weight_decay=0.5))
        trainer.fit(data(), epochs=1, batch_size=50)
        runs.append(net.flat_parameters.copy())
    np.testing.assert_allclose(runs[1][:12] - runs[0][:12], 0.1 * 0.5 * 1, rtol=1e-9)


def test_a_plateau_in_a_training():
    class Worse(Schedule):
        """Not used: a subclass of one's own has value alone."""

        def value(self, base, t, total):
            return base / (1 + t)

    x, t = data()
    plateau = PlateauSchedule("train_loss", 0.5, 0, threshold=10.0)
    trainer = made({"optimizer.lr": plateau, "optimizer.momentum": Worse()})
    history = trainer.fit((x, t), epochs=3, batch_size=8)
    assert [row["lr"] for row in history] == pytest.approx([0.1, 0.1, 0.05], rel=1e-6)
    assert [row["momentum"] for row in history] == pytest.approx([0.9, 0.45, 0.3], rel=1e-6)
    state = trainer.timetable.state_dict()
    assert state["optimizer.lr"]["scale"] == 0.25
    other = made({"optimizer.lr": PlateauSchedule("train_loss")})
    other.timetable.load_state_dict(state)
    assert other.timetable.state_dict() == state
    with pytest.raises(ValueError, match=r"^schedules: the state has \[\], expected \['optimizer\.lr'\]$"):
        other.timetable.load_state_dict({})
    with pytest.raises(ValueError, match=r"^PlateauSchedule: the state has \['best'\], expected \['best', 'cooling', "):
        other.timetable.load_state_dict({"optimizer.lr": {"best": 1.0}})


# -- in YAML ----------------------------------------------------------------------------------------------------------

CONFIG = """\
dataset: Iris
model:
  - Linear: {in_features: 4, out_features: 3}
loss: SoftmaxCrossEntropy
optimizer:
  SGD:
    lr: 0.1
    momentum: 0.9
    groups:
      - Group: {match: "*.bias", lr_factor: 2}
trainer: {epochs: 4, batch_size: 16}
schedules:
  optimizer.lr:
    WarmupSchedule:
      total_iters: 3
      then:
        CosineSchedule: {per: step}
  batch_size:
    StepSchedule: {step_size: 2, gamma: 2.0}
"""


def test_yaml(tmp_path):
    config = parse_config(CONFIG)
    assert parse_config(config.resolved()).resolved() == config.resolved()
    train_config(config, tmp_path / "run", quiet=True)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["batch_size"] for row in rows] == ["16", "16", "32", "32"]
    assert float(rows[0]["lr"]) > float(rows[-1]["lr"]) > 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "optimizer.lr:",
            "optimizer.lrr:",
            r"^config:14:5: schedules\.optimizer\.lrr\.WarmupSchedule: schedules: there is",
        ),
        (
            "StepSchedule:",
            "StpSchedule:",
            r"unknown class 'StpSchedule', expected Schedule; did you mean 'StepSchedule'\?",
        ),
        (
            "gamma: 2.0",
            "gama: 2.0",
            r"schedules\.batch_size\.StepSchedule\.gama: unknown argument; did you mean 'gamma'\?",
        ),
        (
            "gamma: 2.0",
            "gamma: 0",
            r"schedules\.batch_size\.StepSchedule: StepSchedule: gamma is 0, expected more than 0",
        ),
    ],
)
def test_mistakes_in_yaml(old, new, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(CONFIG.replace(old, new)).build()


def test_schedules_that_are_no_mapping():
    text = CONFIG[: CONFIG.index("schedules:")] + "schedules: CosineSchedule\n"
    with pytest.raises(ConfigError, match=r"schedules: expected settings and their schedules, got the string 'Cosine"):
        parse_config(text)


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        (
            {"optimizer.rate": CosineSchedule()},
            r"^schedules: there is no 'optimizer\.rate', expected some of batch_size, optimizer",
        ),
        ({"lr": CosineSchedule()}, r"^schedules: there is no 'lr'; did you mean 'optimizer\.lr'\?$"),
        ({"optimizer.SGD.lrr": CosineSchedule()}, r"no 'optimizer\.SGD\.lrr'; did you mean 'optimizer\.lr'\?$"),
        (
            {"batch_size": CosineSchedule(per="step")},
            r"^schedules: batch_size has a schedule per step, expected one per epo",
        ),
        (
            {"optimizer.dampening": CosineSchedule()},
            r"^schedules: optimizer\.dampening is 0\.0, expected another number",
        ),
        ({"optimizer.max_norm": CosineSchedule()}, r"^schedules: optimizer\.max_norm is inf, expected another number"),
    ],
)
def test_paths_that_do_not_fit(schedules, message):
    with pytest.raises(ValueError, match=message):
        made(schedules)


def test_what_is_no_schedule():
    with pytest.raises(
        TypeError, match=r"^schedules: optimizer\.lr is the class CosineSchedule, expected a Schedule; write CosineSch"
    ):
        made({"optimizer.lr": CosineSchedule})
    one = PlateauSchedule()
    with pytest.raises(ValueError, match=r"^schedules: one schedule with state serves two settings, expected one for"):
        made({"optimizer.lr": one, "optimizer.momentum": one})
    with pytest.raises(
        NotImplementedError, match=r"^Schedule has no value: write `def value\(self, base, t, total\)`$"
    ):
        Schedule().value(1.0, 0, 1)


def test_trouble_while_training():
    with pytest.raises(
        ValueError, match=r"^PlateauSchedule: there is no metric 'valid_loss', expected one of train_loss"
    ):
        made({"optimizer.lr": PlateauSchedule()}).fit(data(), epochs=1)
    plateau = PlateauSchedule("train_loss")
    both = {"batch_size": plateau, "optimizer.lr": CosineSchedule(per="step")}
    with pytest.raises(
        ValueError, match=r"^schedules: batch_size depends on the figures, so other schedules cannot count"
    ):
        made(both).fit(data(), epochs=1)

    class Endless(Schedule):
        """Not a number."""

        def value(self, base, t, total):
            return float("nan")

    with pytest.raises(ValueError, match=r"^schedules: optimizer\.lr would be nan at epoch 0, expected a number$"):
        made({"optimizer.lr": Endless()}).fit(data(), epochs=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CosineSchedule(per="hour"), r"^CosineSchedule: per is 'hour', expected 'epoch' or 'step'$"),
        (lambda: ConstantSchedule(-1.0), r"^ConstantSchedule: factor is -1.0, expected at least 0$"),
        (lambda: ConstantSchedule(total_iters=-1), r"^ConstantSchedule: total_iters is -1, expected a whole number of"),
        (lambda: LinearSchedule(-1.0), r"^LinearSchedule: start_factor is -1.0, expected at least 0$"),
        (
            lambda: LinearSchedule(total_iters=0),
            r"^LinearSchedule: total_iters is 0, expected a whole number of at least 1$",
        ),
        (lambda: StepSchedule(0), r"^StepSchedule: step_size is 0, expected a whole number of at least 1$"),
        (lambda: StepSchedule(1, 0.0), r"^StepSchedule: gamma is 0.0, expected more than 0$"),
        (
            lambda: MultiStepSchedule([1.5]),
            r"^MultiStepSchedule: milestone is 1.5, expected a whole number of at least 0$",
        ),
        (lambda: MultiStepSchedule([1], -1), r"^MultiStepSchedule: gamma is -1, expected more than 0$"),
        (lambda: ExponentialSchedule(0), r"^ExponentialSchedule: gamma is 0, expected more than 0$"),
        (lambda: InverseTimeSchedule(-1), r"^InverseTimeSchedule: gamma is -1, expected at least 0$"),
        (
            lambda: PolynomialSchedule(0),
            r"^PolynomialSchedule: total_iters is 0, expected a whole number of at least 1$",
        ),
        (lambda: PolynomialSchedule(power=0.0), r"^PolynomialSchedule: power is 0.0, expected more than 0$"),
        (lambda: CosineSchedule(0), r"^CosineSchedule: T_max is 0, expected a whole number of at least 1$"),
        (lambda: CosineSchedule(eta_min=-1), r"^CosineSchedule: eta_min is -1, expected at least 0$"),
        (
            lambda: CosineRestartsSchedule(0),
            r"^CosineRestartsSchedule: T_0 is 0, expected a whole number of at least 1$",
        ),
        (lambda: CosineRestartsSchedule(1, 1, -1.0), r"^CosineRestartsSchedule: eta_min is -1.0, expected at least 0$"),
        (lambda: OneCycleSchedule(1.0), r"^OneCycleSchedule: pct_start is 1.0, expected a number between 0 and 1$"),
        (
            lambda: OneCycleSchedule(anneal_strategy="up"),
            r"^OneCycleSchedule: anneal_strategy is 'up', expected 'cos' or",
        ),
        (lambda: OneCycleSchedule(div_factor=0), r"^OneCycleSchedule: div_factor is 0, expected more than 0$"),
        (
            lambda: WarmupSchedule(0, CosineSchedule()),
            r"^WarmupSchedule: total_iters is 0, expected a whole number of at",
        ),
        (lambda: WarmupSchedule(1, CosineSchedule(), -1), r"^WarmupSchedule: start_factor is -1, expected at least 0$"),
        (lambda: PlateauSchedule(factor=1.0), r"^PlateauSchedule: factor is 1.0, expected a number between 0 and 1$"),
        (
            lambda: PlateauSchedule(patience=-1),
            r"^PlateauSchedule: patience is -1, expected a whole number of at least 0$",
        ),
        (lambda: PlateauSchedule(threshold=-1), r"^PlateauSchedule: threshold is -1, expected at least 0$"),
        (
            lambda: PlateauSchedule(threshold_mode="x"),
            r"^PlateauSchedule: threshold_mode is 'x', expected 'rel' or 'abs'$",
        ),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_repr():
    assert repr(StepSchedule(3, 0.5)) == "StepSchedule(per='epoch', step_size=3, gamma=0.5)"
