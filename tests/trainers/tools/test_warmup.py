"""Compiling beforehand: what is said, that nothing is written but code, and that the training then compiles nothing."""

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.trainers.cli import main
from bprop.trainers.tools.warmup import take_few

from ...fork_server import run_python

CONFIG = """
    dataset: Iris
    model:
      - {layer}: {{in_features: 4, out_features: 5}}
      - ReLU
      - Linear: {{in_features: 5, out_features: 3}}
    loss: SoftmaxCrossEntropy
    optimizer:
      SGD: {{lr: 0.1}}
    trainer: {{epochs: 2, batch_size: 50}}
"""
IN_PYTHON = """
    from bprop.modules import Linear


    class Slow(Linear):
        jit = False
"""

STEP = "Training step of Sequential(Linear, ReLU, Linear) with SoftmaxCrossEntropy and SGD."
PASSES = "Forward and backward pass of Sequential(Linear, ReLU, Linear)."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "c.yaml").write_text(textwrap.dedent(CONFIG.format(layer="Linear")))
    (tmp_path / "slow.yaml").write_text(textwrap.dedent(CONFIG.format(layer="own.Slow")))
    (tmp_path / "own.py").write_text(textwrap.dedent(IN_PYTHON))
    return tmp_path


def command(*arguments):
    done = run_python(["-m", "bprop", *arguments], Path.cwd())
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize("config", ["c", pytest.param("slow", marks=pytest.mark.rare)])
def test_training_compiles_nothing_after_it(folder, config):
    lines = command("warmup", f"{config}.yaml", "trainer.batch_size=30")
    assert all(line.startswith("compiled  ") for line in lines[:-1])
    if config == "c":
        assert {f"compiled  steps   {STEP}", f"compiled  fprop   {PASSES}"} <= set(lines)
    assert f"{len(lines) - 1} compiled, 0 found in {folder / 'cache'}, " in lines[-1]
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {"c.yaml", "slow.yaml", "own.py", "cache"}
    code = {path: path.read_bytes() for path in (folder / "cache").rglob("*.nbc")}
    assert len(code) == len(lines) - 1 >= 3
    command("train", f"{config}.yaml", "--quiet")
    assert {path: path.read_bytes() for path in (folder / "cache").rglob("*.nbc")} == code
    again = command("warmup", f"{config}.yaml")
    assert all(line.startswith("found     ") for line in again[:-1])
    plans = [path for path in code if path.name.startswith("plan_")]  # the other code is that of worker threads
    assert f"0 compiled, {len(again) - 1} found in" in again[-1]
    assert len(again) - 1 >= len(plans)
    report = json.loads("\n".join(command("warmup", f"{config}.yaml", "--json")))
    assert report["folder"] == str(folder / "cache")
    if config == "c":
        assert {"title": STEP, "name": "steps", "found": True} in report["entries"]


@pytest.mark.jit
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["c.yaml", "trainer.batch_size=900"], 2, "batch_size is 900, expected 1 to "),
        (["c.yaml", "model.2.Linear.in_features=9"], 2, "x has shape"),
        (["missing.yaml"], 2, "missing.yaml: there is no such file"),
    ],
)
def test_exit_status_is_that_of_training(folder, capsys, arguments, status, message):
    assert main(["warmup", *arguments]) == status
    assert message in capsys.readouterr().err


def test_without_numba_there_is_nothing_to_do(folder, capsys, monkeypatch):
    monkeypatch.setattr("bprop.trainers.tools.warmup.jit_disabled", lambda: True)
    assert main(["warmup", "c.yaml"]) == 0
    assert capsys.readouterr().out == "nothing to compile: NUMBA_DISABLE_JIT is set\n"
    assert main(["warmup", "c.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == []


def test_a_few_samples_with_weights_that_differ():
    """Weights that are alike, or all 0, would make another step than the training's."""
    x, weights = np.zeros((100, 1)), np.r_[np.zeros(90), np.ones(10)]
    assert sorted(take_few(ArrayDataset(x, x, weights), 4).sample_weight) == [0, 0, 1, 1]
    assert list(take_few(ArrayDataset(x, x, weights), 1).sample_weight) == [1]
    assert len(take_few(ArrayDataset(x, x, weights), 100)) == 100
    assert len(take_few(ArrayDataset(x, x), 8)) == 8
