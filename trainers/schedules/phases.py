"""Schedules of several phases: warm-up, cosine restarts, one cycle."""

import math
from typing import Literal

from ..optimizers.checks import check_count, check_not_negative, check_positive
from .schedule import Schedule, Unit


class WarmupSchedule(Schedule):
    """Rises along a line to base, then follows another schedule, whose time starts there.

        value = base (start_factor + (1 - start_factor) t / total_iters)      for t < total_iters
        value = then(base, t - total_iters, total - total_iters)              afterwards

    Args: total_iters: how long it rises, in the unit of time of `then`; then: the schedule that follows;
        start_factor: at least 0.
    Errors: ValueError for settings out of range.
    Source: Goyal et al. 2017, section 2.2; torch.optim.lr_scheduler.SequentialLR of LinearLR and another.
    """

    def __init__(self, total_iters: int, then: Schedule, start_factor: float = 0.0):
        super().__init__(then.per)
        check_count("WarmupSchedule", 1, total_iters=total_iters)
        check_not_negative("WarmupSchedule", start_factor=start_factor)
        self.total_iters, self.then, self.start_factor = total_iters, then, start_factor

    @property
    def monitored(self) -> str | None:
        return self.then.monitored

    def value(self, base: float, t: int, total: int) -> float:
        if t < self.total_iters:
            return base * (self.start_factor + (1 - self.start_factor) * t / self.total_iters)
        return self.then.value(base, t - self.total_iters, max(1, total - self.total_iters))

    def observe(self, row: dict) -> None:
        self.then.observe(row)

    def state_dict(self) -> dict[str, float]:
        return self.then.state_dict()

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.then.load_state_dict(state)


class CosineRestartsSchedule(Schedule):
    """Cosines from base to eta_min, one after the other, each T_mult times as long as the last.

        value = eta_min + (base - eta_min) (1 + cos(π s / T)) / 2      s: time in this cosine, T: its length

    Args: T_0: length of the first; T_mult: at least 1; eta_min: the least value; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: Loshchilov & Hutter 2017, eq. 5; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.
    """

    def __init__(self, T_0: int, T_mult: int = 1, eta_min: float = 0.0, per: Unit = "epoch"):
        super().__init__(per)
        check_count("CosineRestartsSchedule", 1, T_0=T_0, T_mult=T_mult)
        check_not_negative("CosineRestartsSchedule", eta_min=eta_min)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min

    def value(self, base: float, t: int, total: int) -> float:
        length = self.T_0
        while t >= length:
            t, length = t - length, length * self.T_mult
            if self.T_mult == 1:
                t %= length
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / length)) / 2


class OneCycleSchedule(Schedule):
    """From base / div_factor up to base in the first pct_start of the time, then down to almost nothing.

    With a div_factor below 1 and final_div_factor 1 it is the cycle of a momentum: down to base, and up again.

    Args: pct_start: share of the time that the rise takes; anneal_strategy: along a cosine or a line; div_factor: base
        over the first value; final_div_factor: first value over the last; per: unit of time.
    Errors: ValueError for settings out of range.
    Source: Smith & Topin 2018; torch.optim.lr_scheduler.OneCycleLR, whose max_lr is base here.
    """

    def __init__(
        self,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        per: Unit = "step",
    ):
        super().__init__(per)
        if not 0 < pct_start < 1:
            raise ValueError(f"OneCycleSchedule: pct_start is {pct_start}, expected a number between 0 and 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleSchedule: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'")
        check_positive("OneCycleSchedule", div_factor=div_factor, final_div_factor=final_div_factor)
        self.pct_start, self.anneal_strategy = pct_start, anneal_strategy
        self.div_factor, self.final_div_factor = div_factor, final_div_factor

    def value(self, base: float, t: int, total: int) -> float:
        first, top, last = base / self.div_factor, self.pct_start * total - 1, total - 1
        if t <= top:
            return self._between(first, base, t / top if top > 0 else 1.0)
        return self._between(base, first / self.final_div_factor, min((t - top) / (last - top), 1.0))

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
