"""The profile of a training step: time by module, forward and backward, and outside of modules.

The training runs for some tenths of a second on its own data, in turn as it is and with a clock read after each line of
its plan, so the table's lines add up to the real step's time; how nearly they do is said below it.
"""

import time
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from ...datasets import ArrayDataset, epoch_order
from ...modules.core.text_table import format_table
from ...modules.display.costs import Shapes, get_matmul, record_shapes
from ...modules.engine import stopwatch
from ...modules.engine.stateful import jit_disabled
from ...modules.engine.step import StepPlan
from ...modules.engine.stopwatch import Stopwatch
from ..callbacks.sample_weights import cast_sample_weights
from ..configs import Config
from ..optimizers.full_batch import FullBatch
from ..training.compiled_step import CompiledStep
from ..training.minibatches import Epoch, TrainingError
from ..training.trainer import Trainer
from .gradient_cost import GradientCost, compute_gradient_cost
from .matmul_limit import time_matmuls
from .profile_rows import Row, make_rows
from .warmup import BATCH_SIZE

ROUNDS = 7
ROUND_SECONDS = 0.1


@dataclass
class Profile:
    """The times of one training step, in seconds. `step` is measured as a whole and without a clock inside.

    `gradient` is what a gradient costs in evaluations of the loss; None where a rule sends something else backward.
    """

    title: str
    batch_size: int
    step: float
    call: float
    products: float
    rows: list[Row]
    gradient: GradientCost | None = None

    @property
    def sum(self) -> float:
        """The sum of all rows."""
        return sum(row.seconds for row in self.rows)

    def as_dict(self) -> dict:
        """Everything as plain data, for JSON."""
        figures: dict[str, Any] = asdict(self) | {"sum": self.sum, "limit": self.products / self.step}
        return figures | {"gradient": self.gradient and self.gradient.as_dict()}

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "forward", "backward", "share", "GFLOP/s", "GB/s")]
        for row in self.rows:
            seconds = max(row.seconds, 1e-12)
            share = f"{100 * row.seconds / self.sum:5.1f} %"
            rates = [f"{count / seconds / 1e9:7.2f}" if count else "" for count in (row.flops, row.bytes)]
            rows.append((row.name, format_seconds(row.forward), format_seconds(row.backward), share, *rates))
        head = f"One step of {self.title}, minibatches of {self.batch_size}"
        return "\n".join([head, *format_table(rows), *self.conclusions()])

    def conclusions(self) -> list[str]:
        """Format the lines below the table."""
        lines = [f"sum {format_seconds(self.sum)}; the whole step, without clocks in it, {format_seconds(self.step)}"]
        if self.call > 0:
            lines.append(f"`step(x, target)` called from Python, without gathering: {format_seconds(self.call)}")
        if self.products > 0:
            share = 100 * self.products / self.step
            lines.append(
                f"its matrix products alone take {format_seconds(self.products)}: {share:.0f} % of the limit is reached"
            )
        if self.gradient is not None:
            lines += self.gradient.describe(format_seconds)
        return lines


def format_seconds(seconds: float) -> str:
    """Format a time in s, ms or us; "" for None."""
    if seconds <= 0:
        return ""
    return f"{seconds * 1e6:.2f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def profile_config(config: Config) -> Profile:
    """Profile the training of a config: trains for about two seconds, and discards that.

    Errors: those of `profile`; ConfigError or ValueError for data that do not fit; ValueError for an optimizer that
        looks at all samples, whose passes `profile_on_ranks` measures.
    """
    experiment = config.build()
    data, settings = experiment.dataset.train, experiment.settings
    batch_size, metrics = settings.get("batch_size", BATCH_SIZE), settings.get("metrics")
    parts, augment = (experiment.model, experiment.loss, experiment.optimizer), experiment.augment
    trainer = Trainer(*parts, augment=augment, rule=experiment.rule, seed=config.seed, quiet=True)
    trainer.fit(data, epochs=0, batch_size=batch_size, metrics=metrics)  # refuses what does not fit
    if isinstance(experiment.optimizer, FullBatch):
        name = type(experiment.optimizer).__name__
        raise ValueError(f"profile: {name} looks at all samples for each step, expected an optimizer of minibatches")
    step = CompiledStep(*parts, augmentation=trainer.augmentation, rule=experiment.rule)
    metric_names = experiment.loss.metrics if metrics is None else metrics
    return profile(step, data, batch_size, outputs=bool(metric_names), seed=config.seed)


