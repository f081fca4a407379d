"""The training loop: epochs of minibatches, metrics on the training and validation sets, callbacks between them."""

import copy
import functools
import inspect
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import ArrayDataset, Dataset
from ...datasets.files.paths import expand_path
from ...modules.core.module import Module
from ...modules.core.type_errors import describe_wrong_type
from ...modules.engine.locks import refuse_during_fit, training_alone
from ...modules.losses.loss import Loss
from ..augments import Augment, Augmentation
from ..callbacks import Callback
from ..files.checkpoints import read_checkpoint, write_checkpoint
from ..files.data_digests import compute_data_digests
from ..metrics import Metric, MetricLike
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from ..parallel.agreement import check_same_bits
from ..parallel.job import find_ranks
from ..parallel.reading import share_parts
from ..rules import Rule
from ..schedules import Schedule
from ..schedules.timetable import Timetable
from .alignment import Alignment, measure_alignment
from .arguments import (
    EPOCHS,
    Data,
    FitSettings,
    check_arguments,
    check_token_inputs,
    choose_cut,
    choose_metrics,
    convert_to_labels,
    select_part,
)
from .compiled_step import CompiledStep
from .epoch import get_rate, make_minibatches, measure_epoch, restore_good_weights, run_steps
from .epoch_table import EpochTable
from .evaluation import Evaluation
from .fit_state import EpochState, FitState, read_fit_state
from .inputs import takes_table
from .minibatches import Epoch, NotFinite
from .passes import count_rows, count_steps, find_row
from .progress import print_if_slow
from .shard_checks import check_same_start
from .sharded_steps import SHARDS, Sharding
from .thread_choice import choose_threads
from .trainer_state import check_data_digests, check_settings, gather_state, restore_state

COPIED = ("stopped", "resumed", "threads", "metrics", "total_cost")
COMPILING = "compiling the training step; the next run finds it in the cache"


def copy_callback(callback: Callback, memo: dict[int, Any]) -> Callback:
    """Copy a callback with its state."""
    try:
        return copy.deepcopy(callback, memo)
    except TypeError as error:  # such as of an open file
        raise TypeError(f"Trainer: its callback {type(callback).__name__} cannot be copied: {error}") from error


Parts = dict[str, ArrayDataset | None]


