"""What evaluation traces, dual-number runs and formulas have in common: a drawing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..display.draw import Drawing, Format


class Graphed:
    """Base of what is drawn as a graph of elementary operations."""

    def graph(self, format: "Format" = "svg", constants: bool = False) -> "Drawing":
        """A drawing of the elementary operations, as the text of an SVG, or of dot or mermaid.

        Each operation is a node with its value. With tangents, the forward arrows carry the terms that each tangent is
        the sum of, a local derivative times a tangent; with adjoints, a second panel shows the arrows backward with the
        terms of the adjoints. Of arrays, nodes show the shape and the first numbers. A formula's constants are nodes.

        Args: format: svg, dot or mermaid; constants: draw constants as nodes of their own.
        `derive(f, 3.0).graph().save("f.svg")` writes it; a notebook shows it.
        Errors: ValueError for another format, and for more operations than a drawing has room for.
        Source: Bishop and Bishop, Deep Learning, figures 8.4 and 8.5; Géron, Hands-On Machine Learning, figures D-1 to
            D-3; Domke, Automatic Differentiation and Neural Networks, the graph of (2.3).
        """
        from ..display.draw_trace import draw_operations

        return draw_operations(self, format, constants)
