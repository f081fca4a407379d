"""Derivation of a backward pass from fprop alone: what a hand-written bprop can be compared with, to rounding error."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.module import Module
from ..engine.entry_points import convert_inputs
from ..engine.stateful import find_stored_names, plain_python
from ..engine.tables import flatten_table, map_table, name_arrays, shape_of, unflatten_table
from .graph import Graphed
from .lines import format_line, reversed_frames
from .rules import Untraceable
from .scalar import Scalar, get_values
from .table import format_trace
from .trace import Trace


class Derivation(Graphed):
    """A function's value and evaluation trace at one place; `bprop` differentiates it backward, `tangent` forward.

    y: the value, a number or array in float64, or a table of them. `print` shows the trace, with the adjoints of the
    last bprop and the tangents of the last `tangent`; so does `graph`, as a drawing.
    """

    def __init__(self, trace: Trace, y):
        self.trace, self.result = trace, y
        self.y = map_table(lambda each: np.array(get_values(each), np.float64)[()], y)
        self.tangents: np.ndarray | None = None
        self.adjoints: np.ndarray | None = None

    def bprop(self, grad_y=1.0) -> dict[str, Any]:
        """The gradients of <grad_y, y> with respect to all inputs, by name."""
        shape = shape_of(map_table(np.asarray, self.y))
        grad_shape = shape_of(map_table(np.asarray, grad_y))
        if grad_shape not in ((), shape):
            raise ValueError(f"derive: grad_y has shape {grad_shape}, expected {shape}")
        outputs = flatten_table(self.result)
        seeds = zip(outputs, flatten_table(grad_y) if grad_shape else [grad_y] * len(outputs), strict=True)
        with np.errstate(all="ignore"):
            self.adjoints = self.trace.adjoints(list(seeds))
        return {
            name: self.adjoints[places] if np.ndim(places) else float(self.adjoints[places])
            for name, places in self.trace.inputs.items()
        }

    def tangent(self, **directions) -> Any:
        """The derivative of y along a direction: one array for each input that moves, by name."""
        for name, direction in directions.items():
            if name not in self.trace.inputs:
                raise ValueError(f"derive: there is no input {name}, only {', '.join(self.trace.inputs)}")
            if np.shape(direction) != np.shape(self.trace.inputs[name]):
                expected = np.shape(self.trace.inputs[name])
                raise ValueError(f"derive: {name} has a direction of shape {np.shape(direction)}, expected {expected}")
        with np.errstate(all="ignore"):
            self.tangents = self.trace.tangents(directions)
        tangents = self.tangents
        return map_table(lambda each: self.trace.tangents_at(each, tangents), self.result)

    def __str__(self) -> str:
        return format_trace(self.trace, self.tangents, self.adjoints)

    __repr__ = __str__


def derive(function: Callable[..., Any] | Module, *arguments) -> Derivation:
    """Run a function, or a module's fprop, on traced numbers: gives its value, and from there every derivative.

        derived = derive(lambda x, y: x**2 * y + y + 2, 3.0, 4.0)
        derived.y, derived.bprop()     42.0, {"x": 24.0, "y": 10.0}
        derive(module, x).bprop(grad_y)     {"x": ..., "weight": ...}: what its bprop should give

    The function is plain Python and NumPy and stays as it is. A module is copied, its inputs are x (y for a loss) and
    the parameters under their names; random numbers are those of its next run.

    Args: arguments: numbers or arrays; a function's inputs carry its parameters' names.
    Errors: Untraceable (a TypeError), with the line, for an operation whose derivative is not known, and for arguments
        that are numbers of another derivation, such as a Dual.
    Numerics: float64. At a kink such as relu(0) it gives the derivative of the branch that the code takes.
    Source: Bishop and Bishop, Deep Learning, section 8.2; Domke, Automatic Differentiation and Neural Networks.
    """
    trace = Trace()
    refuse_scalars(function, arguments)
    if isinstance(function, Module):
        return Derivation(trace, run_module(trace, function, arguments))
    names = argument_names(function, len(arguments))
    inputs = [trace.add_input(name, argument) for name, argument in zip(names, arguments, strict=True)]
    return Derivation(trace, run_guarded(getattr(function, "__name__", "the function"), function, inputs))


def refuse_scalars(function, arguments) -> None:
    """Raise Untraceable for arguments that are numbers of another derivation."""
    name = function.label() if isinstance(function, Module) else getattr(function, "__name__", "the function")
    for argument in arguments:
        for leaf in flatten_table(argument):
            array = leaf if isinstance(leaf, np.ndarray) else np.asarray(leaf, object)
            scalars = [each for each in array.flat if isinstance(each, Scalar)] if array.dtype == object else []
            if scalars:
                kind = type(scalars[0]).__name__
                raise Untraceable(
                    f"derive: an argument of {name} is a {kind}, expected numbers or arrays of them: derive "
                    "follows the derivatives itself. A Dual is an argument of a plain function: f(Dual(value, tangent))"
                )


def argument_names(function, count: int) -> list[str]:
    """The names of a function's parameters; x1, x2, ... where it has none."""
    names: list[str] = []
    for each in inspect.signature(function).parameters.values():
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            names.append(each.name)
    return names[:count] if len(names) >= count else [f"x{k}" for k in range(1, count + 1)]


