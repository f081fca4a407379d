"""A training that was stopped goes on as if it had not been: to the same bits, from any moment."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import BatchNorm1d, Dropout, Linear, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.trainers import (
    EMA,
    LBFGS,
    SGD,
    Adam,
    Callback,
    Checkpoint,
    CosineSchedule,
    EarlyStopping,
    ExponentialSchedule,
    Trainer,
    TrainingError,
)
from bprop.trainers.callbacks import checkpoint
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.files.atomic_files import lock_folder
from bprop.trainers.files.data_digests import compute_data_digests, describe_difference, select_rows
from bprop.trainers.runs import resume as resumed_runs
from bprop.trainers.runs import run_folder
from bprop.trainers.training import minibatches, trainer_state
from bprop.trainers.training.fit_state import FitState
from safetensors.numpy import load_file


@pytest.fixture(autouse=True)
def pauses_within_epochs(monkeypatch):
    """Each epoch begins with a step by itself, so that there is a pause within it, however quick the machine."""
    monkeypatch.setattr(FitState, "chunk", property(lambda fit: 1, lambda fit, count: None))


KILL_MANY = Path(__file__).parents[2] / "kill_many.py"


class Stopping(Callback):
    """Stands for Ctrl-C, at the pause of this number."""

    def __init__(self, at=0):
        self.at, self.pauses = at, 0

    def on_pause(self, trainer):
        self.pauses += 1
        if self.pauses == self.at:
            raise KeyboardInterrupt


class Always(Checkpoint):
    """Saves at each pause."""

    def __init__(self, folder, **settings):
        super().__init__(str(folder), seconds=0, minutes=0, **settings)


@pytest.fixture
def short_chunks(monkeypatch):
    """A pause after each step."""
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)


def pairs(n=40, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 4)).astype(np.float32), random.integers(0, 3, n)


def trainer(*callbacks, optimizer=None, schedules=None, seed=0, net=None):
    manual_seed(0)
    net = net or Sequential(Linear(4, 8), BatchNorm1d(8), Tanh(), Dropout(0.3), Linear(8, 3))
    optimizer = optimizer or Adam(lr=0.01, ema=0.9)
    schedules = {"optimizer.lr": CosineSchedule(per="step")} if schedules is None else schedules
    return Trainer(
        net, SoftmaxCrossEntropy(), optimizer, callbacks=callbacks, schedules=schedules, seed=seed, quiet=True
    )


def fit(made, **settings):
    return made.fit(pairs(), pairs(20, 1), **{"epochs": 4, "batch_size": 10, **settings})


def figures(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def stopped(made, at, **settings):
    made.callbacks.append(Stopping(at))
    with pytest.raises(KeyboardInterrupt):
        fit(made, **settings)


@pytest.mark.parametrize("at", [1, 3, 4, 5, 10, 16])
def test_from_any_pause(tmp_path, short_chunks, at):
    """Four pauses an epoch: after each of three steps, and after the epoch."""
    whole = trainer(EarlyStopping(patience=2), Stopping(), Stopping())
    fit(whole)
    stopped(trainer(EarlyStopping(patience=2), Always(tmp_path)), at)
    made = trainer(EarlyStopping(patience=2), Always(tmp_path), Stopping())
    made.load(tmp_path)
    assert made.epoch == at // 4
    fit(made)
    assert np.array_equal(made.model.flat_parameters, whole.model.flat_parameters)
    assert all(
        np.array_equal(a, b) for a, b in zip(*(t.model.state_dict().values() for t in (made, whole)), strict=True)
    )
    assert made.model.counters() == whole.model.counters()
    assert figures(made.history) == figures(whole.history)
    assert (made.stopped, made.epoch) == (whole.stopped, whole.epoch)


def test_an_average_of_weights_goes_on(tmp_path, short_chunks):
    """Kept by the callback, which a trainer must have before it loads; it is what is evaluated and kept as the best."""

    def averaging(*callbacks, ema=0.0):
        before = [] if ema else [EMA(0.8)]
        return trainer(*before, EarlyStopping(patience=3), *callbacks, optimizer=Adam(lr=0.05, ema=ema))

    expected, by_setting = averaging(Stopping(), Stopping()), averaging(ema=0.8)
    fit(expected)
    fit(by_setting)
    stopped(averaging(Always(tmp_path)), 7)
    made = averaging(Always(tmp_path), Stopping())
    made.load(tmp_path)
    fit(made)
    for other in (expected, by_setting):
        assert np.array_equal(made.model.flat_parameters, other.model.flat_parameters)
        assert np.array_equal(made.optimizer.averages, other.optimizer.averages)
        assert figures(made.history) == figures(other.history)
    without = trainer(EarlyStopping(patience=3), optimizer=Adam(lr=0.05))
    assert figures(fit(without)) != figures(made.history), "the figures are those of averaged weights"


def test_the_state_of_early_stopping(tmp_path):
    """Its best weights are of before the stop, and the patience runs on."""
    net = Sequential(Linear(4, 3))
    made = [trainer(EarlyStopping(patience=3), net=net.copy(), optimizer=SGD(lr=0.5), schedules={}) for _ in range(3)]
    expected = fit(made[0], epochs=99)
    made[1].callbacks += [Always(tmp_path)]
    stopped(made[1], len(expected) - 1, epochs=99)
    made[2].callbacks += [Always(tmp_path), Stopping()]
    made[2].load(tmp_path)
    fit(made[2], epochs=99)
    assert made[2].stopped == made[0].stopped is not None
    assert np.array_equal(made[2].model.flat_parameters, made[0].model.flat_parameters)
    assert made[2].evaluate(pairs(20, 1))["loss"] == min(row["valid_loss"] for row in expected)


def test_a_loss_that_is_not_finite_goes_back_to_the_same_weights(tmp_path, short_chunks):
    def diverging(*callbacks):
        made = trainer(*callbacks, optimizer=SGD(lr=1.0), net=Sequential(Linear(4, 5), Linear(5, 3)), schedules={})
        made.optimizer.lr = 1e25
        return made

    messages, weights = [], []
    stopped(diverging(Always(tmp_path)), 1)
    for made in (diverging(Stopping(), Stopping()), diverging(Always(tmp_path), Stopping())):
        if made.callbacks[0].__class__ is Always:
            made.load(tmp_path)
        with pytest.raises(TrainingError) as caught:
            fit(made)
        messages.append(str(caught.value))
        weights.append(made.model.flat_parameters.copy())
    assert messages[0] == messages[1]
    assert np.array_equal(*weights)


def test_outside_a_fit(tmp_path):
    """After a fit the next one goes on, as it would have in the same process."""
    expected, first, second = (trainer(schedules={}) for _ in range(3))
    fit(expected)
    fit(first)
    first.notes["mine"] = [1, "two"]
    first.save(tmp_path)
    second.load(tmp_path)
    assert second.notes == {"mine": [1, "two"]}
    fit(expected)
    assert len(fit(second)) == 8
    assert not second.resumed
    assert np.array_equal(second.model.flat_parameters, expected.model.flat_parameters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 8}, r"^Trainer: batch_size is 8, expected 10 as in the training that is resumed$"),
        ({"shuffle": False}, r"^Trainer: shuffle is False, expected True as in"),
        ({"metrics": []}, r"^Trainer: metrics is \[\], expected \['accuracy'\] as in"),
        ({"epochs": 1}, r"^Trainer: epochs is 1, expected at least 3, as so many have begun$"),
        ({"epochs": 9}, r"^schedules: with 9 epochs, not 4, optimizer.lr would have been different until now"),
    ],
)
def test_another_fit_is_refused(tmp_path, change, message):
    made = trainer(Always(tmp_path))
    stopped(made, 5)
    again = trainer(Always(tmp_path), Stopping())
    again.load(tmp_path)
    with pytest.raises(ValueError, match=message):
        fit(again, **change)
    assert len(fit(again)) == 4  # it still waits


def test_other_data_are_refused(tmp_path):
    stopped(trainer(Always(tmp_path)), 1)
    made = trainer(Always(tmp_path), Stopping())
    made.load(tmp_path)
    (x, y), valid = pairs(), pairs(20, 1)
    flipped, weights = np.where(np.arange(40) == 7, (y + 1) % 3, y), np.ones(40)
    for train, other, message in (
        (pairs(40, 2), valid, "the train data are others, expected the inputs and targets of the training that is re"),
        ((x, flipped), valid, "the train data are others, expected the targets of the training"),
        ((np.where(x == x[33, 1], 0, x), y), valid, "the train data are others, expected the inputs of the training"),
        ((x, y, weights), valid, "the train data are others, expected the sample weights of the training"),
        ((x.astype(np.float64), y), valid, "expected the shapes and types and inputs of"),
        ((x, y), pairs(20, 2), "the valid data are others, expected the inputs and targets of the training"),
        ((x, y), None, "there are no valid data, unlike in the training that is resumed"),
    ):
        with pytest.raises(ValueError, match=f"^Trainer: .*{message}"):
            made.fit(train, other, epochs=4, batch_size=10)


def test_every_label_and_input_counts():
    """One label, one weight or one number of the inputs in a large set; beyond 256 MiB some rows."""
    n = 5000
    x, y, weights = np.zeros((n, 3), np.float32), np.zeros(n, int), np.ones(n, np.float32)
    expected = compute_data_digests(ArrayDataset(x, y, weights, classes=2))
    for array, name in ((x[:, 1], "inputs"), (y, "targets"), (weights, "sample weights")):
        for row in (1, 2718, n - 2):
            array[row] += 1
            assert describe_difference(compute_data_digests(ArrayDataset(x, y, weights, classes=2)), expected) == name
            array[row] -= 1
    assert compute_data_digests(ArrayDataset(x, y, weights, classes=2)) == expected
    large = np.broadcast_to(np.uint8(1), (2**15, 2**14))
    assert (len(select_rows(large[: 2**14])), len(select_rows(large))) == (2**14, 2**10)


def test_a_checkpoint_has_a_digest_of_all_sources():
    folders = [trainer_state.PACKAGES / name for name in ("modules", "trainers", "datasets")]
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_a_checkpoint_of_an_older_bprop(tmp_path):
    """It told of 64 rows of the data, so that nobody knows of the others."""
    stopped(trainer(Always(tmp_path)), 1)
    made = trainer(Always(tmp_path), Stopping())
    made.load(tmp_path)
    made._pending.settings |= {"train": "0123456789abcdef", "valid": "0123456789abcdef"}
    with pytest.warns(
        UserWarning, match=r"^the checkpoint does not tell all of its (train|valid) data, so they may be"
    ):
        fit(made)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: trainer(Checkpoint("x"), optimizer=SGD(lr=0.1)), "has the optimizer Adam, this trainer SGD$"),
        (lambda: trainer(Checkpoint("x"), seed=1), "has the seed 0, this trainer 1$"),
        (lambda: trainer(), r"has the callbacks \['Always', 'Stopping'\], this trainer \[\]$"),
        (lambda: trainer(schedules={}), "has the schedules {'optimizer.lr': .*}, this trainer {}$"),
        (
            lambda: trainer(net=Sequential(Linear(4, 3))),
            r"has the model Sequential\(Linear, .*, this trainer Sequential",
        ),
        (lambda: trainer(net=Sequential(Linear(4, 3)).to("float64")), "the checkpoint has the model"),
    ],
)
def test_another_trainer_is_refused(tmp_path, made, message):
    stopped(trainer(Always(tmp_path)), 1)
    with pytest.raises(ValueError, match=message):
        made().load(tmp_path)


def test_another_width_is_refused(tmp_path):
    trainer(net=Sequential(Linear(4, 3))).save(tmp_path)
    with pytest.raises(ValueError, match=r"0.weight has shape \(3, 4\), expected \(5, 4\)"):
        trainer(net=Sequential(Linear(4, 5))).load(tmp_path)


def test_other_versions_are_told(tmp_path, monkeypatch):
    trainer().save(tmp_path)
    now = {**trainer_state.describe_writer(), "versions": {"numpy": "1.0"}, "sources": "x"}
    monkeypatch.setattr("bprop.trainers.training.trainer_state.describe_writer", lambda: now)
    message = (
        r"^the checkpoint was written with numpy [\d.]+ in place of 1.0, other sources of bprop; the results may differ"
    )
    with pytest.warns(UserWarning, match=message):
        trainer().load(tmp_path)


def test_more_epochs_where_that_is_exact(tmp_path):
    """A rate that falls by epochs does not depend on their number, a cosine does."""
    falling = {"optimizer.lr": ExponentialSchedule(gamma=0.9)}
    expected, first, more = (trainer(schedules=dict(falling)) for _ in range(3))
    fit(expected, epochs=7)
    first.callbacks.append(Always(tmp_path))
    fit(first, epochs=3)
    more.callbacks.append(Always(tmp_path))
    more.load(tmp_path)
    fit(more, epochs=7)
    assert figures(more.history) == figures(expected.history)


# -- the callback ------------------------------------------------------------------------------------------------------


def numbers(folder):
    return sorted(path.stem for path in folder.glob("*.json"))


def test_every_few_epochs_and_the_last(tmp_path):
    saved = []

    class Noting(Checkpoint):
        """Writes down when it saves."""

    made = trainer(Noting(str(tmp_path), epochs=3, seconds=0))
    made.save = lambda folder: saved.append(made.epoch)
    fit(made, epochs=8)
    assert saved == [3, 6, 8]


@pytest.mark.parametrize(("reads", "saved"), [(0.001, [5]), (2.0, [1, 5])])
def test_it_takes_little_time(tmp_path, monkeypatch, reads, saved):
    """Saving waits for a second and for 30 times as long as the last save took, but for the last epoch.

    The clock is the test's own: each time that it is read, so many seconds have passed.
    """
    seconds = itertools.count()
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(perf_counter=lambda: next(seconds) * reads))
    made, epochs = trainer(Checkpoint(str(tmp_path))), []
    monkeypatch.setattr(made, "save", lambda folder: epochs.append(made.epoch))
    fit(made, epochs=5)
    assert epochs == saved


def test_the_best_are_kept(tmp_path):
    made = trainer(Checkpoint(str(tmp_path), best=2, monitor="valid_accuracy"), schedules={})
    history = fit(made, epochs=6)
    order = sorted(history, key=lambda row: -row["valid_accuracy"])  # of equal ones the first
    best = {row["epoch"] for row in order[:2]}
    assert {path.name for path in (tmp_path / "best").iterdir()} == {f"epoch-{n}.safetensors" for n in best}
    net = trainer(optimizer=SGD(lr=0.1))
    net.model.load_state_dict(load_file(tmp_path / "best" / f"epoch-{order[0]['epoch']}.safetensors"))
    assert net.evaluate(pairs(20, 1))["accuracy"] == order[0]["valid_accuracy"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "^Checkpoint: epochs is 0, expected at least 1$"),
        ({"minutes": -1}, "^Checkpoint: minutes is -1, expected at least 0$"),
        ({"seconds": float("nan")}, "^Checkpoint: seconds is nan, expected at least 0$"),
        ({"best": -1}, "^Checkpoint: best is -1, expected at least 0$"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Checkpoint(**settings)


def test_a_folder_is_needed(tmp_path):
    with pytest.raises(
        ValueError, match=r"^Checkpoint: there is no run folder, expected a folder: Checkpoint\(folder\)$"
    ):
        fit(trainer(Checkpoint()))
    with pytest.raises(ValueError, match=r"^Checkpoint: there is no metric 'valid_f1', expected one of train_loss, "):
        fit(trainer(Checkpoint(str(tmp_path), best=1, monitor="valid_f1")))


def test_checkpoints_of_another_training_are_not_overwritten(tmp_path):
    made = trainer(Always(tmp_path), schedules={})
    fit(made, epochs=1)
    fit(made, epochs=1)  # the same one goes on
    with pytest.raises(FileExistsError, match=r"^Checkpoint: .* has checkpoints of another training; go on by "):
        fit(trainer(Always(tmp_path)))


def test_state_for_a_callback_without():
    with pytest.raises(ValueError, match=r"^Stopping: the state has \['a'\], expected none$"):
        Stopping().load_state_dict({"a": 1})


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.jit
def test_killed_at_random_moments():
    """Four times: a convolutional net on changed images, and momentum; BPROP_KILLS=200 kills more, sweeps, too."""
    kills = os.environ.get("BPROP_KILLS")
    words = [kills] if kills else ["4", "--only", "images", "momentum"]
    done = subprocess.run([sys.executable, str(KILL_MANY), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("all as if never stopped") == (5 if kills else 2)


def iris(folder, *overrides, **options):
    return run_folder.train_config(
        load_config("iris", ["trainer.epochs=3", *overrides]), run=folder, quiet=True, **options
    )


def files(folder):
    table = [line.rpartition(",")[0] for line in (folder / "metrics.csv").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    numbers = {name: value for name, value in summary.items() if name not in ("seconds", "run", "threads")}
    return numbers, table, (folder / "model.safetensors").read_bytes(), (folder / "config.yaml").read_text()


def test_a_finished_run_says_so_and_may_go_on(tmp_path, capsys):
    run, longer = tmp_path / "run", tmp_path / "longer"
    iris(run)
    iris(longer, "trainer.epochs=5")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["resume", str(run)]) == 0
    out, err = capsys.readouterr()
    assert err == f"{run} is finished: all 3 epochs are done; trainer.epochs=N adds more\n"
    assert "test_accuracy" in out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert main(["resume", str(run), "trainer.epochs=5", "--quiet"]) == 0
    assert files(run) == files(longer)
    seconds = [
        json.loads(before[run / "summary.json"])["seconds"],
        json.loads((run / "summary.json").read_text())["seconds"],
    ]
    assert seconds[0] < seconds[1]


def test_a_run_that_stopped_early_is_finished(tmp_path, capsys):
    run = tmp_path / "run"
    stopping = "callbacks=[{EarlyStopping: {monitor: valid_accuracy, patience: 1}}]"
    iris(run, stopping, "trainer.epochs=60")
    assert main(["resume", str(run), "trainer.epochs=90"]) == 0
    assert f"{run} is finished: valid_accuracy has not improved since epoch " in capsys.readouterr().err


def test_a_run_without_a_checkpoint_starts_anew(tmp_path):
    run, expected = tmp_path / "run", tmp_path / "wanted"
    iris(expected)
    run.mkdir()
    (run / "config.yaml").write_text((expected / "config.yaml").read_text())
    (run / "metrics.csv").write_text("epoch,train_lo")
    assert main(["resume", str(run), "--quiet"]) == 0
    assert files(run) == files(expected)


def test_a_finished_run_without_its_checkpoints(tmp_path, capsys):
    """It is not trained anew, unless for more epochs."""
    run, longer = tmp_path / "run", tmp_path / "longer"
    iris(run)
    iris(longer, "trainer.epochs=4")
    shutil.rmtree(run / "checkpoint")
    before = files(run)
    assert main(["resume", str(run)]) == 0
    assert " is finished: all 3 epochs are done" in capsys.readouterr().err
    assert files(run) == before
    assert main(["resume", str(run), "trainer.epochs=4", "--quiet"]) == 0
    assert files(run) == files(longer)


OWN = """\
import numpy as np
from bprop.modules import Module