class Trainer:
    """Trains a model by minibatches.

    Args: model, loss, optimizer: what is trained, on what and how; callbacks: run after each epoch, in order;
        schedules: settings that change, such as {"optimizer.lr": CosineSchedule(), "model.2.p": ...}, or "batch_size";
        augment: random changes of the training images, in order, such as [Shift(2), Flip()]; rule: a learning rule in
        the place of backprop, such as FeedbackAlignment();
        seed: the order of the samples is a function of it alone; quiet: no progress bar, no lines; folder: that of the
        run, into which callbacks write; communicator: of mpi4py, whose ranks train together; by default those that
        mpiexec has started, if any, and False for none: see docs/parallel.md.
    `history` holds one dict of metrics for each epoch; `stopped` says why the training ended early, or is None;
    `epoch` is the number of epochs done, `step` that of updates at the end of the last one, `position` that of samples
    in the epoch that runs; where steps are counted, an epoch is what a row of metrics is of. `seconds` is the time in
    `fit`; `notes` are values for a caller's own use, saved with the rest; `weights_epoch` is the epoch at whose end the
    model had the weights that it has now, such as the best one after EarlyStopping, None for a moment within an epoch.
    Errors: TypeError for parts of other kinds; ValueError for an optimizer that the rule or a schedule does not fit;
        and those of `fit`.
    Source: Goodfellow et al., Deep Learning, section 8.1.3 and algorithm 8.1.
    """

    default_epochs = EPOCHS

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        callbacks: Sequence[Callback] = (),
        schedules: Mapping[str, Schedule] | None = None,
        augment: Sequence[Augment] = (),
        rule: Rule | None = None,
        seed: int = 0,
        quiet: bool = False,
        folder: str | Path | None = None,
        communicator: Any = None,
    ):
        for name, value, kind in (("model", model, Module), ("loss", loss, Loss), ("optimizer", optimizer, Optimizer)):
            if not isinstance(value, kind):
                wrong = describe_wrong_type(value, f"{'an' if kind is Optimizer else 'a'} {kind.__name__}")
                raise TypeError(f"Trainer: {name} is {wrong}")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"Trainer: a callback is {describe_wrong_type(callback, 'a Callback')}")
        for each in augment:
            if not isinstance(each, Augment):
                raise TypeError(f"Trainer: augment has {describe_wrong_type(each, 'an Augment')}")
        if rule is not None and not isinstance(rule, Rule):
            raise TypeError(f"Trainer: rule is {describe_wrong_type(rule, 'a Rule')}")
        if rule is not None:
            rule.check_optimizer(optimizer)
        self.model, self.loss, self.optimizer, self.rule = model, loss, optimizer, rule
        self.augmentation = Augmentation(augment, seed)
        self.ranks = find_ranks(communicator)
        self.is_first = self.ranks is None or self.ranks.is_first  # whether this process prints and writes
        self.callbacks, self.seed, self.quiet = list(callbacks), seed, quiet or not self.is_first
        for callback in self.callbacks:
            callback.prepare(optimizer)
        self.folder = None if folder is None else expand_path(folder)
        self.history: list[dict[str, Any]] = []
        self.notes: dict[str, Any] = {}
        self.stopped: str | None = None
        self.resumed = False  # whether this fit, or the last, is one that was loaded
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self._more_passes = 0  # over the data, than epochs
        self.threads: int | None = None  # that the last training used
        self.metrics: dict[str, Metric] = {}  # those of the last training
        self.total_cost = False  # whether the last training reported its penalty
        self.data: ArrayDataset | None = None  # that the last training was on, and its validation data
        self.valid_data: ArrayDataset | None = None
        self.weights_epoch: int | None = 0  # at the end of which the model had its present weights; None within one
        self._table = EpochTable()
        self.evaluation = Evaluation(model, loss, optimizer, rule, self.ranks)
        self.prepared: Any = None  # how much callbacks have done before the first epoch
        self._fit: FitState | None = None  # the fit that runs
        self._pending: FitState | None = None  # a fit that was loaded, for the next one to finish
        self._for_now = False  # whether the training stops only for now
        self._asked_to_stop: str | None = None  # why, until the next pause
        self.timetable = Timetable(schedules or {}, {"optimizer": optimizer, "model": model, "loss": loss})
        if isinstance(optimizer, FullBatch) and self.timetable.by_step:
            path = self.timetable.by_step[0].path
            raise ValueError(f"schedules: {path} has a schedule per step, but {type(optimizer).__name__} has no steps")
        scheduled = tuple((setting.owner, setting.name) for setting in self.timetable.by_step)
        self.alignment = None if rule is None else Alignment(model, loss, rule)
        self.compiled_step = CompiledStep(model, loss, optimizer, scheduled, self.augmentation, rule)

    @training_alone
    def fit(
        self,
        train: Data,
        valid: Data | None = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        evaluate_every: int | None = None,
        batch_size: int = 32,
        accumulate: int = 1,
        shuffle: bool = True,
        drop_last: bool = False,
        balance: bool = False,
        group_by_length: bool = False,
        metrics: list[MetricLike] | None = None,
        threads: int | None = None,
        total_cost: bool = False,
        shards: int | None = None,
    ) -> list[dict[str, Any]]:
        """Train for some epochs, or steps; returns `history`. After `load` it finishes the fit that was saved, with its
        settings.

        Args: train: a Dataset (its train and valid parts are used), an ArrayDataset or arrays (x, y) or (x, y,
            sample_weight), of sequences ((x, lengths), y); valid: likewise, or None; epochs: at least 0, by default 10;
            steps: in place of epochs, how many updates, at least 0, in passes over the data one after the other;
            evaluate_every: the steps of a row of metrics, by default those of a pass, or all if they are fewer;
            batch_size: at most the number of samples; accumulate: how many minibatches have their gradients added up
            before each update, which is then that of one minibatch of as many times the size, up to rounding;
            shuffle: a new order each pass; drop_last: leave out a last minibatch, or step, that is smaller; balance:
            show each class equally often, in the `balanced_order` of each pass; group_by_length: put samples of similar
            lengths into one minibatch, and cut it to its longest sample; metrics: names such as f1_macro, objects such
            as TopK(3), or functions (y, target) -> float; by default those of the loss; threads: how many share the
            products, by default as many as train fastest, which is measured once. The results are the same bits for any
            number; total_cost: report beside train_loss, L, the optimizer's penalty λΩ of the weights after the epoch,
            and train_cost, J = L + λΩ (Goodfellow et al., Deep Learning, algorithm 6.3; draft section 6.4.2); shards:
            into how many parts a minibatch is cut, whose gradients are added up in the order of a fixed tree; by
            default 8 on several ranks of MPI, else none. Results are the same bits for any number of ranks up to it.
        Metrics of the training part are of the outputs before each update, of the last samples of an epoch if all of
        them would take more than 1 GiB.
        With weights, losses and metrics are the weighted ones; weights that are all alike change nothing.
        With lengths the model gets the table (x, lengths). The state that modules carry from minibatch to minibatch is
        reset at the start of each pass; evaluation begins with it reset, and leaves it as it was.
        Other threads may predict and evaluate meanwhile, with the weights of before or after a step.
        Errors: ValueError for settings or data that do not fit; TrainingError for a loss that is not finite;
            RuntimeError while another thread trains the model or the optimizer.
        """
        if self.ranks is not None:
            share_parts(self.ranks, train, ("train",) if valid is not None else ("train", "valid"))
            share_parts(self.ranks, valid, ("valid",))
        how = (batch_size, accumulate, shuffle, drop_last, balance, group_by_length)
        shards = self._choose_shards(shards)
        asked = FitSettings(epochs, steps, evaluate_every, *how, metrics, threads, total_cost, shards)
        train, valid, chosen = check_arguments(self, train, valid, asked)
        settings = self._choose_settings(asked, train, chosen)
        self._refuse_another_fit(asked, settings, {"train": train, "valid": valid})
        if self.ranks is not None:
            check_same_start(self, self.ranks, settings, {"train": train, "valid": valid})
        self._fit = fit = self._begin(asked, settings, {"train": train, "valid": valid})
        self.metrics, self.threads, self.total_cost = chosen, threads, total_cost
        self.compiled_step.set_accumulation(accumulate)
        if shards is not None:
            self.compiled_step.set_sharding(Sharding(shards, self.ranks))
        self.compiled_step.cut = choose_cut(self.model, train, group_by_length)
        self.data, self.valid_data = train, valid
        self.model.train()
        try:
            self._start_callbacks()
            try:
                while not self.ended:
                    row = self._train_epoch(fit, train, valid)
                    if row is None:
                        break
                    self._end_epoch(row)
                    self._pause(fit, None)
            finally:
                self.timetable.restore()
                for callback in self._own_callbacks:
                    callback.on_fit_end(self)
        finally:
            self._fit = None
        return self.history

    def check(self, train: Data, valid: Data | None = None, **settings: Any) -> None:
        """Refuse what `fit` with the same arguments would refuse before its first step; nothing is trained.

        Errors: those of `fit`.
        """
        defaults = {name: setting.default for name, setting in inspect.signature(self.fit).parameters.items()}
        names = [each.name for each in fields(FitSettings)]
        chosen = {name: settings.get(name, defaults[name]) for name in names}
        asked = FitSettings(**chosen | {"shards": self._choose_shards(chosen["shards"])})
        train, valid, metrics = check_arguments(self, train, valid, asked)
        self._refuse_another_fit(asked, self._choose_settings(asked, train, metrics), {"train": train, "valid": valid})
        self.optimizer.attach(self.model)

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
            stopped = None if self.goes_on else self.stopped
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

    def evaluate(self, data: Data, *, metrics: list[MetricLike] | None = None) -> dict[str, Any]:
        """Mean loss and metrics of a data set, in evaluation mode. A Dataset stands for its test part."""
        if self.ranks is not None:
            share_parts(self.ranks, data, ("test",))
        data = select_part(data, "test", self.loss)
        chosen = choose_metrics(self, data, metrics)
        return self.evaluation.compute_metrics(convert_to_labels(self, data), chosen, self.threads or 1)

    def predict(self, x, lengths=None) -> np.ndarray:
        """The outputs (N, ...) in evaluation mode, for an array of inputs (N, ...), or for data as `evaluate` takes.

        Args: lengths (N,): of the sequences x (N, T, ...); or x is the table (x, lengths).
        """
        if lengths is None and takes_table(self.model, x):
            x, lengths = x
        if lengths is None and isinstance(x, Dataset | ArrayDataset | tuple):
            data = select_part(x, "test", self.loss)
        else:
            x = np.atleast_1d(x)
            data = ArrayDataset(x, np.zeros(len(x), np.float32), lengths=lengths)
        check_token_inputs(self.model, data)
        return self.evaluation.compute_outputs(data, self.threads or 1)

    def distribution(self, x):
        """What the fitted model says of the targets of x: the distribution that the loss reads into `predict(x)`.

        Probabilities, samples and quantiles are one call away:

            trainer = Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1))
            trainer.fit(digits)
            trainer.distribution(x).probabilities               # (N, 10); .classes() are the most probable ones
            trainer.distribution(x).sample(random, 5)           # (5, N), random = np.random.default_rng(0)

        and of a regression with GaussianNLL or MixtureDensity

            trainer.distribution(x).mean                        # (N, ...)
            trainer.distribution(x).quantile(0.95)              # below it lie 95 % of the targets
            trainer.distribution(x).log_density(target)         # of each sample

        Where the data set standardises its targets, numbers are in those units.

        Errors: ValueError for a loss that is no likelihood.
        """
        return self.loss.distribution(self.predict(x))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Trainer":
        """A trainer like this one, of parts of its own: its schedules move them, and it goes on as this one would.

        The data and the run folder are the same. Errors: TypeError for a callback that cannot be copied.
        """
        made = memo[id(self)] = object.__new__(type(self))
        deep = functools.partial(copy.deepcopy, memo=memo)
        Trainer.__init__(
            made,
            deep(self.model),
            deep(self.loss),
            deep(self.optimizer),
            callbacks=[copy_callback(callback, memo) for callback in self.callbacks],
            schedules=deep(self.timetable.schedules),
            augment=deep(self.augmentation.augments),
            rule=deep(self.rule),
            seed=self.seed,
            quiet=self.quiet,
            folder=self.folder,
            communicator=self.ranks or False,
        )
        for own, other in zip(self.timetable.settings, made.timetable.settings, strict=True):
            other.base = own.base
        Trainer.load_state_dict(made, copy.deepcopy(Trainer.state_dict(self)))
        more = [name for name in vars(self) if name not in vars(made)]  # of a custom class
        vars(made).update((name, copy.deepcopy(vars(self)[name], memo)) for name in more)
        vars(made).update((name, getattr(self, name)) for name in (*COPIED, "data", "valid_data"))
        return made

    # -- inside --------------------------------------------------------------------------------------------------

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
