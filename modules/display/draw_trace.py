"""Drawings of evaluation traces, of runs on dual numbers and of formulas: operations are nodes, with their numbers."""

import numpy as np

from ..autodiff.derive import Derivation
from ..autodiff.dual_run import DualRun
from ..autodiff.graph import Graphed
from ..autodiff.symbolic import Formula
from ..autodiff.table import Names, format_numbers, format_operation
from ..autodiff.trace import Operation, Trace, get_places
from ..engine.tables import name_arrays
from .diagram import Arrow, Diagram, Node
from .draw import Drawing, Format, check_format, write_diagram

MOST = 200  # operations in a drawing


def draw_operations(graphed: Graphed, format: Format = "svg", constants: bool = False) -> Drawing:
    """Draw an evaluation trace, a run on dual numbers or a formula; ValueError for what is too long or no format."""
    check_format(format)
    if isinstance(graphed, Formula):
        return write_diagram(make_formula_diagram(graphed), format)
    if isinstance(graphed, DualRun):
        tangents = np.array(graphed.tangents)
        diagram = make_trace_diagram(graphed.trace, graphed.result, tangents, None, constants, "ε")
        diagram.heads = "forward, on dual numbers", ""
        return write_diagram(diagram, format)
    assert isinstance(graphed, Derivation)
    numbers = graphed.tangents, graphed.adjoints
    return write_diagram(make_trace_diagram(graphed.trace, graphed.result, *numbers, constants), format)


def make_trace_diagram(trace: Trace, y, tangents=None, adjoints=None, constants=False, unit="") -> Diagram:
    """Make the diagram of a trace and of the numbers of both modes.

    Args: y: the results, which are marked; tangents, adjoints: by place, None for what is not shown;
        constants: whether constants are nodes; unit: of dual numbers, whose tangents stand beside their values.
    """
    check_length(len(trace.operations))
    shows_terms = tangents is not None or adjoints is not None
    diagram, names, ends = Diagram(gap=72 if shows_terms else 46), Names(trace), find_results(trace, y)
    for number, operation in enumerate(trace.operations):
        title = " = ".join([names.names[number], *ends.get(number, [])])
        text = format_operation(operation, names) if operation.inputs else "input"
        node = Node(title, text, is_end=not operation.inputs or number in ends)
        if np.ndim(operation.target) and not operation.inputs:
            node.text += f"  {np.shape(operation.target)}"
        node.note = f"value {format_numbers(operation.value)}"
        if unit:
            tangent = f"+ {format_numbers(tangents[operation.target])} {unit}"
            node.note = f"{format_numbers(operation.value)} {tangent.replace('+ -', '- ')}"
        elif tangents is not None:
            node.forward = (f"tangent {format_numbers(tangents[operation.target])}",)
        if adjoints is not None:
            node.backward = (f"adjoint {format_numbers(adjoints[operation.target])}",)
        diagram.add(node)
        add_arrows(diagram, names, number, operation, tangents, adjoints)
    if constants:
        add_constants(diagram, trace)
    return diagram


def add_arrows(diagram: Diagram, names: Names, number: int, operation: Operation, tangents, adjoints) -> None:
    """Add the arrows of an operation's inputs: each carries a term of the tangent, and back a term of an adjoint."""
    for source, target, partial in operation.edges:
        label, back = "", ""
        if np.ndim(target) == 0:
            label = f"{partial:.4g} · {tangents[source]:.4g}" if tangents is not None else ""
            back = f"{partial:.4g} · {adjoints[target]:.4g}" if adjoints is not None else ""
        for owner in names.find_owners(source):
            if owner >= 0:
                shape = str(names.shapes[owner]) if names.shapes[owner] and np.ndim(target) else ""
                diagram.arrows.append(
                    Arrow(owner, number, label or shape, back or shape, backward=adjoints is not None)
                )


def add_constants(diagram: Diagram, trace: Trace) -> None:
    """Add a node for each constant operand."""
    for number, operation in enumerate(trace.operations):
        for operand in operation.inputs:
            if not isinstance(operand, int) and np.asarray(operand).dtype.kind == "f":
                text = f"{operand:g}" if np.ndim(operand) == 0 else str(np.shape(operand))
                node = diagram.add(Node(text, "constant", is_end=True))
                diagram.arrows.append(Arrow(node, number, backward=False))


def find_results(trace: Trace, y) -> dict[int, list[str]]:
    """Find the lines that made a function's results, with their names."""
    names, found = Names(trace), dict[int, list[str]]()
    for name, leaf in name_arrays("y", y).items():
        places = get_places(leaf) if not hasattr(leaf, "place") else leaf.place
        if places is None and isinstance(leaf, np.ndarray) and leaf.dtype == object:
            places = [each.place for each in leaf.flat if hasattr(each, "place")]
        for owner in names.find_owners(places) if places is not None else []:
            if owner >= 0:
                found.setdefault(owner, []).append(name)
    return found


def make_formula_diagram(formula: Formula) -> Diagram:
    """Make the diagram of a formula: each subexpression is a node, once."""
    parts = formula.parts()
    check_length(len(parts))
    diagram, places = Diagram(heads=("", "")), dict[object, int]()
    for part in parts:
        operands = []
        for operand in part.operands:
            if operand.is_number and not operand.args:
                operands.append(diagram.add(Node(str(operand), "constant", is_end=True)))
            else:
                operands.append(places[operand])
        places[part.expression] = number = diagram.add(Node(part.symbol, part.text, is_end=not part.operands))
        diagram.arrows += [Arrow(place, number, backward=False) for place in operands]
    if not parts:
        diagram.add(Node(str(formula), "constant", is_end=True))
    return diagram


def check_length(count: int) -> None:
    """Raise ValueError for graphs that nobody could read."""
    if count > MOST:
        raise ValueError(f"graph: there are {count:,} operations, expected at most {MOST}; print it as a table instead")
