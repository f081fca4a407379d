"""The compiled training step, for custom training loops."""

import copy

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.entry_points import INT64, convert_input
from ...modules.engine.locks import join_locks, locked, refuse_during_fit
from ...modules.engine.operations import Function, Operations, prune, run_function
from ...modules.engine.stateful import Stateful, jit_disabled
from ...modules.engine.step import StepPlan
from ...modules.losses.loss import Loss
from ..augments import Augmentation
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from ..rules import Rule


class CompiledStep:
    """`step(x, target)` trains a model on one minibatch and returns its loss before the update, a float.

    `step(x, target, sample_weight)` does so with weights (N,), for losses that take them.

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
    ):
        if isinstance(optimizer, FullBatch):
            scheduled = ((optimizer, "share"),)  # of a minibatch among all samples
        self.net, self.loss, self.optimizer, self.scheduled = net, loss, optimizer, scheduled
        self.augmentation, self.rule = augmentation or Augmentation(()), rule
        join_locks(net, loss)
        join_locks(net, optimizer)
        optimizer.schedule([name for owner, name in scheduled if owner is optimizer])
        self._plans: dict[tuple, StepPlan | None] = {}
        self._versions: tuple[int, ...] = ()
        self._ndims: dict[tuple[int, ...], int] = {}
        self._output_shapes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def __deepcopy__(self, memo) -> "CompiledStep":
        """A step of copies of the model, the loss and the optimizer."""
        net, loss = copy.deepcopy(self.net, memo), copy.deepcopy(self.loss, memo)
        return CompiledStep(net, loss, copy.deepcopy(self.optimizer, memo), rule=copy.deepcopy(self.rule, memo))

    def __call__(self, x, target, sample_weight=None) -> float:
        shared = self.net._lock.shared
        shared.was_requested = True
        with shared.lock:
            if shared is self.net._lock.shared:
                if shared.trainings:
                    self.refuse_during_fit()
                batch = self.arrays(x, target, sample_weight)
                plan = self.plan(*batch)
                try:
                    return plan.step(*batch) if plan is not None else self._run_uncompiled(*batch)[0]
                except ValueError:
                    self.loss.check_labels(batch[1])
                    raise
        return self(x, target, sample_weight)  # the lock has become another one while this thread waited

    def by_parts(self, x, target, sample_weight=None) -> tuple[float, np.ndarray]:
        """Run a step of several functions, as a part of it runs as Python; returns its loss and the model's output."""
        with locked(self.net):
            batch = self.arrays(x, target, sample_weight)
            plan = self.plan(*batch)
            try:
                return plan.call(*batch) if plan is not None else self._run_uncompiled(*batch)
            except ValueError:
                self.loss.check_labels(batch[1])
                raise

    def refuse_during_fit(self) -> None:
        """Raise RuntimeError while another thread trains the model or the optimizer."""
        for each in (self.net, self.optimizer):
            refuse_during_fit(each, "a step")

    def arrays(self, x, target, sample_weight=None) -> tuple[np.ndarray, ...]:
        """Convert a minibatch to the dtypes of the step; two arrays, or three if there are weights."""
        if self.loss._dtype is not self.net._dtype and self.loss.dtype != self.net.dtype:
            self.loss.to(self.net.dtype)
        x = convert_input(self.net, 0, x)
        if self.net._readers != ():
            self.net.check_tokens(x)
        labels = getattr(target, "dtype", None) is INT64 or not self.loss.takes_distributions
        pair = x, convert_input(self.loss, 1, target, None if labels else self._output_ndim(x))
        return pair if sample_weight is None else (*pair, convert_input(self.loss, 2, sample_weight))

    def _output_ndim(self, x: np.ndarray) -> int | None:
        """The number of axes of the model's output, which distinguishes distributions from labels."""
        if x.shape not in self._ndims and len(x):
            self._ndims[x.shape] = len(self.net.one_output_shape(x.shape))
        return self._ndims.get(x.shape)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The model's `output_shape`, asked once for each shape."""
        if self._versions != self._get_versions():
            return self.net.output_shape(input_shape)
        if input_shape not in self._output_shapes:
            self._output_shapes[input_shape] = self.net.output_shape(input_shape)
        return self._output_shapes[input_shape]

    def plan(self, *batch: np.ndarray) -> StepPlan | None:
        """Get the plan for minibatches of these dtypes and shapes; None if numba is disabled."""
        if self._versions != self._get_versions():
            self._plans, self._ndims, self._output_shapes = {}, {}, {}
        key = (batch[0].shape, batch[1].shape, batch[-1].shape, len(batch), batch[1].dtype.char)
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
        kinds = (*[array.ndim for array in batch], batch[1].dtype.char)
        if kinds not in self._plans:
            self._plans[kinds] = self.new_plan(*batch)
        return self._plans[kinds]  # type: ignore[return-value]

    def new_plan(self, *batch: np.ndarray) -> StepPlan:
        """Make a plan for minibatches like this one."""
        before = self.augmentation.operations("begin")
        return StepPlan(self.net, self.loss, self.optimizer, batch, self.scheduled, before, self.rule)

    def _check(self, x: np.ndarray, target: np.ndarray, *weight: np.ndarray) -> None:
        if len(x) == 0:
            raise ValueError("step: the minibatch is empty, expected at least one sample")
        y_shape = self.net.one_output_shape(x.shape)
        self.loss.check_reduction()
        self.loss.check_arguments(y_shape, target.shape)
        self.loss.check_class_axis(target, y_shape)
        for each in weight:
            self.loss.check_weights(y_shape, each.shape)
        self.optimizer.attach(self.net)
        if self.rule is not None:
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
                self.optimizer.update(net)  # type: ignore[call-arg]
        return float(value), y

    def _run_rule(self, x, target, *weight) -> tuple[float, np.ndarray]:
        """Run the operations of a step by a rule one by one."""
        operations, names = Operations(), ("x", "target", "weight")[: 2 + len(weight)]
        results = self.rule.write_step(operations, self.net, self.loss, *names)  # type: ignore[union-attr]
        self.optimizer.write_update(operations, "parameters", "gradients")
        needed, _ = prune(operations.items, set(results))
        function = Function("step", needed, names, results, step=True)
        values = dict(zip(names, (x, target, *weight), strict=True))
        values |= {"parameters": self.net.flat_parameters, "gradients": self.net.flat_gradients}
        self.net.zero_grad()
        value, y = run_function(function, values)
        return float(value), y


def compile_step(net: Module, loss: Loss, optimizer: Optimizer, rule: Rule | None = None) -> CompiledStep:
    """Make the training step of `net`, `loss` and `optimizer`, one function, compiled at its first call.

    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1)); value = step(x, target)

    Args: rule: a learning rule, in the place of backprop.
    """
    if isinstance(optimizer, FullBatch):
        name = type(optimizer).__name__
        raise TypeError(f"compile_step: {name} needs all samples at once; use a Trainer, or its minimize(net, closure)")
    return CompiledStep(net, loss, optimizer, rule=rule)
