"""A plan as a list of operations: `x1 = model[0].fprop(x0)` and so on, one line each.

Containers append their children's operations to the list, so a model of any depth becomes straight-line code. The same
list is interpreted once as plain Python, to trace the types; then the compiled step's source is generated from it.
"""

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .stateful import Stateful, plain_python


@dataclass(frozen=True, eq=False)
class Repeat:
    """A stretch of operations that runs as often as an object's setting says, a whole number; with 0, not at all."""

    owner: Stateful
    setting: str


@dataclass(frozen=True)
class Operation:
    """`target = module.method(*arguments)`; the arguments are names of earlier targets or of the plan's inputs.

    With `other` it is `module.method(other, *arguments)`: a learning rule that stands between a layer and the net. A
    fused operation stands for two: `module.method(partner, *arguments)`. Operations in a row of one `repeat` are run
    in turn, as often as it says.
    """

    target: str
    module: Stateful
    method: str
    arguments: tuple[str, ...]
    fused: tuple["Operation", ...] = ()
    other: Stateful | None = None
    repeat: Repeat | None = None

    @property
    def backward(self) -> bool:
        """Whether it is of the backward pass."""
        return self.method.startswith(("bprop", "rbprop"))

    @property
    def partner(self) -> Stateful | None:
        """The second module that the method is given: `other`, or the other one of a fused operation."""
        if self.other is not None:
            return self.other
        return next((each.module for each in self.fused if each.module is not self.module), None)

    @property
    def modules(self) -> list[Stateful]:
        """The module, and the partner if there is one."""
        return [self.module] if self.partner is None else [self.module, self.partner]

    @property
    def jit(self) -> bool:
        """Whether it can be compiled."""
        return all(module.jit for module in self.modules)


@dataclass
class Operations:
    """A list of operations under construction."""

    items: list[Operation] = field(default_factory=list)
    repeat: Repeat | None = None

    def call(self, module: Stateful, method: str, *arguments: str, other: Stateful | None = None) -> str:
        """Append a call and return the name of its result."""
        target = f"{'grad' if method.startswith('bprop') else 'x'}{len(self.items)}"
        self.items.append(Operation(target, module, method, arguments, other=other, repeat=self.repeat))
        return target

    @contextlib.contextmanager
    def repeated(self, owner: Stateful, setting: str) -> Iterator[None]:
        """Context whose calls run as often as the setting says; what one turn leaves to the next is kept in objects."""
        self.repeat = Repeat(owner, setting)
        try:
            yield
        finally:
            self.repeat = None

    def fprop(self, module, *arguments) -> Any:
        """Append the forward pass of a module, or of a container's children; several arrays are a tuple of names."""
        return module.write_fprop(self, *arguments)

    def bprop(self, module, *arguments) -> Any:
        """Append the backward pass of a module, or of a container's children."""
        return module.write_bprop(self, *arguments)


def list_modules(operations: list[Operation]) -> list[Stateful]:
    """List the modules that the operations call, each once, in order of first use."""
    return list(dict.fromkeys(module for operation in operations for module in operation.modules))


def prune(operations: list[Operation], results: set[str]) -> tuple[list[Operation], set[Stateful]]:
    """Drop backward operations that reach no parameter; returns the others, and the modules whose grad_x is unused."""
    needed, needed_operations, unread, read = set(results), [], set(), set()
    for operation in reversed(operations):
        if operation.backward and operation.target not in needed:
            if not any(each.gradient_names() for module in operation.modules for each in iterate_with_inside(module)):
                continue
            unread.update(operation.modules)
        elif operation.backward:
            read.update(operation.modules)
        needed.update(operation.arguments)
        needed_operations.append(operation)
    return needed_operations[::-1], unread - read


def iterate_with_inside(module: Stateful) -> Iterator[Stateful]:
    """Iterate over a module and all that its methods call."""
    yield module
    yield from module.iterate_inside()


FUSED = {"fprop": "fprop_then", "bprop": "bprop_after"}


