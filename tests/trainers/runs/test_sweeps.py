"""Sweeps: which runs a config describes, and what becomes of them, as processes side by side."""

import contextlib
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bprop.trainers import cli
from bprop.trainers.configs import ConfigError, parse_config
from bprop.trainers.configs.nodes import convert_to_plain, read_yaml
from bprop.trainers.configs.sweeps import format_overrides
from bprop.trainers.configs.yaml_writer import dump_yaml
from bprop.trainers.files.atomic_files import lock_folder
from bprop.trainers.runs import sweep as sweeps
from bprop.trainers.runs.sweep import (
    DONE,
    FAILED,
    STOPPED,
    WAITING,
    SweepRun,
    format_result,
    load_sweep,
    rank_runs,
    train_sweep,
)
from hypothesis import given
from hypothesis import strategies as st

CONFIG = """\
dataset: Iris
model:
  - Linear: {in_features: 4, out_features: 16}
  - Tanh
  - Linear: {in_features: 16, out_features: 3}
loss: SoftmaxCrossEntropy
optimizer:
  SGD: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 1, batch_size: 10}
"""


def runs(sweep):
    return parse_config(CONFIG + f"sweep: {sweep}\n", source="c.yaml").sweep.runs


def refused(sweep):
    with pytest.raises(ConfigError) as caught:
        runs(sweep)
    return str(caught.value)


def test_a_grid_is_every_combination():
    assert runs("{grid: {optimizer.SGD.lr: [0.1, 1], seed: [0, 1]}}") == (
        {"optimizer.SGD.lr": 0.1, "seed": 0},
        {"optimizer.SGD.lr": 0.1, "seed": 1},
        {"optimizer.SGD.lr": 1, "seed": 0},
        {"optimizer.SGD.lr": 1, "seed": 1},
    )


def test_a_zip_goes_in_step_and_multiplies_with_the_rest():
    settings = runs(
        "{zip: {seed: [1, 2], trainer.epochs: [3, 4]}, grid: {optimizer: [{SGD: {lr: 1}}, {Adam: {lr: 2}}]}}"
    )
    assert [(run["seed"], run["trainer.epochs"]) for run in settings] == [(1, 3), (1, 3), (2, 4), (2, 4)] or len(
        settings
    ) == 4
    assert {(run["seed"], run["trainer.epochs"]) for run in settings} == {(1, 3), (2, 4)}
    assert [run["optimizer"] for run in settings].count({"SGD": {"lr": 1}}) == 2


DRAWS = "optimizer.SGD.lr: {log_uniform: [1e-4, 1]}, optimizer.SGD.momentum: {uniform: [0, 0.9]}"


def test_random_draws_are_a_function_of_seed_and_key():
    more = f"{DRAWS}, trainer.batch_size: {{integers: [2, 4]}}, dtype: {{choice: [float32, float64]}}"
    draws = runs(f"{{random: {{n: 200, keys: {{{more}}}}}}}")
    few = runs(f"{{random: {{n: 3, seed: 0, keys: {{{DRAWS}}}}}}}")
    assert [{key: run[key] for key in few[0]} for run in draws[:3]] == list(few)
    assert runs(f"{{random: {{n: 3, seed: 1, keys: {{{DRAWS}}}}}}}") != few
    rates = sorted(run["optimizer.SGD.lr"] for run in draws)
    assert 1e-4 <= rates[0] < 2e-4 < 0.5 < rates[-1] <= 1
    assert 0.003 < rates[100] < 0.03  # the middle of the logarithms is 0.01
    assert all(0 <= run["optimizer.SGD.momentum"] <= 0.9 for run in draws)
    assert {run["trainer.batch_size"] for run in draws} == {2, 3, 4}
    assert {run["dtype"] for run in draws} == {"float32", "float64"}


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("3", "c.yaml:10:8: sweep: expected some of grid, zip, random, got the int 3"),
        ("{gird: {seed: [1]}}", "c.yaml:10:9: sweep.gird: unknown key; did you mean 'grid'?"),
        ("{grid: []}", "c.yaml:10:15: sweep.grid: expected keys of the config, got the list []"),
        ("{grid: {seed: 1}}", "c.yaml:10:22: sweep.grid.seed: expected a list of values, got the int 1"),
        ("{grid: {seed: [1, 1]}}", "c.yaml:10:22: sweep.grid.seed: a value stands there twice"),
        (
            "{grid: {optimizer.SDG.lr: [1]}}",
            "c.yaml:10:16: sweep.grid.optimizer.SDG.lr: there is no 'SDG' in optimizer; did you mean 'SGD'?",
        ),
        ("{grid: {seed: [1]}, zip: {seed: [1]}}", "c.yaml:10:34: sweep.zip.seed: this key is in the sweep twice"),
        (
            "{zip: {seed: [1], trainer.epochs: [1, 2]}}",
            "c.yaml:10:14: sweep.zip: expected lists of one length, seed has 1, trainer.epochs has 2",
        ),
        (
            "{random: {seed: 1}}",
            "c.yaml:10:17: sweep.random: expected n, keys and perhaps seed, got the mapping {'seed': 1}",
        ),
        (
            "{random: {n: 0, keys: {seed: {choice: [1]}}}}",
            "c.yaml:10:21: sweep.random.n: expected a whole number from 1 to 10000, got the int 0",
        ),
        (
            "{random: {n: 1, keys: {seed: {normal: [0, 1]}}}}",
            "c.yaml:10:37: sweep.random.seed: expected one of uniform, log_uniform, integers, choice, "
            "got the mapping {'normal': [0, 1]}",
        ),
        (
            "{random: {n: 1, keys: {seed: {integers: [0, 1.5]}}}}",
            "c.yaml:10:37: sweep.random.seed: integers: expected [least, most], got the mapping {'integers': [0, 1.5]}",
        ),
        (
            "{random: {n: 1, keys: {seed: {uniform: [2, 1]}}}}",
            "c.yaml:10:37: sweep.random.seed: uniform: expected [least, most], the least below the most, "
            "got the mapping {'uniform': [2, 1]}",
        ),
        (
            "{random: {n: 1, keys: {seed: {log_uniform: [0, 1]}}}}",
            "c.yaml:10:37: sweep.random.seed: log_uniform: expected numbers above 0, "
            "got the mapping {'log_uniform': [0, 1]}",
        ),
        (
            "{random: {n: 9999, keys: {seed: {choice: [1]}}}, grid: {trainer.epochs: [1, 2]}}",
            "c.yaml:10:8: sweep: has 19,998 runs, expected at most 10,000",
        ),
    ],
)
def test_messages(sweep, message):
    assert refused(sweep) == message


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.$\"'", max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_a_value_becomes_an_override_and_itself_again(value):
    ((key, _, text),) = [override.partition("=") for override in format_overrides({"a.b": value})]
    assert key == "a.b"
    assert convert_to_plain(read_yaml(text.replace("$${", "${"), "x", [])) == value


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("c.yaml")
    path.write_text(CONFIG + "sweep: {grid: {trainer.batch_size: [10, 1000]}}\n")
    return path


