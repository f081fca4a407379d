"""Check that the steps of a training can be cut into shards."""

from typing import Any

from ...modules.core.carried_state import find_carriers
from ..callbacks import NanGuard
from ..optimizers.full_batch import FullBatch
from ..parallel.tree import divide_shards
from .parts import TrainingParts
from .shares import check_accumulation


def check_shards(trainer: TrainingParts, shards: Any) -> None:
    """Raise ValueError for a number of shards that does not fit, and for what cannot be computed by shards."""
    if shards is None:
        return
    if not isinstance(shards, int) or isinstance(shards, bool) or shards < 1:
        raise ValueError(f"Trainer: shards is {shards!r}, expected a whole number of at least 1, or None")
    divide_shards(shards, 1 if trainer.ranks is None else trainer.ranks.size)
    check_accumulation(trainer.loss, shards, name="shards")
    reason = find_reason(trainer)
    if reason is not None:
        alone = "None" if trainer.ranks is None else "one process (without mpiexec) and shards None"
        raise ValueError(f"Trainer: shards is {shards}, expected {alone}, as {reason}")


def find_reason(trainer: TrainingParts) -> str | None:
    """Find why a training cannot be computed by shards; None if it can."""
    optimizer = trainer.optimizer
    if isinstance(optimizer, FullBatch):
        return f"{type(optimizer).__name__} looks at all samples for each step"
    if trainer.rule is not None:
        return f"the rule {trainer.rule.label()} has state of its own"
    carriers = [each for each in find_carriers(trainer.model) if has_state(each)] + find_chains(trainer.model)
    if carriers:
        return f"{carriers[0].label()} carries state from minibatch to minibatch"
    if any(isinstance(callback, NanGuard) for callback in trainer.callbacks):
        return "NanGuard repeats whole minibatches"
    return None


def has_state(carrier: Any) -> bool:
    """Whether a module that can carry state does so."""
    return any(vars(carrier)[name].size for name in carrier._buffers)


def find_chains(net: Any) -> list[Any]:
    """Find the modules that carry samples which they have drawn."""
    return [module for module in net.all_modules() if "chain" in module._buffers and vars(module)["chain"].size]
