"""Runs that several ranks of MPI train together: rank 0 writes the run folder, and all do the rest alike."""

import contextlib
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ...modules.engine.stateful import jit_disabled
from ..configs import Config, load_config
from ..files.atomic_files import find_inner_folder, lock_folder, write_atomically
from ..files.checkpoints import list_checkpoints, read_newest_checkpoint, remove_checkpoints_after
from ..files.data_digests import check_same_data
from ..files.versions import collect_versions, describe_instruction_set
from ..parallel.agreement import compare_facts, run_on_all, run_on_first
from ..parallel.communicator import Ranks
from ..parallel.reading import read_for_all
from ..parallel.shared_data import Receive
from ..parallel.watchdog import RankError
from ..training.sharded_steps import SHARDS
from ..training.trainer import Trainer
from ..training.trainer_state import compute_sources_digest, describe_writer
from .resume import (
    check_overrides,
    check_same_config,
    has_weights,
    is_over,
    refuse_other_overrides,
    undo_if_refused,
)
from .run_folder import (
    check_experiment,
    fill_run_folder,
    find_config_file,
    finish_training,
    make_notes,
    make_run_folder,
    make_trainer,
    print_cache_folder_warning,
    read_summary,
    refuse_sweep,
)
from .signals import StopSignals
from .trust import remember_run, restrict_to_trusted
from .unchecked import format_unchecked_warning
from .unseeded_randomness import warn_of_unseeded_randomness

READING = "building what the config describes, and reading its data"


def describe_process() -> dict[str, str]:
    """Describe what must be the same on all ranks, as results depend on it."""
    machine = describe_instruction_set()
    return {
        **collect_versions(),
        "the sources of bprop": describe_writer()["sources"],
        "the processor": str(machine["cpu"]),
        "the processor's features": hashlib.sha256(str(machine["features"]).encode()).hexdigest()[:8],
        "vectors of bytes": str(machine["vector_bytes"]),
        "BLAS for": str(machine["blas"]),
        "NUMBA_DISABLE_JIT": str(jit_disabled()),
    }


def choose_shards(config: Config) -> Config:
    """Choose the number of shards of a training on several ranks, where its config does not."""
    if config.settings.get("shards") is not None:
        return config
    return replace(config, settings=config.settings | {"shards": SHARDS})


def refuse_other_configs(ranks: Ranks, config: Config) -> None:
    """Raise RankError for a rank whose config, or whose custom modules, are others than those of rank 0."""
    files = sorted(config.sources)
    text = config.resolved()
    facts = {"its config": text, "its custom modules": compute_sources_digest(files) if files else "none"}
    digests = {name: hashlib.sha256(fact.encode()).hexdigest()[:12] for name, fact in facts.items()}
    if difference := compare_facts(ranks, digests):
        if values := describe_other_value(ranks.share(text, "the configs")):
            difference += f"; {values}"
        raise RankError(f"{difference}; each reads its own file")


def describe_other_value(texts: list[str]) -> str:
    """Describe the first value in which a config differs from the first one; "" where all are alike."""
    first = texts[0]
    for text in texts:
        for here, there in zip_longest(first.splitlines(), text.splitlines(), fillvalue=""):
            if here != there:
                place = next((k for k, pair in enumerate(zip_longest(here, there)) if pair[0] != pair[1]), 0)
                begin = max(here.rfind(sign, 0, place) for sign in "{,") + 1
                values = [re.split("[,}]", line[begin:])[0].strip() for line in (there, here)]
                return f"'{values[0]}' there, '{values[1]}' here"
    return ""


def train_on_ranks(ranks: Ranks, config: Config, run: Path | None, quiet: bool) -> dict[str, Any]:
    """Train what a config describes on all ranks, as `train_config` does on one; returns the summary."""
    start = time.perf_counter()
    config = choose_shards(config)

    def prepare(receive: Receive | None) -> Any:
        experiment = config.build(receive=receive)
        warn_of_unseeded_randomness(config, experiment.model, experiment.loss)
        check_experiment(experiment)
        return experiment

    refuse_sweep(config)
    refuse_other_configs(ranks, config)
    experiment = read_for_all(ranks, prepare, lambda experiment: experiment.dataset, READING)
    if ranks.is_first:
        if not quiet and (notice := format_unchecked_warning(config, experiment.model, experiment.loss)):
            print(notice, file=sys.stderr)
        print_cache_folder_warning(quiet)
    with contextlib.ExitStack() as stack:

        def begin() -> str:
            folder = make_run_folder(run, config)
            stack.enter_context(lock_folder(folder))
            fill_run_folder(folder, config, experiment)
            return str(folder)

        folder = Path(run_on_first(ranks, begin, "making the run folder"))
        signals = stack.enter_context(StopSignals(interrupts=True))
        trainer = make_trainer(config, experiment, folder, quiet)
        signals.tell(make_alarm(ranks, trainer))
        return finish_training(trainer, config, experiment, start)


