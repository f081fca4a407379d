"""Callbacks that end a training or explain its end: a time budget, and the guard against values that are not finite."""

import json
import re

import numpy as np
import pytest
from bprop.modules import (
    CAddTable,
    Concat,
    Dropout,
    Graph,
    Identity,
    Linear,
    Module,
    ReLU,
    Residual,
    Sequential,
    Share,
    SoftmaxCrossEntropy,
    SplitTable,
    manual_seed,
)
from bprop.trainers import (
    LBFGS,
    SGD,
    Callback,
    Checkpoint,
    CosineSchedule,
    NanGuard,
    TimeBudget,
    Trainer,
    TrainingError,
)
from bprop.trainers.callbacks.layerwise_step import run_layerwise_step
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.files.checkpoints import read_checkpoint
from bprop.trainers.runs import run_folder
from bprop.trainers.training import minibatches


class Exploding(Module):
    """y = x, and 1 / 0 backward or forward for the sample whose first element is above a limit."""

    jit = False

    def __init__(self, forward=np.inf, backward=np.inf):
        super().__init__()
        self.forward, self.backward = forward, backward

    def output_shape(self, input_shape):
        return input_shape

    def fprop(self, x):
        self.x = x
        y = x.copy()
        y[x[:, 0] > self.forward] = np.inf
        return y

    def bprop(self, grad_y):
        grad_x = grad_y.copy()
        grad_x[self.x[:, 0] > self.backward] = np.nan
        return grad_x


def pairs(n=40):
    random = np.random.default_rng(0)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def trainer(*callbacks, net=None, optimizer=None, schedules=None):
    manual_seed(0)
    net = net or Sequential(Linear(4, 8), Sequential(ReLU(), Dropout(0.2)), Linear(8, 3))
    optimizer = optimizer or SGD(lr=0.1)
    return Trainer(
        net, SoftmaxCrossEntropy(), optimizer, callbacks=callbacks, schedules=schedules or {}, seed=1, quiet=True
    )


# -- time budget -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_the_time_is_up(tmp_path, monkeypatch, order):
    """It stops within an epoch, and goes on there with as much time again, to the same weights as without a budget."""
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)
    expected = trainer(Callback(), Callback())
    expected.fit(pairs(), epochs=3, batch_size=10)
    made = trainer(*[TimeBudget(1e-9), Checkpoint(str(tmp_path))][::order])
    made.fit(pairs(), epochs=3, batch_size=10)
    assert made.stopped == "the time of 1e-09 s is up"
    assert (made.epoch, made.history) == (0, [])
    sessions = 1
    while made.stopped is not None:
        made = trainer(*[TimeBudget(1e-9), Checkpoint(str(tmp_path))][::order])
        made.load(tmp_path)
        made.fit(pairs(), epochs=3, batch_size=10)
        sessions += 1
    assert sessions == 12  # one for each pause
    assert np.array_equal(made.model.flat_parameters, expected.model.flat_parameters)


