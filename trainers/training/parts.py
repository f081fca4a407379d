"""The protocol of a Trainer's parts, which functions of this folder read and do not write."""

from typing import Any, Protocol

from ...modules.core.module import Module
from ...modules.losses.loss import Loss
from ..augments import Augmentation
from ..callbacks import Callback
from ..optimizers import Optimizer
from ..parallel.communicator import Ranks
from ..rules import Rule
from ..schedules.timetable import Timetable
from .compiled_step import CompiledStep
from .evaluation import Evaluation


class TrainingParts(Protocol):
    """Model, loss, optimizer and progress of a training."""

    model: Module
    loss: Loss
    optimizer: Optimizer
    rule: Rule | None
    augmentation: Augmentation
    callbacks: list[Callback]
    timetable: Timetable
    compiled_step: CompiledStep
    alignment: Any
    evaluation: Evaluation
    ranks: Ranks | None
    seed: int
    quiet: bool
    epoch: int
    step: int
    passes: int
    seconds: float
    threads: int | None
    total_cost: bool
    weights_epoch: int | None
    history: list[dict[str, Any]]
    notes: dict[str, Any]
