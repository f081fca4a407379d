"""A plan as a list of operations: `x1 = model[0].fprop(x0)` and so on, one line each.

Containers append their children's operations to the list, so a model of any depth becomes straight-line code. The same
list is interpreted once as plain Python, to trace the types; then the compiled step's source is generated from it.
"""

from dataclasses import dataclass, field
from typing import Any

from .stateful import Stateful


@dataclass(frozen=True)
class Operation:
    """`target = module.method(*arguments)`; the arguments are names of earlier targets or of the plan's inputs.

    A fused operation stands for two: `module.method(partner, *arguments)`.
    """

    target: str
    module: Stateful
    method: str
    arguments: tuple[str, ...]
    fused: tuple["Operation", ...] = ()

    @property
    def backward(self) -> bool:
        """Whether it is of the backward pass."""
        return self.method.startswith(("bprop", "rbprop"))

    @property
    def partner(self) -> Stateful | None:
        """The other module of a fused operation."""
        return next((operation.module for operation in self.fused if operation.module is not self.module), None)


@dataclass
class Operations:
    """A list of operations under construction."""

    items: list[Operation] = field(default_factory=list)

    def call(self, module: Stateful, method: str, *arguments: str) -> str:
        """Append a call and return the name of its result."""
        target = f"{'grad' if method.startswith('bprop') else 'x'}{len(self.items)}"
        self.items.append(Operation(target, module, method, arguments))
        return target

    def fprop(self, module, *arguments) -> Any:
        """Append the forward pass of a module, or of a container's children; several arrays are a tuple of names."""
        return module.write_fprop(self, *arguments)

    def bprop(self, module, *arguments) -> Any:
        """Append the backward pass of a module, or of a container's children."""
        return module.write_bprop(self, *arguments)


def list_modules(operations: list[Operation]) -> list[Stateful]:
    """List the modules that the operations call, each once, in order of first use."""
    return list(dict.fromkeys(operation.module for operation in operations))


def prune(operations: list[Operation], results: set[str]) -> tuple[list[Operation], set[Stateful]]:
    """Drop backward operations that reach no parameter; returns the others, and the modules whose grad_x is unused."""
    needed, needed_operations, unread = set(results), [], set()
    for operation in reversed(operations):
        if operation.backward and operation.target not in needed:
            if not any(module.gradient_names() for module in (operation.module, *operation.module.iterate_inside())):
                continue
            unread.add(operation.module)
        needed.update(operation.arguments)
        needed_operations.append(operation)
    return needed_operations[::-1], unread


FUSED = {"fprop": "fprop_then", "bprop": "bprop_after"}


def fuse(operations: list[Operation], results: set[str]) -> list[Operation]:
    """Fuse a layer and the elementwise activation after it into one operation, where only that reads the layer's y."""
    read = [name for operation in operations for name in operation.arguments]
    fused: list[Operation] = []
    for operation in operations:
        before = fused[-1] if fused else None
        if before is not None and operation.method in FUSED and before.method == operation.method:
            between = operation.arguments == (before.target,) and read.count(before.target) == 1
            layer, unit = (before, operation) if operation.method == "fprop" else (operation, before)
            compiled = layer.module.jit and unit.module.jit
            if compiled and between and before.target not in results and layer.module.fuses_with(unit.module):
                target, method = operation.target, FUSED[operation.method]
                fused[-1] = Operation(target, layer.module, method, before.arguments, (before, operation))
                continue
        fused.append(operation)
    return fused


def split_operations(operations: list[Operation], results: set[str], cut_after: str = "") -> list["Part"]:
    """Split the list at modules that run as Python: parts of compiled operations, and single Python operations.

    A list that is split at all is split after the operation that makes `cut_after`, too.
    """
    result: list[Part] = []
    whole = all(operation.module.jit for operation in operations)
    fresh = True
    for operation in operations:
        if fresh or not operation.module.jit or not result[-1].compiled:
            result.append(Part(operation.module.jit, [], (), ()))
        result[-1].operations.append(operation)
        fresh = operation.target == cut_after and not whole
    for k, part in enumerate(result):
        targets = [operation.target for operation in part.operations]
        read = dict.fromkeys(name for operation in part.operations for name in operation.arguments)
        later = results | {n for other in result[k + 1 :] for o in other.operations for n in o.arguments}
        part.reads = tuple(name for name in read if name not in targets)
        part.makes = tuple(name for name in targets if name in later)
    return result


@dataclass
class Part:
    """A part of a plan: operations that run as one compiled function, or one operation in Python."""

    compiled: bool
    operations: list[Operation]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
