"""Passes over the data: the order of each, and which parts of them a row of metrics trains on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...datasets import ArrayDataset, balanced_order, epoch_order, group_by_length
from .fit_state import FitState

if TYPE_CHECKING:
    from .parts import TrainingParts


@dataclass(frozen=True)
class Stretch:
    """The samples order[begin:end] of a pass over the data, whose `order` is that of all its samples.

    `number` is that of the pass, on which orders and random changes of images depend.
    """

    number: int
    order: np.ndarray
    begin: int
    end: int

    @property
    def rows(self) -> np.ndarray:
        """The rows of the samples, in order."""
        return self.order[self.begin : self.end]


@dataclass(frozen=True)
class Piece:
    """A stretch in a row of metrics: where its samples are in the order of the row, from `place` to before `last`.

    `step` and `minibatch` are the numbers of its first step and of its first minibatch in the row.
    """

    stretch: Stretch
    place: int
    last: int
    step: int
    minibatch: int

    @property
    def shift(self) -> int:
        """What is added to a place in the pass for the place in the row."""
        return self.place - self.stretch.begin


def split_stretches(stretches: Iterable[Stretch], place: int) -> list[Stretch]:
    """Split the stretch that has a place of the row, so that one begins there."""
    parts, before = [], 0
    for stretch in stretches:
        middle = stretch.begin + place - before
        before += stretch.end - stretch.begin
        if stretch.begin < middle < stretch.end:
            parts += [replace(stretch, end=middle), replace(stretch, begin=middle)]
        else:
            parts.append(stretch)
    return parts


def place_stretches(stretches: Iterable[Stretch], samples: int, batch_size: int, accumulate: int) -> list[Piece]:
    """Place stretches one after the other in a row of so many samples; what is beyond is left out."""
    pieces, place, step, minibatch = [], 0, 0, 0
    for stretch in stretches:
        last = min(place + stretch.end - stretch.begin, samples)
        pieces.append(Piece(stretch, place, last, step, minibatch))
        step += -(-(last - place) // (batch_size * accumulate))
        minibatch += -(-(last - place) // batch_size)
        place = last
    return pieces


def count_steps(samples: int, settings: dict[str, Any]) -> int:
    """Count the steps of a pass over so many samples, by the settings of a fit."""
    size = settings["batch_size"] * settings["accumulate"]
    return samples // size if settings["drop_last"] else -(-samples // size)


def find_row(fit: FitState) -> range:
    """Find the steps of the row of metrics that comes next in a fit that counts steps."""
    assert fit.steps is not None
    every = fit.settings["evaluate_every"]
    return range(fit.done, min((fit.done // every + 1) * every, fit.steps))


def count_rows(steps: int, every: int, done: int = 0) -> int:
    """Count the rows of metrics of the steps that are left."""
    return -(-steps // every) - done // every if steps > done else 0


def make_stretches(trainer: "TrainingParts", fit: FitState, train: ArrayDataset, batch_size: int) -> list[Stretch]:
    """Make the stretches of the row that comes next: a whole pass, or those in which its steps are."""
    size = batch_size * fit.settings["accumulate"]
    n = len(train) - len(train) % size if fit.settings["drop_last"] else len(train)
    if fit.steps is None:
        return [Stretch(trainer.passes, order_pass(trainer, fit, train, trainer.passes, batch_size), 0, n)]
    row, stretches = find_row(fit), []
    for number, first, last in split_by_passes(row, count_steps(len(train), fit.settings)):
        order = order_pass(trainer, fit, train, fit.begun_pass + number, batch_size)
        stretches.append(Stretch(fit.begun_pass + number, order, first * size, min(last * size, n)))
    return stretches


def split_by_passes(steps: range, each: int) -> Iterator[tuple[int, int, int]]:
    """Split steps by passes of `each` steps: (pass, first, last), counted within the pass."""
    first = steps.start
    while first < steps.stop:
        number = first // each
        last = min(steps.stop, (number + 1) * each)
        yield number, first - number * each, last - number * each
        first = last


def order_pass(
    trainer: "TrainingParts", fit: FitState, train: ArrayDataset, number: int, batch_size: int
) -> np.ndarray:
    """Order the samples of a pass; that of the last one is kept, as several rows may be of it."""
    if fit.last_order is None or fit.last_order[0] != (number, batch_size):
        fit.last_order = (number, batch_size), compute_order(trainer, fit.settings, train, number, batch_size)
    return fit.last_order[1]


def compute_order(
    trainer: "TrainingParts", settings: dict[str, Any], train: ArrayDataset, number: int, batch_size: int
) -> np.ndarray:
    """Compute the order of a pass: a function of its number, the seed and the settings."""
    if settings["balance"]:
        order = balanced_order(train.y, seed=trainer.seed, epoch=number)
    elif settings["shuffle"]:
        order = epoch_order(len(train), seed=trainer.seed, epoch=number)
    else:
        return np.arange(len(train))
    if settings["group_by_length"]:
        assert train.lengths is not None
        order = group_by_length(order, train.lengths, batch_size, seed=trainer.seed, epoch=number)
    return order
