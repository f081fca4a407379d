"""Reverse mode: the evaluation trace of a function as a list of elementary operations with their local derivatives.

From first to last it gives tangents, from last to first adjoints: the two modes read the same list in two directions.
"""

import traceback
from typing import Any, NamedTuple

import numpy as np

from .lines import format_line
from .rules import FLAT, RULES, SYMBOLS, Untraceable, get_full_name, get_rules
from .scalar import Scalar, get_value, get_values

MAX_OPERATIONS, MAX_NUMBERS, MAX_EDGES = 50_000, 500_000, 5_000_000  # a second, some hundred megabytes
CONSTANT = -1  # the place of a number that depends on nothing


class Operation(NamedTuple):
    """A line of a trace: the places of its results, and for each input (places, places of results, derivatives).

    In an array operation these are arrays of one shape: target[i] depends on source[i] with derivative partial[i].
    """

    symbol: str
    inputs: tuple[Any, ...]  # places (whole numbers), or values (floats) of what depends on nothing
    value: Any
    target: Any
    edges: tuple[tuple[Any, ...], ...]


class Trace:
    """The operations of a function's run, in order, on numbers that have places 0, 1, 2... in it.

        tangent[target] += partial tangent[source]     from the first line to the last
        adjoint[source] += partial adjoint[target]     from the last line to the first

    Errors: Untraceable for an operation whose derivative is not known, and for a run of too many operations.
    Source: Bishop and Bishop, Deep Learning, section 8.2; Domke, Automatic Differentiation and Neural Networks.
    """

    def __init__(self):
        self.operations: list[Operation] = []
        self.inputs: dict[str, Any] = {}  # places by name
        self.size = self.edges = self.numbers = 0
        self.step = ""  # the first comparison or rounding of traced numbers, with its line

    def add_input(self, name: str, values):
        """Add a named input: a number of this trace, or an array of such numbers."""
        return self.make_numbers(np.asarray(values, np.float64), self.add_input_line(name, values))

    def add_input_line(self, name: str, values):
        """Add the line of a named input; returns its places."""
        places = self.inputs[name] = self.allocate_places(np.shape(values))
        self.operations.append(Operation(name, (), np.array(values, np.float64), places, ()))
        return places

    def note_step(self, operation) -> None:
        """Note where traced numbers are first compared or rounded: the trace holds for one side of that step."""
        self.step = self.step or f"{get_full_name(operation)}{format_line(traceback.walk_stack(None))}"

    def make_constant(self, values: np.ndarray) -> "Traced":
        """Make an array that is constant until something is written into it."""
        return self.make_numbers(values, np.full(values.shape, CONSTANT))

    def allocate_places(self, shape: tuple[int, ...]):
        """Allocate new places for results of this shape."""
        first, self.size = self.size, self.size + int(np.prod(shape))
        return np.arange(first, self.size).reshape(shape) if shape else first

    def make_numbers(self, values, places):
        """Make numbers with these values at these places."""
        if not np.ndim(values):
            return Number(self, int(places), float(values))
        self.numbers += values.size
        self.check_length()
        array = np.empty(values.size, object)
        for i, (place, value) in enumerate(zip(places.ravel().tolist(), values.ravel().tolist(), strict=True)):
            array[i] = Number(self, place, value)
        array = array.reshape(values.shape).view(Traced)
        array.owner = self
        return array

    def append_result(self, symbol: str, inputs, y, edges_to):
        """Append an operation with result y; `edges_to(target)` gives its edges. Returns y as traced numbers.

        Args: symbol: how a table shows it; inputs: places or, of what depends on nothing, values.
        """
        target = self.allocate_places(np.shape(y))
        edges = tuple(tuple(np.broadcast_arrays(*edge)) for edge in edges_to(target))
        self.edges += sum(source.size for source, _, _ in edges)
        self.append(Operation(symbol, tuple(inputs), y, target, edges))
        return self.make_numbers(y, target)

    def append(self, operation: Operation) -> None:
        """Add a line."""
        self.check_length()
        self.operations.append(operation)

    def check_length(self) -> None:
        """Raise Untraceable for traces that would take too long."""
        if self.edges > MAX_EDGES or self.numbers > MAX_NUMBERS or len(self.operations) >= MAX_OPERATIONS:
            most = f"{MAX_OPERATIONS:,} operations, {MAX_NUMBERS:,} numbers in arrays or {MAX_EDGES:,} derivatives"
            raise Untraceable(f"it takes more than {most}")

    # -- the operations ------------------------------------------------------------------------------------------

    def elementwise(self, operation, inputs):
        """Append an elementwise operation of arrays."""
        values, places = [get_values(each) for each in inputs], [get_places(each) for each in inputs]
        y = operation(*values)
        if operation in FLAT or all(place is None for place in places):
            if any(place is not None for place in places):
                self.note_step(operation)
            return y
        rules = get_rules(operation)
        partials = [rule(*values, y) if p is not None else None for rule, p in zip(rules, places, strict=True)]

        def edges_to(target):
            pairs = zip(places, partials, strict=True)
            return [(place, target, partial) for place, partial in pairs if place is not None]

        operands = [np.float64(v) if place is None else place for v, place in zip(values, places, strict=True)]
        return self.append_result(get_symbol(operation), operands, y, edges_to)

    def sum(self, array, axis=None, keepdims=False):
        """Append Σ over an axis, some axes, or all of them."""
        values, places = get_values(array), get_places(array)
        y = values.sum(axis=axis, keepdims=keepdims)
        full_shape = values.sum(axis=axis, keepdims=True).shape
        if places is None:
            return y
        return self.append_result(
            "sum({})", (places,), y, lambda target: [(places, np.reshape(target, full_shape), 1.0)]
        )

    def matmul(self, a, b):
        """Append Σₖ a[..., i, k] b[..., k, j]; a vector on the left is a row, on the right a column."""
        left, right, from_a, from_b = get_values(a), get_values(b), get_places(a), get_places(b)
        if from_a is None and from_b is None:
            return left @ right
        rows, columns = (left if left.ndim > 1 else left[None]), (right if right.ndim > 1 else right[:, None])
        whole = (*np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2]), rows.shape[-2], columns.shape[-1])

        def edges_to(target):
            place = np.reshape(target, whole)[..., :, None, :]
            edges = []
            if from_a is not None:
                edges.append((from_a.reshape(rows.shape)[..., :, :, None], place, columns[..., None, :, :]))
            if from_b is not None:
                edges.append((from_b.reshape(columns.shape)[..., None, :, :], place, rows[..., :, :, None]))
            return edges

        operands = (np.float64(left) if from_a is None else from_a, np.float64(right) if from_b is None else from_b)
        return self.append_result(SYMBOLS[np.matmul], operands, left @ right, edges_to)

    # -- the two modes -------------------------------------------------------------------------------------------

    def tangents(self, directions: dict[str, Any]) -> np.ndarray:
        """Forward: the tangent at each place, for tangents of the inputs by name (0 for those that are not given)."""
        tangents = np.zeros(self.size + 1)  # the last one is that of constants
        for name, direction in directions.items():
            tangents[self.inputs[name]] = direction
        for operation in self.operations:
            for source, target, partial in operation.edges:
                add_at(tangents, target, partial * tangents[source])
        return tangents[:-1]

    def tangents_at(self, y, tangents: np.ndarray):
        """The tangents of a result of this trace, 0 where it depends on nothing."""
        places = get_places(y)
        return np.zeros(np.shape(y))[()] if places is None else np.append(tangents, 0.0)[places]

    def adjoints(self, seeds) -> np.ndarray:
        """Backward: the adjoint of each place, the derivative of Σ <grad_y, y>, for pairs (y, grad_y)."""
        adjoints = np.zeros(self.size + 1)  # the last one gathers what constants would get, and nobody reads it
        for y, grad_y in seeds:
            places = get_places(y)
            if places is not None:
                add_at(adjoints, places, np.broadcast_to(grad_y, np.shape(places)))
        for operation in reversed(self.operations):
            for source, target, partial in operation.edges:
                add_at(adjoints, source, partial * adjoints[target])
        return adjoints[:-1]


