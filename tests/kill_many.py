"""Kill trainings at random moments, resume them, kill those, too, and compare what they become with one left alone.

    python tests/kill_many.py 200            # so many kills, spread over all configs
    python tests/kill_many.py 20 --seed 3

A server process has imported everything; each training is a process forked from it, so a kill costs no start.
"""

import argparse
import csv
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bprop.trainers import resumed_runs, runs
from bprop.trainers.configs import load_config

HEAD = "dataset: Iris\nloss: SoftmaxCrossEntropy\n"
NET = """\
model:
  - Linear: {in_features: 4, out_features: 8}
  - BatchNorm1d: {num_features: 8}
  - Tanh
  - Dropout: {p: 0.2}
  - Linear: {in_features: 8, out_features: 3}
"""
OFTEN = "Checkpoint: {seconds: 0, minutes: 0, best: 2}"
CONFIGS = {
    "adam": f"""{HEAD}{NET}
optimizer: {{Adam: {{lr: 0.01, ema: 0.9, clip_norm: 1.0}}}}
schedules: {{optimizer.lr: {{CosineSchedule: {{per: step}}}}, model.3.p: LinearSchedule}}
trainer: {{epochs: 20, batch_size: 4, drop_last: true}}
callbacks: [{{EarlyStopping: {{patience: 50}}}}, {OFTEN}]
""",
    "momentum": f"""{HEAD}{NET}
optimizer: {{SGD: {{lr: 0.3, momentum: 0.9, max_norm: 2.0}}}}
schedules:
  optimizer.lr: {{PlateauSchedule: {{patience: 1}}}}
  batch_size: {{StepSchedule: {{step_size: 8, gamma: 2}}}}
trainer: {{epochs: 30, batch_size: 4, balance: true, drop_last: true}}
callbacks: [{{EarlyStopping: {{monitor: valid_accuracy, patience: 6}}}}, {OFTEN}]
""",
    "lbfgs": f"""{HEAD}
dtype: float64
model: [{{Linear: {{in_features: 4, out_features: 8}}}}, Tanh, {{Linear: {{in_features: 8, out_features: 3}}}}]
optimizer: {{LBFGS: {{max_iter: 2}}}}
trainer: {{epochs: 30, batch_size: 60}}
callbacks: [{OFTEN}]
""",
}


def train(folder: Path, config: Path) -> None:
    """What one process does: train, or resume if there is a run already."""
    if (folder / "config.yaml").exists():
        resumed_runs.resume_run(folder, quiet=True)
    else:
        runs.train_config(load_config(config), run=folder, quiet=True)


def started(folder: Path, config: Path) -> int:
    """Start a process that trains; returns its number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(folder, config)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def result(folder: Path) -> tuple:
    """All that a run leaves, but for times."""
    summary = json.loads((folder / "summary.json").read_text())
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    weights = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*[!0-9].safetensors")}
    weights = {path: data for path, data in weights.items() if not path.stem.isdigit()}  # checkpoints hold times
    for name in ("seconds", "run", "threads"):
        del summary[name]
    return summary, rows, weights, (folder / "config.yaml").read_text()


def kill_and_compare(name: str, kills: int, folder: Path, chance: random.Random) -> int:
    """Kill trainings of one config until so many kills were real ones; returns in how many sequences."""
    config = folder / f"{name}.yaml"
    config.write_text(CONFIGS[name])
    for warm in ("warm", "wanted"):  # the first one compiles
        start = time.perf_counter()
        assert os.waitpid(started(folder / warm, config), 0)[1] == 0
    whole = time.perf_counter() - start
    wanted, done, sequences = result(folder / "wanted"), 0, 0
    while done < kills:
        run, finished = folder / f"run-{sequences}", False
        while not finished:
            child = started(run, config)
            time.sleep(chance.uniform(0, 0.7 * whole))
            if done < kills:
                os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            finished = status == 0
            done += not finished
            assert finished or os.WIFSIGNALED(status), f"{name}: a training failed"
            if run.is_dir() and not (run / "config.yaml").exists():  # too early: there is no run yet
                for file in run.iterdir():
                    file.unlink()
        assert result(run) == wanted, f"{name}: after kills the results of {run} are others"
        sequences += 1
    return sequences


def main() -> None:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    for k, name in enumerate(CONFIGS):
        kills = arguments.kills * (k + 1) // len(CONFIGS) - arguments.kills * k // len(CONFIGS)
        with tempfile.TemporaryDirectory() as folder:
            sequences = kill_and_compare(name, kills, Path(folder), chance)
        print(f"{name}: {kills} kills in {sequences} runs, all as if never stopped")


if __name__ == "__main__":
    main()
