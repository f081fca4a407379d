"""Checks of the arguments of `Trainer.fit` and `evaluate`, before anything is trained."""

import functools
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...datasets import ArrayDataset, Dataset
from ...datasets.array_checks import CHECKED_AT_ONCE
from ...modules.checks.minibatch_check import check_minibatch_sizes
from ...modules.core.module import Module
from ...modules.engine.entry_points import convert_input
from ...modules.engine.tables import is_table_of_shapes
from ...modules.kernels.threads import MAX_THREADS
from ...modules.losses.loss import Loss
from ..metrics import Metric, compute_metrics, find_metrics
from ..optimizers.full_batch import FullBatch
from ..parallel.step_layout import find_shard_sizes
from ..schedules.setting import BATCH_SIZE
from .inputs import reads_whole_numbers
from .parts import TrainingParts
from .shard_checks import check_shards
from .shares import check_accumulation

Data = Dataset | ArrayDataset | tuple
EPOCHS = 10  # of a fit that is told neither epochs nor steps
KEPT_SETTINGS = ("batch_size", "accumulate", "shuffle", "drop_last", "balance", "group_by_length", "shards")


@dataclass(frozen=True)
class FitSettings:
    """The settings of a fit, as of `Trainer.fit`."""

    epochs: int | None
    steps: int | None
    evaluate_every: int | None
    batch_size: int
    accumulate: int
    shuffle: bool
    drop_last: bool
    balance: bool
    group_by_length: bool
    metrics: Any
    threads: int | None
    total_cost: bool
    shards: int | None

    @property
    def kept(self) -> dict[str, Any]:
        """Those that a training must keep when it is resumed; beside the metrics and the steps of a row."""
        return {name: getattr(self, name) for name in KEPT_SETTINGS}


def find_training_parts(train: Data, valid: Data | None, loss: Loss) -> tuple[ArrayDataset, ArrayDataset | None]:
    """Find the training and the validation part of the caller's data."""
    if valid is None and isinstance(train, Dataset):
        valid = train.valid
    return select_part(train, "train", loss), None if valid is None else select_part(valid, "valid", loss)


def select_part(data: Data, part: str, loss: Loss | None = None) -> ArrayDataset:
    """Select a part of `data` as an ArrayDataset; of arrays, y may have the label that the loss ignores, x lengths."""
    if isinstance(data, ArrayDataset):
        return data
    if isinstance(data, Dataset):
        chosen = getattr(data, part)
        if chosen is None:
            raise ValueError(f"Trainer: {type(data).__name__} has no {part} part")
        return chosen
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        x, *rest = data
        x, lengths = x if isinstance(x, tuple) and len(x) == 2 else (x, None)
        return ArrayDataset(x, *rest, lengths=lengths, ignore_index=getattr(loss, "ignore_index", None))
    expected = "a Dataset, an ArrayDataset or arrays (x, y) or (x, y, sample_weight), where x may be (x, lengths)"
    raise TypeError(f"Trainer: data is {type(data).__name__}, expected {expected}")


def check_arguments(
    trainer: TrainingParts, train: Data, valid: Data | None, settings: FitSettings
) -> tuple[ArrayDataset, ArrayDataset | None, dict[str, Metric]]:
    """Check the arguments of a fit; returns the parts of the data and the metrics. ValueError if they do not fit."""
    train, valid = find_training_parts(train, valid, trainer.loss)
    check_length(settings.epochs, settings.steps, settings.threads)
    check_sizes(train, settings)
    check_steps(trainer, settings)
    chosen = choose_metrics(trainer, train, settings.metrics)
    train = convert_to_labels(trainer, train)
    check_balance(train, settings.shuffle, settings.balance)
    check_streams(train, settings)
    check_augmentation(trainer, train)
    check_shards(trainer, settings, len(train))
    check_minibatches(trainer, train, settings)
    check_accumulation(trainer.loss, settings.accumulate)
    check_grouping(trainer, train, settings)
    if valid is not None:
        check_data(trainer, valid, chosen)
        valid = convert_to_labels(trainer, valid)
    check_total_cost(trainer, settings.total_cost)
    check_monitors(trainer, valid is not None, chosen, settings.total_cost)
    return train, valid, chosen