class Twice(Module):
    jit = False

    def fprop(self, x):
        return 2 * x

    def bprop(self, grad_y):
        return 2 * grad_y
"""


@pytest.mark.filterwarnings("ignore:.* has jit = False")
def test_modules_of_ones_own_that_were_edited(tmp_path, capsys):
    (tmp_path / "twice_module.py").write_text(OWN)
    (tmp_path / "c.yaml").write_text(
        "dataset: Iris\nmodel: [twice_module.Twice, {Linear: {in_features: 4, out_features: 3}}]\n"
        "loss: SoftmaxCrossEntropy\noptimizer: {SGD: {lr: 0.1}}\ntrainer: {epochs: 1}\n"
    )
    run = tmp_path / "run"
    run_folder.train_config(load_config(tmp_path / "c.yaml"), run=run, quiet=True)
    with (run / "twice_module.py").open("a") as file:
        file.write("# a thought\n")
    del sys.modules["twice_module"]
    with pytest.warns(
        UserWarning, match=r"^the modules in .* have been edited since its last checkpoint; the results "
    ):
        resumed_runs.resume_run(run)


def test_what_cannot_be_resumed(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["resume", str(run)]) == 2
    assert capsys.readouterr().err == f"bprop: error: {run} is no run folder: there is no {run / 'config.yaml'}\n"
    iris(run)
    assert main(["resume", str(run), "seed=1"]) == 2
    expected = (
        "bprop: error: resume: seed=1 would make it another training, expected trainer.epochs=N, trainer.steps=N, "
        "trainer.threads=N or "
        "where its data are now, such as dataset.CsvDataset.path=FILE\n"
    )
    assert capsys.readouterr().err == expected
    with lock_folder(run):
        assert main(["resume", str(run)]) == 2
    assert capsys.readouterr().err == f"bprop: error: the run folder {run} is in use by another process\n"
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.05", "lr: 0.5"))
    assert main(["resume", str(run)]) == 2
    assert "is not the config with which the run began: it has been edited" in capsys.readouterr().err


def npz_run(folder, *overrides):
    """A finished run on an .npz file that can be changed."""
    x, y = pairs()
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "c.yaml").write_text(
        "dataset: {NpzDataset: {path: data.npz, valid_size: 10, test_size: 10}}\n"
        "model: [{Linear: {in_features: 4, out_features: 3}}]\n"
        "loss: SoftmaxCrossEntropy\noptimizer: {SGD: {lr: 0.1}}\ntrainer: {epochs: 2, batch_size: 5}\n"
        "schedules: {optimizer.lr: {CosineSchedule: {}}}\n"
    )
    run = folder / "run"
    path = f"dataset.NpzDataset.path={folder / 'data.npz'}"
    run_folder.train_config(load_config(folder / "c.yaml", [path, *overrides]), run=run, quiet=True)
    return run


def flip_label(folder, row):
    x, y = pairs()
    y[row] = (y[row] + 1) % 3
    np.savez(folder / "data.npz", x=x, y=y)


@pytest.mark.parametrize(
    ("change", "overrides", "message"),
    [
        (None, ["trainer.threads=0"], "Trainer: threads is 0, expected a whole number from 1"),
        (None, ["trainer.epochs=4"], "schedules: with 4 epochs, not 2, optimizer.lr would have been different"),
        (None, ["trainer.epochs=-1"], "Trainer: epochs is -1, expected a whole number of at least 0"),
        (None, ["trainer.epochs=x"], "trainer.epochs: expected int"),
        (lambda folder: flip_label(folder, 3), ["trainer.epochs=4"], "the train data are others, expected the targets"),
        (
            lambda folder: flip_label(folder, 25),
            ["trainer.epochs=4"],
            "the valid data are others, expected the targets",
        ),
        (lambda folder: (folder / "data.npz").unlink(), ["trainer.epochs=4"], "data.npz"),
    ],
)
def test_a_refusal_changes_nothing(tmp_path, capsys, change, overrides, message):
    """Whatever is refused, each file of the finished run is the same, and it still says that it is finished."""
    run = npz_run(tmp_path)
    if change is not None:
        change(tmp_path)
    (run / "checkpoint" / "000009.json").write_text("{}")  # a damaged one, which reading must not remove
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main(["resume", str(run), *overrides]) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


class Refusing(Callback):
    """Refuses to begin, once its class says so."""

    now: type[Exception] | None = None

    def on_fit_start(self, trainer):
        if self.now is not None:
            raise self.now("not today")


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_a_callback_that_refuses_to_begin_changes_nothing(tmp_path, monkeypatch, error):
    run = tmp_path / "run"
    config = load_config("iris", ["trainer.epochs=2", f"callbacks=[{__name__}.Refusing]"])
    run_folder.train_config(config, run=run, quiet=True)
    before = files(run)
    monkeypatch.setattr(Refusing, "now", error)
    with pytest.raises((error, TrainingError), match="not today"):
        resumed_runs.resume_run(run, ["trainer.epochs=4"], quiet=True)
    assert files(run) == before
    monkeypatch.setattr(Refusing, "now", None)
    assert resumed_runs.resume_run(run, ["trainer.epochs=4"], quiet=True)[0]["epochs"] == 4


def test_a_damaged_checkpoint_is_told(tmp_path, capsys):
    run = tmp_path / "run"
    iris(run, "callbacks=[{Checkpoint: {seconds: 0}}]")
    iris(tmp_path / "wanted", "callbacks=[{Checkpoint: {seconds: 0}}]")
    newest = max((run / "checkpoint").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["resume", str(run), "--quiet"]) == 0
    assert "bprop: warning: " in capsys.readouterr().err
    assert files(run) == files(tmp_path / "wanted")


LIMITED = """
import resource, signal, sys
from bprop.trainers.runs import run_folder
from bprop.trainers.cli import main
plain = run_folder.Trainer._pause
def pause(trainer, *places):
    if trainer.epoch == 2:  # from now on no file may become longer than this
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY))
    plain(trainer, *places)
