"""Schedules that fall, or rise, once: step, power, linear, cosine."""

import math
from collections.abc import Sequence

from ..optimizers.checks import check_count, check_not_negative, check_positive
from .schedule import Schedule, Unit


class ConstantSchedule(Schedule):
    """value = factor base while t < total_iters, then base.

    Args: factor: at least 0; total_iters: how long; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: torch.optim.lr_scheduler.ConstantLR.
    """

    def __init__(self, factor: float = 1 / 3, total_iters: int = 5, per: Unit = "epoch"):
        super().__init__(per)
        check_not_negative("ConstantSchedule", factor=factor)
        check_count("ConstantSchedule", 0, total_iters=total_iters)
        self.factor, self.total_iters = factor, total_iters

    def value(self, base: float, t: int, total: int) -> float:
        return base * self.factor if t < self.total_iters else base


class LinearSchedule(Schedule):
    """value = base (start_factor + (end_factor - start_factor) min(t / total_iters, 1)): a warm-up, or a descent.

    Args: start_factor, end_factor: at least 0; total_iters: how long, by default to the end; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: torch.optim.lr_scheduler.LinearLR.
    """

    def __init__(
        self,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int | None = None,
        per: Unit = "epoch",
    ):
        super().__init__(per)
        check_not_negative("LinearSchedule", start_factor=start_factor, end_factor=end_factor)
        if total_iters is not None:
            check_count("LinearSchedule", 1, total_iters=total_iters)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters

    def value(self, base: float, t: int, total: int) -> float:
        done = min(t / (self.total_iters or total), 1.0)
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class StepSchedule(Schedule):
    """value = base gamma^⌊t / step_size⌋.

    Args: step_size: at least 1; gamma: more than 0; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: torch.optim.lr_scheduler.StepLR.
    """

    def __init__(self, step_size: int, gamma: float = 0.1, per: Unit = "epoch"):
        super().__init__(per)
        check_count("StepSchedule", 1, step_size=step_size)
        check_positive("StepSchedule", gamma=gamma)
        self.step_size, self.gamma = step_size, gamma

    def value(self, base: float, t: int, total: int) -> float:
        return base * self.gamma ** (t // self.step_size)


class MultiStepSchedule(Schedule):
    """value = base gamma^(how many milestones are at most t).

    Args: milestones: times; gamma: more than 0; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: torch.optim.lr_scheduler.MultiStepLR.
    """

    def __init__(self, milestones: Sequence[int], gamma: float = 0.1, per: Unit = "epoch"):
        super().__init__(per)
        for milestone in milestones:
            check_count("MultiStepSchedule", 0, milestone=milestone)
        check_positive("MultiStepSchedule", gamma=gamma)
        self.milestones, self.gamma = tuple(milestones), gamma

    def value(self, base: float, t: int, total: int) -> float:
        return base * self.gamma ** sum(milestone <= t for milestone in self.milestones)


class ExponentialSchedule(Schedule):
    """value = base gammaᵗ.

    Args: gamma: more than 0; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: torch.optim.lr_scheduler.ExponentialLR.
    """

    def __init__(self, gamma: float, per: Unit = "epoch"):
        super().__init__(per)
        check_positive("ExponentialSchedule", gamma=gamma)
        self.gamma = gamma

    def value(self, base: float, t: int, total: int) -> float:
        return base * self.gamma**t


class InverseTimeSchedule(Schedule):
    """value = base / (1 + gamma t).

    Args: gamma: at least 0; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: Robbins & Monro 1951; Goodfellow et al., Deep Learning, section 8.3.1, eq. 8.12 and 8.13.
    """

    def __init__(self, gamma: float, per: Unit = "epoch"):
        super().__init__(per)
        check_not_negative("InverseTimeSchedule", gamma=gamma)
        self.gamma = gamma

    def value(self, base: float, t: int, total: int) -> float:
        return base / (1 + self.gamma * t)


class PolynomialSchedule(Schedule):
    """value = base (1 - min(t / total_iters, 1))^power.

    Args: total_iters: when it reaches 0, by default the end; power: more than 0; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: torch.optim.lr_scheduler.PolynomialLR.
    """

    def __init__(self, total_iters: int | None = None, power: float = 1.0, per: Unit = "epoch"):
        super().__init__(per)
        if total_iters is not None:
            check_count("PolynomialSchedule", 1, total_iters=total_iters)
        check_positive("PolynomialSchedule", power=power)
        self.total_iters, self.power = total_iters, power

    def value(self, base: float, t: int, total: int) -> float:
        return base * (1 - min(t / (self.total_iters or total), 1.0)) ** self.power


class CosineSchedule(Schedule):
    """value = eta_min + (base - eta_min) (1 + cos(π t / T_max)) / 2.

    Args: T_max: when it reaches eta_min, by default the end; eta_min: the least value; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: Loshchilov & Hutter 2017, eq. 5; torch.optim.lr_scheduler.CosineAnnealingLR.
    """

    def __init__(self, T_max: int | None = None, eta_min: float = 0.0, per: Unit = "epoch"):
        super().__init__(per)
        if T_max is not None:
            check_count("CosineSchedule", 1, T_max=T_max)
        check_not_negative("CosineSchedule", eta_min=eta_min)
        self.T_max, self.eta_min = T_max, eta_min

    def value(self, base: float, t: int, total: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / (self.T_max or total))) / 2
