"""The training loop: epochs of minibatches, figures on the training and validation sets, callbacks between them."""

import inspect
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..datasets import ArrayDataset, Dataset, balanced_order, epoch_order
from ..modules.engine.tables import shapes_in
from ..modules.engine.threads import num_threads
from ..modules.kernels.threads import MOST_PARTS
from ..modules.loss import Loss
from ..modules.module import Module
from ..modules.summary import output_shapes
from .augments import Augment, Augmentation
from .callbacks import Callback
from .checkpoints import read_checkpoint, write_checkpoint
from .loop import Epoch, NotFinite, weights_of
from .metrics import Metric, MetricLike, figures, find_metrics
from .notice import said_if_slow
from .optimizers import Optimizer
from .optimizers.full_batch import FullBatch
from .resuming import check_settings, fingerprint, restore, state_of
from .schedules import Schedule
from .schedules.timetable import Timetable
from .step import CompiledStep
from .threads import choose_threads

EVALUATION_BATCH = 1000  # samples at a time, fewer if
EVALUATION_BYTES = 2**22  # one output of a module would be larger: what fits a cache is soon done
COMPILING = "compiling the training step; the next run finds it in the cache"
CHECKED = ("epochs", "batch_size", "shuffle", "balance", "metrics", "threads")
Data = Dataset | ArrayDataset | tuple


class TrainingError(RuntimeError):
    """The training cannot go on; the message says where it stopped, and the model has its last good weights."""


