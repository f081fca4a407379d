"""The style of all plots: colour-blind safe colours, font sizes, mosaics of small images."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..configs.errors import format_key
from ..files.atomic_files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# the palette of Okabe and Ito
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
]
RUN_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
SIGNED = "RdBu_r"  # colours of numbers around 0
SMALL, NORMAL, LARGE = 8, 9, 11  # letters
SMALL_TILE = 28  # pixels


def import_matplotlib() -> None:
    """Import matplotlib; ImportError, saying what to install, without it."""
    try:
        with ignore_missing_backend():
            import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'bprop[plot]'") from error


@contextlib.contextmanager
def ignore_missing_backend() -> Iterator[None]:
    """Context in which $MPLBACKEND names no backend that is not installed, such as a notebook's.

    matplotlib would refuse to be imported, though plots are drawn without any backend.
    """
    backend = os.environ.get("MPLBACKEND", "")
    module = backend.removeprefix("module://").partition(".")[0]
    if not backend.startswith("module://") or importlib.util.find_spec(module) is not None:
        yield
        return
    os.environ["MPLBACKEND"] = "agg"
    try:
        yield
    finally:
        os.environ["MPLBACKEND"] = backend


def escape_name(name: object) -> str:
    """Escape a name for matplotlib: on one line, without mathematics."""
    return format_key(name).replace("$", r"\$")


def make_figure(width: float, height: float, title: str) -> Figure:
    """Make an empty figure, its size in inches."""
    import_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08), facecolor="white")
    figure.suptitle(title, fontsize=LARGE, fontweight="bold")
    return figure


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure as PNG or SVG, as the path's end says: whole, and never through a link."""
    write_atomically(path, render_figure(figure, "svg" if path.suffix.lower() == ".svg" else "png", dpi))


def render_figure(figure: Figure, kind: Literal["png", "svg"], dpi: int) -> bytes:
    """Render a figure; the same figure gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = io.BytesIO()
    figure.set_dpi(dpi)
    if kind == "png":
        FigureCanvasAgg(figure).print_png(content)
    else:
        with rc_context({"svg.hashsalt": "bprop", "svg.fonttype": "path"}):
            FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
    return content.getvalue()


def simplify_axes(axes: Any) -> None:
    """Remove the frame above and on the right, and shrink the numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=NORMAL)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def remove_ticks(axes: Any) -> None:
    """Remove ticks and frame of an image."""
    axes.set_anchor("N")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def make_mosaic(tiles: np.ndarray) -> np.ndarray:
    """Arrange tiles (K, H, W) or (K, H, W, 3) row by row in one image, as square as possible, NaN between them.

    The pixels of small tiles become squares of pixels, so that the lines stay thin.
    """
    zoom = max(1, SMALL_TILE // max(tiles.shape[1:3]))
    tiles = tiles.repeat(zoom, axis=1).repeat(zoom, axis=2)
    count, height, width = tiles.shape[:3]
    columns = min(count, int(np.ceil(np.sqrt(count * (height + 1) / (width + 1)))))
    rows = -(-count // columns)
    image = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, *tiles.shape[3:]), np.nan)
    for k, tile in enumerate(tiles):
        top, left = k // columns * (height + 1), k % columns * (width + 1)
        image[top : top + height, left : left + width] = tile
    return image


def show_signed(axes: Any, image: np.ndarray, largest: float = 0.0, bar_width: float = 0.045) -> None:
    """Show an image of numbers around 0: blue below, white at 0, red above; NaN is left blank.

    Args: largest: where the scale ends, by default at the largest number; bar_width: that of the image is 1.
    """
    finite = np.abs(image[np.isfinite(image)])
    top = float(finite.max()) if finite.size else 0.0
    end = largest or top or 1.0
    image_artist = axes.imshow(image, cmap=SIGNED, vmin=-end, vmax=end, interpolation="nearest")
    remove_ticks(axes)
    add_bar(axes, image_artist, extend="both" if top > end else "neither", width=bar_width)


def add_bar(axes: Any, image: Any, label: str = "", extend: str = "neither", width: float = 0.045) -> None:
    """Add a colour bar as high as the image; width: that of the image is 1."""
    bar = axes.figure.colorbar(
        image, cax=axes.inset_axes([1 + 2 * width / 3, 0, width, 1]), label=label, extend=extend, extendfrac=0.02
    )
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.locator_params(nbins=5)
    bar.outline.set_visible(False)


def shorten_name(name: str, letters: int = 40) -> str:
    """Shorten a name, so that it leaves room for the plot."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def shorten_middle(name: str, letters: int = 18) -> str:
    """Shorten a name in the middle: names such as `colour=red` differ at the end."""
    return name if len(name) <= letters else name[: letters // 3] + "…" + name[letters // 3 + 1 - letters :]


def format_number(value: float) -> str:
    """Format a number in four digits, or as a whole number."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
