"""A small layered graph layout: each node below its inputs, long arrows routed around nodes.

Source: Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures (1981).
"""

from collections import Counter, defaultdict
from html import escape
from itertools import pairwise

from .diagram import Arrow, Diagram, format_box

LETTER, LINE, GAP, MARGIN = 7.0, 16, 26, 24  # of 12 pixel letters; between boxes, around all
ROUNDS = 40  # of placing columns, and of pushing them apart
FORWARD, BACKWARD = "#2b6cb0", "#b04a2f"
STYLE = """
  text { font-family: Helvetica, Arial, "DejaVu Sans", sans-serif; font-size: 12px; fill: #222; text-anchor: middle; }
  .title { font-weight: bold; } .head { font-size: 14px; font-weight: bold; }
  .shape { font-size: 11px; } ellipse { fill: white; opacity: 0.85; }
  rect { fill: #f7f7f4; stroke: #777; } .end { fill: #e4ecf5; } path { fill: none; stroke-width: 1.5; }
"""


def assign_rows(diagram: Diagram) -> list[int]:
    """Assign a row to each node: below its inputs; of a target beside the output, of a constant above its reader."""
    row = [0] * len(diagram.nodes)
    for k, node in enumerate(diagram.nodes):  # nodes stand after what they read
        row[k] = max((row[arrow.source] + 1 for arrow in diagram.arrows if arrow.target == k), default=0)
        row[k] = row[k - 1] if node.text == "target" else row[k]
    for arrow in diagram.arrows:
        if diagram.nodes[arrow.source].text == "constant":
            row[arrow.source] = row[arrow.target] - 1
    return row


