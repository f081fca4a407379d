"""Training: the loop, optimizers, callbacks, configs and the command line.

Names are imported when they are first used, so that `bprop --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .callbacks import Callback, Checkpoint, EarlyStopping, NanGuard, TimeBudget
    from .check import ConfigReport, check_config
    from .estimators import BpropClassifier as BpropClassifier  # not in __all__, which configs import to the full:
    from .estimators import BpropRegressor as BpropRegressor  # scikit-learn takes its time
    from .metrics import F1, CalibrationError, ConfusionMatrix, Metric, Precision, Recall, TopK
    from .optimizers import (
        ASGD,
        LBFGS,
        SGD,
        Adadelta,
        Adagrad,
        Adam,
        Adamax,
        AdamW,
        ConjugateGradient,
        FullBatch,
        Group,
        Lion,
        NAdam,
        Optimizer,
        RAdam,
        RMSprop,
        Rprop,
    )
    from .schedules import (
        ConstantSchedule,
        CosineRestartsSchedule,
        CosineSchedule,
        ExponentialSchedule,
        InverseTimeSchedule,
        LinearSchedule,
        MultiStepSchedule,
        OneCycleSchedule,
        PlateauSchedule,
        PolynomialSchedule,
        Schedule,
        StepSchedule,
        WarmupSchedule,
    )
    from .step import CompiledStep, compile_step
    from .trainer import Trainer, TrainingError

_PLACES = {
    "ASGD": "optimizers",
    "LBFGS": "optimizers",
    "SGD": "optimizers",
    "Adadelta": "optimizers",
    "Adagrad": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Adamax": "optimizers",
    "BpropClassifier": "estimators",
    "BpropRegressor": "estimators",
    "CalibrationError": "metrics",
    "Callback": "callbacks",
    "Checkpoint": "callbacks",
    "CompiledStep": "step",
    "ConfigReport": "check",
    "ConfusionMatrix": "metrics",
    "ConjugateGradient": "optimizers",
    "ConstantSchedule": "schedules",
    "CosineRestartsSchedule": "schedules",
    "CosineSchedule": "schedules",
    "EarlyStopping": "callbacks",
    "ExponentialSchedule": "schedules",
    "F1": "metrics",
    "FullBatch": "optimizers",
    "Group": "optimizers",
    "InverseTimeSchedule": "schedules",
    "LinearSchedule": "schedules",
    "Lion": "optimizers",
    "Metric": "metrics",
    "MultiStepSchedule": "schedules",
    "NAdam": "optimizers",
    "NanGuard": "callbacks",
    "OneCycleSchedule": "schedules",
    "Optimizer": "optimizers",
    "PlateauSchedule": "schedules",
    "PolynomialSchedule": "schedules",
    "Precision": "metrics",
    "RAdam": "optimizers",
    "RMSprop": "optimizers",
    "Recall": "metrics",
    "Rprop": "optimizers",
    "Schedule": "schedules",
    "StepSchedule": "schedules",
    "TimeBudget": "callbacks",
    "TopK": "metrics",
    "Trainer": "trainer",
    "TrainingError": "trainer",
    "WarmupSchedule": "schedules",
    "check_config": "check",
    "compile_step": "step",
}
__all__ = [
    "ASGD",
    "F1",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "CalibrationError",
    "Callback",
    "Checkpoint",
    "CompiledStep",
    "ConfigReport",
    "ConfusionMatrix",
    "ConjugateGradient",
    "ConstantSchedule",
    "CosineRestartsSchedule",
    "CosineSchedule",
    "EarlyStopping",
    "ExponentialSchedule",
    "FullBatch",
    "Group",
    "InverseTimeSchedule",
    "LinearSchedule",
    "Lion",
    "Metric",
    "MultiStepSchedule",
    "NAdam",
    "NanGuard",
    "OneCycleSchedule",
    "Optimizer",
    "PlateauSchedule",
    "PolynomialSchedule",
    "Precision",
    "RAdam",
    "RMSprop",
    "Recall",
    "Rprop",
    "Schedule",
    "StepSchedule",
    "TimeBudget",
    "TopK",
    "Trainer",
    "TrainingError",
    "WarmupSchedule",
    "check_config",
    "compile_step",
]


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
