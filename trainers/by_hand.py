"""One training step module by module, so that what each makes of its input and of its gradient can be looked at."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..modules.engine.operations import Operations
from ..modules.gradient_report import table
from ..modules.loss import Loss
from ..modules.module import Module
from ..modules.sequential import Sequential
from .optimizers import Optimizer

COLUMNS = ("path", "module", "output", "grad_output", "parameters", "gradients")


@dataclass
class Stage:
    """What a module has made in a step: its output, the gradient of that, and its parameters and their gradients.

    `before` and `changes` are the parameters before the update, and by how much it has changed them. What the step did
    not reach is None.
    """

    path: str
    module: Module
    y: np.ndarray
    parameters: dict[str, np.ndarray]
    before: dict[str, np.ndarray]
    grad_y: np.ndarray | None = None
    gradients: dict[str, np.ndarray] | None = None
    changes: dict[str, np.ndarray] | None = None


@dataclass
class Step:
    """A step by hand: its stages from first to last, its loss, and the first value that was not finite."""

    stages: list[Stage] = field(default_factory=list)
    loss: float | None = None
    trouble: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the sizes of the largest elements are texts, `-` where there is nothing."""
        modules = [dict(zip(COLUMNS, row, strict=True)) for row in self.rows()]
        return {"modules": modules, "loss": self.loss, "trouble": self.trouble}

    def rows(self) -> list[tuple[str, ...]]:
        """A module a row: how large outputs, gradients and parameters are."""
        rows: list[tuple[str, ...]] = []
        for stage in self.stages:
            grads, values = (stage.gradients or {}).values(), stage.parameters.values()
            sizes = [largest([stage.y]), largest([] if stage.grad_y is None else [stage.grad_y])]
            rows.append((stage.path, stage.module.label(), *sizes, largest(values), largest(grads)))
        return rows

    def __str__(self) -> str:
        rows = [("module", "", "largest output", "gradient of it", "parameter", "its gradient"), *self.rows()]
        loss = "not reached" if self.loss is None else f"{self.loss:g}"
        return "\n".join([*table(rows), f"loss {loss}", self.trouble or "all values are finite"])


def largest(arrays) -> str:
    """The size of the largest element of some arrays, nan if one is NaN."""
    sizes = [float(np.max(np.abs(array))) for array in arrays if array.size]
    return f"{max(sizes) if not np.isnan(sizes).any() else np.nan:.3g}" if sizes else "-"


def leaves(net: Module) -> list[Module]:
    """The modules that data pass through one after the other; others count as one, and so does what makes tables."""
    if type(net) is not Sequential or makes_tables(net):
        return [net]
    return [leaf for module in net for leaf in leaves(module)]


def makes_tables(net: Sequential) -> bool:
    """Whether a module passes several arrays on to the next."""
    x = "x"
    return any(type(x := Operations().fprop(module, x)) is tuple for module in net)


def step_by_hand(net: Module, loss: Loss, optimizer: Optimizer | None, *batch: np.ndarray) -> Step:
    """Train on one minibatch (x, target), or with weights, module by module; it ends at what is not finite.

    Without an optimizer there is no update.
    """
    step = Step()
    for name, array in net.named_parameters():
        if not np.isfinite(array).all():
            step.trouble = f"{name} is not finite before the step"
            return step
    x, *others = batch
    net.zero_grad()
    for module in leaves(net):
        x = module.fprop(x)
        parameters = dict(module.named_parameters())
        before = {name: array.copy() for name, array in parameters.items()}
        step.stages.append(Stage(module.path(), module, x, parameters, before))
        if troubled(step, x, f"the output of {step.stages[-1].path} {module.label()}"):
            return step
    step.loss = float(loss(x, *others))
    if troubled(step, np.array(step.loss), f"the value of {loss.label()}"):
        return step
    gradient = loss.bprop()  # type: ignore[call-arg]
    if not troubled(step, gradient, f"the gradient of {loss.label()}"):
        backward(step, gradient)
    if step.trouble is None and optimizer is not None:
        update(step, net, optimizer)
    return step


def backward(step: Step, gradient: np.ndarray) -> None:
    """The backward pass through the stages."""
    for stage in reversed(step.stages):
        stage.grad_y = gradient
        gradient = stage.module.bprop(gradient)
        stage.gradients = dict(stage.module.named_gradients())
        made = [(f"grad_{name}", array) for name, array in stage.gradients.items()]
        made += [("grad_x", gradient)] if stage is not step.stages[0] else []  # nobody uses the first one's
        for name, array in made:
            if troubled(step, array, f"{name} of {stage.path} {stage.module.label()}"):
                return


def update(step: Step, net: Module, optimizer: Optimizer) -> None:
    """The update, and how much it has changed."""
    optimizer.update(net)  # type: ignore[call-arg]
    for stage in step.stages:
        stage.changes = {name: array - stage.before[name] for name, array in stage.parameters.items()}
        for name, array in stage.parameters.items():
            if troubled(step, array, f"{name} of {stage.path} {stage.module.label()} after the update"):
                return


def troubled(step: Step, array: np.ndarray, what: str) -> bool:
    """Whether an array is not finite, which ends the step."""
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        kind = "NaN" if np.isnan(array).any() else "infinite"
        step.trouble = f"the first value that is not finite is in {what}: {bad} of {array.size}, {kind}"
    return bad > 0