class Trainer:
    """Trains a net by minibatches.

    Args: model, loss, optimizer: what is trained, on what and how; callbacks: run after each epoch, in order;
        schedules: settings that change, such as {"optimizer.lr": CosineSchedule(), "model.2.p": ...}, or "batch_size";
        augment: random changes of the training pictures, in order, such as [Shift(2), Flip()];
        seed: the order of the samples is a function of it alone; quiet: no progress bar, no lines; folder: that of the
        run, into which callbacks write.
    `history` holds one dict of figures for each epoch; `stopped` says why the training ended early, or is None;
    `epoch` is the number of epochs done, `position` that of samples in the epoch that runs; `seconds` is the time in
    `fit`; `notes` are values for a caller's own use, saved with the rest.
    Source: Goodfellow et al., Deep Learning, section 8.1.3 and algorithm 8.1.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        callbacks: Sequence[Callback] = (),
        schedules: Mapping[str, Schedule] | None = None,
        augment: Sequence[Augment] = (),
        seed: int = 0,
        quiet: bool = False,
        folder: str | Path | None = None,
    ):
        for name, value, kind in (("model", model, Module), ("loss", loss, Loss), ("optimizer", optimizer, Optimizer)):
            if not isinstance(value, kind):
                hint = f"; write {value.__name__}(...)" if isinstance(value, type) else ""
                raise TypeError(f"Trainer: {name} is {value!r}, expected a {kind.__name__}{hint}")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                hint = f"; write {callback.__name__}(...)" if isinstance(callback, type) else ""
                raise TypeError(f"Trainer: a callback is {callback!r}, expected a Callback{hint}")
        for each in augment:
            if not isinstance(each, Augment):
                hint = f"; write {each.__name__}(...)" if isinstance(each, type) else ""
                raise TypeError(f"Trainer: augment has {each!r}, expected an Augment{hint}")
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.augmentation = Augmentation(augment, seed)
        self.callbacks, self.seed, self.quiet = list(callbacks), seed, quiet
        self.folder = None if folder is None else Path(folder)
        self.history: list[dict[str, Any]] = []
        self.notes: dict[str, Any] = {}
        self.stopped: str | None = None
        self.resumed = False  # whether this fit, or the last, is one that was loaded
        self.epoch, self.seconds = 0, 0.0
        self.threads: int | None = None  # that the last training used
        self.metrics: dict[str, Metric] = {}  # those of the last training
        self.data: ArrayDataset | None = None  # that the last training was on
        self._largest: tuple[tuple[int, ...] | None, int] = (
            None,
            0,
        )  # elements of the largest output for a sample of a shape
        self._good: dict[str, np.ndarray] | None = None  # weights that are known to have given a finite loss
        self._fit: dict[str, Any] | None = None  # while it runs: its first epoch, the epochs after it, its settings
        self._place: dict[str, Any] | None = None  # within an epoch: how far it is, and what it has gathered
        self._pending: dict[str, Any] | None = None  # a fit that was loaded, for the next one to finish
        self._for_now = False  # whether the training stops only for now
        self.timetable = Timetable(schedules or {}, {"optimizer": optimizer, "model": model, "loss": loss})
        if isinstance(optimizer, FullBatch) and self.timetable.by_step:
            path = self.timetable.by_step[0].path
            raise ValueError(f"schedules: {path} has a schedule per step, but {type(optimizer).__name__} has no steps")
        scheduled = tuple((setting.owner, setting.name) for setting in self.timetable.by_step)
        self._step = CompiledStep(model, loss, optimizer, scheduled, self.augmentation)

    def fit(
        self,
        train: Data,
        valid: Data | None = None,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        shuffle: bool = True,
        drop_last: bool = False,
        balance: bool = False,
        metrics: list[MetricLike] | None = None,
        threads: int | None = None,
    ) -> list[dict[str, Any]]:
        """Train for some epochs; returns `history`. After `load` it finishes the fit that was saved, with its settings.

        Args: train: a Dataset (its train and valid parts are used), an ArrayDataset or arrays (x, y) or (x, y,
            sample_weight); valid: likewise, or None; epochs: at least 0; batch_size: at most the number of samples;
            shuffle: a new order each epoch; drop_last: leave out a last minibatch that is smaller; balance: show each
            class equally often, in the `balanced_order` of each epoch; metrics: names such as f1_macro, objects such as
            TopK(3), or functions (y, target) -> float; by default those of the loss; threads: how many share the
            products, by default as many as train fastest, which is measured once. The results are the same bits for any
            number.
        With weights, losses and metrics are the weighted ones; weights that are all alike change nothing.
        Errors: ValueError for settings or data that do not fit; TrainingError for a loss that is not finite.
        """
        train, valid, chosen = self._checked(train, valid, epochs, batch_size, shuffle, balance, metrics, threads)
        how = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last, "balance": balance}
        what = {"metrics": list(chosen), "train": fingerprint(train), "valid": fingerprint(valid)}
        self._begin(epochs, how | what, len(train))
        self.metrics, self.threads, self.data = chosen, threads, train
        self.model.train()
        try:
            self._start_callbacks()
            try:
                while not self.ended:
                    if not self._epoch(train, valid, batch_size, shuffle, balance, drop_last, chosen):
                        break
                    self._pause(None)
            finally:
                self.timetable.restore()
                for callback in self.callbacks:
                    callback.on_fit_end(self)
        finally:
            self._fit = self._place = None
        return self.history

    def check(self, train: Data, valid: Data | None = None, **settings: Any) -> None:
        """Refuse what `fit` with the same arguments would refuse before its first step; nothing is trained.

        Errors: those of `fit`.
        """
        defaults = {name: setting.default for name, setting in inspect.signature(self.fit).parameters.items()}
        chosen = {name: settings.get(name, defaults[name]) for name in CHECKED}
        self._checked(train, valid, **chosen)
        self.optimizer.attach(self.model)

    def _checked(
        self, train: Data, valid: Data | None, epochs, batch_size, shuffle, balance, metrics, threads
    ) -> tuple[ArrayDataset, ArrayDataset | None, dict[str, Metric]]:
        """The parts of the data and the metrics; ValueError for what does not fit."""
        train, valid = training_parts(train, valid)
        if not whole(epochs) or epochs < 0:
            raise ValueError(f"Trainer: epochs is {epochs}, expected a whole number of at least 0")
        if not whole(batch_size) or not 1 <= batch_size <= len(train):
            raise ValueError(f"Trainer: batch_size is {batch_size}, expected 1 to {len(train)}, the number of samples")
        if balance and (train.classes is None or not shuffle):
            raise ValueError("Trainer: balance is true, expected class labels, and shuffle to be true")
        if threads is not None and (not whole(threads) or not 1 <= threads <= MOST_PARTS):
            raise ValueError(f"Trainer: threads is {threads}, expected a whole number from 1 to {MOST_PARTS}")
        chosen = find_metrics(self.loss.metrics if metrics is None else metrics, self.loss)
        self._check(train, chosen)
        self.augmentation.check(train.input_shape)
        if valid is not None:
            self._check(valid, chosen)
        self._check_monitors(valid is not None, chosen)
        return train, valid, chosen

    def _check_monitors(self, valid: bool, metrics: dict[str, Metric]) -> None:
        """ValueError for a callback or a schedule that watches a figure which there will not be."""
        if not all(type(callback).__module__.startswith(__package__) for callback in self.callbacks):
            return  # one of the user's own may add figures
        parts = {"train": [name for name, metric in metrics.items() if metric.number], "valid": list(metrics)}
        known = [f"{part}_{name}" for part in parts if part == "train" or valid for name in ("loss", *parts[part])]
        known += [*self.timetable.row(0), "seconds"]
        watching: list[Any] = [*self.callbacks, *self.timetable.schedules.values()]
        for who in watching:
            if who.monitored is not None and who.monitored not in known:
                what = f"there is no figure {who.monitored!r}"
                raise ValueError(f"{type(who).__name__}: {what}, expected one of {', '.join(known)}")

    def stop(self, reason: str, *, for_now: bool = False) -> None:
        """End the training after this epoch; for_now: at this pause, and if it is resumed it goes on."""
        self.stopped, self._for_now = reason, for_now

    @property
    def ended(self) -> bool:
        """Whether the fit that runs has done its last epoch."""
        return self._fit is not None and (self.stopped is not None or self.epoch >= self._fit["epochs"])

    @property
    def position(self) -> int:
        """How many samples of the present epoch are done; 0 between epochs."""
        return 0 if self._place is None else self._place["done"]

    def save(self, folder: str | Path) -> None:
        """Write a checkpoint: all that `load` needs for the training to go on as if it had not been interrupted.

        Args: folder: made if missing; it keeps this checkpoint and the one before. Call it outside `fit` or from a
            callback's `on_pause`.
        Errors: OSError if it cannot be written; the one before is then as it was.
        """
        write_checkpoint(Path(folder), state_of(self))

    def load(self, folder: str | Path) -> None:
        """Take over the newest whole checkpoint of a folder, saved by a trainer like this one; nothing is executed.

        If it was saved within a `fit`, the next `fit`, with the same data and settings, finishes that one.
        Errors: FileNotFoundError if there is none; ValueError if none is whole, or if it does not fit this trainer.
        """
        restore(self, read_checkpoint(Path(folder)))

    def evaluate(self, data: Data, *, metrics: list[MetricLike] | None = None) -> dict[str, Any]:
        """Mean loss and metrics of a data set, in evaluation mode. A Dataset stands for its test part."""
        data = one_part(data, "test")
        chosen = find_metrics(self.loss.metrics if metrics is None else metrics, self.loss)
        self._check(data, chosen)
        return self._evaluate(data, chosen)

    def predict(self, x) -> np.ndarray:
        """The net's outputs (N, ...) in evaluation mode, for an array of inputs (N, ...), or for `evaluate`'s data."""
        if isinstance(x, Dataset | ArrayDataset | tuple):
            return self._outputs(one_part(x, "test"))
        x = np.atleast_1d(x)
        return self._outputs(ArrayDataset(x, np.zeros(len(x), np.float32)))

    def distribution(self, x):
        """What the fitted net says of the targets of x: the distribution that the loss reads into `predict(x)`.

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

    # -- inside --------------------------------------------------------------------------------------------------

    def _begin(self, epochs: int, settings: dict[str, Any], samples: int) -> None:
        """Start a fit, or go on with the one that was loaded; refuses settings that would make it another one."""
        pending = self._pending
        self.resumed, begun = pending is not None, self.epoch
        if pending is not None:
            check_settings(pending["settings"], settings)
            begun = pending["begun"]
            until = self.epoch + (pending["place"] is not None)
            if begun + epochs < until:
                raise ValueError(
                    f"Trainer: epochs is {epochs}, expected at least {until - begun}, as so many have begun"
                )
            rest = settings["batch_size"], samples, settings["drop_last"]
            self.timetable.check_so_far(until, pending["epochs"], begun + epochs, *rest)
        self._fit = {"begun": begun, "epochs": begun + epochs, "settings": settings}
        self.stopped, self._good, self._place, self._for_now = None, None, None, False
        if pending is not None:
            self.stopped, self._good, self._place = pending["stopped"], pending["good"], pending["place"]

    def _start_callbacks(self) -> None:
        for callback in self.callbacks:
            callback.on_fit_start(self)
        if self._pending is not None:
            for callback, state in zip(self.callbacks, self._pending["callbacks"], strict=True):
                callback.load_state_dict(state)
            self._pending = None

    def _pause(self, place: dict[str, Any] | None) -> None:
        """A moment in which all is consistent and may be saved."""
        self._place, going_on = place, not self.ended
        for _ in range(2):
            for callback in self.callbacks:
                callback.on_pause(self)
            if not (going_on and self.ended):
                break  # otherwise one of them has ended it, and those before have not heard of that

    def _check(self, data: ArrayDataset, metrics: dict[str, Metric]) -> None:
        """Refuse data that do not fit the net, the loss or a metric, before anything is trained."""
        output_shape = self.model.one_output_shape((1, *data.input_shape))
        self.loss.check_shapes(output_shape, (1, *data.target_shape), None)
        self.loss.check_targets(data.y, output_shape)
        if data.sample_weight is not None:
            self.loss.check_weights(output_shape, (1,))
        if self.loss.dtype != self.model.dtype:
            self.loss.to(self.model.dtype)
        figures(metrics, self.loss, np.zeros(output_shape, self.model.dtype), data.y[:1], data)

    def _epoch(self, train, valid, batch_size, shuffle, balance, drop_last, metrics: dict[str, Metric]) -> bool:
        """Train for an epoch; False if the training is to stop within it."""
        place, self._place = self._place, None  # of an epoch that was begun before
        passed = place["seconds"] if place else 0.0
        start, earlier = time.perf_counter() - passed, self.seconds - passed
        assert self._fit is not None
        epochs = self._fit["epochs"]
        table = self.timetable.begin_epoch(self.epoch, epochs, batch_size, len(train), drop_last)
        batch_size = self.timetable.batch_size(batch_size, self.epoch, epochs, len(train))
        n = len(train) - len(train) % batch_size if drop_last else len(train)
        order = self._order(train, shuffle, balance)
        metrics = {name: metric for name, metric in metrics.items() if metric.number}
        shape = self.model.output_shape((n, *train.input_shape))
        outputs = np.empty(shape if metrics else (0, *shape[1:]), self.model.dtype)
        weights = weights_of(train, self.loss)
        epoch = Epoch(train, order[:n], batch_size, outputs, self.timetable.by_step, table, weights)
        if isinstance(self.optimizer, FullBatch):
            epoch.give_shares(self.optimizer)
        before, total = self.model.state_dict(), 0.0
        if place is not None:
            before, total = place["before"], place["total"]
            epoch.first, epoch.total = place["done"], total
            outputs[: place["done"]] = place["outputs"]
        watching = [c for c in self.callbacks if type(c).on_batch_end is not Callback.on_batch_end]
        epoch.singly = bool(watching)
        self.augmentation.begin(self.epoch, self.model.dtype)
        with said_if_slow(COMPILING, quiet=self.quiet):
            epoch.prepare(self._step)
            if self.threads is None:
                self.threads = choose_threads(self._step, epoch)
        with num_threads(self.threads), self._bar(n) as bar:
            try:
                for done, total in self._told(watching, epoch, epoch.train(self._step)):
                    bar.update(done - bar.n)
                    bar.set_postfix(loss=f"{mean(total, epoch.mass(done)):.4f}", refresh=False)
                    if done < n:
                        place = {"done": done, "total": total, "outputs": outputs[:done], "before": before}
                        seconds = time.perf_counter() - start
                        self.seconds = earlier + seconds
                        self._pause(place | {"seconds": seconds})
                        if self._for_now:
                            return False
                if not np.isfinite(self.model.flat_parameters).all():
                    raise NotFinite("a weight is not finite", n - 1)
            except NotFinite as problem:
                notes = [callback.on_not_finite(self, epoch, problem.position) for callback in self.callbacks]
                error = TrainingError(self._go_back(problem, before, batch_size))
                for note in filter(None, notes):
                    error.add_note(note)
                raise error from None
        self._good = before
        self.epoch += 1
        row = {"epoch": self.epoch, "train_loss": mean(total, epoch.mass(n))}
        counts = None if weights is None else weights[order[:n]]
        found = figures(metrics, self.loss, outputs, train.y[order[:n]], train, counts) if metrics else {}
        row |= {f"train_{name}": value for name, value in found.items()}
        if valid is not None:
            row |= {f"valid_{name}": value for name, value in self._evaluate(valid, metrics).items()}
        row |= self.timetable.row(batch_size)
        row["seconds"] = time.perf_counter() - start
        self.seconds, self._place = earlier + row["seconds"], None
        self.history.append(row)
        self.timetable.observe(row)
        self._say(row)
        if isinstance(self.optimizer, FullBatch) and self.optimizer.converged:
            self.stop(f"{type(self.optimizer).__name__} has converged")
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)
        return True

    def _told(self, watching: list[Callback], epoch: Epoch, places: Iterable[tuple[int, float]]) -> Iterator:
        """The same places, each told to the callbacks that want to hear of every minibatch."""
        first, before = epoch.first, epoch.total
        for done, total in places:
            if watching:
                loss = mean(total - before, epoch.mass(done) - epoch.mass(first))
                row = {"epoch": self.epoch + 1, "done": done, "samples": done - first, "loss": loss}
                for callback in watching:
                    callback.on_batch_end(self, row)
            yield done, total
            first, before = done, total

    def _order(self, train: ArrayDataset, shuffle: bool, balance: bool) -> np.ndarray:
        """The samples of this epoch in the order in which they are visited."""
        if balance:
            return balanced_order(train.y, seed=self.seed, epoch=self.epoch)
        return epoch_order(len(train), seed=self.seed, epoch=self.epoch) if shuffle else np.arange(len(train))

    def _go_back(self, problem: NotFinite, weights: dict[str, np.ndarray], batch_size: int) -> str:
        """Restore the last weights that gave a finite loss: the epoch's first, if its first step was one; says so."""
        good, epoch = weights, self.epoch
        if problem.position == 0 and self._good is not None:
            good, epoch = self._good, self.epoch - 1
        self.model.load_state_dict(good)
        self.optimizer.forget_averages()
        return (
            f"{problem} in epoch {self.epoch + 1}, step {problem.position // batch_size + 1}; "
            f"the model has its weights of the end of epoch {epoch} again. A smaller learning rate may help"
        )

    def _evaluate(self, data: ArrayDataset, metrics: dict[str, Metric]) -> dict[str, Any]:
        total, mass, outputs, weights = 0.0, 0.0, [], weights_of(data, self.loss)
        with self._evaluating():
            for rows in self._pieces(data):
                y = self.model.fprop(data[rows][0])
                weight = None if weights is None else weights[rows]
                counts = len(y) if weight is None else float(weight.sum(dtype=np.float64))
                total += float(self.loss(y, data.y[rows], weight)) * counts
                mass += counts
                outputs += [y] if metrics else []  # which may be larger than memory, as the data may
        found = figures(metrics, self.loss, np.concatenate(outputs), data.y, data, weights) if metrics else {}
        return {"loss": mean(total, mass)} | found

    def _outputs(self, data: ArrayDataset) -> np.ndarray:
        with self._evaluating():
            return np.concatenate([self.model.fprop(data[rows][0]) for rows in self._pieces(data)])

    def _pieces(self, data: ArrayDataset) -> Iterator[slice]:
        """The rows of a data set, as many at a time as give outputs of moderate size."""
        if self._largest[0] != data.input_shape:
            shapes = output_shapes(self.model, (1, *data.input_shape))
            self._largest = (
                data.input_shape,
                max((math.prod(shape) for each in shapes.values() for shape in shapes_in(each)), default=1),
            )
        size = max(1, self._largest[1] * self.model.dtype.itemsize)
        return pieces(len(data), max(1, min(EVALUATION_BATCH, EVALUATION_BYTES // size)))

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Evaluation mode, with the weights that the optimizer evaluates."""
        training = self.model.training
        self.model.eval()
        try:
            with num_threads(self.threads or 1), self.optimizer.evaluated_weights(self.model):
                yield
        finally:
            self.model.train(training)

    def _bar(self, n: int) -> tqdm:
        return tqdm(
            total=n,
            desc=f"epoch {self.epoch + 1}",
            unit=" samples",
            unit_scale=True,
            leave=False,
            disable=True if self.quiet else None,
        )

    def _say(self, row: dict[str, Any]) -> None:
        if not self.quiet:
            figures = "  ".join(f"{k} {v:.4f}" for k, v in row.items() if k.startswith(("train_", "valid_")))
            figures += "".join(f"  {k} {v:.4g}" for k, v in self.timetable.row(row.get("batch_size", 0)).items())
            print(f"epoch {row['epoch']:3d}  {figures}  {row['seconds']:.2f} s", file=sys.stderr)


def pieces(n: int, size: int = EVALUATION_BATCH) -> Iterator[slice]:
    """The rows 0 to n, `size` at a time."""
    return (slice(first, first + size) for first in range(0, n, size))


def mean(total: float, mass: float) -> float:
    """total / mass; a mean over nothing is 0."""
    return total / mass if mass else 0.0


def whole(value: Any) -> bool:
    """Whether a setting is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def training_parts(train: Data, valid: Data | None) -> tuple[ArrayDataset, ArrayDataset | None]:
    """The training and the validation part of what a caller may give."""
    if valid is None and isinstance(train, Dataset):
        valid = train.valid
    return one_part(train, "train"), None if valid is None else one_part(valid, "valid")


def one_part(data: Data, part: str) -> ArrayDataset:
    """`data` as one ArrayDataset: the named part of a Dataset."""
    if isinstance(data, ArrayDataset):
        return data
    if isinstance(data, Dataset):
        chosen = getattr(data, part)
        if chosen is None:
            raise ValueError(f"Trainer: {type(data).__name__} has no {part} part")
        return chosen
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        return ArrayDataset(*data)
    wanted = "a Dataset, an ArrayDataset or arrays (x, y) or (x, y, sample_weight)"
    raise TypeError(f"Trainer: data is {type(data).__name__}, expected {wanted}")
