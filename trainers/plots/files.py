"""The files that a script of one's own draws: named on its command line, as PNG or SVG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...datasets.files.paths import expand_path
from ...modules.display.draw import Drawing
from .style import save_figure
from .svg_picture import save_drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDS = (".png", ".svg")


def split_plot_files(arguments: list[str], default: str, others: int = 0) -> tuple[list[Path], list[str]]:
    """Split a script's arguments into the files that it shall draw and all others.

        files, _ = split_plot_files(sys.argv[1:], "sigmoids.png")

    `svg` and `png` stand for a file of the default's name in that format; whatever ends in letters after a dot is a
    file. Without any it is the default.

    Args: others: arguments that are neither, at most.
    Errors: SystemExit, with what is wrong, for a file that ends in neither .png nor .svg, and for more arguments.
    """
    files, rest = [], []
    for argument in arguments:
        path = Path(default).with_suffix(f".{argument.lower()}") if f".{argument.lower()}" in ENDS else Path(argument)
        if not path.suffix[1:].isalpha():
            rest.append(argument)
        elif path.suffix.lower() in ENDS:
            files.append(expand_path(path))
        else:
            raise SystemExit(f"{argument}: expected a file that ends in .png or .svg")
    if len(rest) > others:
        what = f"at most {others} arguments and " if others else ""
        raise SystemExit(f"{rest[others]}: expected {what}png, svg, or files that end in .png or .svg")
    return files or [Path(default)], rest


def save_plots(plot: Figure | Drawing, files: list[Path], dpi: int = 150) -> str:
    """Write a figure, or a drawing of a model or a trace, into each file, as its end says; returns what to print.

    Args: dpi: of a figure as PNG.
    Errors: ImportError for a drawing as PNG without matplotlib.
    """
    for path in files:
        if not isinstance(plot, Drawing):
            save_figure(plot, path, dpi)
        elif path.suffix.lower() == ".png":
            save_drawing(plot, path)
        else:
            plot.save(path)
    return f"drawn: {', '.join(map(str, files))}"
