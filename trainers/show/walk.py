"""A training step on one sample, module by module and line by line, as the page walks through it.

The modules run as plain Python, as they are written; so the lines that are marked are those that have run.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...modules.core.internal_op import InternalOp
from ...modules.core.module import Module
from ...modules.display.drawing import get_short_path
from ...modules.engine.entry_points import name_results
from ...modules.engine.operations import Operation, Operations
from ...modules.engine.stateful import get_raw_method, uncompiled
from ...modules.engine.tables import flatten_table
from ...modules.losses.loss import Loss
from ..optimizers import Optimizer
from ..optimizers.full_batch import FullBatch
from .arrays import Arrays
from .forms import describe_form
from .sources import describe_methods, find_equations, find_sentence
from .traced import encode_lines, run_traced
from .update_step import record_iteration, run_update


@dataclass
class Walk:
    """A recorded step: `modules`, `parameters` and `steps` for JSON, and the objects themselves.

    `values` are the arrays by the names of the plan, `forward` and `backward` its operations.
    """

    net: Module
    loss: Loss
    forward: list[Operation]
    backward: list[Operation]
    inputs: tuple[str, ...]
    y: str
    values: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)  # of values, in Arrays
    modules: list[dict[str, Any]] = field(default_factory=list)
    places: dict[Any, int] = field(default_factory=dict)  # of modules in `modules`
    steps: list[dict[str, Any]] = field(default_factory=list)
    parameters: list[dict[str, Any]] = field(default_factory=list)


def record_walk(net: Module, loss: Loss, x: Any, target: Any, arrays: Arrays) -> Walk:
    """Run both passes on one minibatch (x, target), and record them; `record_update` records the rest of the step.

    Args: x, target: as `convert_input` gives them.
    Errors: ValueError for a net that makes a table, and for one with operations that are repeated.
    """
    operations = Operations()
    names = name_results("x", x)
    y = operations.fprop(net, names)
    if not isinstance(y, str):
        raise ValueError(f"show: {net.label()} makes a table, expected one array")
    count = len(operations.items)
    operations.bprop(net, "grad_y")
    walk = Walk(net, loss, operations.items[:count], operations.items[count:], tuple(flatten_table(names)), y)
    walk.values = dict(zip(walk.inputs, flatten_table(x), strict=True))
    for name, value in walk.values.items():
        walk.numbers[name] = arrays.add(name, value)
    for module in [*dict.fromkeys(each.module for each in operations.items), loss]:
        walk.places[module] = len(walk.modules)
        walk.modules.append(describe_module(module))
    with uncompiled():
        net.zero_grad()
        for operation in walk.forward:
            run_operation(walk, operation, arrays)
        run_loss(walk, target, arrays)
        for operation in walk.backward:
            run_operation(walk, operation, arrays)
    return walk


def describe_module(module: Any) -> dict[str, Any]:
    """Describe a module for the page: path, label, equations, source of its methods."""
    internal = isinstance(module, InternalOp)
    owner = module.parent if internal and module.parent is not None else module
    path = "loss" if isinstance(module, Loss) else owner.path()
    return {
        "path": path,
        "short": "loss" if isinstance(module, Loss) else get_short_path(owner),
        "label": type(module).__name__ if internal else module.label(),
        "class": type(module).__name__,
        "internal": internal,
        "sentence": find_sentence(module),
        "equations": find_equations(module),
        "methods": {},
        "form": describe_form(module),
        "parameters": {},
    }


def find_methods(walk: Walk, module: Any, method: str) -> None:
    """Add the source of a method to the description of its module, once."""
    methods = walk.modules[walk.places[module]]["methods"]
    if method not in methods:
        methods[method] = describe_methods(module, method)


def run_operation(walk: Walk, operation: Operation, arrays: Arrays) -> None:
    """Run and record one call of a module's method."""
    module: Any = operation.module
    if operation.other is not None or operation.repeat is not None:
        raise ValueError(f"show: {walk.net.label()} runs {operation.method} of {module.label()} in a way of its own")
    find_methods(walk, module, operation.method)
    arguments = [walk.values[name] for name in operation.arguments]
    before = {name: array.copy() for name, array in gradients_of(module)} if operation.backward else {}
    result, lines = run_traced(module, operation.method, arguments)
    if operation.backward and isinstance(result, np.ndarray):
        result = result.copy()  # a buffer of the module, which later calls of its bprop write anew
    walk.values[operation.target] = result
    step = {
        "kind": find_kind(operation),
        "method": operation.method,
        "module": walk.places[module],
        "inputs": [walk.numbers[name] for name in operation.arguments if name in walk.numbers],
        "names": name_arguments(module, operation.method),
        "output": None,
        "lines": encode_lines(lines, arrays),
    }
    if isinstance(result, np.ndarray | np.generic | float | int):
        step["output"] = walk.numbers[operation.target] = arrays.add(operation.target, result)
    step["changed"] = [name for name, array in gradients_of(module) if name in before and (array != before[name]).any()]
    walk.steps.append(step)


