"""Drawings of graphs as PNG: matplotlib draws the few elements of SVG that they are made of."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from .style import import_matplotlib, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMESPACE = "{http://www.w3.org/2000/svg}"
PIXELS = 72  # of the drawing in an inch, so that its letters have as many points as they have pixels there
LETTERS = 0.93  # matplotlib's own font is wider than those that browsers have
HEAD = 9.0  # length of an arrow's head, in pixels
DEFAULTS = {"rect": {"fill": "#f7f7f4", "stroke": "#777"}, "ellipse": {"fill": "white", "opacity": "0.85"}}


def save_drawing(svg: str, path: Path, dpi: int = 2 * PIXELS) -> None:
    """Write a drawing of `bprop graph` as PNG.

    Args: svg: its text; dpi: pixels of the PNG for 72 of the drawing, by default twice as many.
    Errors: ImportError, with a hint, without matplotlib.
    """
    import_matplotlib()
    from matplotlib.figure import Figure

    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    figure = Figure(figsize=(width / PIXELS, height / PIXELS), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    draw_elements(axes, root, (0.0, 0.0))
    save_figure(figure, path, dpi)


def draw_elements(axes: "Axes", parent: ElementTree.Element, shift: tuple[float, float]) -> None:
    """Draw the elements within another, each above those before it."""
    for each in parent:
        kind = each.tag.removeprefix(NAMESPACE)
        if kind == "g":
            found = re.fullmatch(r"translate\((\S+) (\S+)\)", each.attrib["transform"])
            assert found is not None
            draw_elements(axes, each, (shift[0] + float(found[1]), shift[1] + float(found[2])))
        elif kind == "text":
            draw_text(axes, each, shift)
        elif kind == "path":
            draw_arrow(axes, each, shift)
        elif kind in ("rect", "ellipse", "circle"):
            draw_shape(axes, each, kind, shift)


def read_style(element: ElementTree.Element, kind: str) -> dict[str, str]:
    """Read what an element's style, class and kind say of its colours."""
    style = dict(DEFAULTS.get(kind, {}))
    if element.get("class") == "end":
        style["fill"] = "#e4ecf5"
    pairs = [rule.split(":") for rule in element.get("style", "").split(";") if rule]
    return style | {name.strip(): value.strip() for name, value in pairs}


def draw_text(axes: "Axes", element: ElementTree.Element, shift: tuple[float, float]) -> None:
    """Draw a line of text, centered."""
    kind = element.get("class", "")
    size = {"head": 14.0, "shape": 11.0}.get(kind, 12.0) * LETTERS
    x, y = float(element.attrib["x"]) + shift[0], float(element.attrib["y"]) + shift[1]
    colour = read_style(element, "text").get("fill", "#222222")
    text = (element.text or "").replace("$", r"\$")
    order = len(axes.get_children())  # above all that stands before it
    weight = "bold" if kind in ("head", "title") else "normal"
    axes.text(x, y, text, fontsize=size, fontweight=weight, color=colour, ha="center", va="baseline", zorder=order)


def draw_shape(axes: "Axes", element: ElementTree.Element, kind: str, shift: tuple[float, float]) -> None:
    """Draw a box, the ground of a label, or a sign's circle."""
    from matplotlib.patches import Ellipse, FancyBboxPatch

    style = read_style(element, kind)
    number = {name: float(value) for name, value in element.attrib.items() if re.fullmatch(r"-?[\d.]+", value)}
    edge = style.get("stroke", "none")
    look: dict[str, Any] = {"facecolor": style["fill"], "edgecolor": edge, "alpha": float(style.get("opacity", 1))}
    if kind == "rect":
        round_by = number.get("rx", 0.0)
        corner = number.get("x", 0.0) + shift[0] + round_by, number.get("y", 0.0) + shift[1] + round_by
        size = number["width"] - 2 * round_by, number["height"] - 2 * round_by
        axes.add_patch(
            FancyBboxPatch(corner, *size, boxstyle=f"round,pad={round_by}", zorder=len(axes.get_children()), **look)
        )
        return
    center = number["cx"] + shift[0], number["cy"] + shift[1]
    radii = (number["r"], number["r"]) if kind == "circle" else (number["rx"], number["ry"])
    axes.add_patch(Ellipse(center, 2 * radii[0], 2 * radii[1], zorder=len(axes.get_children()), **look))


def draw_arrow(axes: "Axes", element: ElementTree.Element, shift: tuple[float, float]) -> None:
    """Draw a path of curves, with a head at its end."""
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Curve

    numbers = list(map(float, re.findall(r"-?[\d.]+", element.attrib["d"])))
    points = [(x + shift[0], y + shift[1]) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    colour = read_style(element, "path")["stroke"]
    (x0, y0), (x1, y1) = points[-2], points[-1]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    along = HEAD * (x1 - x0) / length, HEAD * (y1 - y0) / length
    base, across = (x1 - along[0], y1 - along[1]), (-along[1] / 2, along[0] / 2)
    order = len(axes.get_children())
    codes = [Curve.MOVETO] + [Curve.CURVE4] * (len(points) - 1)
    axes.add_patch(PathPatch(Curve(points, codes), fill=False, edgecolor=colour, linewidth=1.5, zorder=order))
    corners = [(x1, y1), (base[0] + across[0], base[1] + across[1]), (base[0] - across[0], base[1] - across[1])]
    axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="none", zorder=order))
