"""Settings that change while a net is trained."""

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
    "LinearSchedule",
    "MultiStepSchedule",
    "OneCycleSchedule",
    "PlateauSchedule",
    "PolynomialSchedule",
    "Schedule",
    "StepSchedule",
    "WarmupSchedule",
]
