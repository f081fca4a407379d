"""The cost of a process: imports, `--help`, the first training step with an empty and a full cache, peak memory.

Each result is of whole processes, in alternating runs; the median counts. Imports are subtracted from the time to the
first step, which is of the model 784-128-128-10 at batch 32; memory is of the model 784-1200-1200-10 at batch 128, 20
steps.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from .contest import ROOT, with_settings
from .sides import PLACES

IMPORTS = {
    "bprop": "import bprop.modules, bprop.trainers",
    "torch": "import torch",
    "jax": "import jax, jax.numpy",
}
STEP = """
import json, resource, sys, time
{imports}
import benchmarks.sides.{place}
from benchmarks.sides import make_function
from benchmarks.workloads import MLP
import numpy
start, cpu = time.perf_counter(), time.process_time()
function = make_function({side!r}, MLP("", {sizes}, {batch}))
for _ in range({steps}):
    function()
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
print(json.dumps([seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def run_process(command: list[str], settings: dict[str, str | None]) -> tuple[float, str]:
    """Run a process; returns its seconds and its output."""
    start = time.perf_counter()
    environment = with_settings(os.environ, settings)
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - start, done.stdout


def measure_first_step(side: str, settings, sizes=(784, 128, 128, 10), batch=32, steps=1) -> list[float]:
    """Measure seconds and CPU seconds to the first step, after the imports, and peak memory in MiB."""
    code = STEP.format(imports=IMPORTS[side], place=PLACES[side][0], side=side, sizes=sizes, batch=batch, steps=steps)
    return json.loads(run_process([sys.executable, "-c", code], settings)[1])


def run(rounds: int, settings: dict[str, str | None]) -> dict[str, dict[str, float]]:
    """For each quantity and side, the median."""
    sides = [side for side in IMPORTS if find_spec("bprop.modules" if side == "bprop" else side)]
    results: dict[str, dict[str, list[float]]] = {}

    def record(name: str, side: str, value: float) -> None:
        results.setdefault(name, {}).setdefault(side, []).append(value)

    with tempfile.TemporaryDirectory() as cache:
        full = settings | {"BPROP_CACHE_DIR": cache}
        for _ in range(rounds):
            record("python alone, s", "bprop", run_process([sys.executable, "-c", ""], settings)[0])
            help_of = [str(Path(sys.executable).with_name("bprop")), "--help"]
            record("bprop --help, s", "bprop", run_process(help_of, settings)[0])
            for side in sides:
                record("imports, s", side, run_process([sys.executable, "-c", IMPORTS[side]], settings)[0])
                with tempfile.TemporaryDirectory() as empty:
                    seconds, cpu, _ = measure_first_step(side, settings | {"BPROP_CACHE_DIR": empty})
                record("first step, nothing cached, s", side, seconds)
                record("first step, nothing cached, s of CPU", side, cpu)
                record("first step, cached, s", side, measure_first_step(side, full)[0])
                memory = measure_first_step(side, full, (784, 1200, 1200, 10), 128, 20)[2]
                record("peak memory of 784-1200-1200-10, MiB", side, memory)
    return {name: {side: statistics.median(v[1:] or v) for side, v in row.items()} for name, row in results.items()}
