"""One epoch of minibatches: a chunk of compiled steps at a time, or step by step where Python must run in between."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..datasets import ArrayDataset
from ..modules.engine.step import StepPlan
from .step import CompiledStep

CHUNK_SECONDS = 0.1  # how long compiled code runs before Python may draw the bar or hear Ctrl-C


class NotFinite(ArithmeticError):
    """A loss or a weight is NaN or infinite; `position` is the minibatch's first place in the epoch's order."""

    def __init__(self, text: str, position: int):
        super().__init__(text)
        self.position = position


@dataclass
class Epoch:
    """The minibatches of one epoch: a data set, the order of its samples, and where the net's outputs go.

    `outputs` has a row for each place in the order, or no rows if nobody wants them.
    """

    data: ArrayDataset
    order: np.ndarray
    batch_size: int
    outputs: np.ndarray

    def prepare(self, step: CompiledStep) -> tuple[StepPlan | None, np.ndarray, np.ndarray, np.ndarray]:
        """The plan of the step, all targets in its type, and a first minibatch (x, target); compiles what is new."""
        net, loss = step.net, step.loss
        labels = self.data.y.dtype.kind == "i" and 1 in loss.label_arguments
        targets = self.data.y if labels else self.data.y.astype(net.dtype, copy=False)
        x, _ = self.data[self.order[: self.batch_size]]
        x, target = x.astype(net.dtype, copy=False), targets[self.order[: self.batch_size]]
        return step.plan(x, target), targets, x, target

    def run(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        """Train; after each chunk, how many samples it took and the sum of their losses. NotFinite stops it."""
        plan, targets, x, target = self.prepare(step)
        if plan is None or not plan.whole:
            yield from self._step_by_step(step)
        else:
            yield from self._chunks(plan, x, targets, target)

    def _step_by_step(self, step: CompiledStep) -> Iterator[tuple[int, float]]:
        for first in range(0, len(self.order), self.batch_size):
            rows = self.order[first : first + self.batch_size]
            value, y = step.by_parts(*self.data[rows])
            if not np.isfinite(value):
                raise NotFinite(f"the loss is {value}", first)
            if len(self.outputs):
                self.outputs[first : first + len(rows)] = y
            yield len(rows), value * len(rows)

    def _chunks(self, plan, x, targets, target) -> Iterator[tuple[int, float]]:
        scale, shift = x.dtype.type(self.data.scale), x.dtype.type(self.data.shift)
        first, steps = 0, 1
        while first < len(self.order):
            last = min(len(self.order), first + steps * self.batch_size)
            start = time.perf_counter()
            total, reached = plan.steps(
                self.data.x, scale, shift, targets, self.order, first, last, self.batch_size, x, target, self.outputs
            )
            if reached < last:
                raise NotFinite(f"the loss is {total}", reached)
            yield last - first, total
            seconds = time.perf_counter() - start
            steps = max(1, min(steps * 8, int(steps * CHUNK_SECONDS / max(seconds, 1e-6))))
            first = last
