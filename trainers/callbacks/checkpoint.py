"""Saves a training as it goes on, so that it may be killed at any moment and go on later as if it had not been."""

import re
import time
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ..files.atomic_files import find_inner_folder, write_atomically
from ..files.checkpoints import list_checkpoints
from ..files.weights_file import encode_weights
from ..metrics import larger_is_better
from .callback import Callback

BEST, BEST_FILE = "best", re.compile(r"epoch-([1-9]\d*)\.safetensors")
REST = 30  # times as long as saving takes, at least, from one checkpoint to the next


class Checkpoint(Callback):
    """Saves all of the training after epochs and within long ones; `bprop resume` or `Trainer.load` reads the last.

    Args: folder: where to; by default `checkpoint` in the run folder; epochs: after every so many epochs, and after the
        last; minutes: within an epoch, too, when so many have passed since the last one (None: never); seconds: from
        one to the next, at least, and at least 30 times as long as saving took, except after the last epoch (0: none is
        left out); best: also keep the weights of that many of the best epochs, in `best/epoch-N.safetensors`;
        monitor: the metric that says which are best.
    Errors: ValueError for settings out of range, without a folder, and for a metric that the training does not give;
        FileExistsError for a folder with checkpoints of another training; OSError if it cannot be written.
    """

    first_rank_only = True

    def __init__(
        self,
        folder: str | Path | None = None,
        epochs: int = 1,
        minutes: float | None = 10.0,
        seconds: float = 1.0,
        best: int = 0,
        monitor: str = "valid_loss",
    ):
        if epochs < 1:
            raise ValueError(f"Checkpoint: epochs is {epochs}, expected at least 1")
        for name, value in (("minutes", minutes), ("seconds", seconds), ("best", best)):
            if value is not None and not value >= 0:
                raise ValueError(f"Checkpoint: {name} is {value}, expected at least 0")
        self.folder, self.epochs, self.minutes, self.seconds = folder, epochs, minutes, seconds
        self.best, self.monitor = best, monitor
        self._own: Path | None = None  # a folder that this callback has written to

    @property
    def monitored(self) -> str | None:
        return self.monitor if self.best else None

    def on_fit_start(self, trainer) -> None:
        if self.folder is None and trainer.folder is None:
            raise ValueError("Checkpoint: there is no run folder, expected a folder: Checkpoint(folder)")
        self.path = (
            expand_path(self.folder)
            if self.folder is not None
            else find_inner_folder(Path(trainer.folder), "checkpoint")
        )
        if list_checkpoints(self.path) and not trainer.resumed and self._own != self.path:
            raise FileExistsError(
                f"Checkpoint: {self.path} has checkpoints of another training; go on by Trainer.load, or remove them"
            )
        elsewhere = self.folder is not None  # a run's own folder has files of that run, if it was cut off early
        if self.best and elsewhere and self._find_best_files() and not trainer.resumed and self._own != self.path:
            raise FileExistsError(
                f"Checkpoint: {self.path / BEST} has weights of another training, which would be removed; remove them"
            )
        self.best_epochs: list[list[Any]] = []  # [metric, epoch] of the best
        self._saved, self._took = time.perf_counter(), 0.0
        self._where: tuple[Any, ...] | None = None  # epoch and position of the last one, or the work before

    def on_epoch_end(self, trainer, row: dict) -> None:
        if self.best == 0:
            return
        if self.monitor not in row:
            known = ", ".join(name for name in row if name != "epoch")
            raise ValueError(f"Checkpoint: there is no metric {self.monitor!r}, expected one of {known}")
        sign = -1 if larger_is_better(self.monitor, trainer.metrics) else 1
        self.best_epochs.append([sign * float(row[self.monitor]), row["epoch"]])
        self.best_epochs = sorted(each for each in self.best_epochs if each[0] == each[0])[: self.best]
        if row["epoch"] in [epoch for _, epoch in self.best_epochs]:
            find_inner_folder(self.path, BEST).mkdir(parents=True, exist_ok=True)
            self._own = self.path
            with trainer.optimizer.evaluated_weights(trainer.model):
                write_atomically(self._best_file(row["epoch"]), encode_weights(trainer.model.state_dict(once=True)))
        self._remove_others()

    def is_due(self, trainer) -> bool:
        passed = time.perf_counter() - self._saved
        if trainer.position > 0:
            due = self.minutes is not None and passed >= 60 * self.minutes
        else:
            due = trainer.epoch % self.epochs == 0
        if self.seconds > 0 and passed < max(self.seconds, REST * self._took):
            due = False
        return (due or trainer.ended) and (trainer.epoch, trainer.position, trainer.prepared) != self._where

    def on_pause(self, trainer) -> None:
        start = time.perf_counter()
        trainer.save(self.path)
        self._where, self._own = (trainer.epoch, trainer.position, trainer.prepared), self.path
        self._saved = time.perf_counter()
        self._took = self._saved - start

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.best_epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_epochs = state["kept"]
        self._remove_others()

    def _best_file(self, epoch: int) -> Path:
        return self.path / BEST / f"epoch-{epoch}.safetensors"

    def _find_best_files(self) -> list[int]:
        """The epochs whose weights are there, in files named as this callback names them; those of others stay."""
        folder = self.path / BEST
        names = [path.name for path in folder.iterdir()] if folder.is_dir() and not folder.is_symlink() else []
        return [int(match[1]) for match in map(BEST_FILE.fullmatch, names) if match]

    def _remove_others(self) -> None:
        epochs = [epoch for _, epoch in self.best_epochs]
        for epoch in self._find_best_files():
            if epoch not in epochs:
                self._best_file(epoch).unlink(missing_ok=True)
