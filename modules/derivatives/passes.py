"""Forward mode, and the derivative of the backward pass along a direction, derived from the operations of both passes.

Pearlmutter's operator R{·} is d/dε at x + ε v and w + ε v_w. Applied to each operation of a plan, it gives
R{fprop} = jvp for each fprop, and rbprop, R{bprop}, for each bprop. So containers need no code of their own here.
"""

from typing import Any

from ..core.internal_op import InternalOp
from ..core.module import Module
from ..engine.operations import Operation, Operations
from ..losses.loss import Loss
from .differences import Differences
from .supported import has_curvature, has_method, is_locally_linear


class Passes:
    """The operations of a model, and of a loss after it, in the order in which they run.

    `x` stands for the input, `y` for the output's name; `v` for a direction in x; `seed` for a gradient of y.
    """

    def __init__(self, net: Module, loss: Loss | None = None):
        operations = Operations()
        self.net, self.loss = net, loss
        if loss is not None:
            loss.check_reduction()
        self.y = operations.fprop(net, "x")
        if not isinstance(self.y, str):
            raise TypeError(f"{net.label()}: its output is a table, expected one array")
        self.fprop = list(operations.items)
        self.inputs = {each.module: each.arguments for each in self.fprop if each.method == "fprop"}
        operations.bprop(net, "seed")
        self.bprop = operations.items[len(self.fprop) :]
        self.differences: list[Differences] = []

    def tangents(self) -> tuple[list[Operation], str]:
        """Append R{fprop}: jvp after jvp; returns the name of R{y}."""
        self.directions = {"x": "v"}
        items = []
        for operation in self.fprop:
            if operation.method == "fprop":  # and not the measuring of a concatenation
                directions = tuple(self.directions[name] for name in operation.arguments)
                module, arguments = self.with_method(operation.module, "jvp", operation.arguments, directions)
                self.directions[operation.target] = target = f"v_{operation.target}"
                items.append(Operation(target, module, "jvp", arguments))
            elif hasattr(operation.module, f"jvp_{operation.method}"):  # what more than one array an fprop makes
                directions = tuple(self.directions[name] for name in operation.arguments)
                self.directions[operation.target] = target = f"v_{operation.target}"
                items.append(Operation(target, operation.module, f"jvp_{operation.method}", directions))
        return items, self.directions[self.y]

    def loss_passes(self) -> list[Operation]:
        """Append the loss of y and its gradient."""
        assert self.loss is not None
        value = Operation("value", self.loss, "fprop", (self.y, "target"))
        return [value, Operation("loss_grad", self.loss, "bprop", ())]

    def loss_curvature(self, v_y: str) -> Operation:
        """Append the Hessian of the loss in y, times R{y}."""
        assert self.loss is not None
        loss: Module = self.loss
        if not has_curvature(loss):
            loss = self.get_differences(loss)
        return Operation("loss_change", loss, "hessian_times", (self.y, "target", v_y))

    def backward(self, seed: str) -> list[Operation]:
        """Append bprop of the gradient named `seed`."""
        return [rename_arguments(operation, {"seed": seed}) for operation in self.bprop]

    def changes(self) -> list[Operation]:
        """Append bprop, and R{bprop} after it, which makes the gradients R{gradient}."""
        items, names = [], {"seed": "loss_grad"}
        read = {name for operation in self.bprop for name in operation.arguments}
        for operation in self.bprop:
            if operation.target in read:  # else it only adds to gradients, which R{bprop} will overwrite
                items += self.copy_if_reused(rename_arguments(operation, names), names)
        items.append(Operation("cleared", ClearGradients().to(self.net.dtype), "fprop", ("gradients",)))
        change = {"seed": "loss_change"}
        for operation in self.bprop:
            tangent = rename_arguments(operation, change, "r_")
            if is_locally_linear(type(operation.module)):
                items += self.copy_if_reused(tangent, change, operation.target)
                continue
            x = self.inputs[operation.module]
            v = tuple(self.directions[name] for name in x)
            grads = rename_arguments(operation, names).arguments
            method = f"r{operation.method}"
            module, arguments = self.with_method(operation.module, method, x, (*v, *grads, *tangent.arguments))
            items.append(Operation(tangent.target, module, method, arguments))
            change[operation.target] = tangent.target
        return items

    def copy_if_reused(self, operation: Operation, names: dict[str, str], target: str = "") -> list[Operation]:
        """Copy an operation's result if its memory is reused by R{bprop}; records the result's name."""
        target = target or operation.target
        if not is_locally_linear(type(operation.module)):
            return [operation]
        names[target] = f"{operation.target}_kept"
        return [operation, Operation(names[target], CopyGradient().to(self.net.dtype), "bprop", (operation.target,))]

    def with_method(self, module: Any, method: str, x, directions) -> tuple[Module, tuple[str, ...]]:
        """Get a module that has the method, and its arguments; or differences of it, which need its x, too."""
        if has_method(type(module), method):
            return module, directions
        return self.get_differences(module), (*x, *directions)

    def get_differences(self, module: Module) -> Differences:
        """Get the differences of a module, made once."""
        differences = next((each for each in self.differences if each.subject is module), None)
        if differences is None:
            differences = Differences(module)
            self.differences.append(differences)
        return differences


def rename_arguments(operation: Operation, names: dict[str, str], prefix: str = "") -> Operation:
    """Rename the arguments of an operation."""
    arguments = tuple(names.get(name, name) for name in operation.arguments)
    return Operation(prefix + operation.target, operation.module, operation.method, arguments)


class CopyGradient(InternalOp):
    """Copies a gradient whose memory is about to be reused."""

    def bprop(self, grad_y):
        return grad_y.copy()


class ClearGradients(InternalOp):
    """Sets the vector of gradients to zero between bprop and R{bprop}, which both add to it."""

    def fprop(self, gradients):
        gradients[:] = 0
        return gradients


def lacking(net: Module, name: str = "jvp") -> list[Module]:
    """The modules of a model, containers excluded, whose `jvp` or `rbprop` is computed by differences."""
    modules: Any = dict.fromkeys(operation.module for operation in Passes(net).fprop)
    linear = name == "rbprop"
    return [m for m in modules if not has_method(type(m), name) and not (linear and is_locally_linear(type(m)))]
