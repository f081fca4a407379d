"""What happens in a fit: its beginning, epochs, pauses between which all state is consistent, and its end."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ..callbacks import Callback
from ..files.data_digests import compute_data_digests
from ..metrics import Metric
from ..optimizers.full_batch import FullBatch
from ..parallel.agreement import check_same_bits
from ..progress.epoch_table import EpochTable
from ..progress.progress_bar import print_if_slow
from .alignment import measure_alignment
from .arguments import EPOCHS, FitSettings
from .epoch import get_rate, make_minibatches, measure_epoch, restore_good_weights, run_steps
from .fit_state import EpochState, FitState
from .minibatches import Epoch, NotFinite
from .parts import TrainingParts
from .passes import count_rows, count_steps, find_row
from .sharded_steps import SHARDS
from .thread_choice import choose_threads
from .trainer_state import check_data_digests, check_settings

COMPILING = "compiling the training step; the next run finds it in the cache"
Parts = dict[str, ArrayDataset | None]


class FitLoop(TrainingParts):
    """The part of a Trainer that runs a fit, epoch by epoch, and stops it."""

    is_first: bool
    metrics: dict[str, Metric]
    prepared: Any
    resumed: bool
    seconds: float
    stopped: str | None
    threads: int | None
    _asked_to_stop: str | None
    _fit: FitState | None
    _for_now: bool
    _more_passes: int
    _pending: FitState | None
    _table: EpochTable

    def stop(self, reason: str, *, for_now: bool = False) -> None:
        """End the training after this epoch; for_now: at this pause, and if it is resumed it goes on."""
        self.stopped, self._for_now = reason, for_now

    def ask_to_stop(self, reason: str) -> None:
        """End the training for now at its next pause, where it is saved; signal handlers and threads may call it."""
        self._asked_to_stop = reason

    def pause(self, done: Any) -> None:
        """Let all callbacks save, and stop, the training: for callbacks that work for long in `before_epochs`.

        Args: done: how much of that work is done; what is not told twice may be saved.
        """
        assert self._fit is not None
        self.prepared = done
        if self.ranks is None:  # several ranks do such work each by itself, and pause at other moments
            self._pause(self._fit, None)

    @property
    def ended(self) -> bool:
        """Whether the fit that runs has done its last epoch."""
        return self._fit is not None and (self.stopped is not None or self.epoch >= self._fit.epochs)

    @property
    def passes(self) -> int:
        """How many passes over the data have begun: as many as epochs are done, unless steps were counted."""
        return self.epoch + self._more_passes

    @passes.setter
    def passes(self, count: int) -> None:
        self._more_passes = count - self.epoch

    @property
    def goes_on(self) -> bool:
        """Whether the training has stopped for now only."""
        return self._for_now

    @property
    def position(self) -> int:
        """How many samples of the present epoch are done; 0 between epochs."""
        return 0 if self._fit is None or self._fit.place is None else self._fit.place.done

    @property
    def _own_callbacks(self) -> list[Callback]:
        """The callbacks that run in this process: only that of the first rank writes files."""
        return [callback for callback in self.callbacks if self.is_first or not callback.first_rank_only]

    def _choose_shards(self, shards: int | None) -> int | None:
        """Choose the number of shards, unless it is given: that of a loaded fit, or SHARDS on several ranks."""
        if shards is None and self._pending is not None:
            shards = self._pending.settings.get("shards")
        return SHARDS if shards is None and self.ranks is not None else shards

    def _choose_settings(
        self, asked: FitSettings, train: ArrayDataset, metrics: Mapping[str, Metric]
    ) -> dict[str, Any]:
        """Choose the settings that a training keeps when it is resumed, and the steps of a row of metrics."""
        every, pending = asked.evaluate_every, self._pending
        if asked.steps is not None and every is None:
            pass_steps = count_steps(len(train), asked.kept)
            every = max(1, min(pass_steps, asked.steps))
            if pending is not None:  # a training that is given more steps keeps its rows
                every = pending.settings.get("evaluate_every") or every
        return asked.kept | {"metrics": list(metrics), "evaluate_every": every}

    def _refuse_another_fit(self, asked: FitSettings, settings: dict[str, Any], data: Parts) -> None:
        """Raise ValueError for settings and data that differ from those of the loaded fit."""
        pending = self._pending
        if pending is None:
            return
        if (pending.steps is None) != (asked.steps is None):
            counted, given = ("epochs", "steps") if pending.steps is None else ("steps", "epochs")
            raise ValueError(f"Trainer: {given} are counted, expected {counted} as in the training that is resumed")
        check_settings(pending.settings, settings)
        own = {part: each for part, each in data.items() if each is None or not each.received}  # else rank 0 looks
        check_data_digests(pending.settings, {part: compute_data_digests(each) for part, each in own.items()})
        train = data["train"]
        assert train is not None
        if asked.steps is not None:
            return self._refuse_other_steps(pending, asked.steps)
        epochs = EPOCHS if asked.epochs is None else asked.epochs
        begun, until = pending.begun, self.epoch + (pending.place is not None)
        if begun + epochs < until:
            raise ValueError(f"Trainer: epochs is {epochs}, expected at least {until - begun}, as so many have begun")
        rest = settings["batch_size"], len(train), settings["drop_last"], settings["accumulate"]
        return self.timetable.check_so_far(until, pending.epochs, begun + epochs, *rest)

    def _refuse_other_steps(self, pending: FitState, steps: int) -> None:
        """Raise ValueError for fewer steps than have begun, and for schedules that would have been others until now."""
        assert pending.steps is not None
        within = pending.place is not None
        until = find_row(pending).stop if within else pending.done
        if within and steps > pending.steps:  # the row that runs may become longer
            until = min(until, steps)
        if steps < until:
            raise ValueError(f"Trainer: steps is {steps}, expected at least {until}, as so many have begun")
        epochs = range(self.epoch + within)
        rows = [
            self.epoch + count_rows(each, pending.settings["evaluate_every"], pending.done)
            for each in (pending.steps, steps)
        ]
        totals = (pending.begun_step + pending.steps, pending.begun_step + steps)
        begun = range(pending.begun_step, pending.begun_step + until)
        self.timetable.check_steps_so_far(begun, *totals, epochs, (rows[0], rows[1]))

    def _begin(self, asked: FitSettings, settings: dict[str, Any], data: Parts) -> FitState:
        """Make the state of a new fit, or of the loaded one."""
        pending = self._pending
        self.resumed, begun = pending is not None, self.epoch if pending is None else pending.begun
        fit = FitState(
            begun, begun, settings, data=data, steps=asked.steps, begun_step=self.step, begun_pass=self.passes
        )
        self.stopped, self._for_now = None, False
        if pending is not None:
            self.stopped, fit.good, fit.place = pending.stopped, pending.good, pending.place
            fit.done, fit.begun_step, fit.begun_pass = pending.done, pending.begun_step, pending.begun_pass
        if asked.steps is None:
            fit.epochs += EPOCHS if asked.epochs is None else asked.epochs
        else:
            fit.epochs = self.epoch + count_rows(asked.steps, settings["evaluate_every"], fit.done)
        return fit

    def _start_callbacks(self) -> None:
        own = self._own_callbacks
        for callback in own:
            callback.on_fit_start(self)
        if self._pending is not None:
            for callback, state in zip(self.callbacks, self._pending.callbacks, strict=True):
                if callback in own:
                    callback.load_state_dict(state)
            self._pending = None
        for callback in own:
            callback.before_epochs(self)

    def _train_epoch(self, fit: FitState, train: ArrayDataset, valid: ArrayDataset | None) -> dict[str, Any] | None:
        """Train for an epoch, or for the rest of one; returns its row of metrics, or None if it stops within it."""
        state, fit.place = fit.place, None
        passed = 0.0 if state is None else state.seconds
        start, earlier = time.perf_counter() - passed, self.seconds - passed
        metrics = {name: metric for name, metric in self.metrics.items() if metric.number}
        epoch = make_minibatches(self, fit, train, state, outputs=bool(metrics))
        before, total, self.weights_epoch = self.model.state_dict(), epoch.total, None
        if state is not None:
            before = state.before
        with print_if_slow(COMPILING, quiet=self.quiet):
            epoch.compile(self.compiled_step)
            sharded = self.compiled_step.sharding is not None
            self.threads = self.threads or (1 if sharded else choose_threads(self.compiled_step, epoch))
        last = None if fit.steps is None else fit.begun_step + find_row(fit).stop
        title = f"epoch {self.epoch + 1}/{fit.epochs}" if last is None else f"to step {last}"
        try:
            with closing(run_steps(self, epoch, before, self.threads, title, fit.epochs - self.epoch)) as states:
                for state in states:
                    total = state.total
                    if state.done < len(epoch.order):
                        state.seconds = time.perf_counter() - start
                        self.seconds = earlier + state.seconds
                        self._pause(fit, state)
                        if self.goes_on:
                            return None
        except NotFinite as problem:
            error, self.weights_epoch = restore_good_weights(self, problem, epoch, before, fit)
            raise error from None
        fit.good, fit.place, fit.chunk = before, None, epoch.chunk
        self._count(fit, epoch)
        row = measure_epoch(self, fit, epoch, total, valid, metrics)
        row |= measure_alignment(self, train) if self.is_first else {}
        row["seconds"] = time.perf_counter() - start
        if self.ranks is not None:
            row = self.ranks.from_first(row, "the metrics of an epoch")
            arrays = {} if self.rule is None else self.rule.state_dict()
            arrays = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
            check_same_bits(self.ranks, {"model": self.model.state_dict(once=True), "rule": arrays})
        self.seconds = earlier + row["seconds"]
        return row

    def _count(self, fit: FitState, epoch: Epoch) -> None:
        """Count the epoch, or the row of steps, that is done."""
        self.epoch += 1
        self.weights_epoch = self.epoch
        self.step += epoch.find_step(len(epoch.order) - 1) + 1
        self.passes = epoch.stretches[-1].number + 1
        if fit.steps is not None:
            fit.done = find_row(fit).stop

    def _pause(self, fit: FitState, place: EpochState | None) -> None:
        """Call the callbacks at a moment when all state is consistent and may be saved."""
        fit.place, going_on, asked = place, not self.ended, self._asked_to_stop
        if self.ranks is not None:
            asked = next(filter(None, self.ranks.share(asked, "a pause")), None)
        if going_on and asked is not None:
            self.stop(asked, for_now=True)
            self._asked_to_stop, going_on = None, False  # so all callbacks hear of it at once
        for _ in range(2):
            due = [callback for callback in self.callbacks if self.is_first and callback.is_due(self)]
            if self.ranks is not None and self.ranks.from_first(bool(due), "a pause"):
                self.compiled_step.complete()
            for callback in due:
                callback.on_pause(self)
            again = going_on and self.ended
            if self.ranks is not None:  # the clock of the first one counts
                ending = self.stopped, self._for_now, again
                self.stopped, self._for_now, again = self.ranks.from_first(ending, "a pause")
            if not again:
                break  # otherwise one of them has ended it, and those before have not heard of that
            going_on = False

    def _end_epoch(self, row: dict[str, Any]) -> None:
        """Call the callbacks and schedules with an epoch's metrics."""
        self.history.append(row)
        self.timetable.observe(row)
        if not self.quiet:
            assert self._fit is not None
            rows, seconds = self._fit.epochs, [row["seconds"] for row in self.history]
            settings = self.timetable.row(row.get("batch_size", 0))
            self._table.print_row(row, settings, rate=get_rate(self.optimizer), rows=rows, seconds=seconds)
        if isinstance(self.optimizer, FullBatch) and self.optimizer.converged:
            self.stop(f"{type(self.optimizer).__name__} has converged")
        for callback in self._own_callbacks:
            callback.on_epoch_end(self, row)
