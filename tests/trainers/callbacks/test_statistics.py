"""Figures about modules, and figures for TensorBoard."""

import csv
import sys

import numpy as np
import pytest
from bprop.modules import Dropout, Linear, ReLU, Sequential, SoftmaxCrossEntropy, manual_seed
from bprop.trainers import LBFGS, SGD, Callback, Checkpoint, LinearSchedule, Statistics, TensorBoard, Trainer
from bprop.trainers.cli import main


def pairs(n=30):
    random = np.random.default_rng(0)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def trainer(*callbacks, optimizer=None, net=None):
    manual_seed(0)
    net = net or Sequential(Linear(4, 8), ReLU(), Dropout(0.3), Linear(8, 3))
    optimizer = optimizer or SGD(lr=0.1, momentum=0.9)
    schedules = {"optimizer.lr": LinearSchedule()} if isinstance(optimizer, SGD) else {}
    return Trainer(net, SoftmaxCrossEntropy(), optimizer, callbacks=callbacks, schedules=schedules, quiet=True)


def rows(folder):
    with (folder / "statistics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def norm(*arrays):
    return np.sqrt(sum(np.square(array).sum() for array in arrays))


def test_the_figures_are_those_of_a_step(tmp_path):
    """All samples in one minibatch, no dropout, a rate that does not change: the next step is the one that is told."""
    net = Sequential(Linear(4, 8), ReLU(), Linear(8, 3))
    net[0].bias[:3] = -1e3, 1e3, -1e3  # two units are always off, one is always on
    made = trainer(Statistics(folder=str(tmp_path)), net=net, optimizer=SGD(lr=0.1))
    x, t = pairs()
    made.timetable.settings.clear(), made.timetable.by_epoch.clear()
    made.fit((x, t), epochs=1, batch_size=30)
    before = {name: array.copy() for name, array in made.model.named_parameters()}
    hidden = np.maximum(x @ before["0.weight"].T + before["0.bias"], 0)
    scores = hidden @ before["2.weight"].T + before["2.bias"]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    grad = (p / p.sum(axis=1, keepdims=True) - np.eye(3)[t]) / 30
    first, second, third = rows(tmp_path)
    assert [row["module"] for row in (first, second, third)] == ["model[0]", "model[1]", "model[2]"]
    assert float(second["output"]) == pytest.approx(np.sqrt(np.mean(hidden**2)), rel=1e-5)
    assert float(second["dead"]) == 2 / 8
    assert second["weight"] == second["update_ratio"] == ""
    assert float(third["grad_output"]) == pytest.approx(np.sqrt(np.mean(grad**2)), rel=1e-4)
    weight = norm(before["2.weight"], before["2.bias"])
    grad_weight = norm(grad.T @ hidden, grad.sum(axis=0))
    assert float(third["weight"]) == pytest.approx(weight, rel=1e-5)
    assert float(third["grad_weight"]) == pytest.approx(grad_weight, rel=1e-4)
    assert float(third["update_ratio"]) == pytest.approx(0.1 * grad_weight / weight, rel=1e-3)


def test_they_change_nothing(tmp_path):
    made, expected = trainer(Statistics(samples=10, folder=str(tmp_path))), trainer()
    for each in (made, expected):
        each.fit(pairs(), epochs=3, batch_size=8)
    assert np.array_equal(made.model.flat_parameters, expected.model.flat_parameters)
    assert made.model.counters() == expected.model.counters()
    assert [row["epoch"] for row in rows(tmp_path)] == [str(n) for n in (1, 2, 3) for _ in range(4)]


def test_every_few_epochs_and_optimizers_of_all_samples(tmp_path):
    net = Sequential(Linear(4, 3))
    trainer(Statistics(epochs=2, folder=str(tmp_path)), net=net, optimizer=LBFGS(max_iter=1)).fit(
        pairs(), epochs=5, batch_size=30
    )
    assert [(row["epoch"], row["update_ratio"]) for row in rows(tmp_path)] == [("2", ""), ("4", "")]


class Stop(Callback):
    """Stands for a kill after the second epoch."""

    def on_pause(self, trainer):
        if trainer.epoch == 2 and trainer.position == 0:
            raise KeyboardInterrupt


def test_rows_after_a_resume(tmp_path):
    def made(folder, *more):
        return trainer(Statistics(folder=str(folder)), Checkpoint(str(folder / "c"), seconds=0), *more)

    expected = made(tmp_path / "wanted", Callback())
    expected.fit(pairs(), epochs=4, batch_size=8)
    first = made(tmp_path / "made", Stop())
    with pytest.raises(KeyboardInterrupt):
        first.fit(pairs(), epochs=4, batch_size=8)
    with (tmp_path / "made" / "statistics.csv").open("a") as file:  # it went on without a checkpoint
        file.write("3,model[0],1,2,3,4,5,6\n3,mod")
    again = made(tmp_path / "made", Stop())
    again.callbacks[-1].on_pause = lambda trainer: None
    again.load(tmp_path / "made" / "c")
    again.fit(pairs(), epochs=4, batch_size=8)
    assert rows(tmp_path / "made") == rows(tmp_path / "wanted")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 1}, "^Statistics: samples is 1, expected at least 2$"),
        ({"epochs": 0}, "^Statistics: epochs is 0, expected at least 1$"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Statistics(**settings)


def test_a_folder_is_needed():
    for callback, how in ((Statistics(), "folder=..."), (TensorBoard(), "folder")):
        name = type(callback).__name__
        with pytest.raises(ValueError, match=rf"^{name}: there is no run folder, expected a folder: {name}\({how}\)$"):
            trainer(callback).fit(pairs(), epochs=1, batch_size=30)


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    made = trainer(TensorBoard(str(tmp_path)))
    history = made.fit(pairs(), pairs(10), epochs=2, batch_size=8)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    events = accumulator.Tensors("valid_loss")
    assert [event.step for event in events] == [1, 2]
    values = [event.tensor_proto.float_val[0] for event in events]
    assert values == pytest.approx([row["valid_loss"] for row in history], rel=1e-6)
    assert set(accumulator.Tags()["tensors"]) == {*history[0]} - {"epoch"}


def test_tensorboard_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    assert main(["train", "iris", "callbacks=[TensorBoard]", "--run", str(tmp_path / "run")]) == 2
    message = "bprop: error: TensorBoard: the package is missing: pip install 'bprop[tensorboard]'\n"
    assert capsys.readouterr().err.endswith(message)