def check_sizes(train: ArrayDataset, settings: FitSettings) -> None:
    """Raise ValueError for sizes of minibatches and of steps out of range."""
    batch_size, accumulate = settings.batch_size, settings.accumulate
    if not is_whole_number(batch_size) or not 1 <= batch_size <= len(train):
        raise ValueError(f"Trainer: batch_size is {batch_size}, expected 1 to {len(train)}, the number of samples")
    if not is_whole_number(accumulate) or accumulate < 1:
        raise ValueError(f"Trainer: accumulate is {accumulate}, expected a whole number of at least 1")
    if batch_size * accumulate > len(train):
        sizes = f"batch_size is {batch_size} and accumulate {accumulate}, which take {batch_size * accumulate} samples"
        raise ValueError(f"Trainer: {sizes}, expected at most {len(train)}")


def check_steps(trainer: TrainingParts, settings: FitSettings) -> None:
    """Raise ValueError for what cannot be together with steps, or with accumulation."""
    every, optimizer = settings.evaluate_every, trainer.optimizer
    if every is not None:
        if settings.steps is None:
            raise ValueError(f"Trainer: evaluate_every is {every} without steps, expected both or none")
        if not is_whole_number(every) or every < 1:
            raise ValueError(f"Trainer: evaluate_every is {every}, expected a whole number of at least 1")
    if settings.steps is not None and BATCH_SIZE in trainer.timetable.schedules:
        raise ValueError("schedules: batch_size has a schedule, expected none where steps are counted")
    if isinstance(optimizer, FullBatch):
        name = type(optimizer).__name__
        if settings.steps is not None:
            raise ValueError(f"Trainer: steps is {settings.steps}, but {name} looks at all samples, expected epochs")
        if settings.accumulate > 1:
            reason = f"{name} looks at all samples for each step anyway"
            raise ValueError(f"Trainer: accumulate is {settings.accumulate}, expected 1, as {reason}")


def check_length(epochs, steps, threads) -> None:
    """Raise ValueError for numbers out of range; these may change when a training is resumed."""
    if epochs is not None and steps is not None:
        raise ValueError(
            f"Trainer: epochs is {epochs} and steps is {steps}, expected one of them, the other None (null in a config)"
        )
    for name, value in (("epochs", epochs), ("steps", steps)):
        if value is not None and (not is_whole_number(value) or value < 0):
            raise ValueError(f"Trainer: {name} is {value}, expected a whole number of at least 0")
    if threads is not None and (not is_whole_number(threads) or not 1 <= threads <= MAX_THREADS):
        raise ValueError(f"Trainer: threads is {threads}, expected a whole number from 1 to {MAX_THREADS}")


def check_balance(train: ArrayDataset, shuffle: bool, balance: bool) -> None:
    """Raise ValueError for settings that exclude each other, and for data without classes to balance."""
    if balance and (train.classes is None or train.y.ndim != 1 or train.y.min() < 0 or not shuffle):
        raise ValueError("Trainer: balance is true, expected class labels, and shuffle to be true")


def check_augmentation(trainer: TrainingParts, train: ArrayDataset) -> None:
    """Raise ValueError for samples that are no images."""
    if trainer.augmentation.augments and train.has_lengths:
        raise ValueError("Trainer: there are augmentations, expected images, and no sequences with lengths")
    trainer.augmentation.check(train.input_shape)


def infer_shape_of_steps(model: Module, data: ArrayDataset, steps: int) -> tuple[int, ...]:
    """Infer the shape of a model's output for one sequence of so many steps; ValueError if the model refuses it."""
    return model.one_output_shape(((1, steps, *data.input_shape[1:]), (1,)))


def check_grouping(trainer: TrainingParts, train: ArrayDataset, settings: FitSettings) -> None:
    """Raise ValueError unless minibatches can be grouped by length, if that is asked for."""
    if not isinstance(settings.group_by_length, bool):
        raise TypeError(f"Trainer: group_by_length is {settings.group_by_length!r}, expected true or false")
    if not settings.group_by_length:
        return
    if train.lengths is None:
        raise ValueError("Trainer: group_by_length is true, but the data have no lengths")
    if not settings.shuffle:
        raise ValueError("Trainer: group_by_length is true, expected shuffle to be true")
    shortest = int(train.lengths.min())
    try:
        infer_shape_of_steps(trainer.model, train, shortest)
    except ValueError as error:
        what = f"minibatches are cut to their longest sample, and the model refuses sequences of {shortest} steps"
        raise ValueError(f"Trainer: group_by_length is true, so {what}: {error}") from None