def table_of(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_with_a_run_that_fails(config, capfd):
    folder = Path("sweep")
    words = ["sweep", "c.yaml", "--run", "sweep", "--jobs", "2"]
    assert cli.main([*words, "--quiet"]) == 1
    out, err = capfd.readouterr()
    assert err == f"{err[0]}/2  001 batch_size=1000: failed: Trainer: batch_size is 1000, expected 1 to 97, " + (
        "the number of samples (sweep/001.log)\n"
    )
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["run", "status", "batch_size"],
        ["000", "done", "10"],
        ["001", "failed", "1000"],
    ]
    assert [row["status"] for row in table_of(folder)] == [DONE, FAILED]
    figures = json.loads((folder / "000" / "summary.json").read_text())
    assert float(table_of(folder)[0]["valid_loss"]) == figures["valid_loss"]
    before = (folder / "000.log").stat().st_mtime_ns
    assert cli.main([*words, "--json", "--sort", "seconds"]) == 1  # the one that is done stays as it is
    assert (folder / "000.log").stat().st_mtime_ns == before
    assert [row["run"] for row in json.loads(capfd.readouterr().out)] == ["000", "001"]
    assert cli.main([*words, "seed=1"]) == 2
    assert "sweep is the folder of another sweep, see sweep/sweep.yaml" in capfd.readouterr().err
    assert cli.main(["sweep", "c.yaml", "--jobs", "0"]) == 2
    assert "jobs is 0, expected at least 1" in capfd.readouterr().err


def test_all_runs_are_checked_before_the_first(config, capsys):
    words = ["sweep", "c.yaml", "sweep={grid: {optimizer.SGD.lr: [0.1, -1], model.0.Linear.out_features: [16, 7]}}"]
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert "optimizer.SGD: SGD: lr is -1" in err
    assert "model.2.Linear: Linear(16 -> 3): x has shape (1, 7), expected (N, 16)" in err
    assert not Path("runs").exists()