def find_kind(operation: Operation) -> str:
    """The kind of a call's step: `measure` for one that only counts numbers, before an array is allocated."""
    return "bprop" if operation.backward else "measure" if operation.method == "measure" else "fprop"


def name_arguments(module: Any, method: str) -> list[str]:
    """The names of a method's arguments."""
    code = get_raw_method(type(module), method).__code__
    return list(code.co_varnames[1 : code.co_argcount])


def gradients_of(module: Any) -> list[tuple[str, np.ndarray]]:
    """The gradients of a module's parameters, by the parameters' paths."""
    return [(path, vars(owner)[f"grad_{name}"]) for path, owner, name in list_parameters(module)]


def list_parameters(module: Any) -> list[tuple[str, Any, str]]:
    """The parameters of a module and of those that its own methods call, as (path from it, owner, name)."""
    found = [(name, module, name) for name in module._parameters]
    for child_name, child in module._modules.items():
        found += [(f"{child_name}.{path}", owner, name) for path, owner, name in list_parameters(child)]
    return found


def run_loss(walk: Walk, target: Any, arrays: Arrays) -> None:
    """Run and record the loss, forward and backward."""
    loss, place = walk.loss, walk.places[walk.loss]
    walk.numbers["target"] = arrays.add("target", target)
    for kind, method in (("loss", "fprop"), ("grad", "bprop")):
        find_methods(walk, loss, method)
        arguments = [walk.values[walk.y], target] if kind == "loss" else []
        result, lines = run_traced(loss, method, arguments)
        name = "loss" if kind == "loss" else "grad_y"
        walk.values[name] = result
        walk.numbers[name] = arrays.add(name, result)
        walk.steps.append(
            {
                "kind": kind,
                "method": method,
                "module": place,
                "inputs": [walk.numbers[walk.y], walk.numbers["target"]],
                "names": ["y", "target"],
                "output": walk.numbers[name],
                "lines": encode_lines(lines, arrays),
                "changed": [],
            }
        )


def record_update(walk: Walk, optimizer: Optimizer | None, arrays: Arrays, minibatch: tuple[Any, Any, Any]) -> str:
    """Record the parameters, their gradients, and, where there is an optimizer, its update, which is run.

    Args: minibatch: x and target of the step, and the model's counters before it, for what a full-batch optimizer does
        with this sample alone.
    Returns: the script of the update's loops over elements.
    """
    before = [(name, array.copy()) for name, array in walk.net.named_parameters()]
    grad_copies = {name: array.copy() for name, array in walk.net.named_gradients()}
    step, script = None, "const UPDATE_CODE = [];"
    if isinstance(optimizer, FullBatch):
        step = record_iteration(walk.net, walk.loss, optimizer, minibatch, arrays)
    elif optimizer is not None:
        step, script = run_update(walk.net, optimizer, arrays)
    after = dict(walk.net.named_parameters())
    place, owners = 0, {inside: k for each, k in walk.places.items() for inside in (each, *each.iterate_inside())}
    for (name, array), (module, own) in zip(before, walk.net._owners(), strict=True):
        entry = {
            "name": name,
            "own": own,
            "module": owners.get(module, -1),
            "value": arrays.add(name, array),
            "gradient": arrays.add(f"gradient of {name}", grad_copies[name]),
            "change": arrays.add(f"change of {name}", after[name] - array),
            "first": place,
            "size": int(array.size),
        }
        place += array.size
        for each, k in walk.places.items():  # those with which it is shared, too
            for path, owner, named in list_parameters(each):
                found = vars(owner)[named]
                if found.ctypes.data == vars(module)[own].ctypes.data and found.size:
                    walk.modules[k]["parameters"][path] = len(walk.parameters)
        walk.parameters.append(entry)
    if step is not None:
        described = {"kind": "update", "module": len(walk.modules), "inputs": [], "output": None, "changed": []}
        walk.steps.append(described | step)
    return script
