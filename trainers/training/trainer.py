"""The Trainer: its parts, and the beginning of a fit; what else it does is in its base classes."""

import copy
import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...datasets import ArrayDataset
from ...datasets.files.paths import expand_path
from ...modules.core.module import Module
from ...modules.core.type_errors import describe_wrong_type
from ...modules.engine.locks import training_alone
from ...modules.losses.loss import Loss
from ..augments import Augment, Augmentation
from ..callbacks import Callback
from ..metrics import Metric, MetricLike
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from ..parallel.job import find_ranks
from ..parallel.reading import share_parts
from ..progress.epoch_table import EpochTable
from ..rules import Rule
from ..schedules import Schedule
from ..schedules.timetable import Timetable
from .alignment import Alignment
from .arguments import EPOCHS, Data, FitSettings, check_arguments, choose_cut
from .compiled_step import CompiledStep
from .evaluation import Evaluation
from .fit_loop import FitLoop
from .fit_state import FitState
from .full_batch_shards import make_sharding
from .saved_training import SavedTraining
from .shard_checks import check_same_start
from .trained_model import TrainedModel

COPIED = ("stopped", "resumed", "threads", "metrics", "total_cost")


def copy_callback(callback: Callback, memo: dict[int, Any]) -> Callback:
    """Copy a callback with its state."""
    try:
        return copy.deepcopy(callback, memo)
    except TypeError as error:  # such as of an open file
        raise TypeError(f"Trainer: its callback {type(callback).__name__} cannot be copied: {error}") from error


class Trainer(FitLoop, SavedTraining, TrainedModel):
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
            self.compiled_step.set_sharding(make_sharding(self.optimizer, shards, self.ranks))
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
