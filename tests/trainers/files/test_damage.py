"""Runs that something went wrong with: damaged files, full disks. What can be saved is, what is lost is said.

BPROP_DAMAGES=50 tries as many of each kind.
"""

import errno
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import CsvDataset
from bprop.trainers.cli import main
from bprop.trainers.configs import load_config, parse_config
from bprop.trainers.files import atomic_files
from bprop.trainers.files.weights_file import read_weights
from bprop.trainers.runs import run_folder
from bprop.trainers.runs.inference import read_inputs
from bprop.trainers.runs.target_scaling import TargetScaling
from PIL import Image
from safetensors.numpy import load_file, save_file

TRIALS = int(os.environ.get("BPROP_DAMAGES", "6"))
OVERRIDES = ["trainer.epochs=4", "callbacks=[{Checkpoint: {seconds: 0, best: 1}}, Statistics]"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing has happened to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run_folder.train_config(load_config("iris", OVERRIDES), run=folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def stopped(whole):
    """The same run, stopped after its third epoch, with two checkpoints."""
    folder = whole.with_name("stopped")
    run_folder.train_config(load_config("iris", ["trainer.epochs=3", *OVERRIDES[1:]]), run=folder, quiet=True)
    (folder / "summary.json").unlink()
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 3,", "epochs: 4,"))
    return folder


def results(folder):
    table = [line.rpartition(",")[0] for line in (folder / "metrics.csv").read_text().splitlines()]
    return table, *((folder / name).read_bytes() for name in ("model.safetensors", "config.yaml", "statistics.csv"))


def damage(path, chance):
    """Cut a file off, or change it somewhere."""
    data = bytearray(path.read_bytes())
    place, way = chance.randrange(len(data)), chance.choice(["cut", "flip", "zero", "lose", "double"])
    if way == "cut":
        del data[place:]
    elif way == "flip":
        data[place] ^= 1 << chance.randrange(8)
    elif way == "zero":
        data[place : place + 512] = bytes(len(data[place : place + 512]))
    elif way == "lose":
        del data[place : place + chance.randrange(1, 99)]
    else:
        data[place:place] = data[max(0, place - 50) : place + 1]
    path.write_bytes(data)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("seed", range(TRIALS))
def test_a_damaged_newest_checkpoint(tmp_path, whole, stopped, capsys, seed):
    """The one before is used, and all becomes as if nothing had happened."""
    chance, run = random.Random(seed), tmp_path / "run"
    shutil.copytree(stopped, run)
    newest = max((run / "checkpoint").glob("*.json"))
    damage(chance.choice([newest, newest.with_suffix(".safetensors")]), chance)
    assert main(["resume", str(run), "--quiet"]) == 0
    assert f"bprop: warning: {newest} is damaged (" in capsys.readouterr().err
    assert results(run) == results(whole)


def test_no_checkpoint_is_left(tmp_path, whole, stopped, capsys):
    """It is said which are damaged, and how to go on."""
    chance, run = random.Random(0), tmp_path / "run"
    shutil.copytree(stopped, run)
    for file in (run / "checkpoint").glob("*.safetensors"):
        damage(file, chance)
    assert main(["resume", str(run), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("bprop: error: there is no whole checkpoint: ")
    assert err.count(".json is damaged (the checksum of its arrays is wrong)") == 2
    assert err.endswith(f"\n  the training starts anew if {run / 'checkpoint'} is removed\n")
    shutil.rmtree(run / "checkpoint")
    assert main(["resume", str(run), "--quiet"]) == 0
    assert results(run) == results(whole)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("seed", range(2 * TRIALS))
def test_any_damaged_file(tmp_path, whole, capsys, seed):
    """Each command does its work or refuses in a sentence."""
    chance, run = random.Random(seed), tmp_path / "run"
    shutil.copytree(whole, run)
    damage(chance.choice(sorted(path for path in run.rglob("*") if path.is_file())), chance)
    np.save(tmp_path / "x.npy", np.ones((3, 4), np.float32))
    commands = ["resume", "evaluate", "predict", "compare", "resume"]
    more = {"predict": [str(tmp_path / "x.npy")], "compare": [str(whole)]}
    for command in commands:
        status = main([command, str(run), *more.get(command, [])])
        err = capsys.readouterr().err
        assert status in (0, 2), err
        assert status == 0 or "bprop: error:" in err


class FullDisk:
    """Files that take so many bytes, all together, and then no more, as on a disk that is full."""

    def __init__(self, monkeypatch, space):
        self.space, self.open = space, Path.open
        monkeypatch.setattr(Path, "open", lambda *call, **named: self.wrapped(self.open(*call, **named)))
        opened = open
        monkeypatch.setattr(atomic_files, "open", lambda *call: self.wrapped(opened(*call)), raising=False)

    def wrapped(self, file):
        if not file.writable():
            return file
        write = file.write
        return Wrapped(file, lambda data: self.write(write, data))

    def write(self, write, data):
        taken = data[: max(0, self.space)]
        self.space -= len(data)
        write(taken)
        if len(taken) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)


class Wrapped:
    """A file with another `write`."""

    def __init__(self, file, write):
        self.file, self.write = file, write

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@pytest.mark.parametrize("seed", range(TRIALS))
def test_a_disk_that_is_full(tmp_path, whole, capsys, seed):
    """From any byte on: with more space it goes on, to the same results."""
    run = tmp_path / "run"
    words = ["train", "iris", *OVERRIDES, "--run", str(run), "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk(patch, random.Random(seed).randrange(500, 20_000))
        status = main(words)
    assert disk.space < 0
    err = capsys.readouterr().err
    assert "No space left on device" in err
    if status == 2:  # it had not begun
        assert list(run.iterdir()) == []
        assert main(words) == 0
    else:
        assert status == 1
        assert err.endswith(f"\n  'bprop resume {run}' goes on from the last checkpoint\n")
        assert main(["resume", str(run), "--quiet"]) == 0
    assert results(run) == results(whole)


def test_weights_that_cannot_be_read(tmp_path, whole, capsys):
    run, other = tmp_path / "run", tmp_path / "other.safetensors"
    shutil.copytree(whole, run)
    np.save(tmp_path / "x.npy", np.ones((3, 4), np.float32))
    save_file({"0.weight": np.ones((2, 2), np.float32)}, other)
    assert main(["evaluate", str(run), "--weights", str(other)]) == 2
    assert f"bprop: error: {other}: Sequential: cannot load the state: missing " in capsys.readouterr().err
    assert "0.weight" in load_file(run / "model.safetensors")
    own, written = run / "model.safetensors", (run / "model.safetensors").read_bytes()
    whole_file, checksum = ", expected a whole .safetensors file", "its checksum is wrong, expected the weights as they"
    for content, message in ((b"\xff" * 100, whole_file), (written[:-9], whole_file), (flipped(written, -9), checksum)):
        own.write_bytes(content)
        for command in (["evaluate", str(run)], ["predict", str(run), str(tmp_path / "x.npy")]):
            assert main(command) == 2
            first, note = capsys.readouterr().err.splitlines()
            assert first.startswith(f"bprop: error: {own}: ")
            assert message in first
            assert note == f"  'bprop resume {run}' writes it again from the last checkpoint"
        assert main(["resume", str(run), "--quiet"]) == 0
        assert own.read_bytes() == written
        assert results(run) == results(whole)
        capsys.readouterr()
    best = next((run / "checkpoint" / "best").iterdir())
    best.write_bytes(flipped(best.read_bytes(), -9))
    assert main(["evaluate", str(run), "--weights", str(best)]) == 2
    assert capsys.readouterr().err == f"bprop: error: {best}: {checksum} were written\n"


def flipped(content, place):
    data = bytearray(content)
    data[place] ^= 16
    return bytes(data)


def test_no_flipped_bit_is_believed(tmp_path, whole):
    """Wherever it is in a file of weights: refused, or of no effect (the name under which the checksum stands)."""
    path, content = tmp_path / "a.safetensors", (whole / "model.safetensors").read_bytes()
    expected, notes = read_weights(whole / "model.safetensors")
    assert notes["units"]["shape"] == [4]
    unharmed = 0
    for place in range(len(content)):
        path.write_bytes(flipped(content, place))
        try:
            actual = read_weights(path)
        except ValueError:
            continue
        assert actual[1] == notes
        assert actual[0].keys() == expected.keys()
        assert all(np.array_equal(actual[0][name], expected[name]) for name in expected)
        unharmed += 1
    assert unharmed <= len("bprop")


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp"])
def test_a_damaged_image(tmp_path, whole, capsys, kind):
    """It is named, whatever Pillow says; an undamaged one that does not fit, too."""
    path = tmp_path / f"a.{kind}"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path, kind)
    data = path.read_bytes()
    assert main(["predict", str(whole), str(path)]) == 2
    assert (
        f"{path}: an image of shape (1, 8, 8), expected (4,) as in the training\n"
        in capsys.readouterr().err.replace("(3, 8, 8)", "(1, 8, 8)")
    )
    for end in (12, len(data) // 2):
        path.write_bytes(data[:end])
        assert main(["predict", str(whole), str(path)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"bprop: error: {path}: ")
        assert err.endswith(", expected a whole image\n")
        assert "BytesIO" not in err


def test_a_damaged_table_is_named(tmp_path):
    """Not the file in which it lies while it is read."""
    table = tmp_path / "t.csv"
    table.write_text("a,y\n" + "".join(f"{i}.5,{i}\n" for i in range(20)))
    config = parse_config(
        f"dataset: {{CsvDataset: {{path: {table}, target: y, task: regression}}}}\n"
        "model: [{Linear: {in_features: 1, out_features: 1}}]\nloss: MeanSquaredError\noptimizer: {SGD: {lr: 0.1}}\n"
    )
    preprocessing = CsvDataset(table, target="y", task="regression").preprocessing
    with pytest.raises(ValueError, match=r"^the input, line 3: there are 1 cells, expected 2 as in the first row$"):
        read_inputs(b"a,y\n1,2\n3\n", "the input", config, preprocessing, TargetScaling())
