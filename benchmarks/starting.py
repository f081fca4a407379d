"""What a process costs: imports, `--help`, the first training step with an empty and a full cache, peak memory.

Each result is of whole processes, in alternating runs; the median counts. Imports are subtracted from the time to the
first step, which is of the model 784-128-128-10 at batch 32; memory is of the model 784-1200-1200-10 at batch 128, 20
steps.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from .contest import ROOT
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
from benchmarks.sides import make
from benchmarks.workloads import Net
import numpy
start, cpu = time.perf_counter(), time.process_time()
function = make({side!r}, Net("", {sizes}, {batch}))
for _ in range({steps}):
    function()
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
print(json.dumps([seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def process(command: list[str], **environment: str) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return time.perf_counter() - start, done.stdout


def first_step(side: str, cache: str, sizes=(784, 128, 128, 10), batch=32, steps=1) -> list[float]:
    """Seconds and CPU seconds to the first step, after the imports, and MiB at most."""
    code = STEP.format(imports=IMPORTS[side], place=PLACES[side][0], side=side, sizes=sizes, batch=batch, steps=steps)
    return [
        float(part) for part in process([sys.executable, "-c", code], BPROP_CACHE_DIR=cache)[1].strip("[]\n").split(",")
    ]


def run(rounds: int) -> dict[str, dict[str, float]]:
    """For each quantity and side, the median."""
    sides = [side for side in IMPORTS if find_spec("bprop.modules" if side == "bprop" else side)]
    figures: dict[str, dict[str, list[float]]] = {}

    def note(what: str, side: str, value: float) -> None:
        figures.setdefault(what, {}).setdefault(side, []).append(value)

    with tempfile.TemporaryDirectory() as cache:
        for _ in range(rounds):
            note("python alone, s", "bprop", process([sys.executable, "-c", ""])[0])
            note("bprop --help, s", "bprop", process([str(Path(sys.executable).with_name("bprop")), "--help"])[0])
            for side in sides:
                note("imports, s", side, process([sys.executable, "-c", IMPORTS[side]])[0])
                with tempfile.TemporaryDirectory() as empty:
                    seconds, cpu, _ = first_step(side, empty)
                note("first step, nothing cached, s", side, seconds)
                note("first step, nothing cached, s of CPU", side, cpu)
                note("first step, cached, s", side, first_step(side, cache)[0])
                memory = first_step(side, cache, (784, 1200, 1200, 10), 128, 20)[2]
                note("peak memory of 784-1200-1200-10, MiB", side, memory)
    return {what: {side: statistics.median(v[1:] or v) for side, v in row.items()} for what, row in figures.items()}
