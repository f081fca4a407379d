"""The diagrams of the pages on how bprop works: `python docs/site/diagrams.py` writes them into docs/images/how.

A file follows the reader's light or dark mode by itself; within the site build.py sets it into the page, where it
follows the theme's switch. Colours are those of Okabe and Ito, made light or dark;
each kind of box has a border of its own.
"""

import re
import sys
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "images" / "how"
COLOURS = {  # light and dark
    "page": ("#ffffff", "#14181e"),
    "ink": ("#1f2328", "#e6edf3"),
    "soft": ("#57606a", "#9aa5b1"),
    "plain": ("#f3f4f6", "#262d36"),
    "python": ("#d8ebf8", "#0b3a5c"),  # what runs as Python
    "compiled": ("#fde9c4", "#5c4208"),  # machine code
    "file": ("#d6efe6", "#0a4a3a"),  # what lies on the disk
    "lost": ("#f9dcc8", "#6b2f08"),
}
BORDERS = {"python": "#0072B2", "compiled": "#E69F00", "file": "#009E73", "lost": "#D55E00"}
LETTER, LINE = 7.1, 17  # of 13 pixels
STYLE = (
    'text { font: 13px Helvetica, Arial, "DejaVu Sans", sans-serif; fill: var(--ink); text-anchor: middle; }',
    ".head { font-weight: bold; }",
    ".soft { fill: var(--soft); }",
    ".left { text-anchor: start; }",
    '.code { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 12px; }',
    ".arrow { stroke: var(--soft); stroke-width: 1.5; fill: none; }",
)


def make_style() -> str:
    """The style sheet of a file: its variables, for both modes."""
    light, dark = ("; ".join(f"--{name}: {pair[k]}" for name, pair in COLOURS.items()) for k in (0, 1))
    rules = [f"{{ {light} }}", *STYLE]  # within a page they are to hold here alone
    inside = "\n".join(f"svg.diagram {rule}" for rule in rules)
    return f"{inside}\n@media (prefers-color-scheme: dark) {{ svg.diagram {{ {dark} }} }}"


class Diagram:
    """Boxes, arrows and texts of one drawing, in pixels from its upper left corner."""

    def __init__(self, name: str, width: int, height: int):
        self.name, self.size, self.parts = name, (width, height), []

    def box(self, x: float, y: float, width: float, height: float, text: str = "", kind: str = "plain") -> None:
        """Draw a box; of its lines the first is bold if it ends with a colon, those in backticks are code."""
        border = f"stroke: {BORDERS[kind]}" if kind in BORDERS else "stroke: var(--soft)"
        style = f"fill: var(--{kind}); {border}"
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" style="{style}"/>')
        lines = text.split("\n") if text else []
        top = y + height / 2 - (len(lines) - 1) * LINE / 2 + 4.5
        for k, line in enumerate(lines):
            self.text(x + width / 2, top + k * LINE, line)

    def text(self, x: float, y: float, line: str, style: str = "") -> None:
        """Write a line of text."""
        if line.endswith(":"):
            line, style = line[:-1], f"{style} head"
        if line.startswith("`"):
            line, style = line.strip("`"), f"{style} code"
        kind = f' class="{style.strip()}"' if style.strip() else ""
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}"{kind}>{escape(line, quote=False)}</text>')

    def note(self, x: float, y: float, text: str) -> None:
        """Write lines of text from x to the right."""
        for k, line in enumerate(text.split("\n")):
            self.text(x, y + k * LINE, line, "left soft")

    def arrow(self, *points: tuple[float, float], label: str = "", dashed: bool = False) -> None:
        """Draw an arrow through points, with a label above its middle."""
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<path class="arrow" d="{path}" marker-end="url(#{self.name}-tip)"{dash}/>')
        if label:
            (x0, y0), (x1, y1) = points[0], points[-1]
            self.text((x0 + x1) / 2, (y0 + y1) / 2 - 6, label, "soft")

    def svg(self) -> str:
        """The file's text, which has no empty line, so that Markdown takes it as one block."""
        width, height = self.size
        tip = (
            f'<marker id="{self.name}-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0L8 4L0 8z" style="fill: var(--soft)"/></marker>'
        )
        ground = f'<rect width="{width}" height="{height}" style="fill: var(--page)"/>'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram" viewBox="0 0 {width} {height}" width="{width}"'
        inside = "\n".join([f"<style>{make_style()}</style>", f"<defs>{tip}</defs>", ground, *self.parts])
        return f'{head} height="{height}">\n{inside}\n</svg>\n'


