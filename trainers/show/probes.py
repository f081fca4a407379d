"""What the Jacobian of a module looks like, found by its bprop: a diagonal, a rearrangement, blocks, or single rows.

Each finding is tried on a random gradient, and holds only if bprop makes the same of it.
"""

import math
import time
from typing import Any

import numpy as np

from .arrays import Arrays

DENSE = 20_000  # numbers of a Jacobian that is kept whole
LARGEST = 12  # derivatives that are kept of each row of a larger one
KEPT = 240_000  # derivatives that are kept of a module
COLOURS = 1_000  # outputs of a block, at most
TOLERANCE = 1e-4


class Stopwatch:
    """Adds up the time of its contexts, of which there is so much."""

    def __init__(self, seconds: float):
        self.left, self._begin = seconds, 0.0

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *exception: Any) -> None:
        self.left -= time.perf_counter() - self._begin

    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.left <= 0


def keep_largest(row: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Keep the largest numbers of a row: their places in order, they themselves, and whether all others are zero."""
    kept = min(LARGEST, row.size)
    columns = np.sort(np.argpartition(-np.abs(row), kept - 1)[:kept]).astype(np.int64)
    return columns, row[columns].copy(), bool(np.count_nonzero(row) <= kept)


def choose_rows(grad_y: np.ndarray, y: np.ndarray, most: int) -> np.ndarray:
    """Choose outputs, in turn by the size of their gradient and by their own."""
    orders = [np.argsort(-np.abs(each), axis=None, kind="stable")[:most] for each in (grad_y, y)]
    both = np.stack(orders, axis=1).ravel()
    return both[np.sort(np.unique(both, return_index=True)[1])][:most]


def draw_gradient(y: np.ndarray) -> np.ndarray:
    """Draw a random gradient of y."""
    return np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)


def are_close(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two gradients are the same but for rounding."""
    scale = float(np.abs(expected).max(initial=0))
    return bool(np.isfinite(scale) and (np.abs(found - expected) <= TOLERANCE * scale).all())


def find_diagonal(module: Any, x: np.ndarray, y: np.ndarray, arrays: Arrays) -> dict[str, Any] | None:
    """The form of a module each of whose outputs depends on the input at its own place alone; None for others."""
    if x.shape != y.shape:
        return None
    slope = np.array(module.bprop(np.ones_like(y)))
    grad_y = draw_gradient(y)
    if not are_close(slope * grad_y, np.array(module.bprop(grad_y.copy()))):
        return None
    return {"kind": "elementwise", "slope": arrays.add("dy/dx", slope)}


def find_places(module: Any, x: np.ndarray, y: np.ndarray, arrays: Arrays) -> dict[str, Any] | None:
    """The form of a module that puts numbers into other places, or leaves some out; None for others."""
    if y.size >= 2 ** (24 if y.dtype.itemsize <= 4 else 52):
        return None
    codes = np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape)
    found = np.array(module.bprop(codes)).ravel()
    if not (np.isfinite(found).all() and (found == np.rint(found)).all() and 0 <= found.min() <= found.max() <= y.size):
        return None
    places = found.astype(np.int64)
    read = places > 0
    if np.unique(places[read]).size != read.sum():
        return None
    grad_y = draw_gradient(y)
    expected = np.where(read, grad_y.ravel()[places - 1], 0)
    if not are_close(expected, np.array(module.bprop(grad_y.copy())).ravel()):
        return None
    columns, values = np.zeros((y.size, 1), np.int64), np.zeros((y.size, 1), y.dtype)
    columns[places[read] - 1, 0], values[places[read] - 1] = np.flatnonzero(read), 1
    return describe_rows(columns, values, x, True, arrays)


def describe_rows(
    columns: np.ndarray, values: np.ndarray, x: np.ndarray, whole: bool, arrays: Arrays
) -> dict[str, Any]:
    """Describe rows of a Jacobian by what is kept of each, both (outputs, kept)."""
    sparse = {"columns": arrays.add("inputs", columns), "values": arrays.add("dy/dx", values)}
    return {"kind": "jacobian", "columns": int(x.size), "sparse": sparse, "whole": whole}


