"""An epoch of a training: its minibatches, steps and metrics, and recovery if it fails."""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...modules.engine.threads import num_threads
from ..callbacks import Callback
from ..callbacks.sample_weights import cast_sample_weights
from ..metrics import Metric, compute_metrics
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from ..progress.progress_bar import ProgressBar
from .fit_state import EpochState, FitState, Weights
from .minibatches import Epoch, NotFinite, TrainingError, compute_mean
from .parts import TrainingParts
from .passes import Stretch, find_row, make_stretches, split_stretches
from .shares import give_shares

KEPT = 2**30  # bytes of outputs at most, for the metrics of the training part


def make_minibatches(
    trainer: TrainingParts, fit: FitState, train: ArrayDataset, state: EpochState | None, *, outputs: bool
) -> Epoch:
    """Make the minibatches of this epoch, or of the next row of steps, from the position of `state` on.

    Args: outputs: whether to keep the model's outputs.
    """
    settings, samples = fit.settings, len(train)
    table = begin_schedules(trainer, fit, samples)
    batch_size = trainer.timetable.batch_size(settings["batch_size"], trainer.epoch, fit.epochs, samples)
    stretches = make_stretches(trainer, fit, train, batch_size)
    order = stretches[0].rows if len(stretches) == 1 else np.concatenate([stretch.rows for stretch in stretches])
    minibatch = trainer.compiled_step.output_shape(train.minibatch_shape(min(batch_size, len(order))))
    shape = (len(order), *minibatch[1:])
    sizes = trainer.model.dtype.itemsize, batch_size * settings["accumulate"]
    kept_from = find_first_kept(stretches, shape, *sizes) if outputs else 0
    output_buffer = np.empty((len(order) - kept_from if outputs else 0, *shape[1:]), trainer.model.dtype)
    weights = cast_sample_weights(train, trainer.loss)
    epoch = Epoch(train, order, batch_size, output_buffer, trainer.timetable.by_step, table, weights)
    epoch.stretches, epoch.accumulate = split_stretches(stretches, kept_from), settings["accumulate"]
    epoch.kept_from = kept_from
    if trainer.compiled_step.sharding is None:  # else it finds the shares of shards
        if isinstance(trainer.optimizer, FullBatch):
            epoch.give_shares(trainer.optimizer)
        elif epoch.accumulate > 1:
            give_shares(epoch, trainer.loss)
    if state is not None:
        epoch.first, epoch.total = state.done, state.total
        kept = max(0, state.done - kept_from)  # a row that has become longer keeps fewer
        if kept and len(epoch.outputs):
            epoch.outputs[:kept] = state.outputs[len(state.outputs) - kept :]
    epoch.singly = bool(find_batch_callbacks(trainer))
    epoch.chunk = fit.chunk
    trainer.augmentation.begin(stretches[0].number, trainer.model.dtype)
    return epoch


def find_first_kept(stretches: Sequence[Stretch], shape: tuple[int, ...], item: int, step: int) -> int:
    """Find the place in a row from which on outputs are kept: of all steps, or the last for which KEPT bytes have room.

    Args: shape: of all outputs of the row; item: bytes of a number; step: samples of a step.
    """
    excess = shape[0] - KEPT // max(1, math.prod(shape[1:]) * item)
    if excess <= 0:
        return 0
    places = np.cumsum([0, *(stretch.end - stretch.begin for stretch in stretches)])
    starts = np.concatenate([np.arange(*pair, step) for pair in pairwise(places)])
    return int(starts[min(int(np.searchsorted(starts, excess)), len(starts) - 1)])


def begin_schedules(trainer: TrainingParts, fit: FitState, samples: int) -> np.ndarray | None:
    """Set the settings that change by epochs; returns the values (steps, settings) of those that change by steps."""
    settings, epochs = fit.settings, (trainer.epoch, fit.epochs)
    if fit.steps is None:
        counted = (settings["batch_size"], samples, settings["drop_last"], settings["accumulate"])
        return trainer.timetable.begin_epoch(*epochs, *counted)
    row, begun = find_row(fit), fit.begun_step
    return trainer.timetable.begin_steps(*epochs, range(begun + row.start, begun + row.stop), begun + fit.steps)


