"""Checks of the arguments of `Trainer.fit` and `evaluate`, before anything is trained."""

import functools
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from ...datasets import ArrayDataset, Dataset
from ...datasets.array_checks import CHECKED_AT_ONCE
from ...modules.checks.minibatch_check import check_minibatch_sizes
from ...modules.core.module import Module
from ...modules.kernels.threads import MAX_THREADS
from ...modules.losses.loss import Loss
from ..metrics import Metric, compute_metrics, find_metrics
from ..schedules.setting import BATCH_SIZE
from .parts import TrainingParts

Data = Dataset | ArrayDataset | tuple


def find_training_parts(train: Data, valid: Data | None, loss: Loss) -> tuple[ArrayDataset, ArrayDataset | None]:
    """Find the training and the validation part of the caller's data."""
    if valid is None and isinstance(train, Dataset):
        valid = train.valid
    return select_part(train, "train", loss), None if valid is None else select_part(valid, "valid", loss)


def select_part(data: Data, part: str, loss: Loss | None = None) -> ArrayDataset:
    """Select a part of `data` as an ArrayDataset; arrays may have the label that the loss ignores."""
    if isinstance(data, ArrayDataset):
        return data
    if isinstance(data, Dataset):
        chosen = getattr(data, part)
        if chosen is None:
            raise ValueError(f"Trainer: {type(data).__name__} has no {part} part")
        return chosen
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        return ArrayDataset(*data, ignore_index=getattr(loss, "ignore_index", None))
    expected = "a Dataset, an ArrayDataset or arrays (x, y) or (x, y, sample_weight)"
    raise TypeError(f"Trainer: data is {type(data).__name__}, expected {expected}")


def check_arguments(
    trainer: TrainingParts,
    train: Data,
    valid: Data | None,
    epochs,
    batch_size,
    shuffle,
    drop_last,
    balance,
    metrics,
    threads,
    total_cost,
) -> tuple[ArrayDataset, ArrayDataset | None, dict[str, Metric]]:
    """Check the arguments of a fit; returns the parts of the data and the metrics. ValueError if they do not fit."""
    train, valid = find_training_parts(train, valid, trainer.loss)
    check_fit(train, epochs, batch_size, threads)
    chosen = choose_metrics(trainer, train, metrics)
    train = convert_to_labels(trainer, train)
    check_balance(train, shuffle, balance)
    check_streams(train, batch_size, shuffle)
    trainer.augmentation.check(train.input_shape)
    check_minibatches(trainer, train, epochs, batch_size, drop_last)
    if valid is not None:
        check_data(trainer, valid, chosen)
        valid = convert_to_labels(trainer, valid)
    check_total_cost(trainer, total_cost)
    check_monitors(trainer, valid is not None, chosen, total_cost)
    return train, valid, chosen


def check_fit(train: ArrayDataset, epochs, batch_size, threads) -> None:
    """Raise ValueError for numbers out of range."""
    check_epochs_and_threads(epochs, threads)
    if not is_whole_number(batch_size) or not 1 <= batch_size <= len(train):
        raise ValueError(f"Trainer: batch_size is {batch_size}, expected 1 to {len(train)}, the number of samples")


def check_epochs_and_threads(epochs, threads) -> None:
    """Raise ValueError for numbers out of range; these may change when a training is resumed."""
    if not is_whole_number(epochs) or epochs < 0:
        raise ValueError(f"Trainer: epochs is {epochs}, expected a whole number of at least 0")
    if threads is not None and (not is_whole_number(threads) or not 1 <= threads <= MAX_THREADS):
        raise ValueError(f"Trainer: threads is {threads}, expected a whole number from 1 to {MAX_THREADS}")


def check_balance(train: ArrayDataset, shuffle: bool, balance: bool) -> None:
    """Raise ValueError for settings that exclude each other, and for data without classes to balance."""
    if balance and (train.classes is None or train.y.ndim != 1 or train.y.min() < 0 or not shuffle):
        raise ValueError("Trainer: balance is true, expected class labels, and shuffle to be true")


def check_streams(train: ArrayDataset, batch_size: int, shuffle: bool) -> None:
    """Raise ValueError for settings that would break up the streams of the data."""
    if train.streams is not None and (shuffle or batch_size != train.streams):
        settings = f"batch_size is {batch_size} and shuffle {str(shuffle).lower()}"
        expected = f"batch_size {train.streams} and shuffle false"
        raise ValueError(f"Trainer: the data are {train.streams} streams, {settings}, expected {expected}")


def choose_metrics(trainer: TrainingParts, data: ArrayDataset, metrics) -> dict[str, Metric]:
    """Find the metrics of these names, by default those of the loss; errors as of `check_data`."""
    chosen = find_metrics(trainer.loss.metrics if metrics is None else metrics, trainer.loss)
    check_data(trainer, data, chosen)
    return chosen


