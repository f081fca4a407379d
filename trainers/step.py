"""A training step for a loop of one's own, still one compiled function."""

import numpy as np

from ..modules.engine.calls import as_input
from ..modules.engine.stateful import Stateful, jit_disabled
from ..modules.engine.step import StepPlan
from ..modules.loss import Loss
from ..modules.module import Module
from .optimizers import Optimizer
from .optimizers.full_batch import FullBatch


class CompiledStep:
    """`step(x, target)` trains a net on one minibatch and returns its loss before the update, a float.

    Errors: ValueError for an empty minibatch and for shapes that do not fit the net or the loss.
    """

    def __init__(self, net: Module, loss: Loss, optimizer: Optimizer, scheduled: tuple[tuple[Stateful, str], ...] = ()):
        self.net, self.loss, self.optimizer, self.scheduled = net, loss, optimizer, scheduled
        optimizer.schedule([name for owner, name in scheduled if owner is optimizer])
        self._plans: dict[tuple, StepPlan | None] = {}
        self._versions: tuple[int, ...] = ()

    def __call__(self, x, target) -> float:
        x, target = self._arrays(x, target)
        plan = self.plan(x, target)
        return plan.step(x, target) if plan is not None else self._by_hand(x, target)[0]

    def by_parts(self, x, target) -> tuple[float, np.ndarray]:
        """A step that is not one function, as a part of it runs as Python; returns its loss and the net's output."""
        x, target = self._arrays(x, target)
        plan = self.plan(x, target)
        return plan.call(x, target) if plan is not None else self._by_hand(x, target)

    def _arrays(self, x, target) -> tuple[np.ndarray, np.ndarray]:
        if self.loss.dtype != self.net.dtype:
            self.loss.to(self.net.dtype)
        return as_input(self.net, 0, x), as_input(self.loss, 1, target)

    def plan(self, x: np.ndarray, target: np.ndarray) -> StepPlan | None:
        """The plan for minibatches of these types and shapes; None if numba is switched off."""
        if self._versions != (self.net._version, self.loss._version, self.optimizer._version):
            self._plans = {}
        key = (x.shape, target.shape, target.dtype.char)
        if key not in self._plans:
            self._check(x, target)
            self._plans[key] = None if jit_disabled() else self._plan_of_types(x, target)
            self._versions = (self.net._version, self.loss._version, self.optimizer._version)
        return self._plans[key]

    def _plan_of_types(self, x, target) -> StepPlan:
        kinds = (x.ndim, target.ndim, target.dtype.char)
        if kinds not in self._plans:
            self._plans[kinds] = StepPlan(self.net, self.loss, self.optimizer, x, target, self.scheduled)
        return self._plans[kinds]  # type: ignore[return-value]

    def _check(self, x: np.ndarray, target: np.ndarray) -> None:
        if len(x) == 0:
            raise ValueError("step: the minibatch is empty, expected at least one sample")
        self.loss.check_arguments(self.net.output_shape(x.shape), target.shape)
        self.optimizer.attach(self.net)

    def _by_hand(self, x, target) -> tuple[float, np.ndarray]:
        net, loss = self.net, self.loss
        net.zero_grad()
        y = net.fprop(x)
        value = loss(y, target)
        if np.isfinite(value):
            net.bprop(loss.bprop())  # type: ignore[call-arg]
            self.optimizer.update(net)  # type: ignore[call-arg]
        return float(value), y


def compile_step(net: Module, loss: Loss, optimizer: Optimizer) -> CompiledStep:
    """The training step of `net`, `loss` and `optimizer` as one function, compiled at its first call.

    step = compile_step(net, SoftmaxCrossEntropy(), SGD(lr=0.1)); value = step(x, target)
    """
    if isinstance(optimizer, FullBatch):
        name = type(optimizer).__name__
        raise TypeError(f"compile_step: {name} needs all samples at once; use a Trainer, or its minimize(net, closure)")
    return CompiledStep(net, loss, optimizer)
