"""The graph of a model: modules as nodes, arrays as arrows with their shapes, forward and backward.

Containers call their children through `call_fprop`; here each call is recorded as a node and its arrows.
"""

from dataclasses import dataclass, field
from typing import Any

from ..containers.container import Container, Shape
from ..containers.slice_ops import ConcatSlice, Select
from ..core.internal_op import InternalOp
from ..core.module import Module
from ..core.sharing import find_weight_owner
from ..engine.operations import Operations
from ..engine.tables import flatten_table, map_table, unflatten_table
from ..losses.loss import Loss
from ..losses.multi_loss import LossPart, MultiLoss
from .diagram import Diagram, Node, Value


@dataclass
class ModelDiagram(Diagram):
    """The diagram of a model, which records what its containers call."""

    merges: dict[tuple[Module, str], int] = field(default_factory=dict)

    def call(self, child: Module, method: str, *arguments):
        """Record a container's call of a child; returns its result."""
        if isinstance(child, InternalOp):
            return self._record_op(child, method, *arguments)
        layers = [each for each in child.children().values() if not isinstance(each, InternalOp)]
        if isinstance(child, Container) and layers and not child.is_drawn_whole:
            return child.call_fprop(self.call, *arguments)
        first = find_weight_owner(child) if child.parameter_count else None
        note = f"{child.parameter_count:,} parameters" if child.parameter_count else ""
        note = f"the weights of {get_short_path(first)}" if first is not None else note
        read = tuple(each for k, each in enumerate(arguments) if k == 0 or k not in child.label_arguments)
        node = self.add(Node(get_short_path(child), child.label(), note), *flatten_table(read))
        results = Operations().fprop(child, *map_table(lambda value: "x", read))
        if any(value.shape is None for value in flatten_table(read)):
            return unflatten_table(results, [Value(node, None, k) for k, _ in enumerate(flatten_table(results))])
        shape = Shape.from_table(child.check_arguments(*map_table(lambda value: Shape(value.shape), read)))
        return unflatten_table(results, [Value(node, tuple(each), k) for k, each in enumerate(flatten_table(shape))])

    def _record_op(self, op: InternalOp, method: str, *arguments):
        """Record an internal op: one node for all slices of a container, or one for a sum."""
        owner, value = op.parent, arguments[0]
        assert isinstance(owner, Module)
        if not op.is_drawn:
            return value
        if isinstance(op, Select):
            if (owner, "parts") not in self.merges:
                self.merges[owner, "parts"] = self.add(
                    Node(get_short_path(owner), f"{type(owner).__name__}: layers"), value
                )
            shape = None if value.shape is None else (*value.shape[:1], *value.shape[2:])
            return Value(self.merges[owner, "parts"], shape, op.k)
        if not isinstance(op, ConcatSlice):
            return Value(self.add(Node(get_short_path(owner), f"{type(owner).__name__}: sum"), *arguments), value.shape)
        if (owner, "joined") not in self.merges:
            self.merges[owner, "joined"] = self.add(
                Node(get_short_path(owner), f"{type(owner).__name__}: side by side")
            )
        node = self.merges[owner, "joined"]
        if method == "measure":
            self.connect(value, node)
            return None
        shapes = [arrow.shape for arrow in self.arrows if arrow.target == node]
        sizes = [shape[op.axis] for shape in shapes if shape is not None]
        known = len(sizes) == len(shapes)
        shape = (*value.shape[: op.axis], sum(sizes), *value.shape[op.axis + 1 :]) if known else None
        return Value(node, shape)


def get_short_path(module: Module) -> str:
    """Get a module's path without `model` at its beginning."""
    return module.path().removeprefix("model").removeprefix(".") or "net"


def make_diagram(net: Module, input_shape=None, loss: Loss | None = None, target_shape=None) -> ModelDiagram:
    """Make the diagram of a model, and of a loss after it; ValueError if they do not fit arrays of these shapes."""
    if input_shape is not None:
        net.check_arguments(plain := tuple(input_shape))
        shapes: Any = Shape.from_table(plain)
    else:
        shapes = map_table(lambda _: None, vars(net).get("_input"))
    diagram, names = ModelDiagram(), vars(net).get("_input_names", [])
    count = len(flatten_table(shapes)) if type(shapes) is tuple else 1
    titles = names if len(names) == count else [f"x{k}" for k in range(count)] if count > 1 else ["x"]
    values = []
    for title, shape in zip(titles, flatten_table(shapes) if type(shapes) is tuple else [shapes], strict=True):
        values.append(Value(diagram.add(Node(title, "input", is_end=True)), None if shape is None else tuple(shape)))
    y = diagram.call(net, "fprop", unflatten_table(shapes, values) if type(shapes) is tuple else values[0])
    output_names = vars(net).get("_output_names", [])
    for k, value in enumerate(flatten_table(y)):
        title = (
            output_names[k]
            if len(output_names) == len(flatten_table(y)) > 1
            else f"y{k}"
            if len(flatten_table(y)) > 1
            else "y"
        )
        last = Value(diagram.add(Node(title, "output", is_end=True), value), value.shape)
    if loss is not None:
        if type(y) is tuple:
            raise ValueError(f"graph: the model makes a table of {len(y)} arrays, expected one array for the loss")
        add_loss(diagram, loss, last, None if target_shape is None else tuple(target_shape))
    return diagram


def add_loss(diagram: Diagram, loss: Loss, y: Value, target_shape: tuple[int, ...] | None) -> None:
    """Add a node for a loss, or for each of its parts and for their sum."""
    known = y.shape is not None and target_shape is not None
    if known:
        loss.check_arguments(y.shape, target_shape)
    target = Value(diagram.add(Node("t", "target", is_end=True)), target_shape)
    parts = loss.parts if isinstance(loss, MultiLoss) else [loss]
    values = []
    for k, part in enumerate(parts):
        title, text, shapes = "loss" if part is loss else f"loss {k}", part.label(), (y.shape, target_shape)
        note = ""
        if isinstance(part, LossPart):
            title, text = part.name or title, part.loss.label()
            note = f"{part.weight:g} × loss(y[{format_columns(part.outputs)}], target[{format_columns(part.targets)}])"
            shapes = part.select_shapes(*shapes) if known else (None, None)
        node = diagram.add(Node(title, text, note), Value(y.source, shapes[0]), Value(target.source, shapes[1]))
        diagram.arrows[-1].backward = False
        values.append(Value(node, ()))
    if isinstance(loss, MultiLoss):
        diagram.add(Node("loss", "MultiLoss: sum"), *values)


def format_columns(columns) -> str:
    """Format column indices: `3` or `0, 2`."""
    return ", ".join(map(str, columns)) if isinstance(columns, list) else str(columns)