def make_alarm(ranks: Ranks, trainer: Trainer) -> Callable[[str], None]:
    """Make what a signal calls: it asks to stop, and makes a wait that runs look whether other ranks are alive.

    The launcher sends one to all ranks, and may not wait for a checkpoint: so it is told at once how to go on.
    """

    def alarm(reason: str) -> None:
        trainer.ask_to_stop(reason)
        ranks.watchdog.alarmed = True
        if ranks.is_first and all(peer.host != ranks.own.host or peer.is_alive() for peer in ranks.peers):
            how = f"'mpiexec -n N bprop resume {trainer.folder}' goes on from the last checkpoint"
            with contextlib.suppress(OSError):  # a launcher that ends may read nothing more
                print(f"bprop: {reason}: {how}", file=sys.stderr, flush=True)

    return alarm


def resume_on_ranks(ranks: Ranks, folder: Path, overrides: Iterable[str], quiet: bool) -> tuple[dict[str, Any], bool]:
    """Resume a run on all ranks, whatever their number was before; as `resume_run`."""
    start, overrides, folder = time.perf_counter(), list(overrides), expand_path(folder)
    refuse_other_overrides(overrides)
    with restrict_to_trusted(folder, writing=True):
        return resume_trusted_run(ranks, folder, overrides, quiet, start)


def resume_trusted_run(
    ranks: Ranks, folder: Path, overrides: list[str], quiet: bool, start: float
) -> tuple[dict[str, Any], bool]:
    """Resume a run on all ranks, with the permissions that its code has."""

    def load() -> Config:
        config = load_config(find_config_file(folder), overrides)
        check_overrides(overrides, config)
        return config

    config = run_on_all(ranks, load, "reading the config of the run")
    with contextlib.ExitStack() as stack:

        def read() -> tuple[int, Any, Any, bool]:
            stack.enter_context(lock_folder(folder))
            checkpoint = find_inner_folder(folder, "checkpoint")
            number, state = read_newest_checkpoint(checkpoint) if list_checkpoints(checkpoint) else (0, None)
            if state is not None:
                check_same_config(config, state["notes"], folder)
            return number, state, read_summary(folder), has_weights(folder)

        number, state, summary, whole = run_on_first(ranks, read, "reading the checkpoint")
        if summary is not None and is_over(state, summary, config) and (state is None or whole):
            return summary, True
        if state is None:
            config = choose_shards(config)

        def prepare(receive: Receive | None) -> tuple[Any, Trainer]:
            experiment = config.build(receive=receive)
            trainer = make_trainer(config, experiment, folder, quiet)
            if state is not None:
                trainer.load_state_dict(state)
            check_experiment(experiment, trainer)
            if ranks.is_first:
                check_same_data("resume", folder, "test", experiment.dataset.test)
            return experiment, trainer

        refuse_other_configs(ranks, config)
        experiment, trainer = read_for_all(ranks, prepare, lambda found: found[0].dataset, READING)
        start -= 0.0 if state is None else state["seconds"]
        trainer.notes.update(make_notes(config, folder))

        def begin() -> None:
            print_cache_folder_warning(quiet)
            stack.enter_context(undo_if_refused(folder, trainer))
            remember_run(folder, config)
            remove_checkpoints_after(find_inner_folder(folder, "checkpoint"), number)
            write_atomically(folder / "config.yaml", config.resolved())
            (folder / "summary.json").unlink(missing_ok=True)

        run_on_first(ranks, begin, "beginning to write the run folder")
        signals = stack.enter_context(StopSignals(interrupts=True))
        signals.tell(make_alarm(ranks, trainer))
        return finish_training(trainer, config, experiment, start), False
