"""Training: the loop, optimizers, callbacks, configs and the command line.

Names are imported when they are first used, so that `bprop --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .callbacks import Callback, EarlyStopping
    from .metrics import F1, CalibrationError, ConfusionMatrix, Metric, Precision, Recall, TopK
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
    "Adadelta": "optimizers",
    "Adagrad": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Adamax": "optimizers",
    "CalibrationError": "metrics",
    "Callback": "callbacks",
    "CompiledStep": "step",
    "ConfusionMatrix": "metrics",
    "EarlyStopping": "callbacks",
    "F1": "metrics",
    "Group": "optimizers",
    "Lion": "optimizers",
    "Metric": "metrics",
    "NAdam": "optimizers",
    "Optimizer": "optimizers",
    "Precision": "metrics",
    "RAdam": "optimizers",
    "RMSprop": "optimizers",
    "Recall": "metrics",
    "Rprop": "optimizers",
    "SGD": "optimizers",
    "TopK": "metrics",
    "Trainer": "trainer",
    "TrainingError": "trainer",
    "compile_step": "step",
}
__all__ = [
    "ASGD",
    "F1",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "CalibrationError",
    "Callback",
    "CompiledStep",
    "ConfusionMatrix",
    "EarlyStopping",
    "Group",
    "Lion",
    "Metric",
    "NAdam",
    "Optimizer",
    "Precision",
    "RAdam",
    "RMSprop",
    "Recall",
    "Rprop",
    "TopK",
    "Trainer",
    "TrainingError",
    "compile_step",
]


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
