"""Finds out where a value that is not finite comes from, and keeps the minibatch for `bprop replay`."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
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
    repeats the step in which it began. Of a training that is cut into shards rank 0 repeats all of them, and looks at
    one shard after the other, then at the update by the whole minibatch.

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
        after, step = take_snapshot(trainer), trainer.compiled_step
        first, start = next((place, state) for number, place, state in self._seen if number == trainer.epoch)
        with nullcontext() if step.sharding is None else step.sharding.alone(step):
            for place, until in self._list_suspects(epoch, first, position, step.sharding is not None):
                restore_snapshot(trainer, start)
                if until > first:
                    for _ in replace(epoch, order=epoch.order[:until], first=first).run(step):
                        pass
                epoch.set_schedules(place)
                found = self._find_problem(trainer, epoch, place)
                if found.problem is not None:
                    break
        restore_snapshot(trainer, after)
        number = epoch.find_step(place) + 1
        content = {"batch": list(found.batch), "epoch": trainer.epoch + 1, "step": number, "trouble": found.problem}
        write_checkpoint(self.path, content | found.before)
        where = f"step {number}" if found.shard is None else f"step {number}, shard {found.shard}"
        return f"{found.problem or 'a repetition by hand stays finite'}, in {where}; it is saved in {self.path}"

    def _find_problem(self, trainer, epoch, place: int) -> "Finding":
        """Run the minibatch at a place module by module, shard by shard first; the first problem, if there is one."""
        step, parts = trainer.compiled_step, (trainer.model, trainer.loss)
        before = take_snapshot(trainer)
        for shard, batch in () if step.sharding is None else step.sharding.iterate_parts(epoch, step, place):
            own = take_snapshot(trainer)
            if (problem := run_layerwise_step(*parts, None, *batch).problem) is not None:
                return Finding(problem, batch, own, shard)
        restore_snapshot(trainer, before)
        batch, update = epoch.batch(step, place), trainer.optimizer if epoch.accumulate == 1 else None
        return Finding(run_layerwise_step(*parts, update, *batch).problem, batch, before)

    def _list_suspects(self, epoch, first: int, position: int, by_steps: bool) -> list[tuple[int, int]]:
        """List the minibatches in which it may have begun: the first place of each, and that of its step.

        They are the last two, or those of the last step, up to the last one, where gradients are added up; by steps:
        the first ones of the last two steps.
        """
        if by_steps:
            last = epoch.find_step_start(position)
            steps = [epoch.find_step_start(last - 1)] * (last > 0) + [last]
            return [(place, place) for place in steps if place >= first]
        last = epoch.find_minibatch(position)
        begin = epoch.find_minibatch(epoch.find_step_start(position)) if epoch.accumulate > 1 else last - 1
        places = [int(epoch.starts[k]) for k in range(max(begin, 0), last + 1)]
        return [(place, epoch.find_step_start(place)) for place in places if place >= first]


@dataclass
class Finding:
    """What is not finite in a minibatch, which that is, and on what its step depends; `shard`: of which it is."""

    problem: str | None
    batch: tuple
    before: dict[str, Any]
    shard: int | None = None


def take_snapshot(trainer) -> dict[str, Any]:
    """Copy all that a step depends on."""
    return {
        "model": trainer.model.state_dict(),
        "counters": trainer.model.counters(),
        "optimizer": trainer.optimizer.state_dict(),
        "rule": {} if trainer.rule is None else trainer.rule.state_dict(),
        "settings": {s.path: float(getattr(s.owner, s.name)) for s in trainer.timetable.settings},
    }


def restore_snapshot(trainer, state: dict[str, Any]) -> None:
    """Restore a trainer from a snapshot."""
    trainer.model.load_state_dict(state["model"])
    trainer.model.load_counters(state["counters"])
    trainer.optimizer.put_state(state["optimizer"])  # not a state for another model that may come
    if trainer.rule is not None and state.get("rule"):  # it has met the model, and the state is not an older bprop's
        trainer.rule.load_state_dict(state["rule"])


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
