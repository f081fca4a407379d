"""Kill trainings at random moments, resume them, kill those, too, and compare what they become with one left alone.

    python tests/kill_many.py 200            # so many kills, spread over all configs and a sweep
    python tests/kill_many.py 100 --only gpt streams
    python tests/kill_many.py 20 --seed 3 --only images sweep

A server process has imported everything; each training is a process forked from it, so a kill costs no start. A sweep
is started as a user does it; its kills hit the sweep itself, one of its processes, or all of them.
"""

import argparse
import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
from bprop.trainers.configs import load_config
from bprop.trainers.files.checkpoints import read_checkpoint
from bprop.trainers.runs import resume as resumed_runs
from bprop.trainers.runs import run_folder
from run_results import IRIS, clear_unbegun_run, read_rows, read_summary

HEAD = "dataset: Iris\nloss: SoftmaxCrossEntropy\n"
IMAGES = """\
dataset: Digits
augment: [{Shift: {pixels: 1}}, {Flip: {p: 0.3}}, {Cutout: {size: 2}}]
loss: {SoftmaxCrossEntropy: {label_smoothing: 0.1}}
model:
  - Conv2d: {in_channels: 1, out_channels: 4, kernel_size: 3, padding: 1}
  - BatchNorm2d: {num_features: 4}
  - ReLU
  - MaxPool2d: {kernel_size: 2}
  - Dropout2d: {p: 0.1}
  - Flatten
  - Linear: {in_features: 64, out_features: 10}
"""
TOKENS = 8
TEXT = "".join(random.Random(0).choices("abcdefg\n", k=2400))
OFTEN = "Checkpoint: {seconds: 0, minutes: 0, best: 2}"
CONFIGS = {  # dropout with schedules, early stopping of averaged weights, images, all samples at once, a small GPT, an
    # LSTM whose state goes on from minibatch to minibatch
    "adam": f"""{IRIS}
optimizer: {{Adam: {{lr: 0.01, ema: 0.9, clip_norm: 1.0}}}}
schedules: {{optimizer.lr: {{CosineSchedule: {{per: step}}}}, model.3.p: LinearSchedule}}
trainer: {{epochs: 20, batch_size: 4, drop_last: true}}
callbacks: [{{EarlyStopping: {{patience: 50}}}}, {OFTEN}, Statistics]
""",
    "momentum": f"""{IRIS}
optimizer: {{SGD: {{lr: 0.3, momentum: 0.9, max_norm: 2.0}}}}
schedules:
  optimizer.lr: {{PlateauSchedule: {{patience: 1}}}}
  batch_size: {{StepSchedule: {{step_size: 8, gamma: 2}}}}
trainer: {{epochs: 30, batch_size: 4, balance: true, drop_last: true}}
callbacks: [{{EMA: {{decay: 0.9}}}}, {{EarlyStopping: {{monitor: valid_accuracy, patience: 6}}}}, {OFTEN}]
""",
    "images": f"""{IMAGES}
optimizer: {{AdamW: {{lr: 0.01, groups: [{{Group: {{match: "*.bias", lr_factor: 0.5}}}}]}}}}
schedules: {{optimizer.lr: {{WarmupSchedule: {{total_iters: 30, then: {{CosineSchedule: {{per: step}}}}}}}}}}
trainer: {{epochs: 8, batch_size: 64, metrics: [accuracy, f1_macro]}}
callbacks: [{{EarlyStopping: {{patience: 1, min_delta: 0.02}}}}, {OFTEN}]
""",
    "lbfgs": f"""{HEAD}
dtype: float64
model: [{{Linear: {{in_features: 4, out_features: 8}}}}, Tanh, {{Linear: {{in_features: 8, out_features: 3}}}}]
optimizer: {{LBFGS: {{max_iter: 2}}}}
trainer: {{epochs: 30, batch_size: 60}}
callbacks: [{OFTEN}]
""",
    "steps": f"""{IRIS}
optimizer: {{AdamW: {{lr: 0.01, clip_norm: 0.5}}}}
schedules: {{optimizer.lr: {{WarmupSchedule: {{total_iters: 30, then: {{CosineSchedule: {{per: step}}}}}}}}}}
trainer: {{steps: 400, evaluate_every: 33, batch_size: 4, accumulate: 2}}
callbacks: [{{EMA: {{decay: 0.9}}}}, {{EarlyStopping: {{patience: 50}}}}, {OFTEN}]
""",
    "gpt": f"""dataset: {{TextDataset: {{path: text.txt, context: 16}}}}
loss: {{SoftmaxCrossEntropy: {{class_axis: -1}}}}
model:
  - Embedding: {{num_embeddings: {TOKENS}, embedding_dim: 16}}
  - PositionalEmbedding: {{num_positions: 16, embedding_dim: 16}}
  - TransformerBlock: {{embed_dim: 16, num_heads: 2, causal: true, dropout: 0.1}}
  - LayerNorm: {{normalized_shape: 16}}
  - Linear: {{in_features: 16, out_features: {TOKENS}}}
optimizer: {{AdamW: {{lr: 0.01, clip_norm: 1.0}}}}
schedules: {{optimizer.lr: {{WarmupSchedule: {{total_iters: 30, then: {{CosineSchedule: {{per: step}}}}}}}}}}
trainer: {{steps: 600, evaluate_every: 41, batch_size: 8, accumulate: 2}}
callbacks: [{OFTEN}]
""",
    "streams": f"""dataset: {{TextDataset: {{path: text.txt, context: 10, streams: 4}}}}
loss: {{SoftmaxCrossEntropy: {{class_axis: -1}}}}
model:
  - Embedding: {{num_embeddings: {TOKENS}, embedding_dim: 12}}
  - LSTM: {{input_size: 12, hidden_size: 16, num_layers: 2, dropout: 0.1, streams: 4}}
  - Linear: {{in_features: 16, out_features: {TOKENS}}}
optimizer: {{Adam: {{lr: 0.01, clip_norm: 1.0}}}}
trainer: {{steps: 1500, evaluate_every: 37, batch_size: 4, shuffle: false}}
callbacks: [{OFTEN}]
""",
}
SWEEP = f"""{IRIS}
optimizer: {{SGD: {{lr: 0.1, momentum: 0.9}}}}
trainer: {{epochs: 150, batch_size: 4, drop_last: true}}
callbacks: [{OFTEN}]
sweep: {{grid: {{seed: [0, 1, 2]}}}}
"""


