"""Kill ranks of MPI at random moments, resume with other numbers of ranks, and compare with a run left alone.

    python tests/kill_ranks.py 100                        # so many kills, of one of 4 ranks each
    benchmarks/two_hosts.sh up 1000                       # as root: two namespaces, a link of 1 Gbit/s
    python tests/kill_ranks.py 20 --launcher benchmarks/two_hosts.sh     # in the place of `mpiexec -n`

A run begins on 4 ranks; after each kill it goes on with 4, 2 or 1 of them. No wait may be longer than the watchdog's
time, and the weights and metrics must be those of one process that was never stopped.
"""

import argparse
import os
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from mpi import BPROP, make_command, make_environment
from run_results import IRIS, clear_unbegun_run, read_rows, read_summary

WIDE = IRIS.replace("features: 8", "features: 1200")  # more than is exchanged in one round
CONFIG = f"""{WIDE}
optimizer: {{Adam: {{lr: 0.01, ema: 0.9, clip_norm: 1.0}}}}
schedules: {{optimizer.lr: {{CosineSchedule: {{per: step}}}}, model.3.p: LinearSchedule}}
trainer: {{epochs: EPOCHS, batch_size: 32, drop_last: true, shards: 8}}
callbacks: [{{EarlyStopping: {{patience: 5000}}}}, {{Checkpoint: {{seconds: 0, minutes: 0}}}}]
"""
LIMIT = 30.0  # seconds of the watchdog
GRACE = 6.0  # seconds in which a rank that misses another tells it, and the launcher ends


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
    return (folder / "model.safetensors").read_bytes(), read_rows(folder), read_summary(folder)


class Killer:
    """Kills ranks, so many in all; counts what it has done and seen."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments, self.chance = arguments, random.Random(arguments.seed)
        self.done, self.messages, self.failures, self.longest = 0, 0, 0, 0.0

    def start(self, ranks: int, words: list[str]) -> subprocess.Popen:
        """Start a job of so many ranks; one rank is a process without a launcher."""
        command = [*BPROP, *words, "--quiet"]
        if ranks > 1:
            launcher = self.arguments.launcher
            command = [*launcher, str(ranks), *command] if launcher else make_command(ranks, command)
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=make_environment(LIMIT), **pipes)

    def go_on(self, run: Path, config: Path, ranks: int) -> bool:
        """Begin a run, or resume it, and kill a rank of it; returns whether the run is done all the same."""
        begun = (run / "config.yaml").exists()
        process = self.start(ranks, ["resume", str(run)] if begun else ["train", str(config), "--run", str(run)])
        until, victim = time.monotonic() + self.chance.uniform(0.5, self.arguments.longest), None
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        if self.done < self.arguments.kills and process.poll() is None and (victims := list_ranks(run)):
            victim = self.chance.choice(victims)
            os.kill(victim, signal.SIGKILL)
            self.done += 1
        start = time.monotonic()
        errors = process.communicate(timeout=None if victim is None else 2 * LIMIT)[1]
        if process.returncode == 0:
            return True
        if victim is None and "bprop" not in errors:  # the launcher has failed by itself
            self.failures += 1
            print(f"the launcher failed: {errors.strip()}", flush=True)
            assert self.failures < 5, errors
            return False
        assert victim is not None, errors
        seconds = time.monotonic() - start
        assert seconds < LIMIT + GRACE, f"all ended {seconds:.0f} s after a kill: {errors}"
        self.longest = max(self.longest, seconds)
        self.messages += "has died" in errors
        clear_unbegun_run(run)
        return False

    def finish(self, run: Path, config: Path) -> None:
        """Begin a run on 4 ranks, and go on with other numbers of them until it is done."""
        ranks = 4
        while not self.go_on(run, config, ranks):
            ranks = self.chance.choice([4, 2, 1])


def main() -> None:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--longest", type=float, default=12.0, help="seconds from a start to its kill, at most")
    parser.add_argument("--launcher", nargs="+", help="in the place of mpiexec -n")
    arguments = parser.parse_args()
    killer, runs = Killer(arguments), 0
    with tempfile.TemporaryDirectory() as folder:
        config, wanted = Path(folder, "iris.yaml"), Path(folder, "wanted")
        config.write_text(CONFIG.replace("EPOCHS", str(arguments.epochs)))
        assert killer.start(1, ["train", str(config), "--run", str(wanted)]).wait() == 0
        expected = read_result(wanted)
        while killer.done < arguments.kills:
            run = Path(folder, f"run-{runs}")
            killer.finish(run, config)
            for what, one, other in zip(("weights", "metrics", "summary"), read_result(run), expected, strict=True):
                assert one == other, f"run {runs}: other {what} than without kills"
            runs += 1
            what = f"{killer.done} kills in {runs} runs: as if never stopped; "
            print(f"{what}the end came within {killer.longest:.1f} s", flush=True)
        print(f"{killer.messages} of {killer.done} kills were told by name before the launcher ended all")


if __name__ == "__main__":
    main()