def draw_compiling() -> Diagram:
    d = Diagram("compiling", 760, 292)
    tops, lefts, width = (16, 152), (12, 200, 388, 576), 168
    d.box(
        lefts[0], tops[0], width, 92, "model, loss, optimizer:\nobjects with methods\n`fprop  bprop  update`", "python"
    )
    d.box(lefts[1], tops[0], width, 92, "operations:\none call a line,\ncontainers dissolve", "python")
    d.box(lefts[2], tops[0], width, 92, "trace:\nplain Python, once,\non two samples", "python")
    d.box(lefts[3], tops[0], width, 92, "types:\nof each attribute\n`x: float32[:, :]`", "python")
    d.box(lefts[3], tops[1], width, 92, "generated source:\n`plan_….py`\nstraight-line calls", "file")
    d.box(lefts[2], tops[1], width, 92, "numba:\ntypes, then LLVM's\nlanguage", "python")
    d.box(lefts[1], tops[1], width, 92, "LLVM:\nin a process\nof its own", "compiled")
    d.box(lefts[0], tops[1], width, 92, "one function a step:\nmachine code,\nkept in the code cache", "file")
    for k in range(3):
        d.arrow((lefts[k] + width, tops[0] + 46), (lefts[k + 1] - 1, tops[0] + 46))
        d.arrow((lefts[k + 1], tops[1] + 46), (lefts[k] + width + 1, tops[1] + 46))
    d.arrow((lefts[3] + width / 2, tops[0] + 92), (lefts[3] + width / 2, tops[1] - 1))
    d.text(380, 276, "A second process, or a second run, finds the last box and skips all before it.", "soft")
    return d


def draw_memory() -> Diagram:
    d = Diagram("memory", 760, 300)
    names, sizes = ("0.weight", "0.bias", "2.weight", "2.bias"), (250, 84, 180, 84)
    for y, title, kind in ((104, "flat_parameters:", "compiled"), (188, "flat_gradients:", "compiled")):
        d.text(74, y + 26, title)
        x = 146
        for name, size in zip(names, sizes, strict=True):
            d.box(x, y, size, 42, name if y == 104 else f"grad of {name}" if size > 100 else "grad", kind)
            x += size
    d.box(146, 12, 250, 48, "Python, a NumPy view:\n`layer.weight`", "python")
    d.arrow((271, 60), (271, 103))
    d.box(480, 12, 264, 48, "state block of layer 2:\n`x, y, grad_x, address of weight`", "compiled")
    d.arrow((560, 60), (560, 103))
    d.arrow((640, 60), (640, 187), dashed=True)
    d.arrow((445, 230), (445, 262))
    d.text(445, 280, "one loop updates the net; one sum adds it up over machines; one write saves it", "soft")
    return d


def draw_kernels() -> Diagram:
    d = Diagram("kernels", 760, 330)
    rows = [
        ("layers", "equations, one or two methods", "Linear · Conv2d · MultiheadAttention · LSTM", "python"),
        (
            "kernels",
            "loops over arrays, no objects",
            "matmul_into · shifted rows · score tiles · time steps",
            "compiled",
        ),
        ("tiles", "sums that stay in registers", "SIMD vectors, one multiply-add for 8 or 16 numbers", "compiled"),
        ("threads", "parts of an output", "parallel_for: a dispatch costs less than a microsecond", "compiled"),
    ]
    for k, (name, note, text, kind) in enumerate(rows):
        y = 14 + 78 * k
        d.box(196, y, 548, 52, text, kind)
        d.text(12, y + 22, f"{name}:", "left")
        d.note(12, y + 40, note)
        if k:
            d.arrow((470, y - 26), (470, y - 1))
    d.text(470, 318, "numba compiles each function once; what calls it is linked with it", "soft")
    return d


def draw_tiles() -> Diagram:
    d = Diagram("tiles", 760, 274)
    size = 150

    def grid(x, y, columns, rows, step, kind, chosen):
        for i in range(rows):
            for j in range(columns):
                d.box(x + j * step, y + i * step, step, step, "", kind if (i, j) in chosen else "plain")

    d.text(120, 30, "a, its rows:")
    grid(45, 46, 6, 6, 25, "python", {(2, j) for j in range(6)})
    d.text(350, 30, "b, packed into panels:")
    for k in range(3):
        d.box(275 + 54 * k, 46, 46, size, "", "compiled" if k == 1 else "plain")
    d.text(600, 30, "out, by tiles:")
    for i in range(6):
        for k in range(3):
            d.box(525 + 50 * k, 46 + 25 * i, 50, 25, "", "lost" if (i, k) == (2, 1) else "plain")
    d.text(235, 126, "×", "head")
    d.text(480, 126, "=", "head")
    d.note(45, 224, "a few rows together,\n8 or 6: one number\nof each at a time")
    d.note(275, 224, "a panel: two SIMD vectors\nwide, 256 terms deep,\nread from the cache")
    d.note(525, 224, "a tile: its sums stay in\nregisters through all terms")
    return d


