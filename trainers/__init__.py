"""Training: the loop, optimizers, callbacks, configs and the command line.

Names are imported when they are first used, so that `bprop --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .callbacks import Callback, EarlyStopping
    from .optimizers import (
        ASGD,
        SGD,
        Adadelta,
        Adagrad,
        Adam,
        Adamax,
        AdamW,
        Group,
        Lion,
        NAdam,
        Optimizer,
        RAdam,
        RMSprop,
        Rprop,
    )
    from .step import CompiledStep, compile_step
    from .trainer import Trainer, TrainingError

_PLACES = {
    "ASGD": "optimizers",
    "SGD": "optimizers",
    "Adadelta": "optimizers",
    "Adagrad": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Adamax": "optimizers",
    "Callback": "callbacks",
    "CompiledStep": "step",
    "EarlyStopping": "callbacks",
    "Group": "optimizers",
    "Lion": "optimizers",
    "NAdam": "optimizers",
    "Optimizer": "optimizers",
    "RAdam": "optimizers",
    "RMSprop": "optimizers",
    "Rprop": "optimizers",
    "Trainer": "trainer",
    "TrainingError": "trainer",
    "compile_step": "step",
}
__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Callback",
    "CompiledStep",
    "EarlyStopping",
    "Group",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "Trainer",
    "TrainingError",
    "compile_step",
]


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
