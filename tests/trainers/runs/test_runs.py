"""The run folder: what is in it, whatever way the training ends, and that it can be trained again."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
import types
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import Preprocessing
from bprop.modules import Linear, Sequential
from bprop.trainers import Callback, TrainingError
from bprop.trainers.callbacks.csv_log import CsvLog
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.files import versions
from bprop.trainers.files.atomic_files import lock_folder
from bprop.trainers.runs import run_folder
from bprop.trainers.runs.inference import evaluate_run
from bprop.trainers.runs.run_folder import make_run_folder, replace_not_finite, train_config
from bprop.trainers.training import minibatches
from safetensors.numpy import load_file

FILES = {"config.yaml", "data.json", "metrics.csv", "summary.json", "model.safetensors"}
OWN_MODULE = """\
import numpy as np
from bprop.modules import Module, Parameter


class Scale(Module):
    def __init__(self, features: int):
        super().__init__()
        self.weight = Parameter(np.ones(features))

    def fprop(self, x):
        self.x = x
        return x * self.weight

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        return grad_y * self.weight
"""
OWN_CONFIG = """\
dataset: Iris
model:
  - my_scale.Scale: {features: 4}
  - Linear: {in_features: 4, out_features: 3}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 2}
"""


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_files_of_a_run(tmp_path):
    returned = train_config(load_config("iris", ["trainer.epochs=3"]), run=tmp_path, quiet=True)
    assert {file.name for file in tmp_path.iterdir()} == FILES | {"checkpoint"}
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3"]
    figures = summary(tmp_path)
    assert figures == returned
    assert float(rows(tmp_path)[-1]["valid_loss"]) == figures["valid_loss"]
    assert 0 < figures["test_accuracy"] <= 1
    assert figures["seed"] == 0
    assert figures["epochs"] == 3
    assert figures["parameters"] == 4 * 16 + 16 + 16 * 3 + 3
    assert figures["seconds"] > 0
    assert figures["versions"]["bprop"] == version("bprop")
    weights = load_file(tmp_path / "model.safetensors")
    shapes = {name: array.shape for name, array in weights.items()}
    assert shapes == {"0.weight": (16, 4), "0.bias": (16,), "2.weight": (3, 16), "2.bias": (3,)}


def test_the_weights_give_the_figures(tmp_path):
    config = load_config("iris", ["trainer.epochs=3"])
    figures = train_config(config, run=tmp_path, quiet=True)
    made = config.build()
    made.model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    x, t = made.dataset.test[:]
    assert float(made.loss(made.model(x), t)) == pytest.approx(figures["test_loss"], rel=1e-6)


def test_the_resolved_config_trains_the_same_weights(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train_config(load_config("iris", ["trainer.epochs=2", "seed=5"]), run=first, quiet=True)
    train_config(load_config(first / "config.yaml"), run=second, quiet=True)
    assert (second / "config.yaml").read_text() == (first / "config.yaml").read_text()
    assert (second / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()


def test_modules_of_ones_own_are_kept(tmp_path):
    (tmp_path / "my_scale.py").write_text(OWN_MODULE)
    (tmp_path / "c.yaml").write_text(OWN_CONFIG)
    train_config(load_config(tmp_path / "c.yaml"), run=tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "my_scale.py").read_text() == OWN_MODULE
    assert "0.weight" in load_file(tmp_path / "run" / "model.safetensors")


def test_rows_are_complete_in_the_end(tmp_path):
    """A figure that comes up late, and a last row that Ctrl-C kept from the file."""
    log, trainer = CsvLog(tmp_path / "m.csv"), types.SimpleNamespace(history=[{"epoch": 7}])
    log.on_fit_start(trainer)
    for row in ({"epoch": 8, "a": 1}, {"epoch": 9, "a": 2, "b": 3}, {"epoch": 10}):
        trainer.history.append(row)
        if row["epoch"] < 10:
            log.on_epoch_end(trainer, row)
    assert (tmp_path / "m.csv").read_text().split() == ["epoch,a", "8,1", "9,2"]
    log.on_fit_end(trainer)
    assert (tmp_path / "m.csv").read_text().split() == ["epoch,a,b", "8,1,", "9,2,3", "10,,"]


def test_early_stopping_is_in_the_summary(tmp_path):
    stopping = "callbacks=[{EarlyStopping: {monitor: valid_accuracy, patience: 1}}]"
    figures = train_config(load_config("iris", [stopping]), run=tmp_path, quiet=True)
    assert figures["stopped"].startswith("valid_accuracy has not improved since epoch ")
    assert figures["epochs"] == len(rows(tmp_path)) < 60


class Ending(Callback):
    """Ends the training at a pause, in one way or another."""

    def __init__(self, how: str, at: int):
        self.how, self.at = how, at

    def on_pause(self, trainer):
        self.at -= 1
        if self.at == 0 and self.how == "interrupt":
            raise KeyboardInterrupt
        if self.at == 0:
            trainer.stop("enough", for_now=True)


RISING = ["optimizer.SGD.lr=3.0", "optimizer.SGD.momentum=0.5", "trainer.epochs=12"]  # valid_loss goes up and down
BEST = "EarlyStopping: {monitor: valid_loss, patience: 3"


@pytest.mark.parametrize(
    ("callbacks", "weights_of"),
    [
        (f"[{{{BEST}}}}}]", "best"),
        (f"[{{EMA: {{decay: 0.5}}}}, {{{BEST}}}}}]", "best"),
        (f"[{{{BEST}, restore_best: false}}}}]", "last"),
        ("[]", "last"),
        (f"[{{{__name__}.Ending: {{how: stop, at: 8}}}}]", "middle"),
        (f"[{{{__name__}.Ending: {{how: interrupt, at: 8}}}}]", "middle"),
        (f"[{{{__name__}.Ending: {{how: interrupt, at: 14}}}}, {{{BEST}}}}}]", "best"),
    ],
)
def test_the_summary_is_of_the_weights(tmp_path, monkeypatch, callbacks, weights_of):
    """Its figures are those that `evaluate` finds for the weights that are kept, whichever way the training ends."""
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)  # a pause after each step, three an epoch
    overrides = [*RISING, f"callbacks={callbacks}", "trainer.batch_size=40"]
    with suppress(KeyboardInterrupt):
        train_config(load_config("iris", overrides), run=tmp_path, quiet=True)
    figures = summary(tmp_path)
    metrics = evaluate_run(tmp_path, part="valid")
    assert figures["valid_loss"] == pytest.approx(metrics["valid_loss"], rel=1e-6)
    assert figures["valid_accuracy"] == metrics["valid_accuracy"]
    losses = {float(row["valid_loss"]): row for row in rows(tmp_path)}
    best = losses[min(losses)]
    if weights_of == "best":
        assert figures["best_epoch"] == int(best["epoch"]) < len(rows(tmp_path)), "otherwise the case says nothing"
        assert (figures["valid_loss"], figures["train_loss"]) == (float(best["valid_loss"]), float(best["train_loss"]))
    else:
        assert "best_epoch" not in figures
        assert (figures["valid_loss"] in losses) == ("train_loss" in figures) == (weights_of == "last")
    if "test_loss" in figures:
        assert figures["test_loss"] == pytest.approx(evaluate_run(tmp_path)["test_loss"], rel=1e-6)


def test_the_summary_after_a_loss_that_is_not_finite(tmp_path):
    """The weights are of the end of an earlier epoch than the last of the table, and so are the figures."""
    config = load_config("diabetes", ["schedules={optimizer.lr: {MultiStepSchedule: {milestones: [3], gamma: 1e30}}}"])
    with pytest.raises(TrainingError, match="the model has its weights of the end of epoch"):
        train_config(config, run=tmp_path, quiet=True)
    figures = summary(tmp_path)
    assert figures["valid_loss"] == pytest.approx(evaluate_run(tmp_path, part="valid")["valid_loss"], rel=1e-6)
    assert figures["train_loss"] in [float(row["train_loss"]) for row in rows(tmp_path)]


def test_a_training_that_diverges(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "diabetes", "optimizer.SGD.lr=1e25", "--run", str(run), "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "bprop: error: the loss is inf in epoch 1, step 2; the model has its weights of the end of epoch 0" in err
    hint = "trained again with callbacks=[NanGuard], it says in which module that began"
    assert err.endswith(f"\n  {hint}\n  the run folder is {run}\n")
    assert {file.name for file in run.iterdir()} == FILES
    figures = summary(run)
    assert figures["stopped"].startswith("the loss is inf in epoch 1, step 2")
    assert "test_loss" not in figures
    assert all(np.isfinite(array).all() for array in load_file(run / "model.safetensors").values())


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to processes in another way")
def test_ctrl_c(tmp_path):
    run = tmp_path / "run"
    command = ["train", "iris", "trainer.epochs=10000000", "--run", str(run)]
    code = (  # a shell may have started the tests with SIGINT ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"from bprop.trainers.cli import main; raise SystemExit(main({command!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 120
        while not (run / "metrics.csv").exists() or len(rows(run)) < 3:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err.endswith(f"bprop: interrupted\n  the run folder is {run}\n  'bprop resume {run}' goes on\n")
    assert {file.name for file in run.iterdir()} >= FILES
    figures = summary(run)
    assert figures["stopped"] == "interrupted"
    assert figures["epochs"] == len(rows(run)) >= 3
    assert load_file(run / "model.safetensors")["2.weight"].shape == (3, 16)


def test_a_folder_in_use_is_refused(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["train", "iris", "--run", str(tmp_path)]) == 2
    message = f"bprop: error: the run folder {tmp_path} is not empty; give another with --run\n"
    assert capsys.readouterr().err == message
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")
def test_two_trainings_into_one_folder(tmp_path, capsys):
    """Both have found it empty; the second one comes when the first has it."""
    with lock_folder(tmp_path):
        assert main(["train", "iris", "--run", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"bprop: error: the run folder {tmp_path} is in use by another process\n"
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_does_not_fit_makes_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "iris", "model.0.Linear.in_features=5"]) == 2
    assert "model.0.Linear" in capsys.readouterr().err
    assert main(["train", "mnist_mlp", "dataset.MNIST.download=false"]) == 2
    assert f"is not in {tmp_path}/data/mnist and download is off" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


CONFIG = """\
dataset: {NpyDataset: {x: x.npy, y: y.npy, test_x: nowhere.npy, test_y: y.npy}}
model: [{Linear: {in_features: 4, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1, groups: [{Group: {match: "*.wieght", lr_factor: 2}}]}}
trainer: {batch_size: 5}
"""


def test_what_would_fail_later_is_told_before(tmp_path, monkeypatch, capsys):
    """A test part that is missing, a group of parameters that is empty, and no run folder is made for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)
    np.save("x.npy", np.ones((20, 4), np.float32))
    np.save("y.npy", np.arange(20) % 3)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(["train", "c.yaml", "optimizer.SGD.groups=[]"]) == 2
    assert "nowhere.npy" in capsys.readouterr().err
    assert main(["train", "c.yaml", "dataset.NpyDataset.test_x=null", "dataset.NpyDataset.test_y=null"]) == 2
    assert "*.wieght" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_folders_are_named_after_config_and_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder.time, "strftime", lambda format: "20300102-030405")
    config = load_config("iris")
    names = [str(make_run_folder(None, config)) for _ in range(3)]
    assert names == [f"runs/iris-20300102-030405{end}" for end in ("", "-2", "-3")]
    monkeypatch.setattr(Path, "mkdir", lambda self, **options: (_ for _ in ()).throw(FileExistsError))
    with pytest.raises(FileExistsError, match=r"^runs/iris-20300102-030405 and 999 like it exist already$"):
        make_run_folder(None, config)


