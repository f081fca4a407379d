"""Runs that count steps: their files, what resumes them, what configs and commands say."""

import csv
import json

import numpy as np
import pytest
from bprop.trainers.cli import main
from bprop.trainers.configs import parse_config
from bprop.trainers.plots.curves import name_time
from bprop.trainers.plots.histories import Curves
from bprop.trainers.runs.dry_run import dry_run
from bprop.trainers.training import minibatches
from bprop.trainers.training.fit_state import FitState
from safetensors.numpy import load_file

CONFIG = """\
dataset: Iris
model:
  - Linear: {in_features: 4, out_features: 6}
  - Tanh
  - Dropout: {p: 0.2}
  - Linear: {in_features: 6, out_features: 3}
loss: SoftmaxCrossEntropy
optimizer: {AdamW: {lr: 1e-2, clip_norm: 1.0}}
schedules:
  optimizer.lr: {WarmupSchedule: {total_iters: 5, then: {CosineSchedule: {eta_min: 1e-3, per: step}}}}
trainer: {steps: 30, evaluate_every: 12, batch_size: 8, accumulate: 2}
callbacks: [EarlyStopping: {patience: 9}, Checkpoint: {seconds: 0, minutes: 0}]
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.yaml").write_text(CONFIG)
    return tmp_path / "steps.yaml"


def table(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_the_files_of_a_run(config, tmp_path, capsys):
    assert main(["train", str(config), "--run", "run", "--quiet"]) == 0
    assert [(row["epoch"], row["step"]) for row in table(tmp_path / "run")] == [("1", "12"), ("2", "24"), ("3", "30")]
    assert [float(row["lr"]) for row in table(tmp_path / "run")][-1] == pytest.approx(1e-3, rel=0.05)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["steps"] == 30
    assert summary["best_step"] in (12, 24, 30)
    assert "epochs" not in summary
    capsys.readouterr()
    assert main(["resume", "run"]) == 0
    assert capsys.readouterr().err == "run is finished: all 30 steps are done; trainer.steps=N adds more\n"
    curves = Curves.read(tmp_path / "run", "run")
    assert (curves.time, list(curves.times), name_time([curves])) == ("step", [12, 24, 30], "step")


def test_a_run_goes_on_from_any_pause(config, tmp_path, monkeypatch):
    """Stopped at each pause, it becomes what it would have been."""
    monkeypatch.setattr(FitState, "chunk", property(lambda fit: 1, lambda fit, count: None))
    monkeypatch.setattr(minibatches, "CHUNK_SECONDS", 0.0)
    config.write_text(CONFIG.replace("callbacks: [", "callbacks: [TimeBudget: {seconds: 1000}, "))
    assert main(["train", str(config), "--run", "whole", "--quiet"]) == 0
    config.write_text(CONFIG.replace("callbacks: [", "callbacks: [TimeBudget: {seconds: 1e-9}, "))
    assert main(["train", str(config), "--run", "parts", "--quiet"]) == 75
    resumed = 0
    while main(["resume", "parts", "--quiet"]) == 75:
        resumed += 1
    assert resumed >= 25
    assert table(tmp_path / "parts") == table(tmp_path / "whole")
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("parts", "whole")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_more_steps(config, tmp_path, capsys):
    config.write_text(CONFIG.replace("schedules:\n", "").replace("  optimizer.lr: {Warm", "# {"))
    assert main(["train", str(config), "--run", "run", "--quiet"]) == 0
    assert main(["train", str(config), "--run", "longer", "--quiet", "trainer.steps=45"]) == 0
    assert main(["resume", "run", "--quiet", "trainer.steps=45"]) == 0
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("run", "longer")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert [row["step"] for row in table(tmp_path / "run")] == ["12", "24", "30", "36", "45"]
    capsys.readouterr()
    assert main(["resume", "run", "trainer.accumulate=1"]) == 2
    assert "would make it another training, expected trainer.epochs=N, trainer.steps=N" in capsys.readouterr().err
    assert main(["resume", "run", "trainer.epochs=3"]) == 2
    assert "epochs is 3 and steps is 45, expected one of them, the other None (null in a" in capsys.readouterr().err


def test_what_is_written_and_said(config):
    made = parse_config(CONFIG)
    assert "trainer: {epochs: null, steps: 30, evaluate_every: 12, batch_size: 8, accumulate: 2," in made.resolved()
    assert parse_config(made.resolved()).resolved() == made.resolved()
    said = dry_run(made)
    assert (said["steps"], said["steps_an_epoch"], "epochs" in said) == (30, 7, False)
    plain = parse_config(CONFIG.replace("steps: 30, evaluate_every: 12, ", ""))
    assert "trainer: {epochs: 10, steps: null, evaluate_every: null," in plain.resolved()
    assert dry_run(plain)["epochs"] == 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 30", "epochs: 3, steps: 30", "Trainer: epochs is 3 and steps is 30, expected one of them"),
        ("steps: 30", "epochs: 3", "Trainer: evaluate_every is 12 without steps, expected both or none"),
        ("steps: 30", "stepps: 30", "did you mean 'steps'?"),
        ("accumulate: 2", "accumulate: 20", "batch_size is 8 and accumulate 20, which take 160 samples"),
        ("accumulate: 2", "group_by_length: true", "group_by_length is true, but the data have no lengths"),
    ],
)
def test_mistakes(config, capsys, old, new, message):
    config.write_text(CONFIG.replace(old, new))
    assert main(["train", str(config), "--run", "run"]) == 2
    assert message in capsys.readouterr().err