def reraise_data_errors(check: Callable) -> Callable:
    """Makes a ValueError of this package one that begins here: what a loss refuses in data is no bug."""

    @functools.wraps(check)
    def checked(*arguments):
        try:
            return check(*arguments)
        except ValueError as error:
            *_, (frame, _) = traceback.walk_tb(error.__traceback__)
            if not str(frame.f_globals.get("__name__", "")).startswith("bprop.modules"):
                raise
            raise error.with_traceback(None) from None

    return checked


@reraise_data_errors
def check_data(trainer: TrainingParts, data: ArrayDataset, metrics: dict[str, Metric]) -> None:
    """Raise ValueError for data that do not fit the model, the loss or a metric."""
    model, loss = trainer.model, trainer.loss
    if 0 in model.label_arguments:
        check_whole_inputs(model, data)
    output_shape = model.one_output_shape((1, *data.input_shape))
    loss.check_shapes(output_shape, (1, *data.target_shape), None)
    loss.check_targets(data.checked_targets, output_shape)
    if data.sample_weight is not None:
        loss.check_weights(output_shape, (1,))
    if loss.dtype != model.dtype:
        loss.to(model.dtype)
    compute_metrics(metrics, loss, np.zeros(output_shape, model.dtype), data.y[:1], data)


@reraise_data_errors
def check_minibatches(
    trainer: TrainingParts, train: ArrayDataset, epochs: int, batch_size: int, drop_last: bool
) -> None:
    """Raise ValueError for a module that rejects minibatches as small as the last one of some epoch."""
    n, sizes = len(train), set()
    for epoch in range(epochs if BATCH_SIZE in trainer.timetable.schedules else min(epochs, 1)):
        size = trainer.timetable.batch_size(batch_size, epoch, epochs, n)
        sizes.add((size, size if drop_last or n % size == 0 else n % size))
    for size, last in sorted(sizes):
        check_minibatch_sizes(trainer.model, trainer.loss, train.input_shape, train.y[:size], size, last)


def check_whole_inputs(model: Module, data: ArrayDataset) -> None:
    """Raise ValueError for inputs that are scaled, or have fractions, where a model takes whole numbers."""
    if (data.scale, data.shift) != (1, 0):
        scaling = f"the inputs are scaled by {data.scale:g} and shifted by {data.shift:g}"
        raise ValueError(f"Trainer: {scaling}, and {model.label()} takes whole numbers, expected scale 1 and shift 0")
    if data.x.dtype.kind == "f":
        rows = max(1, CHECKED_AT_ONCE // max(1, data.x.size // len(data)))
        for first in range(0, len(data), rows):
            piece = data.x[first : first + rows]
            wrong = np.argwhere(np.floor(piece) != piece)
            if wrong.size:
                row, value = first + wrong[0][0], piece[tuple(wrong[0])]
                raise ValueError(f"{model.label()}: x has {value:g} in row {row}, expected whole numbers")


def convert_to_labels(trainer: TrainingParts, data: ArrayDataset) -> ArrayDataset:
    """Convert checked floating-point targets to labels where the loss takes labels."""
    loss = trainer.loss
    if 1 not in loss.label_arguments or data.y.dtype.kind != "f":
        return data
    output_shape = trainer.model.one_output_shape((1, *data.input_shape))
    distributions = loss.takes_distributions and data.y.ndim == len(output_shape)
    return data if distributions else data.with_labels(getattr(loss, "ignore_index", None))


def check_total_cost(trainer: TrainingParts, total_cost) -> None:
    """Raise TypeError unless it is true or false, ValueError for an optimizer whose penalty is no term of a loss."""
    if not isinstance(total_cost, bool):
        raise TypeError(f"Trainer: total_cost is {total_cost!r}, expected true or false")
    if total_cost:
        trainer.optimizer.check_penalty()


def check_monitors(trainer: TrainingParts, valid: bool, metrics: dict[str, Metric], total_cost: bool) -> None:
    """Raise ValueError for a callback or a schedule that monitors an unknown metric."""
    package = str(__package__).rpartition(".")[0]
    if not all(type(callback).__module__.startswith(f"{package}.") for callback in trainer.callbacks):
        return  # a custom one may add metrics
    parts = {"train": [name for name, metric in metrics.items() if metric.number], "valid": list(metrics)}
    known = [f"{part}_{name}" for part in parts if part == "train" or valid for name in ("loss", *parts[part])]
    known += [*(["penalty", "train_cost"] if total_cost else []), *trainer.timetable.row(0), "seconds"]
    watching: list[Any] = [*trainer.callbacks, *trainer.timetable.schedules.values()]
    for who in watching:
        if who.monitored is not None and who.monitored not in known:
            what = f"there is no metric {who.monitored!r}"
            raise ValueError(f"{type(who).__name__}: {what}, expected one of {', '.join(known)}")


def is_whole_number(value: Any) -> bool:
    """Whether a setting is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
