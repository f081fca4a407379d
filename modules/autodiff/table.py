"""An evaluation trace as a table: a line for each operation, with its value, tangent and adjoint."""

import bisect

import numpy as np

from ..core.text_table import format_table
from .trace import Operation, Trace

LINES = 60  # printed at most


class Names:
    """The names of a trace's variables: of inputs as given, of results v3, v4, ... after them."""

    def __init__(self, trace: Trace):
        self.names, self.first, self.shapes = [], [], []
        for number, operation in enumerate(trace.operations, 1):
            self.names.append(f"v{number}" if operation.inputs else operation.symbol)
            self.first.append(int(np.min(operation.target, initial=trace.size)))
            self.shapes.append(np.shape(operation.target))

    def find_owners(self, places) -> list[int]:
        """Find the lines that made the numbers at some places; -1 stands for constants."""
        return sorted({bisect.bisect_right(self.first, place) - 1 for place in np.ravel(places).tolist()})

    def format_operand(self, operand) -> str:
        """Name an operand, or format the value of a constant."""
        places = np.asarray(operand)
        if not isinstance(operand, int) and places.dtype.kind == "f":
            return f"{operand:g}" if places.ndim == 0 else f"constant {places.shape}"
        owners = self.find_owners(operand)
        if len(owners) != 1 or owners[0] < 0:
            return f"({', '.join('0' if k < 0 else self.names[k] for k in owners)})"
        name, first, shape = self.names[owners[0]], self.first[owners[0]], self.shapes[owners[0]]
        if places.shape == shape and (places.ravel() == np.arange(first, first + places.size)).all():
            return name
        if places.ndim:
            return f"{name}{'ᵀ' if places.shape == shape[::-1] else '[...]'}"
        return f"{name}[{', '.join(str(int(i)) for i in np.unravel_index(int(places) - first, shape))}]"


def format_trace(trace: Trace, tangents: np.ndarray | None = None, adjoints: np.ndarray | None = None) -> str:
    """Format a trace as a table; without tangents or adjoints, without their columns."""
    names = Names(trace)
    shown = {"tangent": tangents, "adjoint": adjoints}
    columns = {head: numbers for head, numbers in shown.items() if numbers is not None}
    rows = [("", "operation", "value", *columns)]
    for number, operation in enumerate(trace.operations[:LINES]):
        cells = [format_numbers(numbers[operation.target]) for numbers in columns.values()]
        rows.append((names.names[number], format_operation(operation, names), format_numbers(operation.value), *cells))
    omitted = len(trace.operations) - LINES
    return "\n".join([*format_table(rows), *([f"... and {omitted:,} operations more"] if omitted > 0 else [])])


def format_operation(operation: Operation, names: Names) -> str:
    """Format an operation, `exp(v3)`, with the shape of an array."""
    shape = f"  {np.shape(operation.target)}" if np.ndim(operation.target) else ""
    return operation.symbol.format(*map(names.format_operand, operation.inputs)) * bool(operation.inputs) + shape


def format_numbers(values) -> str:
    """Format a number in six digits, an array by its first numbers."""
    numbers = np.ravel(values)
    text = ", ".join(f"{number:.6g}" for number in numbers[:3])
    return text if not np.ndim(values) else f"[{text}{', ...' if numbers.size > 3 else ''}]"
