"""One epoch of a training: its minibatches, the pauses between them, and the figures at its end."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...datasets import ArrayDataset, balanced_order, epoch_order
from ...modules.engine.threads import num_threads
from ..callbacks import Callback
from ..callbacks.sample_weights import cast_sample_weights
from ..metrics import Metric, figures
from ..optimizers.full_batch import FullBatch
from .minibatches import Epoch, NotFinite, TrainingError, mean
from .progress import bar_of_epoch, said_if_slow
from .thread_choice import choose_threads

if TYPE_CHECKING:
    from .trainer import Trainer

COMPILING = "compiling the training step; the next run finds it in the cache"


def train_epoch(
    trainer: "Trainer", train: ArrayDataset, valid: ArrayDataset | None, metrics: dict[str, Metric]
) -> dict[str, Any] | None:
    """Train for an epoch; its row of figures, or None if the training is to stop within it."""
    place, trainer._place = trainer._place, None  # of an epoch that was begun before
    passed = place["seconds"] if place else 0.0
    start, earlier = time.perf_counter() - passed, trainer.seconds - passed
    metrics = {name: metric for name, metric in metrics.items() if metric.number}
    epoch = minibatches_of(trainer, train, outputs=bool(metrics))
    before, trainer.weights_epoch = trainer.model.state_dict(), None
    if place is not None:
        before = place["before"]
        epoch.first, epoch.total = place["done"], place["total"]
        epoch.outputs[: place["done"]] = place["outputs"]
    watching = [c for c in trainer.callbacks if type(c).on_batch_end is not Callback.on_batch_end]
    epoch.singly = bool(watching)
    trainer.augmentation.begin(trainer.epoch, trainer.model.dtype)
    with said_if_slow(COMPILING, quiet=trainer.quiet):
        epoch.prepare(trainer._step)
        if trainer.threads is None:
            trainer.threads = choose_threads(trainer._step, epoch)
    n, total = len(epoch.order), epoch.total
    with num_threads(trainer.threads), bar_of_epoch(trainer.epoch + 1, n, quiet=trainer.quiet) as bar:
        try:
            for done, total in told(trainer, watching, epoch, epoch.train(trainer._step)):
                bar.update(done - bar.n)
                bar.set_postfix(loss=f"{mean(total, epoch.mass(done)):.4f}", refresh=False)
                if done < n:
                    seconds = time.perf_counter() - start
                    trainer.seconds = earlier + seconds
                    so_far = {"done": done, "total": total, "outputs": epoch.outputs[:done], "before": before}
                    trainer._pause(so_far | {"seconds": seconds})
                    if trainer.goes_on:
                        return None
            if not np.isfinite(trainer.model.flat_parameters).all():
                raise NotFinite("a weight is not finite", n - 1)
        except NotFinite as problem:
            raise failure(trainer, problem, epoch, before) from None
    trainer._good, trainer._place = before, None
    trainer.epoch += 1
    trainer.weights_epoch = trainer.epoch
    row = figures_of(trainer, epoch, total, valid, metrics)
    row["seconds"] = time.perf_counter() - start
    trainer.seconds = earlier + row["seconds"]
    return row


def minibatches_of(trainer: "Trainer", train: ArrayDataset, *, outputs: bool) -> Epoch:
    """Those of this epoch, as the schedules have them; with a place for the net's outputs if they are wanted."""
    assert trainer._fit is not None
    epochs, how, samples = trainer._fit["epochs"], trainer._fit["settings"], len(train)
    table = trainer.timetable.begin_epoch(trainer.epoch, epochs, how["batch_size"], samples, how["drop_last"])
    batch_size = trainer.timetable.batch_size(how["batch_size"], trainer.epoch, epochs, samples)
    n = samples - samples % batch_size if how["drop_last"] else samples
    order = order_of(trainer, train, how["shuffle"], how["balance"])
    shape = trainer.model.output_shape((n, *train.input_shape))
    kept = np.empty(shape if outputs else (0, *shape[1:]), trainer.model.dtype)
    weights = cast_sample_weights(train, trainer.loss)
    epoch = Epoch(train, order[:n], batch_size, kept, trainer.timetable.by_step, table, weights)
    if isinstance(trainer.optimizer, FullBatch):
        epoch.give_shares(trainer.optimizer)
    return epoch


def figures_of(trainer: "Trainer", epoch: Epoch, total: float, valid, metrics: dict[str, Metric]) -> dict[str, Any]:
    """What is known at the end of an epoch: loss, metrics, what is scheduled."""
    row: dict[str, Any] = {"epoch": trainer.epoch, "train_loss": mean(total, epoch.mass(len(epoch.order)))}
    weights = None if epoch.weights is None else epoch.weights[epoch.order]
    if metrics:
        found = figures(metrics, trainer.loss, epoch.outputs, epoch.data.y[epoch.order], epoch.data, weights)
        row |= {f"train_{name}": value for name, value in found.items()}
    if valid is not None:
        of_valid = trainer._evaluation.figures(valid, metrics, trainer.threads or 1)
        row |= {f"valid_{name}": value for name, value in of_valid.items()}
    return row | trainer.timetable.row(epoch.batch_size)


def told(trainer: "Trainer", watching: list[Callback], epoch: Epoch, places: Iterable[tuple[int, float]]) -> Iterator:
    """The same places, each told to the callbacks that want to hear of every minibatch."""
    first, before = epoch.first, epoch.total
    for done, total in places:
        if watching:
            loss = mean(total - before, epoch.mass(done) - epoch.mass(first))
            row = {"epoch": trainer.epoch + 1, "done": done, "samples": done - first, "loss": loss}
            for callback in watching:
                callback.on_batch_end(trainer, row)
        yield done, total
        first, before = done, total


def order_of(trainer: "Trainer", train: ArrayDataset, shuffle: bool, balance: bool) -> np.ndarray:
    """The samples of this epoch in the order in which they are visited."""
    if balance:
        return balanced_order(train.y, seed=trainer.seed, epoch=trainer.epoch)
    return epoch_order(len(train), seed=trainer.seed, epoch=trainer.epoch) if shuffle else np.arange(len(train))


def failure(trainer: "Trainer", problem: NotFinite, epoch: Epoch, before: dict[str, np.ndarray]) -> TrainingError:
    """What ends a training that cannot go on, after the callbacks have seen it and the weights are good again."""
    notes = [callback.on_not_finite(trainer, epoch, problem.position) for callback in trainer.callbacks]
    error = TrainingError(go_back(trainer, problem, before, epoch.batch_size))
    for note in filter(None, notes):
        error.add_note(note)
    return error


def go_back(trainer: "Trainer", problem: NotFinite, weights: dict[str, np.ndarray], batch_size: int) -> str:
    """Restore the last weights that gave a finite loss: the epoch's first, if its first step was one; says so."""
    good, epoch = weights, trainer.epoch
    if problem.position == 0 and trainer._good is not None:
        good, epoch = trainer._good, trainer.epoch - 1
    trainer.model.load_state_dict(good)
    trainer.weights_epoch = epoch
    trainer.optimizer.forget_averages()
    return (
        f"{problem} in epoch {trainer.epoch + 1}, step {problem.position // batch_size + 1}; "
        f"the model has its weights of the end of epoch {epoch} again. A smaller learning rate may help"
    )