run_folder.Trainer._pause = pause
overrides = ["trainer.epochs=3", "callbacks=[{Checkpoint: {seconds: 0}}]"]
raise SystemExit(main(["train", "iris", *overrides, "--run", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limits there")
def test_a_disk_that_fills_up(tmp_path):
    """The system itself refuses to write, as it does when a disk is full."""
    run, expected = tmp_path / "run", tmp_path / "wanted"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(run)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "bprop: error: the training cannot go on: File too large" in done.stderr
    assert f"'bprop resume {run}' goes on from the last checkpoint" in done.stderr
    assert numbers(run / "checkpoint") == ["000001"]
    assert main(["resume", str(run), "--quiet"]) == 0
    iris(expected, "callbacks=[{Checkpoint: {seconds: 0}}]")
    assert files(run) == files(expected)


def test_lbfgs_by_hand(tmp_path):
    net = Sequential(Linear(4, 5), Tanh(), Linear(5, 3)).to("float64")
    expected, first, second = (trainer(optimizer=LBFGS(max_iter=2), net=net.copy(), schedules={}) for _ in range(3))
    fit(expected, epochs=6)
    first.callbacks.append(Always(tmp_path))
    stopped(first, 3, epochs=6)
    second.callbacks += [Always(tmp_path), Stopping()]
    second.load(tmp_path)
    fit(second, epochs=6)
    assert np.array_equal(second.model.flat_parameters, expected.model.flat_parameters)
