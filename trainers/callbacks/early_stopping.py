"""Early stopping: a training ends when a metric of the validation set has stopped improving."""

from typing import Any

import numpy as np

from ..metrics import larger_is_better
from .callback import Callback


class EarlyStopping(Callback):
    """Stop when a metric has not improved for `patience` epochs, and go back to the best weights.

    Args: monitor: a column of the metrics, such as valid_loss; patience: epochs without improvement, at
        least 1, or rows of metrics where steps are counted; min_delta: the least change that counts; restore_best: put
        the best epoch's weights back; the metrics in the summary of a run are then of that epoch, too.
    Each metric says whether it is better when larger; a loss, and what no metric says, is better when smaller.
    Errors: ValueError for a patience below 1, and for a metric that the training does not give.
    Source: Goodfellow et al., Deep Learning, algorithm 7.1.
    """

    def __init__(
        self, monitor: str = "valid_loss", patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ):
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience is {patience}, expected at least 1")
        if not np.isfinite(min_delta):
            raise ValueError(f"EarlyStopping: min_delta is {min_delta}, expected a finite number")
        self.monitor, self.patience, self.min_delta, self.restore_best = monitor, patience, min_delta, restore_best

    @property
    def monitored(self) -> str | None:
        return self.monitor

    def on_fit_start(self, trainer) -> None:
        self.best, self.best_epoch, self.weights = np.inf, 0, None

    def on_epoch_end(self, trainer, row: dict) -> None:
        if self.monitor not in row:
            known = ", ".join(name for name in row if name != "epoch")
            raise ValueError(f"EarlyStopping: there is no metric {self.monitor!r}, expected one of {known}")
        larger = larger_is_better(self.monitor, getattr(trainer, "metrics", {}))
        value = -row[self.monitor] if larger else row[self.monitor]
        if value < self.best - self.min_delta:
            self.best, self.best_epoch = value, row["epoch"]
            with trainer.optimizer.evaluated_weights(trainer.model):
                self.weights = trainer.model.state_dict()
        elif row["epoch"] - self.best_epoch >= self.patience:
            rows = [each for each in getattr(trainer, "history", ()) if each["epoch"] == self.best_epoch]
            since = f"step {rows[-1]['step']}" if rows and "step" in rows[-1] else f"epoch {self.best_epoch}"
            trainer.stop(f"{self.monitor} has not improved since {since}")

    def on_fit_end(self, trainer) -> None:
        if self.restore_best and self.weights is not None:
            trainer.model.load_state_dict(self.weights)
            trainer.optimizer.forget_averages()
            trainer.weights_epoch = self.best_epoch

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.weights = state["best"], state["best_epoch"], state["weights"]