def route_arrows(diagram: Diagram, row: list[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Route arrows: the rows of points, nodes and bends of arrows, and the points of each arrow."""
    rows: list[list[int]] = [[] for _ in range(max(row) + 1)]
    for k, r in enumerate(row):
        rows[r].append(k)
    paths, points = [], len(row)
    for arrow in diagram.arrows:
        path = [arrow.source]
        for r in range(row[arrow.source] + 1, row[arrow.target]):
            rows[r].append(points)
            path.append(points)
            points += 1
        paths.append([*path, arrow.target])
    return rows, paths


def sort_rows(rows: list[list[int]], paths: list[list[int]]) -> None:
    """Sort each row by the positions of its neighbours, downwards and upwards, a few times."""
    above, below = defaultdict(list), defaultdict(list)
    for path in paths:
        for a, b in pairwise(path):
            above[b].append(a)
            below[a].append(b)
    for sweep in range(8):
        neighbours, order = (above, rows[1:]) if sweep % 2 == 0 else (below, rows[-2::-1])
        place = {point: k - len(row) / 2 for row in rows for k, point in enumerate(row)}
        for row in order:
            mean = {p: sum(place[q] for q in neighbours[p]) / max(1, len(neighbours[p])) for p in row}
            row.sort(key=lambda p: mean[p] if neighbours[p] else place[p])
            place |= {point: k - len(row) / 2 for k, point in enumerate(row)}


def place_points(
    diagram: Diagram, rows: list[list[int]], paths: list[list[int]], width: dict[int, float]
) -> dict[int, float]:
    """Place the points of all rows, targets beside the others."""
    beside = {k for k, node in enumerate(diagram.nodes) if node.text == "target"}
    chain, own_paths = [[p for p in row if p not in beside] for row in rows], [p for p in paths if p[0] not in beside]
    sort_rows(chain, own_paths)
    x = place_columns(chain, own_paths, width)
    place_beside(rows, beside, x, width)
    return x


def place_columns(rows: list[list[int]], paths: list[list[int]], width: dict[int, float]) -> dict[int, float]:
    """Place points so that chains are straight, each at the mean of what it is joined to, as far as others allow."""
    chain, joined = find_chains(rows, paths), defaultdict(list)
    for path in paths:
        for a, b in pairwise(path):
            if chain[a] != chain[b]:
                joined[chain[a]].append(chain[b])
                joined[chain[b]].append(chain[a])
    first: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        start = -sum(width[p] + GAP for p in row) / 2
        for p in row:
            first[chain[p]].append(start + width[p] / 2)
            start += width[p] + GAP
    place = {c: sum(each) / len(each) for c, each in first.items()}
    for _ in range(ROUNDS):
        for c, others in joined.items():
            place[c] = sum(place[other] for other in others) / len(others)
        push_apart(rows, chain, place, width)
    x = {p: place[chain[p]] for row in rows for p in row}
    for row in rows:
        spread_row(row, x, width)  # for chains that cross, which cannot all be straight
    left = min(x[p] - width[p] / 2 for row in rows for p in row)
    return {p: value - left for p, value in x.items()}


def find_chains(rows: list[list[int]], paths: list[list[int]]) -> dict[int, int]:
    """Find the chains of points of which each is joined to one above and one below; returns the first of each's own."""
    joins = [pair for path in paths for pair in pairwise(path)]
    above, below = Counter(b for _, b in joins), Counter(a for a, _ in joins)
    chain = {p: p for row in rows for p in row}
    before = {b: a for a, b in joins if below[a] == 1 and above[b] == 1}
    for row in rows:
        chain |= {p: chain[before[p]] for p in row if p in before}
    return chain


def push_apart(rows: list[list[int]], chain: dict[int, int], place: dict[int, float], width: dict[int, float]) -> None:
    """Push chains apart whose points overlap in some row, both by half."""
    for _ in range(ROUNDS):
        moved = False
        for row in rows:
            for a, b in pairwise(row):
                missing = (width[a] + width[b]) / 2 + GAP - (place[chain[b]] - place[chain[a]])
                if missing > 0.5 and chain[a] != chain[b]:
                    place[chain[a]] -= missing / 2
                    place[chain[b]] += missing / 2
                    moved = True
        if not moved:
            break


def place_beside(rows: list[list[int]], beside: set[int], x: dict[int, float], width: dict[int, float]) -> None:
    """Place targets to the right of their rows, where they pull no chain to one side."""
    for row in rows:
        right = max((x[p] + width[p] / 2 for p in row if p not in beside), default=0.0)
        for p in row:
            if p in beside:
                x[p] = right + GAP + width[p] / 2
                right = x[p] + width[p] / 2


def spread_row(row: list[int], x: dict[int, float], width: dict[int, float]) -> None:
    """Move points of a row to the right until none overlaps the one before."""
    for a, b in pairwise(row):
        x[b] = max(x[b], x[a] + (width[a] + width[b]) / 2 + GAP)


def as_svg(diagram: Diagram) -> str:
    """Format both passes side by side as SVG, or the forward pass alone if there is no other."""
    row = assign_rows(diagram)
    rows, paths = route_arrows(diagram, row)
    passes = list(zip(diagram.heads, (FORWARD, BACKWARD), strict=True))[: 1 + diagram.shows_backward()]
    texts = [[format_box(node, bool(k)) for node in diagram.nodes] for k, _ in enumerate(passes)]
    size = {k: max(len(line) for text in texts for line in text[k]) * LETTER + 20 for k, _ in enumerate(diagram.nodes)}
    height = {k: max(len(text[k]) for text in texts) * LINE + 12 for k, _ in enumerate(diagram.nodes)}
    labels = {p: label_width(a) for a, path in zip(diagram.arrows, paths, strict=True) for p in path[1:-1]}
    width = {p: size.get(p, labels.get(p, 0) + 10) for row in rows for p in row}
    x = place_points(diagram, rows, paths, width)
    heights = [max([height[p] for p in row if p in height], default=20) for row in rows]
    tops = [sum(heights[:r]) + r * diagram.gap for r in range(len(rows))]
    y = {p: tops[r] + heights[r] / 2 for r, row in enumerate(rows) for p in row}
    wide, high = max(x[p] + width[p] / 2 for p in x), tops[-1] + heights[-1]
    half = {p: height.get(p, 0) / 2 for p in x}
    panels = []
    for k, (head, colour) in enumerate(passes):
        inside = [f'<text class="head" x="{wide / 2:.0f}" y="-8" style="fill:{colour}">{head}</text>']
        shown_arrows = [(n, path) for n, path in enumerate(paths) if not k or diagram.arrows[n].backward]
        lines = {n: trace_points(diagram, n, path, x, y, half, bool(k)) for n, path in shown_arrows}
        places = place_labels({n: (each, diagram.arrows[n].format_label(bool(k))) for n, each in lines.items()})
        inside += [arrow_svg(diagram, n, lines[n], places[n], bool(k)) for n in lines]
        inside += [box_svg(text, x[p], y[p], size[p], half[p], diagram, p, bool(k)) for p, text in enumerate(texts[k])]
        shift = MARGIN + k * (wide + 3 * MARGIN)
        panels.append(f'<g transform="translate({shift:.0f} {MARGIN + 16})">' + "\n".join(inside) + "</g>")
    whole = len(passes) * (wide + 3 * MARGIN) - MARGIN
    tall = high + 2 * MARGIN + 16
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" style="fill:{colour}"/></marker>'
        for name, colour in (("f", FORWARD), ("b", BACKWARD))
    )
    view = f'viewBox="0 0 {whole:.0f} {tall:.0f}" width="{whole:.0f}" height="{tall:.0f}"'
    ground = f'<rect width="{whole:.0f}" height="{tall:.0f}" style="fill:white;stroke:none"/>'
    parts = [f"<style>{STYLE}</style>", f"<defs>{heads}</defs>", ground, *panels]
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view}>\n' + "\n".join(parts) + "\n</svg>\n"


