"""Check that the steps of a training can be cut into shards, and that all ranks begin with the same training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...modules.core.carried_state import find_carriers, find_rows
from ..files.data_digests import compute_data_digests, compute_digest
from ..optimizers.full_batch import FullBatch
from ..parallel.agreement import check_same_bits, compare_facts
from ..parallel.communicator import Ranks
from ..parallel.tree import divide_shards
from ..parallel.watchdog import RankError
from ..rules import Rule
from ..schedules.setting import BATCH_SIZE
from .parts import TrainingParts
from .shares import check_accumulation
from .trainer_state import describe_parts


def check_shards(trainer: TrainingParts, settings: Any, samples: int) -> None:
    """Raise ValueError for a number of shards that does not fit, and for what cannot be computed by shards.

    Args: settings: of the fit; samples: in the training part.
    """
    shards = settings.shards
    if shards is None:
        return
    if not isinstance(shards, int) or isinstance(shards, bool) or shards < 1:
        raise ValueError(f"Trainer: shards is {shards!r}, expected a whole number of at least 1, or None")
    divide_shards(shards, 1 if trainer.ranks is None else trainer.ranks.size)
    check_accumulation(trainer.loss, shards, name="shards")
    reason = find_reason(trainer) or find_reason_of_rows(trainer, settings, samples)
    if reason is not None:
        alone = "None" if trainer.ranks is None else "one process (without mpiexec) and shards None"
        raise ValueError(f"Trainer: shards is {shards}, expected {alone}, as {reason}")


def check_same_start(
    trainer: TrainingParts, ranks: Ranks, settings: Mapping[str, Any], data: Mapping[str, ArrayDataset | None]
) -> None:
    """Raise RankError for a rank whose model, optimizer, settings or data are others than those of rank 0.

    Data that rank 0 has read for all are the same.
    """
    parts = {name: text for name, text in describe_parts(trainer).items() if name != "schedules"}
    chosen = {name: value for name, value in vars(trainer.optimizer).items() if isinstance(value, bool | int | float)}
    named = {f"its {name}": value for name, value in (parts | dict(settings)).items()}
    facts = {name: shorten(repr(value)) for name, value in named.items()}
    facts |= {f"its optimizer's {name}": repr(value) for name, value in chosen.items() if name[0] != "_"}
    received = [each is not None and each.received for each in data.values()]
    if not any(map(any, ranks.share(received, "the start"))):
        for part, each in data.items():
            digests = compute_data_digests(each) or {"form": "none"}
            facts |= {f"the {name} of its {part} data": digest for name, digest in digests.items()}
    if difference := compare_facts(ranks, facts):
        raise RankError(f"{difference}; each rank runs the whole program, whose random numbers need a seed")
    check_same_bits(ranks, {"model": trainer.model.state_dict(once=True)})


def shorten(text: str) -> str:
    """A text that is short as it is, a digest of a long one."""
    return text if len(text) <= 60 else compute_digest(text.encode())


def find_reason(trainer: TrainingParts) -> str | None:
    """Find why a training cannot be computed by shards; None if it can."""
    if trainer.rule is not None and (reason := find_reason_of_rule(trainer.rule)):
        return reason
    carriers = [each for each in find_carriers(trainer.model) if has_other_state(each)]
    if carriers:
        who = carriers[0]
        names = ", ".join(name for name in who._buffers if name not in getattr(who, "stream_axes", {}))
        return (
            f"{who.label()} carries state from minibatch to minibatch, and does not say which of it belongs to which "
            f'sample; a class attribute says so: stream_axes = {{"{names}": 0}}, the axis with a row for each sample'
        )
    return None


def has_other_state(carrier: Any) -> bool:
    """Whether a module that can carry state does so in buffers that have no row for each sample."""
    return any(vars(carrier)[name].size for name in carrier._buffers if name not in getattr(carrier, "stream_axes", {}))


def find_reason_of_rule(rule: Rule) -> str | None:
    """Find why a learning rule cannot be computed by shards: what it keeps must be arrays, and counts."""
    for each in (rule, *(copy for _, copy in rule.list_copies())):
        for name in each.kept:
            value = getattr(each, name, 0)
            if not isinstance(value, int | np.ndarray) or isinstance(value, bool):
                return (
                    f"the rule {rule.label()} keeps {name}, {value!r}, from minibatch to minibatch, and only whole "
                    "numbers that count, and arrays, whose changes are averaged over shards, can be cut"
                )
    return None


def find_reason_of_rows(trainer: TrainingParts, settings: Any, samples: int) -> str | None:
    """Find why states with a row for each sample of a minibatch do not fit the minibatches; None if they do."""
    chains = getattr(trainer.rule, "chains", None) or None
    rows = [array.shape[axis] for array, axis in find_rows(trainer.model.all_modules())]
    rows += [] if chains is None else [chains]
    if not rows:
        return None
    batch_size = settings.batch_size
    if min(rows) < batch_size:
        states = f"{min(rows)} states are carried from minibatch to minibatch"
        return f"{states}, expected at least {batch_size}, the batch size: one for each sample"
    if BATCH_SIZE in trainer.timetable.schedules:
        return "state is carried from minibatch to minibatch, whose size has a schedule; without one they can be cut"
    together = f"accumulate {settings.accumulate}" if settings.accumulate > 1 else ""
    if isinstance(trainer.optimizer, FullBatch):
        together = f"{type(trainer.optimizer).__name__}, which adds up all minibatches,"
    if together and samples % batch_size and not settings.drop_last:
        return (
            f"state is carried from minibatch to minibatch, and with {together} the last one has "
            f"{samples % batch_size} samples in place of {batch_size}; drop_last leaves it out"
        )
    return None
