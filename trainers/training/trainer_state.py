"""The state of a trainer in a checkpoint: gathering, restoring, and checks that a resumed training is the same."""

import functools
import hashlib
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files.checkpoints import CheckpointError
from ..files.data_digests import describe_difference
from ..files.versions import collect_versions, compare_instruction_sets, describe_instruction_set
from .parts import TrainingParts

PACKAGES = Path(__file__).resolve().parents[2]


def gather_state(trainer: TrainingParts) -> dict[str, Any]:
    """Gather the state of a trainer's parts and counters: weights, optimizer, schedules, history."""
    return {
        "written_by": describe_writer(),
        "parts": describe_parts(trainer),
        "model": {"arrays": trainer.model.state_dict(once=True), "counters": trainer.model.counters()},
        "loss": {"arrays": trainer.loss.state_dict(), "counters": trainer.loss.counters()},
        "optimizer": trainer.optimizer.state_dict(),
        "rule": {} if trainer.rule is None else trainer.rule.state_dict(),
        "schedules": trainer.timetable.state_dict(),
        "epoch": trainer.epoch,
        "step": trainer.step,
        "passes": trainer.passes,
        "weights_epoch": trainer.weights_epoch,
        "history": trainer.history,
        "notes": trainer.notes,
        "seconds": trainer.seconds,
    }


def restore_state(trainer: TrainingParts, state: dict[str, Any]) -> None:
    """Restore a trainer's parts from `gather_state` of one like it.

    Errors: CheckpointError, and nothing changed, for a trainer of other parts; ValueError for one of other sizes.
    """
    parts, own = {"rule": None} | state["parts"], describe_parts(trainer)  # older checkpoints name no rule
    if state["fit"] is None:
        parts, own = ({name: part for name, part in each.items() if name != "callbacks"} for each in (parts, own))
    if parts != own:
        name = next(name for name in own if parts.get(name) != own[name])
        raise CheckpointError(f"the checkpoint has the {name} {parts.get(name)}, this trainer {own[name]}")
    warn_of_changes(state["written_by"])
    trainer.optimizer.attach(trainer.model)
    for module, saved in ((trainer.model, state["model"]), (trainer.loss, state["loss"])):
        module.load_state_dict(saved["arrays"])
        module.load_counters(saved["counters"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    if trainer.rule is not None:
        trainer.rule.load_state_dict(state["rule"])
    trainer.timetable.load_state_dict(state["schedules"])


def describe_parts(trainer: TrainingParts) -> dict[str, Any]:
    """Describe what must be equal in a trainer that resumes."""
    return {
        "model": trainer.model.outline(),
        "dtype": str(trainer.model.dtype),
        "loss": trainer.loss.outline(),
        "optimizer": type(trainer.optimizer).__name__,
        "rule": None if trainer.rule is None else trainer.rule.label(),
        "seed": trainer.seed,
        "augment": [augment.label() for augment in trainer.augmentation.augments],
        "schedules": {path: repr(schedule) for path, schedule in sorted(trainer.timetable.schedules.items())},
        "callbacks": [type(callback).__name__ for callback in trainer.callbacks],
    }


def check_settings(saved: dict[str, Any], own: dict[str, Any]) -> None:
    """Raise ValueError unless a fit has the settings of the one that it resumes."""
    saved = {"accumulate": 1, "group_by_length": False, "shards": None} | saved  # of older checkpoints
    for name, value in own.items():
        if saved.get(name) != value:
            raise ValueError(
                f"Trainer: {name} is {value}, expected {saved.get(name)} as in the training that is resumed"
            )


def check_data_digests(saved: dict[str, Any], own: dict[str, Any]) -> None:
    """Raise ValueError unless a fit has the data of the one that it resumes.

    Args: found, own: digests by the name of a part, None for one that is not there.
    """
    for part, digests in own.items():
        before = saved.get(part)
        if isinstance(before, str):  # an older bprop looked at 64 rows of each array
            warnings.warn(
                f"the checkpoint does not tell all of its {part} data, so they may be others now", stacklevel=2
            )
        elif before is None or digests is None:
            if before is digests:
                continue
            which = "there are no" if digests is None else "there are"
            raise ValueError(f"Trainer: {which} {part} data, unlike in the training that is resumed")
        elif which := describe_difference(digests, before):
            raise ValueError(
                f"Trainer: the {part} data are others, expected the {which} of the training that is resumed"
            )


@functools.cache
def describe_writer() -> dict[str, Any]:
    """Describe versions and sources, on which the bits of the results may depend."""
    files = sorted(file for folder in ("modules", "trainers", "datasets") for file in (PACKAGES / folder).rglob("*.py"))
    return {
        "versions": collect_versions(),
        "sources": compute_sources_digest(files),
        "instruction_set": describe_instruction_set(),
    }


def compute_sources_digest(files: Iterable[Path]) -> str:
    """Hash the contents of some files."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def warn_of_changes(saved: dict[str, Any]) -> None:
    """Warn if a checkpoint comes from other versions or sources."""
    own = describe_writer()
    changed = [
        f"{name} {saved['versions'].get(name)} in place of {now}"
        for name, now in own["versions"].items()
        if saved["versions"].get(name) != now
    ]
    changed += ["other sources of bprop"] if saved["sources"] != own["sources"] else []
    if changed:
        warnings.warn(
            f"the checkpoint was written with {', '.join(changed)}; the results may differ in their last digits",
            stacklevel=2,
        )
    recorded = saved.get("instruction_set")
    if recorded is not None and (what := compare_instruction_sets(recorded, own["instruction_set"])):
        warnings.warn(
            f"the checkpoint was written on another instruction set ({what}): the bits differ from here on; "
            "'bprop resume RUN --same-bits' keeps them where this processor can",
            stacklevel=2,
        )
