"""Time this project and its peers in alternation, in one process tree, on the same data.

python -m benchmarks [--threads 1 2] [--only TEXT] [--sides bprop torch jax] [--rounds 7] [--json FILE]

Each contestant is a process; a round measures each once, in turn. A figure is the median over rounds of the median of a
call; the spread is the smallest and the largest of a round's medians. A missing package is left out.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from .sides import SIDES
from .workloads import WORKLOADS, Workload

PACKAGES = {"torch": "torch", "torch.compile": "torch", "torch DataLoader": "torch", "jax": "jax"}
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Contestant:
    """A worker process."""

    def __init__(self, side: str, threads: int):
        self.side = side
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
        if threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        command = [sys.executable, "-m", "benchmarks.worker", side, str(threads)]
        if threads == 1 and hasattr(os, "sched_setaffinity"):
            command = [sys.executable, "-c", PINNED, *command[1:]]
        root = Path(__file__).resolve().parents[1]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=root, env=environment, **pipes)

    def ask(self, **command) -> dict:
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {self.side} has died")
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


PINNED = (
    "import os, runpy, sys; os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}); "
    "sys.argv = sys.argv[2:]; runpy.run_module('benchmarks.worker', run_name='__main__')"
)


def contestants(wanted: list[str], work: Workload) -> list[str]:
    """The sides that can run this workload here."""
    sides = [side for side in wanted if find_spec(PACKAGES.get(side, "bprop.modules"))]
    if work.kind != "epoch":
        sides = [side for side in sides if side != "torch DataLoader"]
    return [side for side in sides if work.kind != "predict" or side not in ("products", "torch.compile")]


def run(work: Workload, sides: list[str], threads: int, rounds: int, seconds: float) -> dict:
    """All rounds of one workload; for each side its figure and spread in seconds."""
    medians: dict[str, list[float]] = {side: [] for side in sides}
    playing = [Contestant(side, threads) for side in sides]
    try:
        for contestant in playing:
            contestant.ask(workload=WORKLOADS.index(work), warm_up=seconds)
        for _ in range(rounds):
            for contestant in playing:
                medians[contestant.side].append(contestant.ask(seconds=seconds)["median"])
    finally:
        for contestant in playing:
            contestant.close()
    return {
        side: {"seconds": statistics.median(times), "least": min(times), "most": max(times)}
        for side, times in medians.items()
    }


def line(work: Workload, threads: int, result: dict) -> str:
    """One line of the table."""
    own = result["bprop"]["seconds"]
    cells = [f"{work.name:36s} {threads}  {text(own):>9s}"]
    for side in SIDES:
        if side in result and side != "bprop":
            time = result[side]["seconds"]
            share = f"{time / own:.2f} of limit" if side == "products" else f"{time / own:.2f}x"
            cells.append(f"{side} {text(time)} ({share})")
    spread = max(figure["most"] / figure["least"] for figure in result.values())
    return "  ".join(cells) + f"  spread {spread:.2f}"


def text(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1e6:.1f} us"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description="bprop beside PyTorch and JAX.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    parser.add_argument("--only", default="", help="workloads whose name holds this text")
    parser.add_argument("--sides", nargs="+", default=["bprop", "torch", "torch DataLoader", "jax", "products"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="time for a side in a round")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    settings = {name: os.environ.get(name, "not set") for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {settings}")
    print("times of a call: bprop, then the others with their ratio to it; `products` is the limit")
    records = []
    for threads in dict.fromkeys(arguments.threads):
        for work in WORKLOADS:
            if arguments.only not in work.name:
                continue
            sides = contestants(arguments.sides, work)
            result = run(work, sides, threads, arguments.rounds, arguments.seconds)
            print(line(work, threads, result), flush=True)
            records.append({"workload": work.name, "threads": threads, "sides": result})
    if arguments.json:
        arguments.json.write_text(json.dumps({"settings": settings, "records": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
