"""Warm-up: compiling all code that training a config will need, in advance.

It takes the training's own way, with models of its own that nobody sees: one minibatch, one evaluation of each part.
"""

import inspect
import sys
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...datasets import ArrayDataset
from ...modules.engine.folders import find_cache_folder, list_readable_folders
from ...modules.engine.stateful import jit_disabled
from ..callbacks import Callback
from ..configs import Config
from ..training.trainer import Trainer

BATCH_SIZE = inspect.signature(Trainer.fit).parameters["batch_size"].default


class Entry(NamedTuple):
    """A compiled function: its plan's title, its name, and whether it was in the cache."""

    title: str
    name: str
    found: bool

    def __str__(self) -> str:
        return f"{'found' if self.found else 'compiled':8}  {self.name:6}  {self.title}"


@dataclass(frozen=True)
class Warmup:
    """The report of a warm-up: which functions were compiled, or found in the cache, in how many seconds."""

    entries: tuple[Entry, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        entries = [entry._asdict() for entry in self.entries]
        return {"entries": entries, "folder": describe_folder(), "seconds": self.seconds}

    def __str__(self) -> str:
        if jit_disabled():
            return "nothing to compile: NUMBA_DISABLE_JIT is set"
        compiled = sum(not entry.found for entry in self.entries)
        counts = f"{compiled} compiled, {len(self.entries) - compiled} found in {describe_folder()}"
        return "\n".join([*map(str, self.entries), f"{counts}, {self.seconds:.1f} s"])


def describe_folder() -> str:
    """Describe the cache folder."""
    return str(find_cache_folder() or next(iter(list_readable_folders()), "no folder, as none can be written"))


class StopAfterOneEpoch(Callback):
    """Ends the training after its first epoch, whatever the settings say."""

    def on_epoch_end(self, trainer, row: dict) -> None:
        trainer.stop("compiled")


def warm_up(config: Config) -> Warmup:
    """Compile what `train_config` will run, and report it; nothing is trained or written.

    Errors: those of the training: ConfigError, ValueError for data that do not fit, TrainingError.
    """
    start = time.perf_counter()
    if jit_disabled():
        return Warmup((), 0.0)
    before = count_cache_hits()
    experiment = config.build()
    size = experiment.settings.get("batch_size", BATCH_SIZE) * experiment.settings.get("accumulate", 1)
    data = experiment.dataset
    train = take_few(data.train, size)
    valid, test = (take_few(part, size) if part else None for part in (data.valid, data.test))
    trainer = Trainer(
        experiment.model,
        experiment.loss,
        experiment.optimizer,
        callbacks=[StopAfterOneEpoch()],
        schedules={path: schedule for path, schedule in experiment.schedules.items() if path != "batch_size"},
        augment=experiment.augment,
        rule=experiment.rule,
        seed=config.seed,
        quiet=True,
    )
    counted = {"steps": 1, "evaluate_every": None} if experiment.settings.get("steps") is not None else {}
    trainer.fit(train, valid, **experiment.settings | counted)
    trainer.evaluate(test or train, metrics=experiment.settings.get("metrics"))
    return Warmup(tuple(list_entries_since(before)), time.perf_counter() - start)


def take_few(part: ArrayDataset, size: int) -> ArrayDataset:
    """Take the samples of a step of a part; if they have weights, some with the largest and some with less."""
    if part.sample_weight is None or size >= len(part):
        return part.take(slice(size))
    rows = np.argsort(part.sample_weight)
    return part.take(np.concatenate([rows[: size // 2], rows[len(rows) - (size - size // 2) :]]))


def count_cache_hits() -> dict[tuple[str, str], tuple[int, int]]:
    """Count how often code was found in the cache, and how often compiled, by plan and function."""
    hits = {}
    for plan, module in list(sys.modules.items()):
        for name, value in vars(module).items() if plan.startswith(("plan_", "threads_")) else ():
            if hasattr(value, "stats") and value.__module__ == plan:
                stats = value.stats
                hits[plan, name] = sum(stats.cache_hits.values()), sum(stats.cache_misses.values())
    return hits


def list_entries_since(before: dict[tuple[str, str], tuple[int, int]]) -> list[Entry]:
    """List the functions that were found or compiled since then."""
    entries = []
    for (plan, name), (hits, misses) in count_cache_hits().items():
        old_hits, old_misses = before.get((plan, name), (0, 0))
        title = (sys.modules[plan].__doc__ or "").strip()
        entries += [Entry(title, name, True)] * (hits - old_hits) + [Entry(title, name, False)] * (misses - old_misses)
    return entries