def run_steps(
    trainer: TrainingParts, epoch: Epoch, before: Weights, threads: int, title: str, rows_left: int
) -> Generator[EpochState, None, None]:
    """Train on the minibatches; yields the state of the epoch after each chunk of steps.

    Args: before: the weights at the start of the epoch; threads: how many share the matrix products; title,
        rows_left: of the progress bar.
    Errors: NotFinite for a loss or a weight that is not finite.
    """
    n, seconds = len(epoch.order), [row["seconds"] for row in trainer.history]
    how: dict[str, Any] = {"first": epoch.first, "rows_left": rows_left, "seconds": seconds, "quiet": trainer.quiet}
    bar = ProgressBar(title, n, get_rate=lambda: get_rate(trainer.optimizer), **how)
    with num_threads(threads), bar:
        for done, total in call_batch_callbacks(trainer, epoch, epoch.train(trainer.compiled_step)):
            bar.update(done, compute_mean(total, epoch.mass(done)))
            yield EpochState(done, total, epoch.outputs[: max(0, done - epoch.kept_from)], before)
        if not np.isfinite(trainer.model.flat_parameters).all():
            raise NotFinite("a weight is not finite", n - 1)


def get_rate(optimizer: Optimizer) -> float | None:
    """Get the present learning rate of an optimizer, if it has one."""
    rate = getattr(optimizer, "lr", None)
    return float(rate) if isinstance(rate, int | float) else None


def find_batch_callbacks(trainer: TrainingParts) -> list[Callback]:
    """Find the callbacks that run after every minibatch."""
    return [each for each in trainer.callbacks if type(each).on_batch_end is not Callback.on_batch_end]


def call_batch_callbacks(trainer: TrainingParts, epoch: Epoch, places: Iterable[tuple[int, float]]) -> Iterator:
    """Yield the same positions and totals, after calling the callbacks of each minibatch."""
    callbacks = find_batch_callbacks(trainer)
    first, before = epoch.first, epoch.total
    for done, total in places:
        if callbacks:
            loss = compute_mean(total - before, epoch.mass(done) - epoch.mass(first))
            row = {"epoch": trainer.epoch + 1, "done": done, "samples": done - first, "loss": loss}
            for callback in callbacks:
                callback.on_batch_end(trainer, row)
        yield done, total
        first, before = done, total


def measure_epoch(
    trainer: TrainingParts,
    fit: FitState,
    epoch: Epoch,
    total: float,
    valid: ArrayDataset | None,
    metrics: dict[str, Metric],
) -> dict[str, Any]:
    """Make the row of a finished epoch: its number, losses, metrics, and scheduled settings."""
    row: dict[str, Any] = {"epoch": trainer.epoch, "train_loss": compute_mean(total, epoch.mass(len(epoch.order)))}
    if fit.steps is not None:
        row = {"epoch": trainer.epoch, "step": fit.begun_step + fit.done, **row}
    if trainer.total_cost:
        row["penalty"] = trainer.optimizer.compute_penalty(trainer.model)
        row["train_cost"] = row["train_loss"] + row["penalty"]
    if metrics and (trainer.ranks is None or trainer.ranks.is_first):  # which has all outputs
        kept = epoch.order[epoch.kept_from :]
        weights = None if epoch.weights is None else epoch.weights[kept]
        metric_values = compute_metrics(metrics, trainer.loss, epoch.outputs, epoch.data.y[kept], epoch.data, weights)
        row |= {f"train_{name}": value for name, value in metric_values.items()}
    if valid is not None:
        of_valid = trainer.evaluation.compute_metrics(valid, metrics, trainer.threads or 1)
        row |= {f"valid_{name}": value for name, value in of_valid.items()}
    return row | trainer.timetable.row(epoch.batch_size)


def restore_good_weights(
    trainer: TrainingParts, problem: NotFinite, epoch: Epoch, before: Weights, fit: FitState
) -> tuple[TrainingError, int]:
    """End a failed training: call the callbacks, then restore the last good weights.

    Those are the epoch's first weights, if its first step gave a finite loss, else those of the epoch before.
    Returns the error to raise, and the epoch at whose end the model had the weights.
    """
    first = trainer.ranks is None or trainer.ranks.is_first
    callbacks = [callback for callback in trainer.callbacks if first or not callback.first_rank_only]
    notes = [callback.on_not_finite(trainer, epoch, problem.position) for callback in callbacks]
    number, step = trainer.epoch, epoch.find_step(problem.position) + 1
    if problem.position == 0 and fit.good is not None:
        before, number = fit.good, trainer.epoch - 1
    trainer.model.load_state_dict(before)
    trainer.optimizer.forget_averages()
    where, earlier = f"epoch {trainer.epoch + 1}, step {step}", f"epoch {number}"
    if fit.steps is not None:
        where, rows = f"step {fit.done + step}", [row for row in trainer.history if row["epoch"] == number]
        earlier = f"step {rows[0]['step'] if rows and 'step' in rows[0] else 0}"
    error = TrainingError(
        f"{problem} in {where}; the model has its weights of the end of {earlier} again. "
        "A smaller learning rate may help"
    )
    for note in filter(None, notes):
        error.add_note(note)
    return error, number