def train(folder: Path, config: Path) -> None:
    """What one process does: train, or resume if there is a run already."""
    if (folder / "config.yaml").exists():
        resumed_runs.resume_run(folder, quiet=True)
    else:
        run_folder.train_config(load_config(config), run=folder, quiet=True)


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
    statistics = folder / "statistics.csv"
    weights = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*[!0-9].safetensors")}
    weights = {path: data for path, data in weights.items() if not path.stem.isdigit()}  # checkpoints hold times
    state = timeless(read_checkpoint(folder / "checkpoint"))
    texts = [path.read_text() for path in (folder / "config.yaml", statistics) if path.exists()]
    return read_summary(folder), read_rows(folder), weights, texts, state


def refuse_others(actual: tuple, expected: tuple, name: str) -> None:
    """AssertionError that says what of a result is not as it was without kills."""
    parts = ("the summary", "the metrics", "the weights", "a text", "the checkpoint")
    for part, one, other in zip(parts, actual, expected, strict=True):
        assert one == other, f"{name}: after kills {part} is another: {one} in place of {other}"


def timeless(value):
    """A tree of values without times and versions, its arrays as bytes."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in ("seconds", "written_by")}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def kill_and_compare(name: str, kills: int, folder: Path, chance: random.Random) -> int:
    """Kill trainings of one config until so many kills were real ones; returns in how many sequences."""
    config = folder / f"{name}.yaml"
    config.write_text(CONFIGS[name])
    (folder / "text.txt").write_text(TEXT)
    for warm in ("warm", "wanted"):  # the first one compiles
        start = time.perf_counter()
        assert os.waitpid(started(folder / warm, config), 0)[1] == 0
    whole = time.perf_counter() - start
    expected, done, sequences = result(folder / "wanted"), 0, 0
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
            clear_unbegun_run(run)
        refuse_others(result(run), expected, name)
        sequences += 1
    return sequences


def sweep(folder: Path, config: Path) -> subprocess.Popen:
    """Start a sweep, or go on with it."""
    command = [sys.executable, "-m", "bprop.trainers.cli", "sweep", str(config), "--run", str(folder), "--jobs", "2"]
    return subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def children(parent: int) -> list[int]:
    """The processes that another one has started and that still run."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is over
            state, owner = (process / "stat").read_text().rpartition(")")[2].split()[:2]
            pids += [int(process.name)] if int(owner) == parent and state != "Z" else []
    return pids


def table_of(folder: Path) -> list[dict]:
    """The one table of a sweep, but for times."""
    with (folder / "results.csv").open(newline="") as file:
        return [{**row, "seconds": "", "threads": ""} for row in csv.DictReader(file)]


def sweep_result(folder: Path) -> tuple:
    """All that a sweep leaves."""
    return table_of(folder), [result(run) for run in sorted(folder.glob("[0-9][0-9][0-9]"))]


def kill_sweeps(kills: int, folder: Path, chance: random.Random) -> int:
    """Kill sweeps, their processes, or both; returns in how many sequences."""
    config = folder / "sweep.yaml"
    config.write_text(SWEEP)
    assert sweep(folder / "wanted", config).wait() == 0
    expected, done, sequences = sweep_result(folder / "wanted"), 0, 0
    while done < kills:
        run, status = folder / f"sweep-{sequences}", -1
        while status != 0:
            process, until = sweep(run, config), time.monotonic() + chance.uniform(1.5, 6)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            if done < kills and process.poll() is None:
                workers = children(process.pid)
                which = chance.choice(["the sweep", "a process", "all"])
                victims = [process.pid] * (which != "a process") + workers[: {"a process": 1, "all": 9}.get(which, 0)]
                for victim in victims:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                done += bool(victims)
            output = process.communicate()[1].decode()
            status = process.returncode
            assert status in (0, 1, -signal.SIGKILL), output  # 1: one of its runs was killed
        actual = sweep_result(run)
        assert actual[0] == expected[0], "after kills the table of the sweep is another"
        for one, other in zip(actual[1], expected[1], strict=True):
            refuse_others(one, other, "sweep")
        sequences += 1
    return sequences


def main() -> None:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=[*CONFIGS, "sweep"], default=[*CONFIGS, "sweep"])
    arguments = parser.parse_args()
    chance, names = random.Random(arguments.seed), arguments.only
    for k, name in enumerate(names):
        kills = arguments.kills * (k + 1) // len(names) - arguments.kills * k // len(names)
        with tempfile.TemporaryDirectory() as folder:
            if name == "sweep":
                sequences = kill_sweeps(kills, Path(folder), chance)
            else:
                sequences = kill_and_compare(name, kills, Path(folder), chance)
        print(f"{name}: {kills} kills in {sequences} runs, all as if never stopped", flush=True)


if __name__ == "__main__":
    main()