def box_svg(lines, x, y, width, half, diagram: Diagram, k: int, backward: bool) -> str:
    """Format a node's box; in the backward pass with a sign where gradients are summed."""
    end = diagram.nodes[k].is_end or not any(arrow.source == k for arrow in diagram.arrows)
    kind = ' class="end"' if end else ""
    out = [
        f'<rect{kind} x="{x - width / 2:.1f}" y="{y - half:.1f}" width="{width:.1f}" height="{2 * half:.1f}" rx="6"/>'
    ]
    for n, line in enumerate(lines):
        style = ' class="title"' if n == 0 else ""
        out.append(f'<text{style} x="{x:.1f}" y="{y - half + 17 + n * LINE:.1f}">{escape(line)}</text>')
    if backward and diagram.sums_gradients(k):
        out.append(f'<circle cx="{x:.1f}" cy="{y + half + 6:.1f}" r="9" style="fill:white;stroke:{BACKWARD}"/>')
        out.append(f'<text x="{x:.1f}" y="{y + half + 10.5:.1f}" style="fill:{BACKWARD}">Σ</text>')
    return "".join(out)


def label_width(arrow: Arrow) -> float:
    """The width of the longer one of an arrow's labels."""
    return max(len(arrow.format_label(backward)) for backward in (False, True)) * LETTER


def offset_parallel(diagram: Diagram, n: int, path: list[int]) -> float:
    """How far an arrow stands to the right of the middle of those that join the same neighbours."""
    ends = path[0], path[-1]
    same = [k for k, arrow in enumerate(diagram.arrows) if (arrow.source, arrow.target) == ends]
    if len(same) < 2 or len(path) > 2:
        return 0.0
    return (same.index(n) - (len(same) - 1) / 2) * (max(label_width(diagram.arrows[k]) for k in same) + 8)


def trace_points(diagram: Diagram, n: int, path: list[int], x, y, half, backward: bool) -> list[tuple[float, float]]:
    """The points of an arrow, from the bottom of its first box to the top of its last."""
    points = [(x[p], y[p] + (half[p] if k == 0 else -half[p] if k == len(path) - 1 else 0)) for k, p in enumerate(path)]
    if backward and diagram.sums_gradients(path[0]):
        points[0] = points[0][0], points[0][1] + 15
    shift = offset_parallel(diagram, n, path)
    return [(px + shift, py) for px, py in points]


def place_labels(arrows: dict[int, tuple[list[tuple[float, float]], str]]) -> dict[int, tuple[float, float]]:
    """Place each label on its arrow, where it covers no other: in the middle, or beside it."""
    placed: dict[int, tuple[float, float]] = {}
    boxes: list[tuple[float, float, float]] = []
    for n, (points, label) in arrows.items():
        (x0, y0), (x1, y1) = points[0], points[1]
        candidates = points[1:-1] if len(points) > 2 else [bend(x0, y0, x1, y1, t) for t in (0.5, 0.2, 0.8, 0.35, 0.65)]
        width = len(label) * 6.4
        free = (
            each
            for each in candidates
            if not any(abs(each[0] - a) < (width + w) / 2 and abs(each[1] - b) < 13 for a, b, w in boxes)
        )
        placed[n] = next(free, candidates[0])
        boxes += [(*placed[n], width)] if label else []
    return placed


def bend(x0: float, y0: float, x1: float, y1: float, t: float) -> tuple[float, float]:
    """The point at t, from 0 to 1, of a curve that leaves and arrives vertically."""
    return x0 + (x1 - x0) * t * t * (3 - 2 * t), y0 + (y1 - y0) * t * (1.5 - 1.5 * t + t * t)


def arrow_svg(diagram: Diagram, n: int, points, place: tuple[float, float], backward: bool) -> str:
    """Format an arrow through its points, with its label."""
    if backward:
        points = points[::-1]
    text = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y1 - y0) / 2
        text += f"C{x0:.1f} {y0 + middle:.1f} {x1:.1f} {y1 - middle:.1f} {x1:.1f} {y1:.1f}"
    colour, head = (BACKWARD, "b") if backward else (FORWARD, "f")
    label, (x, y) = diagram.arrows[n].format_label(backward), place
    element = f'<path d="{text}" style="stroke:{colour}" marker-end="url(#{head})"/>'
    ground = f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{3.2 * len(label):.1f}" ry="8"/>'
    return element + (
        f'{ground}<text class="shape" x="{x:.1f}" y="{y + 4:.1f}">{escape(label)}</text>' if label else ""
    )