def test_a_dry_run_shows_the_runs_and_writes_nothing(config, capsys):
    assert cli.main(["sweep", "c.yaml", "--dry-run"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()][1:] == [
        ["000", "waiting", "10"],
        ["001", "waiting", "1000"],
    ]
    assert [path.name for path in Path().iterdir()] == ["c.yaml"]


def test_one_command_for_each_kind_of_config(config, capsys):
    for words in (["train", "c.yaml"], ["train", "c.yaml", "--dry-run"]):
        assert cli.main(words) == 2
        assert "c.yaml has a sweep: 'bprop sweep c.yaml' trains its runs" in capsys.readouterr().err
    assert cli.main(["sweep", "c.yaml", "sweep=null"]) == 2
    assert "c.yaml has no sweep: 'bprop train c.yaml' trains it" in capsys.readouterr().err
    assert cli.main(["train", "c.yaml", "--print-config"]) == 0
    assert "trainer.batch_size: [10, 1000]" in capsys.readouterr().out


ENDLESS = """\
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(sys.argv[1] + ".said").write_text("stopped")
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
pathlib.Path(sys.argv[1] + ".begun").write_text("")
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for a process there")
def test_interrupted_sweeps_end_their_processes(config, monkeypatch):
    base, runs = load_sweep(config, ["sweep={grid: {seed: [0, 1, 2]}}"])
    sleep = sweeps.time.sleep

    def interrupt(seconds):
        sleep(seconds)
        if all(Path(f"sweep/00{job}.begun").exists() for job in (0, 1)):
            raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "make_command", lambda path, run: [sys.executable, "-c", ENDLESS, str(run.folder)])
    monkeypatch.setattr(sweeps.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        train_sweep(base, runs, Path("sweep"), jobs=2, quiet=True)
    assert caught.value.__notes__ == ["the same command with --run sweep goes on"]
    assert [run.status for run in runs] == [STOPPED, STOPPED, WAITING]
    assert [row["status"] for row in table_of(Path("sweep"))] == [STOPPED, STOPPED, WAITING]
    assert {path.name for path in Path("sweep").glob("*.said")} == {"000.said", "001.said"}


ORPHAN = """\
import os, pathlib, subprocess, sys, time
from bprop.trainers.runs.parent_watchdog import PARENT, start_parent_watchdog
if sys.argv[1] == "sweep":
    os.environ[PARENT] = str(os.getpid())
    subprocess.Popen([sys.executable, "-c", sys.argv[2], "run", ""], start_new_session=True)
    time.sleep(60)
start_parent_watchdog()
assert PARENT not in os.environ
pathlib.Path("begun").write_text("")
try:
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path("interrupted").write_text("")
"""


def until(happened):
    end = time.monotonic() + 30
    while not happened() and time.monotonic() < end:
        time.sleep(0.02)
    assert happened()


@pytest.mark.skipif(sys.platform == "win32", reason="a process does not learn there that its parent is gone")
def test_the_processes_of_a_killed_sweep_end_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = subprocess.Popen([sys.executable, "-c", ORPHAN, "sweep", ORPHAN])
    until(Path("begun").exists)
    time.sleep(0.5)
    assert not Path("interrupted").exists()
    sweep.kill()
    sweep.wait()
    until(Path("interrupted").exists)


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked there")
def test_a_run_that_another_process_has_waits(config, monkeypatch):
    base, runs = load_sweep(config, ["sweep={grid: {seed: [0, 1]}}"])
    started, locks = [], contextlib.ExitStack()
    (Path("sweep") / "000").mkdir(parents=True)
    (Path("sweep") / "sweep.yaml").write_text(base.resolved() + dump_yaml({"sweep": [run.values for run in runs]}))
    locks.enter_context(lock_folder(Path("sweep/000")))

    def command(path, run):
        started.append(run.folder.name)
        locks.close()
        return [sys.executable, "-c", ""]

    monkeypatch.setattr(sweeps, "make_command", command)
    monkeypatch.setattr(sweeps, "finish_run", lambda run, returncode: setattr(run, "status", DONE))
    train_sweep(base, runs, Path("sweep"), jobs=2, quiet=True)
    assert started == ["001", "000"]


def test_a_sweep_that_was_killed_as_it_began(config, monkeypatch):
    base, _ = load_sweep(config)
    Path("sweep").mkdir()
    (Path("sweep") / "sweep.yaml.tmp").write_text("half")
    train_sweep(base, [], Path("sweep"), quiet=True)
    assert sorted(path.name for path in Path("sweep").iterdir()) == ["results.csv", "sweep.yaml"]


def test_runs_go_on_by_resume(config):
    run = SweepRun({}, ["seed=1"], "", Path("sweep/000"))
    run.folder.mkdir(parents=True)
    (run.folder / "half.py").write_text("")
    command = sweeps.make_command(config, run)  # it had not begun
    assert command[4:] == ["train", "c.yaml", "seed=1", "--run", str(run.folder), "--quiet"]
    assert not run.folder.exists()
    run.folder.mkdir()
    (run.folder / "config.yaml").write_text("")
    assert sweeps.make_command(config, run)[4:] == ["resume", str(run.folder), "--quiet"]


def test_an_edited_config_is_told(tmp_path):
    run = SweepRun({}, [], "seed: 0\n", tmp_path / "000")
    run.folder.mkdir()
    (run.folder / "config.yaml").write_text("seed: 1\n")
    run.log.write_text("")
    sweeps.finish_run(run, 0)
    assert run.status == FAILED
    assert "has been edited during the sweep" in format_result(run)


def test_the_best_come_first():
    def run(name, status=DONE, **figures):
        return SweepRun({}, [], "", Path(name), status, figures)

    made = [
        run("a", valid_loss=2.0, test_accuracy=0.5),
        run("b", valid_loss=float("nan"), test_accuracy=0.9),
        run("c", FAILED, valid_loss=0.0),
        run("d", valid_loss=1.0, test_accuracy=0.7),
    ]
    assert [run.folder.name for run in rank_runs(made)][:2] == ["d", "a"]
    assert [run.folder.name for run in rank_runs(made, "test_accuracy")] == ["b", "d", "a", "c"]
    with pytest.raises(ValueError, match="there is no metric 'valid_los', expected one of valid_loss, test_accuracy"):
        rank_runs(made, "valid_los")