def profile(
    step: CompiledStep, data: ArrayDataset, batch_size: int, *, outputs: bool = False, seed: int = 0
) -> Profile:
    """Profile a step on minibatches of a data set; it trains the model for about two seconds.

    Args: outputs: keep the model's outputs, as a training with metrics does.
    Errors: TrainingError for a loss that is not finite, if numba is switched off, and on a system without a clock that
        compiled code can read.
    """
    if jit_disabled():
        raise TrainingError("profile: NUMBA_DISABLE_JIT is set, and there is no compiled code to measure")
    if stopwatch.MONOTONIC is None:
        raise TrainingError("profile: this system has no clock_gettime, by which compiled code reads the time")
    order = epoch_order(len(data), seed=seed, epoch=0)
    order = order[: len(order) - len(order) % batch_size]
    sizes = step.net.output_shape(data.minibatch_shape(1))[1:]
    repeats = min(2000 * batch_size, 2**24 // prod(sizes)) // max(1, len(order))
    order = np.tile(order, max(1, repeats))  # so that compiled code is seldom left
    shape = (len(order), *sizes)
    room = np.empty(shape if outputs else (0, *shape[1:]), step.net.dtype)
    weights = cast_sample_weights(data, step.loss)
    epoch = Epoch(data, order, batch_size, room, weights=weights)
    first = order[:batch_size]
    batch = step.arrays(*data[first], None if weights is None else weights[first])
    step(*batch)  # refuses shapes that do not fit
    step.augmentation.begin(0, step.net.dtype)
    plain, watched = step.new_plan(*batch), step.new_plan(*batch)
    watch = Stopwatch(watched.plan)
    whole, lines = measure_step(RepeatedTraining(epoch, step, plain), RepeatedTraining(epoch, step, watched), watch)
    call = float(np.median([time_call(lambda: step(*batch)) for _ in range(100)]))
    unread: set = {module for (module, flag), value in plain.plan.flags.items() if flag == "needs_grad_x" and not value}
    unread |= {layer for layer, copy in step.rule.list_copies() if copy in unread} if step.rule is not None else set()
    counted = record_shapes(step.net, batch[0])
    rows = make_rows(step, counted, unread, watch.lines, lines)
    cost = compute_gradient_cost(rows, counted, unread) if step.rule is None else None
    return Profile(format_title(step), batch_size, whole, call, measure_limit(counted, unread), rows, cost)


class StepWithPlan(CompiledStep):
    """A step with a plan from the caller."""

    def __init__(self, step: CompiledStep, plan: StepPlan):
        super().__init__(step.net, step.loss, step.optimizer, augmentation=step.augmentation, rule=step.rule)
        self.fixed_plan = plan

    def plan(self, *batch) -> StepPlan:
        return self.fixed_plan


class RepeatedTraining:
    """A training that repeats an epoch for any number of minibatches."""

    def __init__(self, epoch: Epoch, step: CompiledStep, plan: StepPlan):
        self.epoch, self.step, self.place = epoch, StepWithPlan(step, plan), 0
        self.steps = epoch.prepare(self.step)

    def run(self, count: int) -> float:
        """Train on `count` minibatches; returns the seconds that one took."""
        size, end, left = self.epoch.batch_size, len(self.epoch.order), count
        start = time.perf_counter()
        while left:
            last = min(end, self.place + left * size)
            self._train(self.place, last)
            left -= (last - self.place) // size
            self.place = last % end
        return (time.perf_counter() - start) / count

    def _train(self, first: int, last: int) -> None:
        if self.steps is not None:
            total, reached = self.steps(first, last, 0.0)
            if reached < last:
                raise TrainingError(f"profile: the loss is {total}; a smaller learning rate may help")
            return
        for begin in range(first, last, self.epoch.batch_size):
            rows = self.epoch.order[begin : begin + self.epoch.batch_size]
            value, y = self.step.by_parts(*self.epoch.batch(self.step, begin))
            if not np.isfinite(value):
                raise TrainingError(f"profile: the loss is {value}; a smaller learning rate may help")
            if len(self.epoch.outputs):
                self.epoch.outputs[begin : begin + len(rows)] = y


def measure_step(plain: RepeatedTraining, watched: RepeatedTraining, watch: Stopwatch) -> tuple[float, np.ndarray]:
    """Measure the seconds of a step as it is and of each line, medians over alternating rounds."""
    for training in (plain, watched):
        training.run(1)  # compiles
    count = max(1, int(ROUND_SECONDS / plain.run(3)))
    whole, lines = [], []
    for _ in range(ROUNDS):
        whole.append(plain.run(count))
        watch.clear()
        watched.run(count)
        lines.append(watch.seconds(count))
    return float(np.median(whole)), np.median(lines, axis=0)


def time_call(function) -> float:
    """Measure the seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def format_title(step: CompiledStep) -> str:
    """Format model, loss and optimizer in a few words."""
    return f"{step.net.outline()} with {step.loss.outline()} and {step.optimizer.outline()}"


def measure_limit(shapes: Shapes, unread: set) -> float:
    """Measure the seconds of the model's matrix products alone."""
    total = 0.0
    for module, (_, output_shape) in shapes.items():
        product = get_matmul(module, output_shape)
        if product is not None:
            total += sum(time_matmuls(product, module.dtype, module not in unread))
    return total
