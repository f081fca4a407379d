"""Where the data of a config are: relative to its file, absolute in a run, and the same ones in every command."""

import json
import shutil

import numpy as np
import pytest
from bprop.trainers.cli import main
from bprop.trainers.configs import ConfigError, load_config, parse_config
from bprop.trainers.files.data_digests import check_same_data
from bprop.trainers.plots.trained_run import TrainedRun
from bprop.trainers.runs import run_folder
from bprop.trainers.runs.inference import evaluate_run
from bprop.trainers.runs.resume import resume_run
from bprop.trainers.runs.sweep import load_sweep

REST = """\
model: [{Linear: {in_features: 4, out_features: 3}}]
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1, batch_size: 5}
"""
NPZ = "dataset: {NpzDataset: {path: data.npz, valid_size: 10, test_size: 10}}\n"


def write_data(path, seed=0):
    random = np.random.default_rng(seed)
    path.parent.mkdir(exist_ok=True)
    np.savez(path, x=random.normal(size=(40, 4)).astype(np.float32), y=random.integers(0, 3, 40))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder `here` with a config and its data, and the working folder `elsewhere` with other data of that name."""
    write_data(tmp_path / "here" / "data.npz")
    write_data(tmp_path / "elsewhere" / "data.npz", 1)
    (tmp_path / "here" / "c.yaml").write_text(NPZ + REST)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def trained(place, *overrides):
    run_folder.train_config(load_config("../here/c.yaml", overrides), run=place / "run", quiet=True)
    return place / "run"


def test_a_path_starts_where_it_is_written(place):
    """At the file, an included one too; at the working folder for overrides, defaults, and configs of bprop."""
    here, there = place / "here", place / "elsewhere"
    (place / "d.yaml").write_text("include: here/c.yaml\ncallbacks: [{Checkpoint: {folder: kept}}]\n")
    text = "dataset: {CsvDataset: {path: ~/a.csv, target: 0, test_path: /b.csv}}\n" + REST
    key = "dataset.NpzDataset.path"
    for config, paths in (
        (load_config("../here/c.yaml"), {key: here / "data.npz"}),
        (load_config(here / "c.yaml", [f"{key}=data.npz"]), {key: there / "data.npz"}),
        (load_config("../d.yaml"), {key: here / "data.npz", "callbacks.0.Checkpoint.folder": place / "kept"}),
        (parse_config(NPZ + REST, folder=here), {key: here / "data.npz"}),
        (parse_config(NPZ + REST), {key: there / "data.npz"}),
        (parse_config("dataset: MNIST\n" + REST, folder=here), {"dataset.MNIST.root": there / "data/mnist"}),
        (
            parse_config("dataset: {MNIST: {root: data/mnist}}\n" + REST, folder=here),
            {"dataset.MNIST.root": here / "data/mnist"},
        ),
        (
            parse_config("dataset: {Reconstruction: {dataset: {ImageFolder: {root: x}}}}\n" + REST, folder=here),
            {"dataset.Reconstruction.dataset.ImageFolder.root": here / "x"},
        ),
        (
            parse_config(text, folder=here),
            {"dataset.CsvDataset.path": place.home() / "a.csv", "dataset.CsvDataset.test_path": "/b.csv"},
        ),
        (load_config("fashion_mlp"), {"dataset.FashionMNIST.root": there / "data/fashion-mnist"}),
    ):
        assert config.paths == {name: str(path) for name, path in paths.items()}
        assert parse_config(config.resolved()).paths == config.paths, "the resolved config says it for any folder"


def test_without_a_home():
    with pytest.raises(
        ConfigError, match=r"NpzDataset\.path: '~nobody-at-all/a.npz' is no path: there is no user 'nobody-"
    ):
        parse_config(NPZ.replace("data.npz", "~nobody-at-all/a.npz") + REST)


def test_a_run_means_the_same_data_everywhere(place, monkeypatch):
    run = trained(place)
    expected = json.loads((run / "summary.json").read_text())["test_loss"]
    for folder in (place / "here", place / "elsewhere", run):
        monkeypatch.chdir(folder)
        assert evaluate_run(run)["test_loss"] == pytest.approx(expected)
        assert resume_run(run, quiet=True)[1]


def test_a_sweep_over_files(place):
    """Of values in the file, beside it; of values on the command line, in the working folder."""
    here, key = place / "here", "dataset.NpzDataset.path"
    write_data(here / "more.npz", 2)
    (here / "c.yaml").write_text(NPZ + REST + f"sweep: {{grid: {{{key}: [data.npz, more.npz]}}}}\n")
    _, runs = load_sweep("../here/c.yaml")
    assert [run.overrides[0] for run in runs] == [f'{key}="{here / name}.npz"' for name in ("data", "more")]
    _, runs = load_sweep("../here/c.yaml", [f"sweep={{grid: {{{key}: [data.npz]}}}}"])
    assert runs[0].overrides[1] == f'{key}="{place / "elsewhere" / "data.npz"}"'


@pytest.mark.parametrize("change", ["x", "y"])
def test_data_that_changed_are_refused(place, capsys, change):
    """By evaluate and by a plot, and by resume for the test part, unless they are told."""
    run, file = trained(place), place / "here" / "data.npz"
    arrays = dict(np.load(file))
    arrays[change][-1] = (arrays[change][-1] + 1) % 3
    np.savez(file, **arrays)
    words = {"x": "inputs", "y": "targets"}[change]
    message = f"the test data are others than when {run} was trained, expected the same {words}"
    assert main(["evaluate", str(run)]) == 2
    assert f"evaluate: {message}; an override of the data set or --other-data" in capsys.readouterr().err
    with pytest.raises(ValueError, match=f"^plot: {message}; an override"):
        _ = TrainedRun(run).data
    with pytest.raises(ValueError, match=f"^resume: {message}$"):
        resume_run(run, ["trainer.epochs=2"], quiet=True)
    assert main(["evaluate", str(run), "--part", "valid"]) == 0
    assert main(["evaluate", str(run), "--other-data"]) == 0
    assert main(["evaluate", str(run), f"dataset.NpzDataset.path={file}"]) == 0
    assert TrainedRun(run, overrides=(f"dataset.NpzDataset.path={file}",)).part == "test"
    for content in ("{", '{"test": []}', "[" * 9999):  # a damaged record refuses nothing, as one of an older bprop
        (run / "data.json").write_text(content)
        check_same_data("evaluate", run, "test", None)


def test_data_that_moved(place, capsys):
    """A run goes on with them where they are now; with others it does not."""
    run = trained(place)
    shutil.move(place / "here" / "data.npz", place / "elsewhere" / "moved.npz")
    assert main(["resume", str(run), "trainer.epochs=2"]) == 2
    assert str(place / "here" / "data.npz") in capsys.readouterr().err
    assert main(["resume", str(run), "trainer.epochs=2", "dataset.NpzDataset.path=data.npz"]) == 2
    assert "the train data are others, expected the inputs and targets of the training" in capsys.readouterr().err
    assert main(["resume", str(run), "trainer.epochs=2", "dataset.NpzDataset.path=moved.npz", "--quiet"]) == 0
    assert main(["resume", str(run), "trainer.epochs=3", "--quiet"]) == 0, "the run has the new place"
    expected = "expected trainer.epochs=N, trainer.steps=N, trainer.threads=N or where its data are now, such as "
    expected += "dataset.CsvDataset.path="
    for override in ("dataset.NpzDataset.valid_size=5", "dataset.NpzDataset={path: moved.npz}", "seed=1"):
        assert main(["resume", str(run), override]) == 2
        assert f"would make it another training, {expected}" in capsys.readouterr().err
