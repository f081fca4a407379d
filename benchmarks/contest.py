"""Alternating runs of worker processes: a round measures each side once."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from .sides import PLACES
from .workloads import GROUPS

ROOT = Path(__file__).resolve().parents[1]
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PINNED = (
    "import os, runpy, sys; os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}); "
    "sys.argv = sys.argv[2:]; runpy.run_module(sys.argv[0], run_name='__main__')"
)


def with_settings(environment: Mapping[str, str], settings: dict[str, str | None]) -> dict[str, str]:
    """Return an environment with these variables, and without those of None."""
    return {name: value for name, value in {**environment, **settings}.items() if value is not None}


def make_environment(threads: int, settings: dict[str, str | None]) -> dict[str, str]:
    """Make the environment of a process with that many threads, and with these settings."""
    environment = with_settings(os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)), settings)
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flags}".strip()
    return environment


def make_command(module: str, arguments: list[str], threads: int) -> list[str]:
    """Make the command that runs a module of Python; with one thread, it is pinned to a core."""
    pinned = threads == 1 and hasattr(os, "sched_setaffinity")
    return [sys.executable, *(["-c", PINNED] if pinned else []), "-m", module, *arguments]


def run_pinned(module: str, arguments: list[str], settings: dict[str, str | None]) -> str:
    """Run a module in a process with one thread; returns its output."""
    command, environment = make_command(module, arguments, 1), make_environment(1, settings)
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


class Contestant:
    """A worker process of one side; with one thread, it is pinned to a core."""

    def __init__(self, side: str, threads: int, settings: dict[str, str | None]):
        self.side = side
        command = make_command("benchmarks.worker", [side, str(threads)], threads)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env=make_environment(threads, settings), **pipes)

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


def has_package(side: str) -> bool:
    """Whether the package of a side is installed."""
    return find_spec(PLACES[side][1]) is not None


def list_available(names: list[str], work) -> list[str]:
    """List the sides that can run this workload here."""
    return [side for side in names if has_package(side) and work.runs_on(side)]


def run(work, sides: list[str], threads: int, rounds: int, seconds: float, settings: dict) -> dict:
    """Run all rounds of a workload; returns the median, minimum and maximum in seconds of each side."""
    medians: dict[str, list[float]] = {side: [] for side in sides}
    contestants = [Contestant(side, threads, settings) for side in sides]
    try:
        for contestant in contestants:
            number = GROUPS[work.group].index(work)
            contestant.ask(group=work.group, number=number, seconds=seconds)
        for _ in range(rounds):
            for contestant in contestants:
                medians[contestant.side].append(contestant.ask(seconds=seconds)["median"])
    finally:
        for contestant in contestants:
            contestant.close()
    return {
        side: {"seconds": statistics.median(times), "minimum": min(times), "maximum": max(times)}
        for side, times in medians.items()
    }
