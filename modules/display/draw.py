"""The diagram of a model as text: SVG, Graphviz's dot or Mermaid."""

from html import escape
from pathlib import Path
from typing import Literal

from ..core.module import Module
from ..engine.folders import expand_path
from .diagram import Arrow, Diagram, format_box
from .drawing import make_diagram
from .drawing_svg import as_svg

Format = Literal["svg", "dot", "mermaid"]


class Drawing(str):
    """A diagram as text; a notebook renders an SVG, and `save(path)` writes it."""

    __slots__ = ()

    def save(self, path: str | Path) -> None:
        """Write it into a file."""
        expand_path(path).write_text(self, encoding="utf-8")

    def _repr_svg_(self) -> str | None:
        return str(self) if self.startswith("<svg") else None


def draw(net: Module, format: Format = "svg", input_shape=None, loss=None, target_shape=None) -> Drawing:
    """Draw the graph of a model as text; ValueError for another format."""
    check_format(format)
    return write_diagram(make_diagram(net, input_shape, loss, target_shape), format)


def check_format(format: str) -> None:
    """Check the name of a format; ValueError for one that is not known."""
    if format not in ("svg", "dot", "mermaid"):
        raise ValueError(f"graph: format is {format!r}, expected svg, dot or mermaid")


def write_diagram(diagram: Diagram, format: Format) -> Drawing:
    """Write a diagram in a format."""
    return Drawing({"svg": as_svg, "dot": as_dot, "mermaid": as_mermaid}[format](diagram))


def as_dot(diagram: Diagram) -> str:
    """Graphviz's language; the backward pass is dashed."""
    lines = ["digraph net {", "  node [shape=box, style=rounded, fontname=Helvetica]", "  edge [fontname=Helvetica]"]
    for k, node in enumerate(diagram.nodes):
        text = "\\n".join(format_box(node)).replace('"', '\\"')
        lines.append(f'  n{k} [label="{text}"]')
    for arrow in diagram.arrows:
        lines.append(f'  n{arrow.source} -> n{arrow.target} [label="{arrow.label}"]')
        if not arrow.backward:
            continue
        sign = format_gradient(diagram, arrow)
        back = f'label="{sign}", style=dashed, color="#b04a2f", fontcolor="#b04a2f", constraint=false'
        lines.append(f"  n{arrow.target} -> n{arrow.source} [{back}]")
    return "\n".join([*lines, "}", ""])


def as_mermaid(diagram: Diagram) -> str:
    """Mermaid's language, which Markdown viewers render; the backward pass is dotted."""
    lines = ["flowchart TD"]
    for k, node in enumerate(diagram.nodes):
        lines.append(f'  n{k}["{"<br>".join(escape(line) for line in format_box(node))}"]')
    for arrow in diagram.arrows:
        forward = f'-->|"{arrow.label}"|' if arrow.label else "-->"
        sign = format_gradient(diagram, arrow)
        lines.append(f"  n{arrow.source} {forward} n{arrow.target}")
        lines += [f'  n{arrow.target} -.->|"{sign}"| n{arrow.source}'] if arrow.backward else []
    return "\n".join([*lines, ""])


def format_gradient(diagram: Diagram, arrow: Arrow) -> str:
    """Format what an arrow carries back: a term of the adjoint, or a gradient, with a sign where such are summed."""
    text = "grad" if arrow.back_label is None else arrow.back_label
    return f"Σ {text}" if diagram.sums_gradients(arrow.source) else text