def get_symbol(operation) -> str:
    """Get the symbol of an operation in a table, with {} for the operands."""
    return SYMBOLS.get(operation) or f"{operation.__name__}({', '.join(['{}'] * operation.nin)})"


def evaluate_rule(rule, values, y: float) -> float:
    """The local derivative of an operation on numbers, infinite where Python would refuse to divide by zero."""
    try:
        return float(rule(*values, y))
    except ZeroDivisionError:
        return float(rule(*map(np.float64, values), np.float64(y)))


def add_at(array: np.ndarray, places, values) -> None:
    """array[places] += values, where a place may occur more than once."""
    if isinstance(places, int):
        array[places] += values
    else:
        np.add.at(array, places, values)


class Number(Scalar):
    """A number of a trace: its value, and its place there."""

    __slots__ = ("owner", "place")

    def __init__(self, trace: Trace, place: int, value: float):
        self.owner, self.place, self.value = trace, place, value

    def combine(self, operation, inputs):
        trace, values, rules = self.owner, [get_value(each) for each in inputs], get_rules(operation)
        y, target, edges, operands = float(operation(*values)), trace.size, [], []
        for rule, each, value in zip(rules, inputs, values, strict=True):
            if isinstance(each, Number) and each.place != CONSTANT:
                edges.append((each.place, target, evaluate_rule(rule, values, y)))
                operands.append(each.place)
            else:
                operands.append(float(value))
        if not edges:
            return y
        trace.size += 1
        trace.append(Operation(get_symbol(operation), tuple(operands), y, target, tuple(edges)))
        return Number(trace, target, y)

    def compare(self, operation, inputs):
        if any(isinstance(each, Number) and each.place != CONSTANT for each in inputs):
            self.owner.note_step(operation)
        return super().compare(operation, inputs)

    def __bool__(self) -> bool:
        return bool(self != 0.0)

    def __float__(self) -> float:
        return self.value if self.place == CONSTANT else super().__float__()

    def __repr__(self) -> str:
        return f"Number({self.value})"


