"""The graph of a model, laid out, as the page draws it: boxes and arrows with their places in pixels."""

from typing import Any

import numpy as np

from ...modules.display.drawing import make_diagram
from ...modules.display.drawing_svg import LETTER, LINE, assign_rows, label_width, place_points, route_arrows
from ...modules.engine.tables import shape_of
from .subject import Subject

GAP = 40  # pixels between rows


def describe_diagram(subject: Subject) -> dict[str, Any]:
    """Describe the graph of model and loss: nodes with x, y, width, height, and arrows with their points."""
    diagram = make_diagram(subject.net, shape_of(subject.x), subject.loss, np.shape(subject.target))
    row = assign_rows(diagram)
    rows, paths = route_arrows(diagram, row)
    texts = [[line for line in (node.title, node.text, node.note) if line] for node in diagram.nodes]
    size = {k: max(len(line) for line in lines) * LETTER + 20 for k, lines in enumerate(texts)}
    inside = {k for k, node in enumerate(diagram.nodes) if not node.is_end and not node.title.startswith("loss")}
    height = {k: (len(lines) + (k in inside)) * LINE + 12 for k, lines in enumerate(texts)}  # with a line for a norm
    labels = {p: label_width(a) for a, path in zip(diagram.arrows, paths, strict=True) for p in path[1:-1]}
    width = {p: size.get(p, labels.get(p, 0) + 10) for each in rows for p in each}
    x = place_points(diagram, rows, paths, width)
    heights = [max([height[p] for p in each if p in height], default=20) for each in rows]
    tops = [sum(heights[:r]) + r * GAP for r in range(len(rows))]
    y = {p: tops[r] + heights[r] / 2 for r, each in enumerate(rows) for p in each}
    nodes = [
        {"x": x[k], "y": y[k], "width": size[k], "height": height[k], "title": node.title, "lines": texts[k][1:],
         "end": node.is_end}
        for k, node in enumerate(diagram.nodes)
    ]  # fmt: skip
    arrows = [
        {"from": arrow.source, "to": arrow.target, "label": arrow.label, "backward": arrow.backward,
         "points": [[x[p], y[p]] for p in path]}
        for arrow, path in zip(diagram.arrows, paths, strict=True)
    ]  # fmt: skip
    return {
        "width": max(x[p] + width[p] / 2 for p in x),
        "height": tops[-1] + heights[-1],
        "nodes": nodes,
        "arrows": arrows,
    }