def test_versions_of_what_is_not_installed(monkeypatch):
    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "a-package-that-is-not-there"))
    collected = versions.collect_versions()
    assert collected["numpy"] == np.__version__
    assert collected["a-package-that-is-not-there"] == "unknown"


def test_json_has_words_for_what_is_not_finite():
    made = {"a": {"b": float("nan")}, "c": -np.inf, "d": 1.5, "e": "x"}
    assert replace_not_finite(made) == {"a": {"b": "nan"}, "c": "-inf", "d": 1.5, "e": "x"}


TABLE_CONFIG = """\
dataset:
  CsvDataset: {path: PATH, target: price, missing: mean}
model:
  - Linear: {in_features: 3, out_features: 1}
loss: MeanSquaredError
optimizer:
  SGD: {lr: 0.1}
trainer: {epochs: 60, batch_size: 8, metrics: [rmse, r2]}
"""


def test_a_table_leaves_its_preprocessing(tmp_path):
    """Prices of 1000 + 10 size, and 50 more for what is red: the figures are in the table's units, new rows too."""
    price = [1000 + 10 * i + 50 * (i % 2) for i in range(40)]
    lines = [f"{i},{'red' if i % 2 else 'blue'},{price[i]}.0" for i in range(40)]
    (tmp_path / "t.csv").write_text("size,colour,price\n" + "\n".join(lines))
    (tmp_path / "c.yaml").write_text(TABLE_CONFIG.replace("PATH", str(tmp_path / "t.csv")))
    run = tmp_path / "run"
    assert main(["train", str(tmp_path / "c.yaml"), "--run", str(run), "--quiet"]) == 0
    assert summary(run)["test_rmse"] < 5
    assert summary(run)["test_rmse"] == pytest.approx(summary(run)["test_loss"] ** 0.5 * np.std(price), rel=0.2)
    preprocessing = Preprocessing.load(run / "preprocessing.json")
    net = Sequential(Linear(3, 1))
    net.load_state_dict(load_file(run / "model.safetensors"))
    new = [{"size": 20, "colour": "red"}, {"size": 3.5, "colour": "blue"}]
    y = preprocessing.restore(net.fprop(preprocessing.transform(new)))
    assert y == pytest.approx(np.array([[1250], [1035]]), abs=10)


def test_a_damaged_table_is_a_wrong_input(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("size,colour,price\n1,red,2.5\n1,red\n")
    (tmp_path / "c.yaml").write_text(TABLE_CONFIG.replace("PATH", str(tmp_path / "t.csv")))
    assert main(["train", str(tmp_path / "c.yaml"), "--run", str(tmp_path / "run"), "--quiet"]) == 2
    expected = f"bprop: error: {tmp_path / 't.csv'}, line 3: there are 2 cells, expected 3 as in the first row\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "run").exists()


@pytest.mark.jit
def test_a_cache_folder_that_cannot_be_used_is_told_before_a_run_folder_is_made(tmp_path, monkeypatch, capsys):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("BPROP_CACHE_DIR", str(file / "cache"))
    monkeypatch.setattr(run_folder, "make_run_folder", lambda *arguments: sys.exit(1))
    with pytest.raises(SystemExit, match="1"):
        main(["train", "iris", "--run", str(tmp_path / "run")])
    expected = rf"bprop: the cache folder {re.escape(str(file))}/cache cannot be made \(.*\): compiled code is kept in"
    assert re.search(expected, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()