def test_a_budget_in_a_run(tmp_path, capsys):
    run, expected = tmp_path / "run", tmp_path / "wanted"
    budget = "callbacks=[{TimeBudget: {seconds: 0.000001}}]"
    figures = run_folder.train_config(load_config("iris", ["trainer.epochs=2", budget]), run=run, quiet=True)
    assert figures["stopped"] == "the time of 1e-06 s is up"
    assert figures["to_be_resumed"]
    assert main(["resume", str(run)]) == 75
    assert f"\nthe time of 1e-06 s is up: 'bprop resume {run}' goes on\n" in "\n" + capsys.readouterr().err
    statuses = [main(["resume", str(run), "--quiet"])]
    while json.loads((run / "summary.json").read_text()).get("stopped"):
        statuses.append(main(["resume", str(run), "--quiet"]))
    assert statuses == [75] * (len(statuses) - 1) + [0]
    run_folder.train_config(load_config("iris", ["trainer.epochs=2"]), run=expected, quiet=True)
    assert (run / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_budget_is_positive(seconds):
    with pytest.raises(ValueError, match=r"^TimeBudget: seconds is .*, expected more than 0$"):
        TimeBudget(seconds)


# -- what is not finite ------------------------------------------------------------------------------------------------


def failed(made, **settings):
    with pytest.raises(TrainingError) as caught:
        made.fit(pairs(), **{"epochs": 3, "batch_size": 8, **settings})
    (note,) = caught.value.__notes__
    return str(caught.value), note


@pytest.mark.filterwarnings("ignore:.* has jit = False")
@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"forward": 1.5}, r"the output of model\[0\] Exploding\(\): 4 of 32, infinite"),
        ({"backward": 1.5}, r"grad_x of model\[1\] Exploding\(\): \d+ of 24, NaN"),
    ],
)
def test_the_module_is_named(tmp_path, settings, where):
    """In the step that makes it, not in the one whose loss tells; the minibatch is the one with the sample."""
    parts = (Exploding(**settings), Linear(4, 3)) if "forward" in settings else (Linear(4, 3), Exploding(**settings))
    made = trainer(NanGuard(str(tmp_path)), net=Sequential(*parts, *([Linear(3, 3)] if "backward" in settings else [])))
    made.optimizer.lr = 0.0
    message, note = failed(made)
    saved = read_checkpoint(tmp_path)
    x = saved["batch"][0] if "forward" in settings else made.model[0].fprop(saved["batch"][0])
    assert (x[:, 0] > 1.5).any()
    pattern = rf"^the first value that is not finite is in {where}, in step {saved['step']}; it is saved in "
    assert re.match(pattern, note), note
    assert f"epoch {saved['epoch']}, step " in message


def test_a_step_that_is_too_long(tmp_path):
    """Weights overflow in an update; the next step's loss tells, with a rate that changes by steps, and dropout."""
    made = trainer(NanGuard(str(tmp_path)), schedules={"optimizer.lr": CosineSchedule(per="step")})
    made.timetable.settings[0].base = 1e30
    message, note = failed(made)
    saved = read_checkpoint(tmp_path)
    assert saved["trouble"] in note
    assert ", step 2;" in message
    weights = made.model.state_dict()
    assert all(np.isfinite(array).all() for array in weights.values())
    assert set(saved["model"]) == set(weights)


def test_weights_that_are_not_finite_at_the_end(tmp_path):
    """Nobody computes a loss with them: the last step is the one."""
    made = trainer(NanGuard(str(tmp_path)), net=Sequential(Linear(4, 3)), optimizer=SGD(lr=1.0))
    made.optimizer.lr = float("inf")
    message, note = failed(made, batch_size=40, epochs=1)
    assert message.startswith("a weight is not finite in epoch 1, step 1")
    assert "is in weight of model[0] Linear(4 -> 3) after the update" in note


def test_a_training_that_is_fine_is_not_changed(tmp_path):
    made, expected = trainer(NanGuard(str(tmp_path))), trainer()
    for each in (made, expected):
        each.fit(pairs(), epochs=2, batch_size=8)
    assert np.array_equal(made.model.flat_parameters, expected.model.flat_parameters)
    assert list(tmp_path.iterdir()) == []


def test_a_step_by_hand_is_a_step():
    """Loss, gradients and new weights are those of the compiled step."""
    made, other = trainer(), trainer()
    x, t = pairs(10)
    step = run_layerwise_step(made.model, made.loss, made.optimizer, x, t)
    value = other.compiled_step(x, t)
    assert step.loss == pytest.approx(value, rel=1e-6)
    assert step.problem is None
    assert made.model.flat_parameters == pytest.approx(other.model.flat_parameters, abs=1e-6)
    assert [stage.path for stage in step.stages] == ["model[0]", "model[1][0]", "model[1][1]", "model[2]"]
    assert step.stages[0].gradients["weight"] == pytest.approx(other.model[0].grad_weight, abs=1e-6)
    assert step.stages[0].changes["weight"] == pytest.approx(-0.1 * other.model[0].grad_weight, abs=1e-6)
    assert str(step).endswith(f"loss {step.loss:g}\nall values are finite")


def branches(*inside):
    """A net with a graph, branches and a bypass."""
    nodes = {
        "a": ([Linear(4, 6), *inside], "x"),
        "b": (Linear(4, 6), "x"),
        "twin": (Share("b"), "x"),
        "sum": (CAddTable(), ["a", "b", "twin"]),
    }
    return Sequential(Graph(nodes, "sum"), Concat(Linear(6, 2), ReLU()), Residual(Linear(8, 8), ReLU()), Linear(8, 3))


