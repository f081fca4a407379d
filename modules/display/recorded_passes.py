"""Both passes of a model with all their intermediate values recorded."""

from typing import Any

from ..core.internal_op import InternalOp
from ..core.module import Module
from ..engine.entry_points import name_results
from ..engine.operations import Function, Operation, Operations
from ..engine.plan import Plan
from ..engine.stateful import jit_disabled, plain_python
from ..engine.tables import flatten_table


def list_layers(net: Module) -> list[Module]:
    """List the layers of a model in the order in which they run, without containers."""
    operations = Operations()
    operations.fprop(net, "x")
    return [each.module for each in operations.items if is_layer(each)]  # type: ignore[misc]


def is_layer(operation: Operation) -> bool:
    """Whether this is the forward pass of a module, and not of a container's internal op."""
    return operation.method == "fprop" and not isinstance(operation.module, InternalOp)


class RecordedPasses:
    """A model's forward and backward pass, each one compiled function that returns all intermediate values.

    `forward` and `backward` are the operations of both, `values` their results, by the names of their targets.
    """

    def __init__(self, net: Module, x: Any):
        self.net, operations = net, Operations()
        self.inputs = tuple(flatten_table(names := name_results("x", x)))
        y = operations.fprop(net, names)
        if not isinstance(y, str):
            raise TypeError(f"{net.label()}: its output is a table, expected one array")
        self.y, self.forward, count = y, operations.items, len(operations.items)
        operations.bprop(net, "grad_y")
        self.forward, self.backward = operations.items[:count], operations.items[count:]
        self.values: dict[str, Any] = dict(zip(self.inputs, flatten_table(x), strict=True))
        self.plan = None if jit_disabled() else self._plan(net)

    def _plan(self, net: Module) -> Plan:
        outputs = tuple(operation.target for operation in self.forward if operation.method == "fprop")
        self.functions = {"fprop": Function("fprop", self.forward, self.inputs, outputs or ("x",))}
        samples = {name: self.values[name] for name in self.inputs}
        if self.backward:
            grads = tuple(operation.target for operation in self.backward)
            self.functions["bprop"] = Function("bprop", self.backward, ("grad_y",), grads)
        title = f"Both passes of {net.outline()}, with all that they make."
        return Plan(title, list(self.functions.values()), samples, {"grad_y": self.y})

    def run(self, method: str, name: str, value: Any) -> None:
        """Run a pass from its first value on, which may be a table."""
        if method == "fprop":
            self.net.check_tokens(value)
        names = self.inputs if method == "fprop" else (name,)
        self.values |= dict(zip(names, flatten_table(value), strict=True))
        operations = self.forward if method == "fprop" else self.backward
        if self.plan is None:
            with plain_python():
                for each in operations:
                    arguments = [self.values[argument] for argument in each.arguments]
                    self.values[each.target] = getattr(each.module, each.method)(*arguments)
        elif operations:
            function = self.functions[method]
            results = self.plan.call(function, *flatten_table(value))
            self.values.update(zip(function.results, results if len(function.results) > 1 else (results,), strict=True))
