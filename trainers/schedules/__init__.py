"""Schedules: settings such as the learning rate as functions of the epoch or the step.

A schedule only computes a value; `training` sets it. What reacts to an epoch in another way is a callback.
"""

from .function import LambdaSchedule
from .phases import CosineRestartsSchedule, OneCycleSchedule, WarmupSchedule
from .plateau import PlateauSchedule
from .schedule import Schedule
from .simple import (
    ConstantSchedule,
    CosineSchedule,
    ExponentialSchedule,
    InverseTimeSchedule,
    LinearSchedule,
    MultiStepSchedule,
    PolynomialSchedule,
    StepSchedule,
)

__all__ = [
    "ConstantSchedule",
    "CosineRestartsSchedule",
    "CosineSchedule",
    "ExponentialSchedule",
    "InverseTimeSchedule",
    "LambdaSchedule",
    "LinearSchedule",
    "MultiStepSchedule",
    "OneCycleSchedule",
    "PlateauSchedule",
    "PolynomialSchedule",
    "Schedule",
    "StepSchedule",
    "WarmupSchedule",
]
