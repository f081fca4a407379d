"""The choice of the number of threads: measured once for a model, its data's shape and the machine, and cached.

Results do not depend on it: see modules/kernels/threads.py.
"""

import json
import time
from pathlib import Path

from ...modules.compiler.cpu import count_cores
from ...modules.engine import cache
from ...modules.engine.sources import digest
from ...modules.engine.threads import count_parallel_jobs, num_threads
from ..optimizers.full_batch import FullBatch
from .compiled_step import CompiledStep
from .minibatches import Epoch, Steps

BLOCK_SECONDS = 0.004  # of a measurement, at least one step
ROUNDS = 4
GAIN = 0.95  # of the time with fewer threads, at most, for more threads to be chosen


def choose_threads(step: CompiledStep, epoch: Epoch) -> int:
    """Choose the number of threads, 1 to the number of cores, that trains fastest; cached.

    The probe takes some steps on a copy of the model: nothing of the training changes.
    """
    if count_cores() == 1:
        return 1
    plan = epoch.plan(step)
    if plan is None or not plan.whole:
        return 1
    sizes = [array.shape for _, array in step.net.named_parameters()]
    key = digest(plan.name, repr((sizes, epoch.batch_size, epoch.data.input_shape, count_cores())))
    name = f"threads_{key}.json"
    known = read_thread_count(cache.find_file(name))
    if known is None:
        known = find_fastest(make_probe(step, epoch), len(epoch.order), epoch.batch_size)
        cache.write_file(name, json.dumps({"threads": known}).encode() + b"\n")
    return known


def read_thread_count(path: Path | None) -> int | None:
    """Read a cached number of threads, if it is valid here."""
    if path is None:
        return None
    try:
        threads = json.loads(path.read_text(encoding="utf-8"))["threads"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return threads if isinstance(threads, int) and 1 <= threads <= count_cores() else None


def make_probe(step: CompiledStep, epoch: Epoch) -> Steps:
    """Make the compiled loop for a copy of the model, its loss and its optimizer."""
    rule = None if step.rule is None else step.rule.copy()
    copy = CompiledStep(step.net.copy(), step.loss.copy(), step.optimizer.copy(), (), step.augmentation, rule)
    copy.cut = step.cut
    first = Epoch(epoch.data, epoch.order, epoch.batch_size, epoch.outputs[:0], weights=epoch.weights)
    if isinstance(copy.optimizer, FullBatch):
        first.give_shares(copy.optimizer)
    steps = first.prepare(copy)
    assert steps is not None
    return steps


def find_fastest(steps: Steps, samples: int, batch_size: int) -> int:
    """Find the number of threads with the minimum time for a block of steps; the smallest of similar ones."""
    seconds = time_steps(steps, min(batch_size, samples), 1)
    most = max(1, samples // batch_size)
    last = min(samples, batch_size * min(most, max(1, int(BLOCK_SECONDS / max(seconds, 1e-7)))))
    before = count_parallel_jobs()
    time_steps(steps, last, 2)
    if count_parallel_jobs() == before:  # no product is large enough to be shared
        return 1
    cores = count_cores()
    candidates = sorted({1, 2, cores // 2, cores} - {0})
    times = {threads: float("inf") for threads in candidates}
    for _ in range(ROUNDS):
        for threads in candidates:
            times[threads] = min(times[threads], time_steps(steps, last, threads))
    best = 1
    for threads in candidates[1:]:
        if times[threads] < GAIN * times[best]:
            best = threads
    return best


def time_steps(steps: Steps, last: int, threads: int) -> float:
    """Time the steps on the first `last` samples."""
    with num_threads(threads):
        steps(0, 0, 0.0)
        start = time.perf_counter()
        steps(0, last, 0.0)
        return time.perf_counter() - start