def choose_cut(model: Module, data: ArrayDataset, group_by_length: bool) -> str:
    """Choose what is cut to the longest sample of a minibatch: nothing, "x", or "x and target".

    A target is cut where it has the steps of x, and the model's output has as many steps as its input.
    """
    if not group_by_length or data.lengths is None:
        return ""
    steps = data.input_shape[0]
    if data.target_shape[:1] != (steps,) or steps == 1:
        return "x"
    lengths = (steps, min(int(data.lengths.min()), steps - 1))
    per_step = all(infer_shape_of_steps(model, data, length)[1:2] == (length,) for length in lengths)
    return "x and target" if per_step else "x"


def check_streams(train: ArrayDataset, settings: FitSettings) -> None:
    """Raise ValueError for settings that would break up the streams of the data."""
    if train.streams is not None and (settings.shuffle or settings.batch_size != train.streams):
        chosen = f"batch_size is {settings.batch_size} and shuffle {str(settings.shuffle).lower()}"
        expected = f"batch_size {train.streams} and shuffle false"
        raise ValueError(f"Trainer: the data are {train.streams} streams, {chosen}, expected {expected}")


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
    output_shape = infer_output_shape(trainer, data)
    if not data.received:  # else rank 0 has looked at each number
        if reads_whole_numbers(model, data):
            check_whole_inputs(model, data)
        check_token_inputs(model, data)
    loss.check_reduction()
    loss.check_shapes(output_shape, (1, *data.target_shape), None)
    if not data.received:
        loss.check_targets(data.checked_targets, output_shape)
    if data.sample_weight is not None:
        loss.check_weights(output_shape, (1,))
    if loss.dtype != model.dtype:
        loss.to(model.dtype)
    compute_metrics(metrics, loss, np.zeros(output_shape, model.dtype), data.y[:1], data)


def infer_output_shape(trainer: TrainingParts, data: ArrayDataset) -> tuple[int, ...]:
    """Infer the shape of the model's output for one sample; ValueError for samples that it does not take."""
    shape = data.minibatch_shape(1)
    if trainer.rule is not None and data.has_lengths:
        raise ValueError(f"{trainer.rule.label()}: takes no lengths")
    try:
        return trainer.model.one_output_shape(shape)
    except ValueError as error:
        if is_table_of_shapes(shape):
            error.add_note("the data have lengths, so the model gets a table (x, lengths), as a Padded takes it")
        raise


@reraise_data_errors
def check_minibatches(trainer: TrainingParts, train: ArrayDataset, settings: FitSettings) -> None:
    """Raise ValueError for a module that rejects minibatches as small as the last one of some epoch."""
    n, sizes, whole = len(train), set(), settings.accumulate
    epochs = EPOCHS if settings.epochs is None else settings.epochs
    for epoch in range(epochs if BATCH_SIZE in trainer.timetable.schedules else min(epochs, 1)):
        size = trainer.timetable.batch_size(settings.batch_size, epoch, epochs, n)
        if size * whole > n:
            message = f"schedules: batch_size would be {size} in epoch {epoch + 1}, with accumulate {whole}"
            raise ValueError(f"{message}: {size * whole} samples a step, expected at most {n}")
        sizes.add((size, size if settings.drop_last or n % size == 0 else n % size))
    for size, last in sorted(sizes):
        shards = settings.shards
        if shards is not None:
            size, last = (min(find_shard_sizes(each, shards)) for each in (size, last))
        try:
            check_minibatch_sizes(trainer.model, trainer.loss, train.minibatch_shape, train.y[:size], size, last)
        except ValueError as error:
            if shards is not None:
                error.add_note(f"a minibatch is cut into {shards} shards (trainer.shards), the sizes are theirs")
            raise


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


@reraise_data_errors
def check_token_inputs(model: Module, data: ArrayDataset) -> None:
    """Raise ValueError that names the row of a data set with a token that no module of the model knows."""
    whole = reads_whole_numbers(model, data)
    if not model.find_token_readers(data.inputs(slice(1), whole=whole)):
        return
    rows = max(1, CHECKED_AT_ONCE // max(1, data.x.size // len(data)))
    for first in range(0, len(data), rows):
        piece = data.inputs(slice(first, first + rows), whole=whole)
        model.check_tokens(convert_input(model, 0, piece), first)


def convert_to_labels(trainer: TrainingParts, data: ArrayDataset) -> ArrayDataset:
    """Convert checked floating-point targets to labels where the loss takes labels."""
    loss = trainer.loss
    if 1 not in loss.label_arguments or data.y.dtype.kind != "f":
        return data
    output_shape = trainer.model.one_output_shape(data.minibatch_shape(1))
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
