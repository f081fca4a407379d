"""The minibatches of an epoch: chunks of compiled steps, or single steps where Python runs in between."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from ...datasets import ArrayDataset
from ...modules.engine.locks import locked, locked_for_long
from ...modules.engine.step import StepPlan
from ..optimizers.full_batch import FullBatch
from ..schedules.schedule import Schedule
from ..schedules.setting import Setting
from .compiled_step import CompiledStep

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
    """The minibatches of one epoch: a data set, the order of its samples, and a buffer for the outputs.

    `outputs` has a row for each place in the order, or no rows if nobody wants them. `settings` have a schedule per
    step: their values are the columns of `table`, which has a row for each step. `weights` are those of the data's
    samples, if they have any. `first` is the place to begin at, and `total` the sum of the losses before it, each times
    the samples, or the weight, of its minibatch: it is carried on, so that no sum depends on where an epoch was cut.
    `singly` asks for a chunk to be one minibatch; otherwise it has `chunk` of them, as many as take CHUNK_SECONDS.
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
    _ready: Steps | None = field(default=None, init=False)  # what `compile` has prepared, for the next `run`

    def plan(self, step: CompiledStep) -> StepPlan | None:
        """Get the plan of the compiled step for minibatches like these."""
        with locked(step.net):
            return step.plan(*self._first(step))

    def mass(self, last: int) -> float:
        """The total weight of the samples before the position `last`."""
        return last if self.weights is None else float(self._masses[last])

    @cached_property
    def _masses(self) -> np.ndarray:
        assert self.weights is not None
        return np.append(0, np.cumsum(self.weights[self.order], dtype=np.float64))

    def give_shares(self, optimizer: FullBatch) -> None:
        """Set `optimizer.share`, at each step, to the share of the minibatch among all samples."""
        counts = np.ones(len(self.order)) if self.weights is None else self.weights[self.order].astype(np.float64)
        sums = np.add.reduceat(counts, np.arange(0, len(counts), self.batch_size))
        self.settings = [Setting("share", optimizer, "share", Schedule("step"), 1.0)]
        self.table = (sums / counts.sum())[:, None]

    def _targets(self, step: CompiledStep) -> np.ndarray:
        labels = self.data.y.dtype.kind in "iu" and 1 in step.loss.label_arguments
        as_they_are = labels or self.data.y.dtype.kind == "f"  # they may lie in a file: a minibatch is converted
        return self.data.y if as_they_are else self.data.y.astype(step.net.dtype)

    def _first(self, step: CompiledStep) -> tuple[np.ndarray, ...]:
        """Get the first minibatch, in the dtypes of the step."""
        rows = self.order[: self.batch_size]
        x = self.data.inputs(rows, whole=0 in step.net.label_arguments)
        return step.arrays(x, self._targets(step)[rows], *self._weights(rows))

    def batch(self, step: CompiledStep, first: int) -> tuple[np.ndarray, ...]:
        """Get the minibatch at a position in the order, as the model sees it: x, y, and weights if there are any."""
        rows = self.order[first : first + self.batch_size]
        x, y = self.data.inputs(rows, whole=0 in step.net.label_arguments), self.data.y[rows]
        return (step.augmentation(x, first), y, *self._weights(rows))

    def _weights(self, rows: np.ndarray) -> list[np.ndarray]:
        return [] if self.weights is None else [self.weights[rows]]

    def compile(self, step: CompiledStep) -> None:
        """Compile the loop of `run`, if it is new, for the next `run`."""
        self._ready = self.prepare(step)

    def prepare(self, step: CompiledStep) -> Steps | None:
        """Get the compiled loop over positions first to last in the order; compiles it at the first call.

        None where a step is not one compiled function.
        """
        with locked(step.net):
            x, target, *weight = self._first(step)
            plan = step.plan(x, target, *weight)
        if plan is None or not plan.whole:
            return None
        scale, shift = x.dtype.type(self.data.scale), x.dtype.type(self.data.shift)
        before = (self.data.x, scale, shift, self._targets(step), self.order)
        more = [] if self.weights is None else [self.weights, *weight]
        more += [] if self.table is None else [self.table.astype(step.net.dtype)]
        after = (x, target, self.outputs, *more)
        with locked(step.net):
            run = plan.find_loop(*before, 0, 0, self.batch_size, 0.0, *after)

        def steps(first: int, last: int, total: float) -> tuple[float, int]:
            with locked_for_long(step.net):
                return run(*before, first, last, self.batch_size, total, *after)

        return steps

    def run(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        """Train; yields, after each chunk, the position and the sum of the losses. NotFinite stops it."""
        steps, self._ready = self._ready or self.prepare(step), None
        return self._step_by_step(step) if steps is None else self._chunks(steps)

    def train(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        """Train by `run`, or by a full-batch optimizer."""
        full = isinstance(step.optimizer, FullBatch)
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

        if self.weights is not None:
            raise ValueError(f"{step.optimizer.label()}: takes no sample_weight")
        net, total = step.net, np.zeros_like(v)
        start = net.counters()
        for first in range(0, len(self.order), self.batch_size):
            x, target = step.arrays(*self.batch(step, first))
            run(kind, net, step.loss, x, target, v)
            total += len(x) / len(self.order) * net.flat_gradients
        net.load_counters(start)
        return total

    def _whole(self, step: CompiledStep, optimizer: FullBatch) -> Iterator[tuple[int, float]]:
        value = optimizer.minimize(step.net, lambda: self.objective(step, optimizer), partial(self.product, step))
        if not np.isfinite(value):
            raise NotFinite(f"the loss is {value}", 0)
        if len(self.outputs):  # they are of the last point that was tried
            with optimizer.gathering():
                self.objective(step, optimizer)
        yield len(self.order), value * self.mass(len(self.order))

    def set_schedules(self, place: int) -> None:
        """Set the settings to their values at a position in the order."""
        for k, setting in enumerate(self.settings):
            if self.table is not None and place >= 0:
                setting.write(float(self.table[place // self.batch_size, k]))

    def _step_by_step(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        total = self.total
        for first in range(self.first, len(self.order), self.batch_size):
            rows = self.order[first : first + self.batch_size]
            self.set_schedules(first)
            value, y = step.by_parts(*self.batch(step, first))
            if not np.isfinite(value):
                raise NotFinite(f"the loss is {value}", first)
            if len(self.outputs):
                self.outputs[first : first + len(rows)] = y
            total += value * (len(rows) if self.weights is None else float(self.weights[rows].sum()))
            yield first + len(rows), total

    def _chunks(self, steps: Steps) -> Iterator[tuple[int, float]]:
        first, total = self.first, self.total
        while first < len(self.order):
            last = min(len(self.order), first + (1 if self.singly else self.chunk) * self.batch_size)
            start = time.perf_counter()
            total, reached = steps(first, last, total)
            self.set_schedules(reached - 1 if reached == last else reached)
            if reached < last:
                raise NotFinite(f"the loss is {total}", reached)
            seconds = time.perf_counter() - start
            yield last, total
            done = -(-(last - first) // self.batch_size)
            self.chunk = max(1, min(max(self.chunk, done * 8), int(done * CHUNK_SECONDS / max(seconds, 1e-6))))
            first = last


def compute_mean(total: float, mass: float) -> float:
    """total / mass; a mean over nothing is 0."""
    return total / mass if mass else 0.0