def draw_parallel_for() -> Diagram:
    d = Diagram("parallel_for", 760, 300)
    d.text(12, 30, "one product, its output cut into tiles:", "left")
    kinds = ("python", "compiled", "file")
    for k in range(24):
        d.box(12 + k * 30.6, 44, 30.6, 38, "", kinds[k // 8])
    for k, kind in enumerate(kinds):
        x = 12 + k * 245
        for part in range(4):
            d.box(x + part * 61, 122, 57, 30, f"part {4 * k + part}", kind)
        d.arrow((x + 120, 84), (x + 120, 119))
        d.box(x, 196, 240, 42, f"thread {k}: its own parts first,\nthen those that are left", kind)
        d.arrow((x + 120, 154), (x + 120, 193))
    d.note(
        12,
        264,
        "A part is claimed by one atomic addition. A tile is summed by one thread, in one order,\n"
        "so the bits do not depend on the number of threads.",
    )
    return d


def draw_lock() -> Diagram:
    d = Diagram("lock", 760, 252)
    rows = ("your thread A: fit", "your thread B: predict", "your thread C: predict")
    for k, row in enumerate(rows):
        d.text(12, 50 + 62 * k, f"{row}:", "left")
    for x, width, text in ((190, 130, "steps, ≤ 0.1 s"), (410, 130, "steps"), (612, 132, "steps")):
        d.box(x, 24, width, 42, text, "compiled")
    d.box(322, 86, 84, 42, "predict", "python")
    d.box(542, 148, 66, 42, "predict", "python")
    d.box(250, 86, 70, 42, "waits")
    d.box(438, 148, 102, 42, "waits")
    d.arrow((190, 214), (744, 214), label="")
    d.text(467, 236, "time: one holds the model's lock, the weights are those between two steps", "soft")
    return d


def draw_resume() -> Diagram:
    d = Diagram("resume", 760, 320)
    d.text(12, 46, "never stopped:", "left")
    d.text(12, 130, "killed:", "left")
    d.text(12, 226, "bprop resume:", "left")
    step = 98
    for k in range(6):
        d.box(150 + k * step, 22, step - 6, 40, f"epoch {k + 1}", "compiled")
    for k in range(3):
        d.box(150 + k * step, 106, step - 6, 40, f"epoch {k + 1}", "compiled")
    d.box(150 + 3 * step, 106, 52, 40, "lost", "lost")
    d.text(150 + 3 * step + 66, 132, "✕", "head")
    for k in range(3, 6):
        d.box(150 + k * step, 202, step - 6, 40, f"epoch {k + 1}", "compiled")
    for k in range(1, 4):
        d.arrow((147 + k * step, 147), (147 + k * step, 166))
        d.box(118 + k * step, 168, 58, 22, "saved", "file")
    d.arrow((147 + 3 * step, 190), (147 + 3 * step, 222), (149 + 3 * step, 222))
    d.note(
        12,
        276,
        "Both end with the same bits. The order of the samples, the masks of dropout and the augmentation\n"
        "are functions of the seed and of a place: they are computed again. The rest is in the checkpoint.",
    )
    return d


def draw_checkpoint() -> Diagram:
    d = Diagram("checkpoint", 760, 236)
    steps = [
        ("arrays:\nwrite aside, sync,\nrename", "`000007.safetensors`"),
        ("all else:\nwrite aside, sync,\nrename", "`000007.json`"),
        ("older ones:\nremoved, two\nremain", "`000005.*`"),
    ]
    for k, (text, name) in enumerate(steps):
        x = 12 + k * 260
        d.box(x, 20, 216, 74, text, "python")
        d.box(x + 20, 118, 176, 32, name, "file" if k < 2 else "lost")
        d.arrow((x + 108, 94), (x + 108, 117))
        if k:
            d.arrow((x - 44, 57), (x - 1, 57))
    d.note(
        12,
        186,
        "A checkpoint counts only when its JSON file is there, with the checksums of both. Killed before\n"
        "that, at any line, the one before it counts. One that is damaged later is named in a warning,\n"
        "and the one before it is read.",
    )
    return d


def draw_random() -> Diagram:
    d = Diagram("random", 760, 150)
    for x, text in (
        (12, "key:\nfrom the seed"),
        (172, "step:\na counter of the layer"),
        (372, "position:\nin the array"),
    ):
        d.box(x, 16, 148 if x != 172 else 188, 52, text, "python")
    d.box(572, 16, 172, 52, "Philox:\nten rounds", "compiled")
    d.arrow((520, 42), (571, 42))
    d.arrow((658, 68), (658, 96))
    d.text(658, 114, "a random number")
    d.note(
        12,
        104,
        "Nothing is carried from one number to the next. A checkpoint keeps\n"
        "two whole numbers a layer, and any thread may draw any position.",
    )
    return d


DRAWINGS = (
    draw_compiling, draw_memory, draw_kernels, draw_tiles, draw_parallel_for, draw_lock, draw_resume, draw_checkpoint,
    draw_random,
)  # fmt: skip


def main() -> int:
    """Write the files."""
    for draw in DRAWINGS:
        diagram = draw()
        (FOLDER / f"{diagram.name}.svg").write_text(diagram.svg(), encoding="utf-8")
    return 0


def set_in_page(path: Path, label: str) -> str:
    """A diagram as a block of HTML, which takes its colours from the page."""
    svg = re.sub(r"<svg ", f'<svg role="img" aria-label="{escape(label)}" ', path.read_text(encoding="utf-8"), count=1)
    return f'<figure class="diagram">\n{svg.strip()}\n</figure>\n'


if __name__ == "__main__":
    sys.exit(main())