def find_blocks(module: Any, x: np.ndarray, y: np.ndarray, watch: Stopwatch, arrays: Arrays) -> dict[str, Any] | None:
    """The form of a module that treats rows, places, planes or samples apart, so that bprop does many rows at once.

    None for a module that treats nothing apart, and for one whose blocks would take too long.
    """
    if x.ndim != y.ndim or y.size * LARGEST > KEPT:
        return None
    inside = range(1, y.ndim)
    tried = sorted({(y.ndim - 1,), (1,), tuple(inside[1:]), tuple(inside)} - {()}, key=lambda axes: count(y, axes))
    for axes in tried:
        outside = [axis for axis in range(y.ndim) if axis not in axes]
        same = all(x.shape[axis] == y.shape[axis] for axis in outside)
        if same and count(y, axes) < min(y.size, COLOURS) and is_block(module, x, y, outside, axes, watch):
            return compute_blocks(module, x, y, outside, axes, watch, arrays)
    return None


def count(y: np.ndarray, axes: tuple[int, ...]) -> int:
    """The outputs of a block."""
    return math.prod(y.shape[axis] for axis in axes)


def is_block(
    module: Any, x: np.ndarray, y: np.ndarray, outside: list[int], axes: tuple[int, ...], watch: Stopwatch
) -> bool:
    """Whether the first output of a block depends on inputs of that block alone, and there is time for all of them."""
    unit = np.zeros_like(y)
    middle = [size // 2 if axis in outside else 0 for axis, size in enumerate(y.shape)]
    unit[tuple(middle)] = 1
    begin = watch.left
    with watch:
        grad_x = np.array(module.bprop(unit))
    own = tuple(middle[axis] if axis in outside else slice(None) for axis in range(y.ndim))
    inside = np.count_nonzero(grad_x[own])
    return inside == np.count_nonzero(grad_x) and (begin - watch.left) * count(y, axes) <= watch.left


def compute_blocks(
    module: Any,
    x: np.ndarray,
    y: np.ndarray,
    outside: list[int],
    axes: tuple[int, ...],
    watch: Stopwatch,
    arrays: Arrays,
) -> dict[str, Any] | None:
    """Compute all rows, those of one place of all blocks at a time."""
    outer = [y.shape[axis] for axis in outside]
    blocks, colours, width = math.prod(outer), count(y, axes), count(x, axes)
    kept = min(LARGEST, width)
    order = [*outside, *axes]
    numbers = np.arange(x.size).reshape(x.shape).transpose(order).reshape(blocks, width)
    outputs = np.arange(y.size).reshape(y.shape).transpose(order).reshape(blocks, colours)
    columns, values = np.zeros((y.size, kept), np.int64), np.zeros((y.size, kept), y.dtype)
    grad_y, whole = draw_gradient(y), True
    total = np.zeros((blocks, width), np.float64)
    for k in range(colours):
        unit = np.zeros(y.size, y.dtype)
        unit[outputs[:, k]] = 1
        with watch:
            rows = np.array(module.bprop(unit.reshape(y.shape))).transpose(order).reshape(blocks, width)
        total += grad_y.ravel()[outputs[:, k], None] * rows
        places = np.sort(np.argpartition(-np.abs(rows), kept - 1, axis=1)[:, :kept], axis=1)
        columns[outputs[:, k]] = np.take_along_axis(numbers, places, axis=1)
        values[outputs[:, k]] = np.take_along_axis(rows, places, axis=1)
        whole = whole and int(np.count_nonzero(rows, axis=1).max()) <= kept
    expected = np.array(module.bprop(grad_y.copy())).transpose(order).reshape(blocks, width)
    if not are_close(total, expected):
        return None
    used = max(1, int(np.count_nonzero(values, axis=1).max()))
    if used < kept:  # the zeros of all rows are of no use: put the others first
        first = np.argsort(values == 0, axis=1, kind="stable")[:, :used]
        columns, values = np.take_along_axis(columns, first, axis=1), np.take_along_axis(values, first, axis=1)
    return describe_rows(columns, values, x, whole, arrays)
