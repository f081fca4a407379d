"""A run of a function on dual numbers, written down: forward mode as it goes, each line with its tangent."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.tables import map_table
from .derive import argument_names, refuse_scalars, run_guarded
from .dual import Dual, tangents_of
from .graph import Graphed
from .rules import get_rules
from .scalar import get_value, get_values
from .table import format_trace
from .trace import Operation, Trace, get_symbol


class DualRun(Graphed):
    """A function's value and derivative along a direction, with each operation of the run on dual numbers.

    y: the value; dy: the tangent; `print` and `graph` show all lines with the values a and tangents b of a + b ε.
    """

    def __init__(self):
        self.trace = Trace()
        self.tangents: list[float] = []  # by place

    @property
    def y(self) -> Any:
        return map_table(lambda each: np.array(get_values(each), np.float64)[()], self.result)

    @property
    def dy(self) -> Any:
        return map_table(lambda each: np.array(tangents_of(each), np.float64)[()], self.result)

    def run(self, name: str, function: Callable[..., Any], inputs: list) -> None:
        """Call the function."""
        self.result = run_guarded(name, function, inputs)

    def add_input(self, name: str, values, tangents):
        """Add an input; returns its dual number, or an array of them."""
        values, tangents = np.asarray(values, np.float64), np.asarray(tangents, np.float64)
        if values.shape != tangents.shape:
            raise ValueError(f"trace_duals: {name} has a direction of shape {tangents.shape}, expected {values.shape}")
        places = np.asarray(self.trace.add_input_line(name, values))
        self.tangents += tangents.ravel().tolist()
        array = np.empty(values.shape, object)
        for index in np.ndindex(values.shape):
            array[index] = RecordedDual(values[index].item(), tangents[index].item(), self, int(places[index]))
        return array[()]

    def record(self, operation, inputs, result: Dual) -> "RecordedDual":
        """Write down an operation; returns its result with its place."""
        place, values = self.trace.allocate_places(()), [get_value(each) for each in inputs]
        operands = [each.place if isinstance(each, RecordedDual) else float(each) for each in inputs]
        edges = tuple(
            (each.place, place, float(rule(*values, result.value)))
            for rule, each in zip(get_rules(operation), inputs, strict=True)
            if isinstance(each, RecordedDual)
        )
        self.trace.append(Operation(get_symbol(operation), tuple(operands), float(result.value), place, edges))
        self.tangents.append(float(result.tangent))
        return RecordedDual(result.value, result.tangent, self, place)

    def __str__(self) -> str:
        return format_trace(self.trace, np.array(self.tangents))

    __repr__ = __str__


class RecordedDual(Dual):
    """A dual number that writes down what is done with it."""

    __slots__ = ("owner", "place")

    def __init__(self, value, tangent, owner: DualRun, place: int):
        super().__init__(value, tangent)
        self.owner, self.place = owner, place

    def combine(self, operation, inputs):
        return self.owner.record(operation, inputs, super().combine(operation, inputs))


def trace_duals(function: Callable[..., Any], *arguments, directions) -> DualRun:
    """Run a function on dual numbers and write down each operation with its tangent.

        run = trace_duals(lambda x, y: x**2 * y + y + 2, 3.0, 4.0, directions=(1.0, 0.0))
        run.y, run.dy     42.0, 24.0
        print(run)        a line for each operation; run.graph() draws them

    No derivative is stored for later: each line's tangent is computed together with its value, as forward mode does.

    Args: function: plain Python and NumPy; arguments: numbers or arrays; directions: one for each, of its shape.
    Errors: Untraceable for an operation whose derivative is not known; ValueError for directions of another number or
        shape.
    Source: Géron, Hands-On Machine Learning, figure D-2; Bishop and Bishop, Deep Learning, section 8.2.1.
    """
    refuse_scalars(function, arguments)
    if len(directions) != len(arguments):
        raise ValueError(f"trace_duals: there are {len(directions)} directions, expected {len(arguments)}")
    run, names = DualRun(), argument_names(function, len(arguments))
    inputs = [run.add_input(*each) for each in zip(names, arguments, directions, strict=True)]
    run.run(getattr(function, "__name__", "the function"), function, inputs)
    return run