def test_a_step_by_hand_looks_into_containers():
    made, other = trainer(net=branches(ReLU())), trainer(net=branches(ReLU()))
    x, t = pairs(10)
    step = run_layerwise_step(made.model, made.loss, made.optimizer, x, t)
    assert step.problem is None
    assert step.loss == pytest.approx(other.compiled_step(x, t), rel=1e-6)
    assert made.model.flat_parameters == pytest.approx(other.model.flat_parameters, abs=1e-6)
    inside = ["model[0].a[0]", "model[0].a[1]", "model[0].b", "model[0].twin", "model[1][0]", "model[1][1]"]
    assert [stage.path for stage in step.stages] == [*inside, "model[2][0]", "model[2][1]", "model[3]"]
    for stage, module in zip(step.stages, [other.model[0].a[0], other.model[0].a[1], other.model[0].b], strict=False):
        for name, gradient in module.named_gradients():
            assert stage.gradients[name] == pytest.approx(gradient, abs=1e-6)
    assert all(stage.grad_y.shape == stage.y.shape for stage in step.stages)


@pytest.mark.filterwarnings("ignore:.* has jit = False")
@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"forward": 1.5}, r"the output of model[0].a[1] Exploding()"),
        ({"backward": 1.5}, r"grad_x of model[0].a[1] Exploding()"),
    ],
)
def test_a_node_of_a_graph_is_named(settings, where):
    made = trainer(net=branches(Exploding(**settings)))
    x, t = pairs()
    step = run_layerwise_step(made.model, made.loss, None, x, t)
    assert step.problem.startswith(f"the first value that is not finite is in {where}: ")
    y = next(stage.y for stage in step.stages if stage.path == "model[0].a[1]")
    assert np.isfinite(y).all() == ("backward" in settings)


def test_nets_of_nothing_and_of_tables():
    step = run_layerwise_step(Sequential(), SoftmaxCrossEntropy(), None, *pairs(4))
    assert (step.stages, step.problem) == ([], None)
    with pytest.raises(TypeError, match=r"^SplitTable\(4\): its output is a table, expected one array$"):
        run_layerwise_step(SplitTable(4), SoftmaxCrossEntropy(), None, *pairs(4))


def test_a_sum_that_overflows_is_its_containers():
    net, x = Sequential(Residual(Identity())), np.full((2, 4), 3e38)
    step = run_layerwise_step(net, SoftmaxCrossEntropy(), None, x, np.array([0, 1]))
    where = "the output of model[0] Residual(): 8 of 8, infinite"
    assert step.problem == f"the first value that is not finite is in {where}"
    assert np.isfinite(step.stages[0].y).all()


def test_where_the_guard_cannot_stand(tmp_path):
    with pytest.raises(ValueError, match=r"^NanGuard: there is no run folder, expected a folder: NanGuard\(folder\)$"):
        trainer(NanGuard()).fit(pairs(), epochs=1)
    made = trainer(NanGuard(str(tmp_path)), optimizer=LBFGS())
    with pytest.raises(
        ValueError, match=r"^NanGuard: LBFGS looks at all samples at once, expected an optimizer of mini"
    ):
        made.fit(pairs(), epochs=1)


def test_replay(tmp_path, capsys):
    run = tmp_path / "run"
    assert (
        main(["train", "diabetes", "optimizer.SGD.lr=1e25", "callbacks=[NanGuard]", "--run", str(run), "--quiet"]) == 1
    )
    err = capsys.readouterr().err
    assert "\n  the first value that is not finite is in " in err
    assert f"; it is saved in {run / 'failure'}\n" in err
    assert main(["replay", str(run)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["module", "largest", "output", "gradient", "of", "it", "parameter", "its", "gradient"]
    assert out[1].startswith("model[0]  Linear(10 -> 16)  ")
    assert out[-1] in err


def test_there_is_nothing_to_replay(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "iris", "trainer.epochs=1", "--run", str(run), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["replay", str(run)]) == 2
    expected = f"bprop: error: there is no failed step in {run / 'failure'}: the callback NanGuard saves it\n"
    assert capsys.readouterr().err == expected