def fuse(operations: list[Operation], results: set[str]) -> list[Operation]:
    """Fuse a layer and the elementwise activation after it into one operation, where only that reads the layer's y."""
    read = [name for operation in operations for name in operation.arguments]
    fused: list[Operation] = []
    for operation in operations:
        before = fused[-1] if fused else None
        alone = before is not None and before.repeat is operation.repeat and before.other is operation.other is None
        if before is not None and alone and operation.method in FUSED and before.method == operation.method:
            between = operation.arguments == (before.target,) and read.count(before.target) == 1
            layer, unit = (before, operation) if operation.method == "fprop" else (operation, before)
            compiled = layer.module.jit and unit.module.jit
            if compiled and between and before.target not in results and layer.module.fuses_with(unit.module):
                target, method = operation.target, FUSED[operation.method]
                both = (before, operation)
                fused[-1] = Operation(target, layer.module, method, before.arguments, both, repeat=before.repeat)
                continue
        fused.append(operation)
    return fused


def split_operations(operations: list[Operation], results: set[str], cut_after: str = "") -> list["Part"]:
    """Split the list at modules that run as Python: parts of compiled operations, and single Python operations.

    A list that is split at all is split after the operation that makes `cut_after`, too.
    """
    result: list[Part] = []
    whole = all(operation.jit for operation in operations)
    fresh = True
    for operation in operations:
        if fresh or not operation.jit or not result[-1].compiled:
            result.append(Part(operation.jit, [], (), ()))
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


@dataclass
class Function:
    """A function of a plan: operations from the named `inputs` to `results`.

    For a `step`, a loop over minibatches is generated, too, in which the `scheduled` settings, (module, name), change,
    and the operations `before` come first. With `cut` its minibatches of sequences are cut to the longest one: "x", or
    "x and target". With `sharded` that loop is over parts of minibatches of any sizes, and notes the loss of each.
    """

    name: str
    operations: list[Operation]
    inputs: tuple[str, ...]
    results: tuple[str, ...]
    step: bool = False
    scheduled: tuple[tuple[Stateful, str], ...] = ()
    before: tuple[Operation, ...] = ()
    later: frozenset[Stateful] = frozenset()  # modules that add to gradients which earlier operations have begun
    cut: str = ""
    sharded: bool = False

    @cached_property
    def parts(self) -> list[Part]:
        """Its operations, fused where that saves time, and split at modules that run as Python."""
        fused = fuse(self.operations, set(self.results))
        return split_operations(fused, set(self.results), self.results[0] if self.step else "")

    @cached_property
    def ordered(self) -> list[Operation]:
        """All compiled operations, in the order of the numbers that bounds checks report."""
        return [*self.before, *(operation for part in self.parts for operation in part.operations)]

    @cached_property
    def repeats_across_parts(self) -> bool:
        """Whether operations that are repeated together are in several parts, or run as Python."""
        places: dict[Repeat, int] = {}
        return any(
            operation.repeat is not None and (not part.compiled or places.setdefault(operation.repeat, k) != k)
            for k, part in enumerate(self.parts)
            for operation in part.operations
        )


def run_method(operation: Operation, arguments):
    """Run the method of an operation, not as part of a compiled function."""
    first = [] if operation.other is None else [operation.other]
    with plain_python() if first else contextlib.nullcontext():
        return as_contiguous(getattr(operation.module, operation.method)(*first, *arguments))


def run_function(function: Function, values: dict) -> Any:
    """Run a function's operations one by one as plain Python, from the values of its inputs; returns its results."""
    with plain_python(), np.errstate(all="ignore"):
        for repeat, stretch in itertools.groupby(function.operations, lambda operation: operation.repeat):
            listed = list(stretch)
            for _ in range(1 if repeat is None else getattr(repeat.owner, repeat.setting)):
                for operation in listed:
                    for module, gradient in iterate_cleared(function, operation):
                        vars(module)[gradient].fill(0)
                    value = run_method(operation, [values[name] for name in operation.arguments])
                    values[operation.target] = value
                    if function.step and operation.target == function.results[0] and not math.isfinite(value):
                        return tuple(values[name] for name in function.results)
    results = tuple(values[name] for name in function.results)
    return results if function.step or len(results) > 1 else results[0]


def iterate_cleared(function: Function, operation: Operation):
    """Iterate over the gradients to clear before an operation of a step, as (module, name)."""
    if function.step and operation.method == "bprop":
        for each in dict.fromkeys(each for module in operation.modules for each in iterate_with_inside(module)):
            late = each in function.later
            yield from ((each, name) for name in (each.unshared_gradient_names() if late else each.gradient_names()))


def as_contiguous(value):
    """Make an array C-contiguous; other values stay as they are."""
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) and value.ndim else value
