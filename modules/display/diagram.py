"""Nodes and arrows of a graph, forward and backward, before they are drawn: of a model or of an evaluation trace."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Value:
    """An array: the node that makes it, and its shape, if that is known."""

    source: int
    shape: tuple[int, ...] | None = None
    item: int = 0  # which of the arrays that the node makes


@dataclass
class Node:
    """A module or an operation, an input or an output: its name, its label, and lines below them.

    is_end: drawn as an input or output; forward, backward: lines that belong to one of the passes.
    """

    title: str
    text: str
    note: str = ""
    is_end: bool = False
    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()


@dataclass
class Arrow:
    """An array or a number from one node to another; `backward` is false where no gradient comes back.

    label, back_label: what stands on it in the forward and in the backward pass, the same if not given.
    """

    source: int
    target: int
    label: str = ""
    back_label: str | None = None
    item: int = 0
    backward: bool = True
    shape: tuple[int, ...] | None = None

    def format_label(self, backward: bool) -> str:
        """What stands on it in one of the passes."""
        return self.back_label if backward and self.back_label is not None else self.label


@dataclass
class Diagram:
    """Nodes and arrows, in the order of the forward pass; heads: of the drawings of both passes."""

    nodes: list[Node] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    heads: tuple[str, str] = ("forward", "backward")
    gap: int = 46  # pixels between the rows

    def add(self, node: Node, *inputs: Value) -> int:
        """Add a node that reads some arrays; returns its number."""
        self.nodes.append(node)
        for each in inputs:
            self.connect(each, len(self.nodes) - 1)
        return len(self.nodes) - 1

    def connect(self, value: Value, target: int) -> None:
        """Add the arrow of an array that a node reads, with its shape."""
        self.arrows.append(Arrow(value.source, target, format_shape(value.shape), item=value.item, shape=value.shape))

    def shows_backward(self) -> bool:
        """Whether there is a backward pass to draw."""
        return any(arrow.backward for arrow in self.arrows)

    def sums_gradients(self, node: int) -> bool:
        """Whether the backward pass adds up the gradients that several readers have of an array that a node makes."""
        read = [arrow.item for arrow in self.arrows if arrow.source == node and arrow.backward]
        return len(set(read)) < len(read)


def format_shape(shape: tuple[int, ...] | None) -> str:
    """Format the shape of an array of N samples; nothing for a number."""
    sizes = ", ".join(map(str, shape[1:])) if shape else ""
    return f"(N, {sizes})" if sizes else "(N,)" if shape else ""


def format_box(node: Node, backward: bool | None = None) -> list[str]:
    """Format the lines of text in a node's box: those of one pass, or of both."""
    lines = [line for line in (node.title, node.text, node.note) if line]
    return [*lines, *(() if backward else node.forward), *(() if backward is False else node.backward)]
