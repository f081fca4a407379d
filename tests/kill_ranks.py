"""Kill ranks of MPI at random moments, resume with other numbers of ranks, and compare with a run left alone.

    python tests/kill_ranks.py 100                        # so many kills, of one of 4 ranks each
    python tests/kill_ranks.py 20 --launcher ./two.sh     # a script in the place of `mpiexec -n`: two.sh 4 command...

A run begins on 4 ranks; after each kill it goes on with 4, 2 or 1 of them. No wait may be longer than the watchdog's
time, and the weights and metrics must be those of one process that was never stopped.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """\
dataset: Iris
loss: SoftmaxCrossEntropy
model:
  - Linear: {in_features: 4, out_features: 8}
  - BatchNorm1d: {num_features: 8}
  - Tanh
  - Dropout: {p: 0.2}
  - Linear: {in_features: 8, out_features: 3}
optimizer: {Adam: {lr: 0.01, ema: 0.9, clip_norm: 1.0}}
schedules: {optimizer.lr: {CosineSchedule: {per: step}}, model.3.p: LinearSchedule}
trainer: {epochs: EPOCHS, batch_size: 32, drop_last: true, shards: 8}
callbacks: [{EarlyStopping: {patience: 5000}}, {Checkpoint: {seconds: 0, minutes: 0}}]
"""
LIMIT = 30  # seconds of the watchdog
BPROP = [sys.executable, "-m", "bprop.trainers.cli"]


def make_command(ranks: int, words: list[str], launcher: list[str] | None) -> list[str]:
    """Make the command that runs bprop on so many ranks."""
    if ranks == 1:
        return [*BPROP, *words]
    mpiexec = [str(Path(sys.executable).parent / "mpiexec"), "--oversubscribe", "-n"]
    return [*(launcher or mpiexec), str(ranks), *BPROP, *words]


def list_ranks(folder: Path) -> list[int]:
    """List the processes that train in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "python" in Path(words[0]).name and "bprop.trainers.cli" in words and str(folder) in words:
            found.append(int(process.name))
    return found


def read_result(folder: Path) -> tuple:
    """Read what must be the same."""
    rows = [line.rsplit(",", 1)[0] for line in (folder / "metrics.csv").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    figures = {name: value for name, value in summary.items() if name.startswith(("test_", "valid_", "train_"))}
    return (folder / "model.safetensors").read_bytes(), rows, figures


def main() -> None:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--longest", type=float, default=12.0, help="seconds from a start to its kill, at most")
    parser.add_argument("--launcher", nargs="+", help="in the place of mpiexec -n")
    arguments = parser.parse_args()
    chance, done, runs, longest, messages = random.Random(arguments.seed), 0, 0, 0.0, 0
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "BPROP_MPI_TIMEOUT": str(LIMIT)}
    environment = os.environ | root | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        config, wanted = Path(folder, "iris.yaml"), Path(folder, "wanted")
        config.write_text(CONFIG.replace("EPOCHS", str(arguments.epochs)))
        subprocess.run([*BPROP, "train", str(config), "--run", str(wanted), "--quiet"], check=True, stdout=-3)
        expected = read_result(wanted)
        while done < arguments.kills:
            run, status, ranks = Path(folder, f"run-{runs}"), -1, 4
            while status != 0:
                begun = (run / "config.yaml").exists()
                words = ["resume", str(run)] if begun else ["train", str(config), "--run", str(run)]
                command = make_command(ranks, [*words, "--quiet"], arguments.launcher)
                pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
                process = subprocess.Popen(command, env=environment, **pipes)
                until, victim = time.monotonic() + chance.uniform(0.5, arguments.longest), None
                while process.poll() is None and time.monotonic() < until:
                    time.sleep(0.05)
                if done < arguments.kills and process.poll() is None and (victims := list_ranks(run)):
                    victim = chance.choice(victims)
                    os.kill(victim, signal.SIGKILL)
                    done += 1
                start = time.monotonic()
                errors = process.communicate(timeout=None if victim is None else 2 * LIMIT)[1]
                status = process.returncode
                if victim is not None and status != 0:
                    longest = max(longest, time.monotonic() - start)
                    messages += "has died" in errors
                assert status == 0 or victim is not None, errors
                if run.is_dir() and not (run / "config.yaml").exists():  # too early: there is no run yet
                    for file in run.iterdir():
                        file.unlink()
                ranks = chance.choice([4, 2, 1])
            actual = read_result(run)
            for what, one, other in zip(("weights", "metrics", "figures"), actual, expected, strict=True):
                assert one == other, f"run {runs}: other {what} than without kills"
            runs += 1
            print(f"{done} kills in {runs} runs: as if never stopped; the end came within {longest:.1f} s", flush=True)
        print(f"{messages} of {done} kills were told by name before the launcher ended all")


if __name__ == "__main__":
    main()
