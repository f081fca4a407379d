"""A net as a picture: what each module reads and makes, with the shapes on the arrows, forward and backward.

The containers say once more in which order they call what is in them; here a call is noted as a node and its arrows.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal

from ..containers.container import Container, Shape
from ..containers.slice_ops import ConcatSlice, Select
from ..core.internal_op import InternalOp
from ..core.module import Module
from ..core.sharing import find_weight_owner
from ..engine.folders import expand_path
from ..engine.operations import Operations
from ..engine.tables import changed, leaves, like
from ..losses.loss import Loss
from ..losses.multi_loss import LossPart, MultiLoss

Format = Literal["svg", "dot", "mermaid"]


@dataclass(frozen=True)
class Value:
    """An array: which node makes it, and its shape, if that is known."""

    source: int
    shape: tuple[int, ...] | None = None
    item: int = 0  # which of the arrays that the node makes


@dataclass
class Node:
    """A module, or where something comes in or goes out; `title` is its place in the net, `text` what it is."""

    title: str
    text: str
    note: str = ""


@dataclass
class Arrow:
    """An array on its way from one node to another; nobody wants the gradient of a target."""

    source: int
    target: int
    shape: tuple[int, ...] | None
    item: int = 0
    backward: bool = True

    @property
    def label(self) -> str:
        """The shape, of N samples; nothing for a number."""
        sizes = ", ".join(map(str, self.shape[1:])) if self.shape else ""
        return f"(N, {sizes})" if sizes else "(N,)" if self.shape else ""


@dataclass
class Picture:
    """Nodes and arrows, in the order of the forward pass."""

    nodes: list[Node] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    joins: dict[tuple[Module, str], int] = field(default_factory=dict)

    def add(self, node: Node, *inputs: Value) -> int:
        """A new node that reads some arrays; its number."""
        self.nodes.append(node)
        self.arrows += [Arrow(each.source, len(self.nodes) - 1, each.shape, each.item) for each in inputs]
        return len(self.nodes) - 1

    def summed(self, node: int) -> bool:
        """Whether the backward pass adds up the gradients that several readers have of an array that a node makes."""
        read = [arrow.item for arrow in self.arrows if arrow.source == node and arrow.backward]
        return len(set(read)) < len(read)

    def call(self, child: Module, method: str, *arguments):
        """Note a call of a container's; what it makes."""
        if isinstance(child, InternalOp):
            return self._meet(child, method, *arguments)
        if isinstance(child, Container) and any(
            not isinstance(inside, InternalOp) for inside in child.children().values()
        ):
            return child.call_fprop(self.call, *arguments)
        first = find_weight_owner(child) if child.parameter_count else None
        note = f"{child.parameter_count:,} parameters" if child.parameter_count else ""
        note = f"the weights of {short_path(first)}" if first is not None else note
        node = self.add(Node(short_path(child), child.label(), note), *leaves(arguments[0]))
        made = Operations().fprop(child, changed(lambda value: "x", arguments[0]))
        if any(value.shape is None for value in leaves(arguments[0])):
            return like(made, [Value(node, None, k) for k, _ in enumerate(leaves(made))])
        shape = Shape.of(child.check_arguments(changed(lambda value: Shape(value.shape), arguments[0])))
        return like(made, [Value(node, tuple(each), k) for k, each in enumerate(leaves(shape))])

    def _meet(self, joint: InternalOp, method: str, *arguments):
        """Note where the ways of a container meet: one node for all of its slots, or one for a sum."""
        owner, way = joint.parent, arguments[0]
        assert isinstance(owner, Module)
        if isinstance(joint, Select):
            if (owner, "parts") not in self.joins:
                self.joins[owner, "parts"] = self.add(Node(short_path(owner), f"{type(owner).__name__}: layers"), way)
            shape = None if way.shape is None else (*way.shape[:1], *way.shape[2:])
            return Value(self.joins[owner, "parts"], shape, joint.k)
        if not isinstance(joint, ConcatSlice):
            return Value(self.add(Node(short_path(owner), f"{type(owner).__name__}: sum"), *arguments), way.shape)
        if (owner, "joined") not in self.joins:
            self.joins[owner, "joined"] = self.add(Node(short_path(owner), f"{type(owner).__name__}: side by side"))
        node = self.joins[owner, "joined"]
        if method == "measure":
            self.arrows.append(Arrow(way.source, node, way.shape, way.item))
            return None
        shapes = [arrow.shape for arrow in self.arrows if arrow.target == node]
        sizes = [shape[joint.axis] for shape in shapes if shape is not None]
        known = len(sizes) == len(shapes)
        shape = (*way.shape[: joint.axis], sum(sizes), *way.shape[joint.axis + 1 :]) if known else None
        return Value(node, shape)


def short_path(module: Module) -> str:
    """A module's place in the net, without the word that all of them begin with."""
    return module.path().removeprefix("model").removeprefix(".") or "net"


