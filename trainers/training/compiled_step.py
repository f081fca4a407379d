"""The compiled training step, for custom training loops."""

import copy
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.entry_points import INT64, convert_input
from ...modules.engine.locks import join_locks, locked, refuse_during_fit
from ...modules.engine.operations import Function, Operations, prune, run_function
from ...modules.engine.stateful import Stateful, jit_disabled, plain_python
from ...modules.engine.step import StepPlan
from ...modules.engine.tables import flatten_table, map_table, shape_of
from ...modules.losses.loss import Loss
from ..augments import Augmentation
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from ..rules import Rule
from .gradient_sum import GradientSum
from .shard_sum import ShardSum
from .shares import check_accumulation, compute_shares


class CompiledStep:
    """`step(x, target)` trains a model on one minibatch and returns its loss before the update, a float.

    `step(x, target, sample_weight)` does so with weights (N,), for losses that take them. A model that takes a table
    gets one: `step((x, lengths), target)`. With `accumulate=k` the minibatch is taken in k parts, whose gradients are
    added up before the update: the result of the whole one, up to rounding, with the memory of a part.

    Args: net, loss, optimizer: what is trained; scheduled: (owner, name) of settings that change by steps;
        augmentation: of the minibatches; rule: a learning rule, in the place of backprop.
    Errors: ValueError for an empty minibatch, for shapes that do not fit the model or the loss, for weights that it
        does not take; RuntimeError while a Trainer's fit in another thread trains the model.
    """

    def __init__(
        self,
        net: Module,
        loss: Loss,
        optimizer: Optimizer,
        scheduled: tuple[tuple[Stateful, str], ...] = (),
        augmentation: Augmentation | None = None,  # of the loop over an epoch alone
        rule: Rule | None = None,
        accumulate: int = 1,
    ):
        if isinstance(optimizer, FullBatch):
            scheduled = ((optimizer, "share"),)  # of a minibatch among all samples
        self.net, self.loss, self.optimizer, self.scheduled = net, loss, optimizer, scheduled
        self.augmentation, self.rule = augmentation or Augmentation(()), rule
        self.accumulator: GradientSum | ShardSum | None = None
        self.sharding: Any = None  # how the loop over an epoch cuts steps into shards: a Sharding, or None
        self.cut = ""  # how the loop over an epoch cuts sequences to the longest one of a minibatch: see `Function`
        join_locks(net, loss)
        join_locks(net, optimizer)
        optimizer.schedule([name for owner, name in scheduled if owner is optimizer])
        self._plans: dict[tuple, StepPlan | None] = {}
        self._versions: tuple[int, ...] = ()
        self._ndims: dict[tuple[int, ...], int] = {}
        self._output_shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.set_accumulation(accumulate)

    def __deepcopy__(self, memo) -> "CompiledStep":
        """A step of copies of the model, the loss and the optimizer."""
        net, loss = copy.deepcopy(self.net, memo), copy.deepcopy(self.loss, memo)
        rule, optimizer = copy.deepcopy(self.rule, memo), copy.deepcopy(self.optimizer, memo)
        return CompiledStep(net, loss, optimizer, rule=rule, accumulate=self.accumulate)

    def set_accumulation(self, accumulate: int) -> None:
        """Set how many minibatches have their gradients added up before each update."""
        self.accumulate = accumulate
        self.sharding = None
        if accumulate > 1 and not isinstance(self.accumulator, GradientSum):
            self.accumulator = GradientSum()
            join_locks(self.net, self.accumulator)
        elif accumulate == 1:
            self.accumulator = None

    def set_sharding(self, sharding: Any) -> None:
        """Cut the steps of the loop over an epoch into shards, as a Sharding says."""
        self.sharding, self.accumulator = sharding, sharding.make_accumulator()
        join_locks(self.net, self.accumulator)

    def complete(self) -> None:
        """Get the parts of the optimizer's state that other ranks have: all ranks call it."""
        if self.sharding is not None:
            self.sharding.complete()

    def update(self) -> None:
        """Let the optimizer update the model by its gradients."""
        self.optimizer._update(self.net)

    def begin(self) -> None:
        """Begin a step: gradients that were added up before are forgotten."""
        if isinstance(self.accumulator, GradientSum):
            self.accumulator.begin()

    def __call__(self, x, target, sample_weight=None) -> float:
        shared = self.net._lock.shared
        shared.was_requested = True
        with shared.lock:
            if shared is self.net._lock.shared:
                if shared.trainings:
                    self.refuse_during_fit()
                batch = self.arrays(x, target, sample_weight)
                if self.accumulator is not None:
                    return self._accumulate(*batch)
                plan = self.plan(*batch)
                try:
                    if type(batch[0]) is tuple:
                        batch = (*flatten_table(batch[0]), *batch[1:])
                    return plan.step(*batch) if plan is not None else self._run_uncompiled(*batch)[0]
                except ValueError:
                    self.loss.check_labels(batch[1])
                    raise
        return self(x, target, sample_weight)  # the lock has become another one while this thread waited

    def by_parts(self, x, target, sample_weight=None, *, sums: Any = None) -> tuple[float, np.ndarray]:
        """Run a step of several functions, as a part of it runs as Python; returns its loss and the model's output.

        Args: sums: settings of the accumulator for this minibatch, in a step that adds up gradients.
        """
        with locked(self.net):
            batch = self.arrays(x, target, sample_weight)
            plan = self.plan(*batch)
            for name, value in (sums or {}).items():
                setattr(self.accumulator, name, float(value))
            try:
                if plan is None:
                    return self._run_uncompiled(*batch)
                return plan.call(*flatten_table(batch[0]), *batch[1:])
            except ValueError:
                self.loss.check_labels(batch[1])
                raise

    def _accumulate(self, x, target, *weight) -> float:
        """Train on a minibatch in parts; returns its loss."""
        samples = len(target)
        size = -(-samples // self.accumulate)
        starts = np.arange(0, samples, size)
        counts = self.loss.count_each(target, *weight)
        shares = compute_shares(counts, starts, np.zeros(len(starts), np.int64), self.loss)
        value = 0.0
        self.begin()
        for first, (share, is_last) in zip(starts.tolist(), shares, strict=True):
            rows = slice(first, first + size)
            value += share * self._run_part(share, is_last, *cut_rows(rows, (x, target, *weight)))
            if not np.isfinite(value):
                break
        return float(value)

    def refuse_during_fit(self) -> None:
        """Raise RuntimeError while another thread trains the model or the optimizer."""
        for each in (self.net, self.optimizer):
            refuse_during_fit(each, "a step")

    def _run_part(self, share: float, is_last: float, *batch: Any) -> float:
        """Add up the gradients of a part of a minibatch; returns its loss."""
        assert isinstance(self.accumulator, GradientSum)
        plan = self.plan(*batch)
        self.accumulator.share, self.accumulator.last = float(share), float(is_last)
        try:
            if plan is None:
                return self._run_uncompiled(*batch)[0]
            return plan.step(*flatten_table(batch[0]), *batch[1:])
        except ValueError:
            self.loss.check_labels(batch[1])
            raise

    def arrays(self, x, target, sample_weight=None) -> tuple[Any, ...]:
        """Convert a minibatch to the dtypes of the step: x, which may be a table, target, and weights, if any."""
        if self.loss._dtype is not self.net._dtype and self.loss.dtype != self.net.dtype:
            self.loss.to(self.net.dtype)
        x = convert_input(self.net, 0, x)
        if self.net._readers != ():
            self.net.check_tokens(x)
        if type(x) is tuple:
            self._check_lengths(x)
        labels = getattr(target, "dtype", None) is INT64 or not self.loss.takes_distributions
        pair = x, convert_input(self.loss, 1, target, None if labels else self._output_ndim(x))
        return pair if sample_weight is None else (*pair, convert_input(self.loss, 2, sample_weight))

    def _check_lengths(self, x: tuple) -> None:
        """Raise ValueError for lengths out of range, if the model has a module that takes lengths."""
        takes_lengths = any(getattr(module, "takes_lengths", False) for module in self.net.all_modules())
        if takes_lengths and len(x) == 2 and x[1].ndim == 1 and x[0].ndim > 1:
            steps = x[0].shape[1]
            wrong = (x[1] < 1) | (x[1] > steps)
            if wrong.any():
                row = wrong.argmax()
                raise ValueError(f"step: row {row} of lengths is {x[1][row]}, expected 1 to {steps}")

    def _output_ndim(self, x) -> int | None:
        """The number of axes of the model's output, which distinguishes distributions from labels."""
        shape = shape_of(x)
        if shape not in self._ndims and len(x):
            self._ndims[shape] = len(self.net.one_output_shape(shape))
        return self._ndims.get(shape)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The model's `output_shape`, asked once for each shape."""
        if self._versions != self._get_versions():
            return self.net.output_shape(input_shape)
        if input_shape not in self._output_shapes:
            self._output_shapes[input_shape] = self.net.output_shape(input_shape)
        return self._output_shapes[input_shape]

    def plan(self, *batch: Any) -> StepPlan | None:
        """Get the plan for minibatches of these dtypes and shapes; None if numba is disabled."""
        if self._versions != self._get_versions():
            self._plans, self._ndims, self._output_shapes = {}, {}, {}
        x = batch[0]
        shape = x.shape if type(x) is np.ndarray else shape_of(x)
        key = (shape, batch[1].shape, batch[-1].shape, len(batch), batch[1].dtype.char, self.cut, self.accumulator)
        if key not in self._plans:
            self._check(*batch)
            if self._versions != self._get_versions():  # a rule that has begun anew
                self._plans = {}
            self._plans[key] = None if jit_disabled() else self._plan_of_types(*batch)
            self._versions = self._get_versions()
        return self._plans[key]

    def _get_versions(self) -> tuple[int, ...]:
        versions = self.net._version, self.loss._version, self.optimizer._version
        return versions if self.rule is None else (*versions, self.rule._version)

    def _plan_of_types(self, *batch) -> StepPlan:
        types = [(array.ndim, array.dtype.char) for array in flatten_table(batch[0])]
        kinds = (*types, *[array.ndim for array in batch[1:]], batch[1].dtype.char, self.cut, self.accumulator)
        if kinds not in self._plans:
            self._plans[kinds] = self.new_plan(*batch)
        return self._plans[kinds]  # type: ignore[return-value]

    def new_plan(self, *batch: Any) -> StepPlan:
        """Make a plan for minibatches like this one."""
        before, adds, scheduled = self.augmentation.operations("begin"), self.accumulator, self.scheduled
        if isinstance(adds, ShardSum):
            adds.attach(self.net)
            scheduled = tuple((adds, name) for name in ("share", "fresh", "place", "additions", "ticket"))
        elif adds is not None:
            adds.attach(self.net)
            scheduled = (*scheduled, (adds, "share"), (adds, "last"))
        parts = (self.net, self.loss, self.optimizer)
        return StepPlan(*parts, batch, scheduled, before, self.rule, adds, self.cut)

    def _check(self, x: Any, target: np.ndarray, *weight: np.ndarray) -> None:
        if any(len(array) == 0 for array in flatten_table(x)):
            raise ValueError("step: the minibatch is empty, expected at least one sample")
        y_shape = self.net.one_output_shape(shape_of(x))
        self.loss.check_reduction()
        self.loss.check_arguments(y_shape, target.shape)
        self.loss.check_class_axis(target, y_shape)
        for each in weight:
            self.loss.check_weights(y_shape, each.shape)
        self.optimizer.attach(self.net)
        if self.rule is not None:
            if type(x) is tuple:
                raise ValueError(f"{self.rule.label()}: x is a table, expected one array")
            self.rule.check_target(target)
            self.rule.attach(self.net, x.shape)

    def _run_uncompiled(self, x, target, *weight) -> tuple[float, np.ndarray]:
        net, loss = self.net, self.loss
        if self.rule is not None:
            return self._run_rule(x, target, *weight)
        with np.errstate(all="ignore"):  # compiled code warns of nothing
            net.zero_grad()
            y = net.fprop(x)
            value = loss(y, target, *weight)
            if np.isfinite(value):
                net.bprop(loss.bprop())  # type: ignore[call-arg]
                if self.accumulator is None or self._gather():
                    self.optimizer.update(net)  # type: ignore[call-arg]
        return float(value), y

    def _gather(self) -> bool:
        """Add up the gradients as Python; whether the update is due."""
        assert self.accumulator is not None
        self.accumulator.attach(self.net)
        with plain_python():
            self.accumulator.gather(self.net.flat_gradients)
        return isinstance(self.accumulator, GradientSum) and self.accumulator.due > 0

    def _run_rule(self, x, target, *weight) -> tuple[float, np.ndarray]:
        """Run the operations of a step by a rule one by one."""
        operations, names = Operations(), ("x", "target", "weight")[: 2 + len(weight)]
        results = self.rule.write_step(operations, self.net, self.loss, *names)  # type: ignore[union-attr]
        if self.accumulator is None:
            self.optimizer.write_update(operations, "parameters", "gradients")
        else:
            self.accumulator.attach(self.net)
            operations.call(self.accumulator, "gather", "gradients")
            if self.accumulator.updates:
                with operations.repeated(self.accumulator, "due"):
                    self.optimizer.write_update(operations, "parameters", "gradients")
        needed, _ = prune(operations.items, set(results))
        function = Function("step", needed, names, results, step=True)
        values = dict(zip(names, (x, target, *weight), strict=True))
        values |= {"parameters": self.net.flat_parameters, "gradients": self.net.flat_gradients}
        self.net.zero_grad()
        value, y = run_function(function, values)
        return float(value), y


def cut_rows(rows: slice, batch: tuple[Any, ...]) -> tuple[Any, ...]:
    """Cut these rows out of the arrays of a minibatch, and of its tables."""
    return map_table(lambda array: array[rows], batch)


def compile_step(
    net: Module, loss: Loss, optimizer: Optimizer, rule: Rule | None = None, *, accumulate: int = 1
) -> CompiledStep:
    """Make the training step of `net`, `loss` and `optimizer`, one function, compiled at its first call.

    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1)); value = step(x, target)

    Args: rule: a learning rule, in the place of backprop; accumulate: in how many parts a minibatch is taken.
    Errors: ValueError for an accumulate below 1, or that does not fit the loss; TypeError for an optimizer that needs
        all samples at once.
    """
    if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
        raise ValueError(f"compile_step: accumulate is {accumulate!r}, expected a whole number of at least 1")
    check_accumulation(loss, accumulate, "compile_step")
    if isinstance(optimizer, FullBatch):
        name = type(optimizer).__name__
        raise TypeError(f"compile_step: {name} needs all samples at once; use a Trainer, or its minimize(net, closure)")
    return CompiledStep(net, loss, optimizer, rule=rule, accumulate=accumulate)
