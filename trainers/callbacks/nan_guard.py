"""Finds out where a value that is not finite comes from, and keeps the minibatch for `bprop replay`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ...datasets.files.paths import expand_path
from ..files.atomic_files import find_inner_folder
from ..files.checkpoints import write_checkpoint
from ..optimizers import FullBatch
from .callback import Callback
from .layerwise_step import LayerwiseStep, run_layerwise_step

FOLDER = "failure"  # in the run folder


class NanGuard(Callback):
    """If the loss or a weight becomes NaN or infinite, names the module in which that began, and saves the minibatch.

    It remembers weights and the optimizer's arrays of the last two pauses. When the training fails, the steps since are
    repeated, the last two module by module: outputs, gradients and updates, each is looked at. `bprop replay RUN`
    repeats the step in which it began.

    Args: folder: where the minibatch is saved; by default `failure` in the run folder.
    Errors: ValueError without a folder, and for an optimizer that looks at all samples at once.
    """

    first_rank_only = True

    def __init__(self, folder: str | Path | None = None):
        self.folder = folder

    def on_fit_start(self, trainer) -> None:
        if isinstance(trainer.optimizer, FullBatch):
            name = type(trainer.optimizer).__name__
            raise ValueError(f"NanGuard: {name} looks at all samples at once, expected an optimizer of minibatches")
        if self.folder is None and trainer.folder is None:
            raise ValueError("NanGuard: there is no run folder, expected a folder: NanGuard(folder)")
        self.path = (
            expand_path(self.folder) if self.folder is not None else find_inner_folder(Path(trainer.folder), FOLDER)
        )
        trainer.optimizer.attach(trainer.model)
        self._seen: list[tuple[int, int, dict[str, Any]]] = []  # epoch, place in it, and what a step depends on
        self.on_pause(trainer)

    def on_pause(self, trainer) -> None:
        self._seen = [*self._seen[-1:], (trainer.epoch, trainer.position, take_snapshot(trainer))]

    def on_not_finite(self, trainer, epoch, position: int) -> str:
        """Describe where the first NaN appeared; `epoch` is the `Epoch` that failed at this place in its order."""
        after = take_snapshot(trainer)
        first, start = next((place, state) for number, place, state in self._seen if number == trainer.epoch)
        diagnosis = LayerwiseStep()
        for place, until in self._list_suspects(epoch, first, position):
            restore_snapshot(trainer, start)
            for _ in (
                replace(epoch, order=epoch.order[:until], first=first).run(trainer.compiled_step)
                if until > first
                else ()
            ):
                pass
            epoch.set_schedules(place)
            before, batch = take_snapshot(trainer), epoch.batch(trainer.compiled_step, place)
            update = trainer.optimizer if epoch.accumulate == 1 else None
            diagnosis = run_layerwise_step(trainer.model, trainer.loss, update, *batch)
            if diagnosis.problem is not None:
                break
        restore_snapshot(trainer, after)
        number = epoch.find_step(place) + 1
        content = {"batch": list(batch), "epoch": trainer.epoch + 1, "step": number, "trouble": diagnosis.problem}
        write_checkpoint(self.path, content | before)
        return (
            f"{diagnosis.problem or 'a repetition by hand stays finite'}, in step {number}; it is saved in {self.path}"
        )

    def _list_suspects(self, epoch, first: int, position: int) -> list[tuple[int, int]]:
        """List the minibatches in which it may have begun: the first place of each, and that of its step.

        They are the last two, or those of the last step, up to the last one, where gradients are added up.
        """
        last = epoch.find_minibatch(position)
        begin = epoch.find_minibatch(epoch.find_step_start(position)) if epoch.accumulate > 1 else last - 1
        places = [int(epoch.starts[k]) for k in range(max(begin, 0), last + 1)]
        return [(place, epoch.find_step_start(place)) for place in places if place >= first]


def take_snapshot(trainer) -> dict[str, Any]:
    """Copy all that a step depends on."""
    return {
        "model": trainer.model.state_dict(),
        "counters": trainer.model.counters(),
        "optimizer": trainer.optimizer.state_dict(),
        "settings": {s.path: float(getattr(s.owner, s.name)) for s in trainer.timetable.settings},
    }


def restore_snapshot(trainer, state: dict[str, Any]) -> None:
    """Restore a trainer from a snapshot."""
    trainer.model.load_state_dict(state["model"])
    trainer.model.load_counters(state["counters"])
    trainer.optimizer.put_state(state["optimizer"])  # not a state for another model that may come


def replay_step(trainer, state: dict[str, Any]) -> LayerwiseStep:
    """Repeat the step that a guard has saved, on a trainer like the one that failed."""
    trainer.optimizer.attach(trainer.model)
    restore_snapshot(trainer, state)
    for setting in trainer.timetable.settings:
        setting.write(state["settings"][setting.path])
    trainer.model.train()
    x: Any
    x, target, *weight = state["batch"]
    x = tuple(x) if isinstance(x, list) else x
    return run_layerwise_step(trainer.model, trainer.loss, trainer.optimizer, x, target, *weight)