def picture(net: Module, input_shape=None, loss: Loss | None = None, target_shape=None) -> Picture:
    """The picture of a net, and of a loss after it; ValueError if they do not fit arrays of these shapes."""
    if input_shape is not None:
        net.check_arguments(plain := tuple(input_shape))
        shapes: Any = Shape.of(plain)
    else:
        shapes = changed(lambda _: None, vars(net).get("_input"))
    made, names = Picture(), vars(net).get("_input_names", [])
    count = len(leaves(shapes)) if type(shapes) is tuple else 1
    titles = names if len(names) == count else [f"x{k}" for k in range(count)] if count > 1 else ["x"]
    values = []
    for title, shape in zip(titles, leaves(shapes) if type(shapes) is tuple else [shapes], strict=True):
        values.append(Value(made.add(Node(title, "input")), None if shape is None else tuple(shape)))
    y = made.call(net, "fprop", like(shapes, values) if type(shapes) is tuple else values[0])
    wanted = vars(net).get("_output_names", [])
    for k, value in enumerate(leaves(y)):
        title = wanted[k] if len(wanted) == len(leaves(y)) > 1 else f"y{k}" if len(leaves(y)) > 1 else "y"
        last = Value(made.add(Node(title, "output"), value), value.shape)
    if loss is not None:
        if type(y) is tuple:
            raise ValueError(f"graph: the net makes a table of {len(y)} arrays, expected one array for the loss")
        add_loss(made, loss, last, None if target_shape is None else tuple(target_shape))
    return made


def add_loss(made: Picture, loss: Loss, y: Value, target_shape: tuple[int, ...] | None) -> None:
    """A node for a loss, or for each of its parts and for their sum."""
    known = y.shape is not None and target_shape is not None
    if known:
        loss.check_arguments(y.shape, target_shape)
    target = Value(made.add(Node("t", "target")), target_shape)
    parts = loss.parts if isinstance(loss, MultiLoss) else [loss]
    values = []
    for k, part in enumerate(parts):
        title, text, shapes = "loss" if part is loss else f"loss {k}", part.label(), (y.shape, target_shape)
        note = ""
        if isinstance(part, LossPart):
            title, text = part.name or title, part.loss.label()
            note = f"{part.weight:g} × loss(y[{said(part.outputs)}], target[{said(part.targets)}])"
            shapes = part.part_shapes(*shapes) if known else (None, None)
        node = made.add(Node(title, text, note), Value(y.source, shapes[0]), Value(target.source, shapes[1]))
        made.arrows[-1].backward = False
        values.append(Value(node, ()))
    if isinstance(loss, MultiLoss):
        made.add(Node("loss", "MultiLoss: sum"), *values)


def said(columns) -> str:
    """Columns as one would write them."""
    return ", ".join(map(str, columns)) if isinstance(columns, list) else str(columns)


class Drawing(str):
    """The text of a picture; a notebook shows an SVG as such, and `save(path)` writes it."""

    __slots__ = ()

    def save(self, path: str | Path) -> None:
        """Write it into a file."""
        expand_path(path).write_text(self, encoding="utf-8")

    def _repr_svg_(self) -> str | None:
        return str(self) if self.startswith("<svg") else None


def draw(net: Module, format: Format = "svg", input_shape=None, loss=None, target_shape=None) -> Drawing:
    """The picture as text; ValueError for another format."""
    from .drawing_svg import as_svg

    writers = {"svg": as_svg, "dot": as_dot, "mermaid": as_mermaid}
    if format not in writers:
        raise ValueError(f"graph: format is {format!r}, expected svg, dot or mermaid")
    return Drawing(writers[format](picture(net, input_shape, loss, target_shape)))


def lines_of(node: Node) -> list[str]:
    """What stands in a node's box."""
    return [line for line in (node.title, node.text, node.note) if line]


def as_dot(made: Picture) -> str:
    """Graphviz's language; the backward pass is dashed."""
    lines = ["digraph net {", "  node [shape=box, style=rounded, fontname=Helvetica]", "  edge [fontname=Helvetica]"]
    for k, node in enumerate(made.nodes):
        text = "\\n".join(lines_of(node)).replace('"', '\\"')
        lines.append(f'  n{k} [label="{text}"]')
    for arrow in made.arrows:
        lines.append(f'  n{arrow.source} -> n{arrow.target} [label="{arrow.label}"]')
        if not arrow.backward:
            continue
        sign = "Σ grad" if made.summed(arrow.source) else "grad"
        back = f'label="{sign}", style=dashed, color="#b04a2f", fontcolor="#b04a2f", constraint=false'
        lines.append(f"  n{arrow.target} -> n{arrow.source} [{back}]")
    return "\n".join([*lines, "}", ""])


def as_mermaid(made: Picture) -> str:
    """Mermaid's language, which many pages of text show as a picture; the backward pass is dotted."""
    lines = ["flowchart TD"]
    for k, node in enumerate(made.nodes):
        lines.append(f'  n{k}["{"<br>".join(escape(line) for line in lines_of(node))}"]')
    for arrow in made.arrows:
        forward = f'-->|"{arrow.label}"|' if arrow.label else "-->"
        sign = "Σ grad" if made.summed(arrow.source) else "grad"
        lines.append(f"  n{arrow.source} {forward} n{arrow.target}")
        lines += [f'  n{arrow.target} -.->|"{sign}"| n{arrow.source}'] if arrow.backward else []
    return "\n".join([*lines, ""])
