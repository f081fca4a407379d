"""One training step module by module, with a record of each module's output and gradient."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...modules.core.internal_op import InternalOp
from ...modules.core.module import Module
from ...modules.core.text_table import format_table
from ...modules.display.recorded_passes import RecordedPasses
from ...modules.engine.entry_points import convert_input
from ...modules.losses.loss import Loss
from ..optimizers import Optimizer

COLUMNS = ("path", "module", "output", "grad_output", "parameters", "gradients")


@dataclass
class ModuleRecord:
    """A module's record of a step: its output, the gradient of that, and its parameters and their gradients.

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
class LayerwiseStep:
    """A layerwise step: its stages from first to last, its loss, and the first value that was not finite."""

    stages: list[ModuleRecord] = field(default_factory=list)
    loss: float | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the sizes of the largest elements are texts, `-` where there is nothing."""
        modules = [dict(zip(COLUMNS, row, strict=True)) for row in self.rows()]
        return {"modules": modules, "loss": self.loss, "trouble": self.problem}

    def rows(self) -> list[tuple[str, ...]]:
        """List a row for each module: the sizes of outputs, gradients and parameters."""
        rows: list[tuple[str, ...]] = []
        for stage in self.stages:
            grads, values = (stage.gradients or {}).values(), stage.parameters.values()
            sizes = [format_largest([stage.y]), format_largest([] if stage.grad_y is None else [stage.grad_y])]
            rows.append((stage.path, stage.module.label(), *sizes, format_largest(values), format_largest(grads)))
        return rows

    def __str__(self) -> str:
        rows = [("module", "", "largest output", "gradient of it", "parameter", "its gradient"), *self.rows()]
        loss = "not reached" if self.loss is None else f"{self.loss:g}"
        return "\n".join([*format_table(rows), f"loss {loss}", self.problem or "all values are finite"])


def format_largest(arrays) -> str:
    """Format the largest absolute value of some arrays, nan if one is NaN."""
    sizes = [float(np.max(np.abs(array))) for array in arrays if array.size]
    return f"{max(sizes) if not np.isnan(sizes).any() else np.nan:.3g}" if sizes else "-"


@np.errstate(all="ignore")  # as compiled code: what is not finite is told by name
def run_layerwise_step(net: Module, loss: Loss, optimizer: Optimizer | None, *batch: Any) -> LayerwiseStep:
    """Train on one minibatch (x, target), or with weights, and look at each module; it ends at what is not finite.

    Modules inside containers of any kind are looked at one by one. Without an optimizer there is no update.
    """
    step = LayerwiseStep()
    for name, array in net.named_parameters():
        if not np.isfinite(array).all():
            step.problem = f"{name} is not finite before the step"
            return step
    x, *others = batch
    x = convert_input(net, 0, x)
    net.zero_grad()
    recorded = RecordedPasses(net, x)
    recorded.run("fprop", "x", x)
    for operation in recorded.forward:
        if operation.method == "fprop" and record_forward(step, operation.module, recorded.values[operation.target]):
            return step
    step.loss = float(loss(recorded.values[recorded.y], *others))
    if find_not_finite(step, np.array(step.loss), f"the value of {loss.label()}"):
        return step
    gradient = loss.bprop()  # type: ignore[call-arg]
    if not find_not_finite(step, gradient, f"the gradient of {loss.label()}"):
        recorded.run("bprop", "grad_y", gradient)
        record_backward(step, recorded)
    if step.problem is None and optimizer is not None:
        record_update(step, net, optimizer)
    return step


def record_forward(step: LayerwiseStep, module: Any, y: np.ndarray) -> bool:
    """Record a module's output; whether it is not finite. Where branches merge, the container is named."""
    if isinstance(module, InternalOp):
        return find_not_finite(step, y, f"the output of {module.parent.path()} {module.parent.label()}")  # type: ignore
    parameters = dict(module.named_parameters())
    before = {name: array.copy() for name, array in parameters.items()}
    step.stages.append(ModuleRecord(module.path(), module, y, parameters, before))
    return find_not_finite(step, y, f"the output of {module.path()} {module.label()}")


def record_backward(step: LayerwiseStep, recorded: RecordedPasses) -> None:
    """Record the results of the backward pass."""
    stages = {stage.module: stage for stage in step.stages}
    read = {name for operation in recorded.backward for name in operation.arguments}
    for operation in recorded.backward:
        module: Any = operation.module
        gradients = (
            [("grad_x", recorded.values[operation.target])] if operation.target in read else []
        )  # not of the first
        if isinstance(module, InternalOp):
            module = module.parent
        else:
            stage = stages[module]
            stage.grad_y = recorded.values[operation.arguments[0]]
            stage.gradients = dict(module.named_gradients())
            gradients = [*((f"grad_{name}", array) for name, array in stage.gradients.items()), *gradients]
        if any(
            find_not_finite(step, array, f"{name} of {module.path()} {module.label()}") for name, array in gradients
        ):
            return


def record_update(step: LayerwiseStep, net: Module, optimizer: Optimizer) -> None:
    """Run the update, and record how much it changes."""
    optimizer.update(net)  # type: ignore[call-arg]
    for stage in step.stages:
        stage.changes = {name: array - stage.before[name] for name, array in stage.parameters.items()}
        for name, array in stage.parameters.items():
            if find_not_finite(step, array, f"{name} of {stage.path} {stage.module.label()} after the update"):
                return


def find_not_finite(step: LayerwiseStep, array: np.ndarray, what: str) -> bool:
    """Whether an array is not finite, which ends the step."""
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        kind = "NaN" if np.isnan(array).any() else "infinite"
        step.problem = f"the first value that is not finite is in {what}: {bad} of {array.size}, {kind}"
    return bad > 0