def run_module(trace: Trace, module: Module, arguments):
    """Run a copy's fprop with x and all parameters in the trace, as plain Python."""
    copy = module.copy().to(np.float64)
    return run_traced(trace, copy, copy.fprop, convert_inputs(copy, arguments))


def run_traced(trace: Trace, module: Module, fprop, arguments):
    """Run fprop(*arguments) as plain Python, with the first argument and the module's parameters in the trace."""
    x, *others = arguments
    inputs = name_arrays("x" if module.takes_gradient else "y", x)
    x = unflatten_table(x, [trace.add_input(name, a) if a.dtype.kind == "f" else a for name, a in inputs.items()])
    with trace_attributes(trace, module), plain_python():
        return run_guarded(module.label(), fprop, (x, *others))


def find_tie(module: Module, name: str) -> Any:
    """Find what stands for the modules that have the same parameter or buffer: their tie, or the module alone."""
    return module._tie if module._tie is not None and module._tie.shares(name) else module


@contextmanager
def trace_attributes(trace: Trace, module: Module) -> Iterator[None]:
    """Context in which parameters are named inputs of the trace, buffers and stored arrays constants of it."""
    replaced = []
    shared: dict[Any, Any] = {}  # by tie: what modules with the same weights have in common
    for prefix, inside in module.named_modules():
        hidden, start = vars(inside), f"{prefix}." if prefix else ""
        for name in inside._parameters:
            owner = find_tie(inside, name)
            replaced.append((hidden, name, hidden[name], False))
            if (owner, name) not in shared:
                shared[owner, name] = trace.add_input(start + name, hidden[name])
            hidden[name] = shared[owner, name]
        for name in {*inside._buffers, *find_stored_names(type(inside))}:
            if isinstance(array := hidden.get(name), np.ndarray) and array.dtype.kind == "f":
                constant = trace.make_constant(array)
                if name in inside._buffers:
                    replaced.append((hidden, name, array, True))
                    constant = shared.setdefault((find_tie(inside, name), name), constant)
                hidden[name] = constant
    try:
        yield
    finally:
        for hidden, name, array, was_rebound in replaced:
            if was_rebound:
                array[...] = get_values(hidden[name])
            hidden[name] = array
        for inside in module.all_modules():
            for name, value in vars(inside).items():
                if isinstance(value, Scalar) or (isinstance(value, np.ndarray) and value.dtype == object):
                    vars(inside)[name] = np.array(get_values(value), inside.dtype)[()]


def run_guarded(who: str, function, arguments):
    """Call the function; an operation that cannot be traced is refused with its line."""
    try:
        with np.errstate(all="ignore"):
            return function(*arguments)
    except TypeError as error:
        raise Untraceable(f"{who} cannot be traced: {error}{format_line(reversed_frames(error))}") from error