class Traced(np.ndarray):
    """An array of numbers of a trace. Its operations become one line each; without this class, one for each element."""

    owner: Trace | None  # not `trace`, the name of the sum of a diagonal

    def __array_finalize__(self, source):
        self.owner = getattr(source, "owner", None)

    def __array_ufunc__(self, operation, method, *inputs, out=None, **settings):
        trace = self.owner or next(each.owner for each in inputs if getattr(each, "owner", None) is not None)
        if method == "__call__" and not settings.keys() - {"casting", "subok"}:
            if operation is np.matmul:
                result = trace.matmul(*inputs)
            elif operation in RULES or operation in FLAT:
                result = trace.elementwise(operation, inputs)
            else:
                raise Untraceable(f"the derivative of {get_full_name(operation)} is not known")
        elif operation is np.add and method == "reduce" and not settings.keys() - {"axis", "keepdims", "dtype"}:
            result = trace.sum(inputs[0], settings.get("axis", 0), settings.get("keepdims", False))
        else:
            plain = [np.asarray(each) if isinstance(each, np.ndarray) else each for each in inputs]
            result = as_traced(getattr(operation, method)(*plain, **settings), trace)
        return result if out is None else write_result(out[0], result)

    def __array_function__(self, function, types, arguments, settings):
        if function is np.dot:
            return arguments[0] @ arguments[1]
        try:
            result = super().__array_function__(function, types, arguments, settings)
        except TypeError as error:
            if isinstance(error, Untraceable):
                raise
            name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
            raise Untraceable(f"{name} of traced numbers is not known: {error}") from error
        return as_traced(result, self.owner)

    def dot(self, other, out=None):
        result = self @ other
        return result if out is None else write_result(out, result)

    def clip(self, min=None, max=None, out=None):
        low = self if min is None else np.maximum(self, min)
        result = low if max is None else np.minimum(low, max)
        return result if out is None else write_result(out, result)

    def astype(self, dtype, *_, **__):
        """A copy: traced numbers are float64 by nature."""
        if get_places(self) is None:
            return get_values(self).astype(dtype)
        if np.dtype(dtype).kind != "f":
            raise Untraceable(f"astype({np.dtype(dtype)}) forgets the derivative")
        return self.copy()


def as_traced(result, trace):
    """Convert an array of objects to a traced one."""
    if isinstance(result, np.ndarray) and result.dtype == object:
        result = result.view(Traced)
        result.owner = trace
    return result


def write_result(out, result):
    """Write the result to `out`."""
    if out.dtype != object and get_places(result) is not None:
        raise Untraceable(f"traced numbers are written into an array of {out.dtype}; make it with np.empty_like(x)")
    out[...] = result
    return out


def get_places(array) -> Any:
    """Get the places of a number or array, CONSTANT for constants; None if nothing is traced."""
    if isinstance(array, Number):
        return array.place if array.place != CONSTANT else None
    if not isinstance(array, np.ndarray) or array.dtype != object:
        return None
    places = [each.place if isinstance(each, Number) else CONSTANT for each in array.flat]
    result = np.array(places, np.int64).reshape(array.shape)
    return result if (result != CONSTANT).any() else None
