"""`~` is a home wherever a path is taken, and where there is no home a path of that kind is refused."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import CIFAR10, MNIST, CsvDataset, ImageFolder, NpyDataset, NpzDataset, Preprocessing
from bprop.datasets.files.idx import read_idx
from bprop.datasets.files.paths import expand_path
from bprop.trainers import Trainer
from bprop.trainers.callbacks import Checkpoint
from bprop.trainers.callbacks.csv_log import CsvLog
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config
from bprop.trainers.files.weights_file import read_weights
from bprop.trainers.runs.compare import compare_runs
from bprop.trainers.runs.dry_run import dry_run
from bprop.trainers.runs.inference import evaluate_run, predict_run
from bprop.trainers.runs.resume import replay_run, resume_run
from bprop.trainers.runs.run_folder import train_config
from bprop.trainers.tools.module_template import write_module_template

CONFIG = """
dataset: Iris
model: [Linear: {in_features: 4, out_features: 3}]
loss: SoftmaxCrossEntropy
optimizer: SGD: {lr: 0.1}
trainer: {epochs: 1}
""".replace("optimizer: SGD: {lr: 0.1}", "optimizer: {SGD: {lr: 0.1}}")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with some files in it, and another working folder, which stays empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path / "here")
    (folder / "table.csv").write_text(
        "a,b,y\n" + "\n".join(f"{k},{k % 3},{'no' if k % 2 else 'yes'}" for k in range(40))
    )
    np.save(folder / "x.npy", np.zeros((10, 2)))
    np.save(folder / "y.npy", np.zeros((10, 1)))
    np.savez(folder / "both.npz", x=np.zeros((10, 2)), y=np.zeros((10, 1)))
    (folder / "iris.yaml").write_text(CONFIG)
    (folder / "more.yaml").write_text("include: ~/iris.yaml\nseed: 3\n")
    yield folder
    assert list((tmp_path / "here").iterdir()) == [], "no folder named ~"


def test_data_sets_take_paths_in_a_home(home):
    assert len(CsvDataset("~/table.csv", target="y", test_path="~/table.csv").test) == 40
    assert len(NpyDataset("~/x.npy", "~/y.npy", valid_size=2, test_size=0).train) == 8
    assert len(NpzDataset("~/both.npz", valid_size=2, test_size=0).train) == 8
    for make in (MNIST, CIFAR10, ImageFolder):
        assert make("~/data").root == home / "data"
    CsvDataset("~/table.csv", target="y").preprocessing.save("~/columns.json")
    assert Preprocessing.load("~/columns.json") == Preprocessing.load(home / "columns.json")


def test_configs_and_runs_take_paths_in_a_home(home):
    config = load_config("~/more.yaml")
    assert config.path == home / "more.yaml"
    assert config.seed == 3
    train_config(config, Path("~/run"), quiet=True)
    assert (home / "run" / "summary.json").is_file()
    assert resume_run(Path("~/run"), quiet=True)[1], "it is over"
    assert evaluate_run(Path("~/run"))["samples"] > 0
    np.save(home / "four.npy", np.zeros((2, 4)))
    assert len(predict_run(Path("~/run"), home / "four.npy", Path("~/run/model.safetensors")).outputs) == 2
    assert compare_runs([Path("~/run"), home / "run"]).runs == [str(home / "run")] * 2
    assert main(["predict", "~/run", "~/four.npy", "--out=~/predicted.csv"]) == 0
    assert (home / "predicted.csv").is_file()
    assert main(["train", "~/iris.yaml", "--run=~/other", "--quiet"]) == 0
    assert (home / "other" / "config.yaml").is_file()
    write_module_template("PowerUnit", "~/modules")
    assert (home / "modules" / "power_unit.py").is_file()


class NoHome:
    """What takes a path, with one that cannot be expanded."""

    def __init__(self, folder):
        self.config = load_config(folder / "iris.yaml")
        self.experiment = self.config.build()

    def calls(self):
        parts = self.experiment.model, self.experiment.loss, self.experiment.optimizer
        path = Path("~/x")
        return {
            "CsvDataset": lambda: CsvDataset("~/x", target="y").train,
            "test_path": lambda: CsvDataset("/dev/null", target="y", test_path="~/x").test,
            "NpyDataset": lambda: NpyDataset("~/x", "~/y", valid_size=1, test_size=1).train,
            "MNIST": lambda: MNIST("~/x"),
            "CIFAR10": lambda: CIFAR10("~/x"),
            "ImageFolder": lambda: ImageFolder("~/x"),
            "cache": lambda: ImageFolder("/tmp", cache="~/x"),
            "idx": lambda: read_idx("~/x"),
            "Preprocessing": lambda: Preprocessing.load("~/x"),
            "load_config": lambda: load_config("~/x"),
            "train_config": lambda: train_config(self.config, path, quiet=True),
            "dry_run": lambda: dry_run(self.config, path),
            "resume_run": lambda: resume_run(path),
            "replay_run": lambda: replay_run(path),
            "evaluate_run": lambda: evaluate_run(path),
            "predict_run": lambda: predict_run(path, b"1,2"),
            "compare_runs": lambda: compare_runs([path]),
            "new_module": lambda: write_module_template("PowerUnit", "~/x"),
            "read_weights": lambda: read_weights(path),
            "Trainer": lambda: Trainer(*parts, folder="~/x"),
            "save": lambda: Trainer(*parts).save("~/x"),
            "load": lambda: Trainer(*parts).load("~/x"),
            "CsvLog": lambda: CsvLog("~/x"),
            "Checkpoint": lambda: Trainer(*parts, callbacks=[Checkpoint(folder="~/x")], quiet=True).fit(
                self.experiment.dataset.train, epochs=1
            ),
        }


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="homes without an entry are POSIX")
def test_without_a_home_such_a_path_is_refused(home, monkeypatch, capsys):
    import pwd

    def no_entry(user):
        raise KeyError(user)

    calls = NoHome(home).calls()
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    message = re.escape("'~/x' is no path: this user has no home; set HOME")
    for name, call in calls.items():
        print(name)
        with pytest.raises((ValueError, OSError), match=message):
            call()
    with pytest.raises(SystemExit):
        main(["train", str(home / "iris.yaml"), "--run=~/x"])
    assert "argument --run: '~/x' is no path: this user has no home; set HOME" in capsys.readouterr().err
    assert main(["train", "~/x", "--quiet"]) == 2
    assert "'~/x' is no path: this user has no home; set HOME" in capsys.readouterr().err
    assert main(["plot", "~/x"]) == 2
    (home / "more.yaml").write_text("include: ~/x\n")
    assert main(["train", str(home / "more.yaml"), "--quiet"]) == 2
    assert "'~/x' is no path" in capsys.readouterr().err


def test_only_a_leading_tilde_is_a_home(home):
    assert expand_path("a/~/b") == Path("a/~/b")
    assert expand_path("./~") == Path("./~")
    assert expand_path("~") == home
    with pytest.raises(ValueError, match=r"^'~nobody_here/x' is no path: there is no user 'nobody_here'$"):
        expand_path("~nobody_here/x")
