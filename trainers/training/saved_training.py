"""Saving a training, and loading it."""

from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ...modules.engine.locks import refuse_during_fit
from ..files.checkpoints import read_checkpoint, write_checkpoint
from .fit_state import FitState, read_fit_state
from .parts import TrainingParts
from .trainer_state import gather_state, restore_state


class SavedTraining(TrainingParts):
    """The part of a Trainer that saves its state in checkpoints, and takes it over from there."""

    is_first: bool
    stopped: str | None
    _fit: FitState | None
    _for_now: bool
    _pending: FitState | None

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint: all that `load` needs for the training to go on as if it had not been interrupted.

        Args: folder: made if missing; it keeps this checkpoint and the one before. Call it outside `fit` or from a
            callback's `on_pause`.
        Errors: OSError if it cannot be written; the one before is then as it was; RuntimeError in another thread than
            that of `fit`.
        """
        refuse_during_fit(self.model, "save")
        if self.is_first:
            write_checkpoint(expand_path(folder), self.state_dict())

    def load(self, folder: str | Path) -> None:
        """Take over the newest whole checkpoint of a folder, saved by a trainer like this one; nothing is executed.

        If it was saved within a `fit`, the next `fit`, with the same data and settings, finishes that one.
        Errors: FileNotFoundError if there is none; ValueError if none is whole, or if it does not fit this trainer;
            RuntimeError while another thread trains the model.
        """
        refuse_during_fit(self.model, "load")
        self.load_state_dict(read_checkpoint(expand_path(folder)))

    def state_dict(self) -> dict[str, Any]:
        """All that `save` writes, as dicts and lists of numbers, strings, None and arrays."""
        fit = None
        self.optimizer.attach(self.model)
        if self._fit is not None:
            stopped = None if self._for_now else self.stopped
            fit = self._fit.state_dict(stopped, [callback.state_dict() for callback in self.callbacks])
        return gather_state(self) | {"fit": fit}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, of a trainer like this one; the next `fit` finishes the one that ran.

        Errors: CheckpointError, and nothing changed, for a trainer of other parts; ValueError for one of other sizes.
        """
        restore_state(self, state)
        self.history[:] = state["history"]
        self.notes.update(state["notes"])
        self.epoch, self.seconds, self._pending = state["epoch"], state["seconds"], read_fit_state(state["fit"])
        self.step, self.passes = state.get("step", 0), state.get("passes", self.epoch)  # older ones have neither
        within = self._pending is not None and self._pending.place is not None
        self.weights_epoch = None if within else state.get("weights_epoch", self.epoch)
