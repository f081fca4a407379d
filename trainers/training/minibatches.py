"""The minibatches of an epoch: chunks of compiled steps, or single steps where Python runs in between."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from ...datasets import ArrayDataset
from ...datasets.array_dataset import cut_to_longest
from ...modules.core.carried_state import reset_state
from ...modules.engine.locks import locked, locked_for_long
from ...modules.engine.step import StepPlan
from ...modules.engine.tables import flatten_table
from ..optimizers.full_batch import FullBatch
from ..schedules.schedule import Schedule
from ..schedules.setting import Setting
from .compiled_step import CompiledStep
from .inputs import reads_whole_numbers
from .passes import Piece, Stretch, place_stretches

Steps = Callable[[int, int, float], tuple[float, int]]  # (first, last, total) to the new total, and the place reached
CHUNK_SECONDS = 0.1  # how long compiled code runs before Python may draw the bar or hear Ctrl-C


class NotFinite(ArithmeticError):
    """A loss or a weight is NaN or infinite; `position` is the minibatch's first place in the epoch's order."""

    def __init__(self, text: str, position: int):
        super().__init__(text)
        self.position = position


class TrainingError(RuntimeError):
    """The training cannot go on; the message says where it stopped, and the model has its last good weights."""


@dataclass
class Epoch:
    """The minibatches of an epoch, or of another row of metrics: data, the order of its samples, room for outputs.

    `outputs` has a row for each place in the order from `kept_from` on, where a stretch begins, or no rows if nobody
    wants them. `settings` have a schedule per
    step: their values are the columns of `table`, which has a row for each step. `weights` are those of the data's
    samples, if they have any. `first` is the place to begin at, and `total` the sum of the losses before it, each times
    the samples, or the weight, of its minibatch: it is carried on, so that no sum depends on where an epoch was cut.
    `singly` asks for a chunk to be one step; otherwise it has `chunk` of them, as many as take CHUNK_SECONDS.

    The order is that of `stretches`, parts of passes over the data, or of one pass; minibatches are those of each
    stretch. A step has `accumulate` minibatches, or fewer at the end of a stretch; `shares` are then, for each
    minibatch, its share of the step's samples, and 1 for the last one of the step, else 0.
    """

    data: ArrayDataset
    order: np.ndarray
    batch_size: int
    outputs: np.ndarray
    settings: Sequence[Setting] = ()
    table: np.ndarray | None = None
    weights: np.ndarray | None = None
    first: int = 0
    total: float = 0.0
    singly: bool = False
    chunk: int = 1
    stretches: Sequence[Stretch] = ()
    accumulate: int = 1
    shares: np.ndarray | None = None
    kept_from: int = 0
    _ready: Any = field(default=None, init=False)  # what `compile` has prepared, for the next `run`

    # -- places in the order -----------------------------------------------------------------------------------------

    @cached_property
    def pieces(self) -> list[Piece]:
        """The stretches with their places in the order."""
        n = len(self.order)
        return place_stretches(self.stretches or [Stretch(-1, self.order, 0, n)], n, self.batch_size, self.accumulate)

    def find_piece(self, place: int) -> Piece:
        """Find the piece that has a place of the order."""
        return next((piece for piece in self.pieces if place < piece.last), self.pieces[-1])

    @cached_property
    def starts(self) -> np.ndarray:
        """The first place of each minibatch."""
        return np.concatenate([np.arange(piece.place, piece.last, self.batch_size) for piece in self.pieces])

    @cached_property
    def step_numbers(self) -> np.ndarray:
        """The number of the step of each minibatch, counted from 0."""
        counts = np.diff([piece.minibatch for piece in self.pieces] + [len(self.starts)])
        return np.concatenate([
            piece.step + np.arange(count) // self.accumulate
            for piece, count in zip(self.pieces, counts, strict=True)
        ])  # fmt: skip

    def find_minibatch(self, place: int) -> int:
        """Find the number of the minibatch that has a place of the order."""
        return int(np.searchsorted(self.starts, place, side="right")) - 1

    def find_step(self, place: int) -> int:
        """Find the number of the step that has a place of the order."""
        return int(self.step_numbers[self.find_minibatch(place)])

    def find_step_start(self, place: int) -> int:
        """Find the first place of the step that has a place of the order."""
        return int(self.starts[np.searchsorted(self.step_numbers, self.find_step(place))])

    def mass(self, last: int) -> float:
        """The total weight of the samples before the position `last`."""
        return last if self.weights is None else float(self._masses[last])

    @cached_property
    def _masses(self) -> np.ndarray:
        assert self.weights is not None
        return np.append(0, np.cumsum(self.weights[self.order], dtype=np.float64))

    # -- minibatches -------------------------------------------------------------------------------------------------

    def _targets(self, step: CompiledStep) -> np.ndarray:
        labels = self.data.y.dtype.kind in "iu" and 1 in step.loss.label_arguments
        as_they_are = labels or self.data.y.dtype.kind == "f"  # they may lie in a file: a minibatch is converted
        return self.data.y if as_they_are else self.data.y.astype(step.net.dtype)

    def _first(self, step: CompiledStep) -> tuple[Any, ...]:
        """Get a first minibatch, which is as large as any, in the dtypes of the step."""
        rows = self.order[: self.batch_size]
        x = self.data.inputs(rows, whole=reads_whole_numbers(step.net, self.data))
        return step.arrays(x, self._targets(step)[rows], *self._weights(rows))

    def batch(self, step: CompiledStep, first: int) -> tuple[Any, ...]:
        """Get the minibatch at a position in the order, as the model sees it: x, y, and weights if there are any."""
        return self.cut_batch(step, first, min(first + self.batch_size, self.find_piece(first).last))

    def cut_batch(self, step: CompiledStep, first: int, last: int) -> tuple[Any, ...]:
        """Get the samples of some places in the order of one piece, as `batch` does."""
        piece, rows = self.find_piece(first), self.order[first:last]
        x, y = self.data.inputs(rows, whole=reads_whole_numbers(step.net, self.data)), self.data.y[rows]
        if step.cut:
            x, y = cut_to_longest(x, y, "target" in step.cut)
        if step.augmentation.augments:
            x = step.augmentation(x, first - piece.shift)
        return (x, y, *self._weights(rows))

    def _weights(self, rows: np.ndarray) -> list[np.ndarray]:
        return [] if self.weights is None else [self.weights[rows]]

    # -- settings that change by steps -------------------------------------------------------------------------------

    def give_shares(self, optimizer: FullBatch) -> None:
        """Set `optimizer.share`, at each step, to the share of the minibatch among all samples."""
        counts = np.ones(len(self.order)) if self.weights is None else self.weights[self.order].astype(np.float64)
        sums = np.add.reduceat(counts, self.starts)
        self.settings = [Setting("share", optimizer, "share", Schedule("step"), 1.0)]
        self.table = (sums / counts.sum())[:, None]

    def set_schedules(self, place: int) -> None:
        """Set the settings to their values at a position in the order."""
        for k, setting in enumerate(self.settings):
            if self.table is not None and place >= 0:
                setting.write(float(self.table[self.find_step(place), k]))

    def _make_table(self) -> np.ndarray | None:
        """Make the values of all that changes, a row for each minibatch."""
        if self.shares is None:
            return self.table
        return self.shares if self.table is None else np.hstack([self.table[self.step_numbers], self.shares])

    # -- training ----------------------------------------------------------------------------------------------------

    def plan(self, step: CompiledStep) -> StepPlan | None:
        """Get the plan of the compiled step for minibatches like these."""
        with locked(step.net):
            return step.plan(*self._first(step))

    def compile(self, step: CompiledStep) -> None:
        """Compile the loop of `run`, if it is new, for the next `run`."""
        self._ready = self.prepare(step) if step.sharding is None else step.sharding.prepare(self, step)

    def prepare(self, step: CompiledStep) -> Steps | None:
        """Get the compiled loop over positions first to last in the order, of one piece; compiles it at the first call.

        None where a step is not one compiled function.
        """
        if (found := self.find_loop_arguments(step)) is None:
            return None
        plan, before, (x, target), more = found
        table = self._make_table()
        table = None if table is None else table.astype(step.net.dtype)

        def make_arguments(piece: Piece, first: int, last: int, total: float) -> tuple[Any, ...]:
            row = piece.minibatch if self.shares is not None else piece.step
            schedule = [] if table is None else [table[row:]]
            places = (piece.stretch.begin, first - piece.shift, last - piece.shift, self.batch_size)
            buffers = (x, target, self._find_room(piece.place))
            return (*before, piece.stretch.order, *places, total, *buffers, *more, *schedule)

        with locked(step.net):
            run = plan.find_loop(*make_arguments(self.pieces[0], 0, 0, 0.0))

        def steps(first: int, last: int, total: float) -> tuple[float, int]:
            piece = self.find_piece(first)
            with locked_for_long(step.net):
                step.begin()
                total, reached = run(*make_arguments(piece, first, last, total))
            return total, reached + piece.shift

        return steps

    def find_loop_arguments(self, step: CompiledStep) -> tuple[Any, tuple, tuple, list] | None:
        """Find a step's plan, and what its loop reads: the data, the first minibatch, weights and lengths.

        None where a step is not one compiled function.
        """
        with locked(step.net):
            x, target, *weight = self._first(step)
            plan = step.plan(x, target, *weight)
        if plan is None or not plan.whole:
            return None
        x, *lengths = flatten_table(x)
        scale, shift = x.dtype.type(self.data.scale), x.dtype.type(self.data.shift)
        more = [] if self.weights is None else [self.weights, *weight]
        more += [self.data.lengths, *lengths] if lengths else []
        return plan, (self.data.x, scale, shift, self._targets(step)), (x, target), more

    def _find_room(self, place: int) -> np.ndarray:
        """Find the room for the outputs from a place on; none for those that are not kept."""
        return self.outputs[place - self.kept_from :] if place >= self.kept_from else self.outputs[:0]

    def run(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        """Train; yields, after each chunk, the position and the sum of the losses. NotFinite stops it."""
        if step.sharding is not None:
            ready, self._ready = self._ready, None
            return step.sharding.run(self, step, ready)
        steps, self._ready = self._ready or self.prepare(step), None
        return self._step_by_step(step) if steps is None else self._chunks(step, steps)

    def train(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        """Train by `run`, or by a full-batch optimizer; on shards `run` does both."""
        full = isinstance(step.optimizer, FullBatch) and step.sharding is None
        return self._whole(step, step.optimizer) if full else self.run(step)  # type: ignore[arg-type]

    def objective(self, step: CompiledStep, optimizer: FullBatch) -> float:
        """Compute the mean loss of all samples, or infinity; writes its gradient, and changes no parameter."""
        total = 0.0
        optimizer.total[:] = 0
        try:
            for _, so_far in self.run(step):
                total = so_far
        except NotFinite:
            return np.inf
        step.net.flat_gradients[:] = optimizer.total
        return total / self.mass(len(self.order))

    def product(self, step: CompiledStep, kind: str, v: np.ndarray) -> np.ndarray:
        """The matrix of the mean loss's curvature, "hvp" or "gauss_newton", times v; see modules/derivatives."""
        from ...modules.derivatives.curvature import run

        self.check_product(step)
        net, total = step.net, np.zeros_like(v)
        start = net.counters()
        for first in range(0, len(self.order), self.batch_size):
            x, target = step.arrays(*self.batch(step, first))
            run(kind, net, step.loss, x, target, v)
            total += len(x) / len(self.order) * net.flat_gradients
        net.load_counters(start)
        return total

    def check_product(self, step: CompiledStep) -> None:
        """Raise ValueError for data of which there are no products."""
        if self.weights is not None:
            raise ValueError(f"{step.optimizer.label()}: takes no sample_weight")
        if self.data.lengths is not None:
            raise ValueError(f"{step.optimizer.label()}: takes no lengths")

    def _whole(self, step: CompiledStep, optimizer: FullBatch) -> Iterator[tuple[int, float]]:
        value = optimizer.minimize(step.net, lambda: self.objective(step, optimizer), partial(self.product, step))
        if not np.isfinite(value):
            raise NotFinite(f"the loss is {value}", 0)
        if len(self.outputs):  # they are of the last point that was tried
            with optimizer.gathering():
                self.objective(step, optimizer)
        yield len(self.order), value * self.mass(len(self.order))

    def _begin_pieces(self, step: CompiledStep) -> Iterator[tuple[Piece, int]]:
        """Begin each piece that is not done: state is reset at the start of a pass; with the place to begin at."""
        for piece in self.pieces:
            if piece.last > self.first:
                first = max(self.first, piece.place)
                if piece.stretch.number >= 0:
                    step.augmentation.begin(piece.stretch.number, step.net.dtype)
                if first == piece.shift:
                    reset_state(step.net)
                yield piece, first

    def _step_by_step(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        total = self.total
        for piece, begin in self._begin_pieces(step):
            step.begin()
            for first in range(begin, piece.last, self.batch_size):
                rows = self.order[first : min(first + self.batch_size, piece.last)]
                self.set_schedules(first)
                share, is_last = (1.0, 1.0) if self.shares is None else self.shares[self.find_minibatch(first)]
                sums = None if self.shares is None else {"share": share, "last": is_last}
                value, y = step.by_parts(*self.batch(step, first), sums=sums)
                if not np.isfinite(value):
                    raise NotFinite(f"the loss is {value}", first)
                if len(room := self._find_room(first)[: len(rows)]):
                    write_outputs(room, y)
                total += value * (len(rows) if self.weights is None else float(self.weights[rows].sum()))
                if is_last:
                    yield first + len(rows), total

    def _chunks(self, step: CompiledStep, steps: Steps) -> Iterator[tuple[int, float]]:
        total, size = self.total, self.batch_size * self.accumulate
        for piece, first in self._begin_pieces(step):
            while first < piece.last:
                last = min(piece.last, first + (1 if self.singly else self.chunk) * size)
                start = time.perf_counter()
                total, reached = steps(first, last, total)
                self.set_schedules(reached - 1 if reached == last else reached)
                if reached < last:
                    raise NotFinite(f"the loss is {total}", reached)
                seconds = time.perf_counter() - start
                yield last, total
                done = -(-(last - first) // size)
                self.chunk = max(1, min(max(self.chunk, done * 8), int(done * CHUNK_SECONDS / max(seconds, 1e-6))))
                first = last


def write_outputs(room: np.ndarray, y: np.ndarray) -> None:
    """Write outputs; of sequences that were cut, 0 for the steps that are left."""
    if y.shape == room.shape:
        room[:] = y
    else:
        room[:, : y.shape[1]], room[:, y.shape[1] :] = y, 0


def compute_mean(total: float, mass: float) -> float:
    """total / mass; a mean over nothing is 0."""
    return total / mass if mass else 0.0
