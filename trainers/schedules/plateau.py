"""A schedule that reduces a setting when a metric stops improving."""

import math
from typing import Literal

from ..metrics import larger_is_better
from ..optimizers.checks import check_count, check_not_negative
from .schedule import Schedule


class PlateauSchedule(Schedule):
    """value = scale base; scale *= factor after more than `patience` epochs without improvement.

    An improvement is a metric below (1 - threshold) best, or below best - threshold if threshold_mode is "abs".
    Its state is `best`, `waited`, `cooling` and `scale`.

    Args: monitor: a column of the metrics, of which some are better when larger, and what is named accuracy;
        factor: above 0, below 1; patience, cooldown: epochs to wait, and epochs after a change in which none count;
        min_scale: the least scale.
    Errors: ValueError for settings out of range, and for a metric that the training does not give.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_scale: float = 0.0,
    ):
        super().__init__("epoch")
        if not 0 < factor < 1:
            raise ValueError(f"PlateauSchedule: factor is {factor}, expected a number between 0 and 1")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"PlateauSchedule: threshold_mode is {threshold_mode!r}, expected 'rel' or 'abs'")
        check_count("PlateauSchedule", 0, patience=patience, cooldown=cooldown)
        check_not_negative("PlateauSchedule", threshold=threshold, min_scale=min_scale)
        self.monitor, self.factor, self.patience, self.threshold = monitor, factor, patience, threshold
        self.threshold_mode, self.cooldown, self.min_scale = threshold_mode, cooldown, min_scale
        self.best, self.waited, self.cooling, self.scale = math.inf, 0, 0, 1.0

    @property
    def monitored(self) -> str | None:
        return self.monitor

    def value(self, base: float, t: int, total: int) -> float:
        return base * self.scale

    def observe(self, row: dict) -> None:
        if self.monitor not in row:
            known = ", ".join(name for name in row if name != "epoch")
            raise ValueError(f"PlateauSchedule: there is no metric {self.monitor!r}, expected one of {known}")
        figure = -row[self.monitor] if larger_is_better(self.monitor) else row[self.monitor]
        if figure < self._goal():
            self.best, self.waited = figure, 0
        else:
            self.waited += 1
        if self.cooling > 0:
            self.cooling, self.waited = self.cooling - 1, 0
        if self.waited > self.patience:
            self.scale = max(self.scale * self.factor, self.min_scale)
            self.cooling, self.waited = self.cooldown, 0

    def _goal(self) -> float:
        """The value that a metric must fall below to count as an improvement."""
        if not math.isfinite(self.best):
            return math.inf
        return self.best - self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1.0)

    def state_dict(self) -> dict[str, float]:
        return {"best": self.best, "waited": self.waited, "cooling": self.cooling, "scale": self.scale}
