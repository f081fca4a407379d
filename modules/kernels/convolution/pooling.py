"""Pooling: one number from each window of an image, and the backward pass.

A table says for each row (and another for each column) of the result where its window begins, where it ends, and how
many places it counts, so the same loops serve any stride, padding, dilation, and windows that fill an image evenly.
Each plain Python function is the meaning of the compiled one below it.
"""

import numpy as np

from ...compiler.kernel import kernel, noinline
from ..threads import dispatch
from .max_pooling import largest_line

COMPARE_FLOPS = 4  # what a comparison counts for when work is shared


@noinline
def fill_windows(size, kernel, stride, padding, dilation, table):
    """table[r] = (first place inside, end, places counted with the padding) of the window that begins at s r - p."""
    for r in range(table.shape[0]):
        begin = stride * r - padding
        first, end = begin, begin + dilation * (kernel - 1) + 1
        while first < 0:
            first += dilation
        table[r, 0], table[r, 1], table[r, 2] = first, min(end, size), min(end, size + padding) - begin


@noinline
def fill_even_windows(size, table):
    """table[r] = (first place, end, places counted) of R windows that cover `size` places evenly."""
    count = table.shape[0]
    for r in range(count):
        first, end = r * size // count, -(-(r + 1) * size // count)
        table[r, 0], table[r, 1], table[r, 2] = first, end, end - first


def largest_of(x, down, across, kernel_size, stride, padding, step, y, largest):
    """y[m, r, c] = the largest number of the window, or a NaN in it; largest[m, r, c]: where it stands in x[m].

    Args: x: (M, H, W); down, across: tables of R rows and C columns, for windows of `kernel_size` that begin `stride`
        apart, the first one `padding` outside; step: distances inside a window.
    """
    width = x.shape[2]
    for r, (top, bottom, _) in enumerate(down):
        for c, (left, right, _) in enumerate(across):
            patch = x[:, top : bottom : step[0], left : right : step[1]]
            place = patch.reshape((len(x), -1)).argmax(axis=1)
            row, column = top + step[0] * (place // patch.shape[2]), left + step[1] * (place % patch.shape[2])
            largest[:, r, c] = row * width + column
            y[:, r, c] = patch.reshape((len(x), -1)).max(axis=1)


@kernel
def compiled_largest_of(x, down, across, kernel_size, stride, padding, step, y, largest):
    """The compiled form of `largest_of`, by rows of windows; planes in parallel."""
    flops = COMPARE_FLOPS * kernel_size[0] * kernel_size[1] * y.size
    dispatch(largest_of_planes, x.shape[0], flops, x, down, kernel_size, stride, padding, step, y, largest)


@kernel
def largest_of_planes(begin, end, x, down, kernel_size, stride, padding, step, y, largest):
    """Compute `largest_of` for some planes."""
    height, width = x.shape[1:]
    rows, columns = y.shape[1:]
    numbers, best, places = x.reshape(x.size), y.reshape(y.size), largest.reshape(largest.size)
    for m in range(begin, end):
        for r in range(rows):
            top, inside = down[r, 0], (down[r, 1] - down[r, 0] + step[0] - 1) // step[0]
            largest_line(
                numbers, (m * height + top) * width, step[0] * width, inside, kernel_size[1], step[1], stride[1],
                -padding[1], width, best, (m * rows + r) * columns, places, top * width, columns,
            )  # fmt: skip


largest_of.compiled_form = compiled_largest_of  # type: ignore[attr-defined]


@noinline
def add_at(first, last, grad, places, planes, out):
    """out[m, places[m, k]] += grad[m, k], after out is cleared, for some m: all are vectors of so many planes."""
    count, size = grad.size // planes, out.size // planes
    out[first * size : last * size] = 0
    for m in range(first, last):
        for k in range(m * count, (m + 1) * count):
            out[m * size + places[k]] += grad[k]


@noinline
def take_at(numbers, places, planes, out):
    """out[m, k] = numbers[m, places[m, k]]: all are vectors of so many planes; the transpose of `add_at`."""
    count, size = out.size // planes, numbers.size // planes
    for m in range(planes):
        for k in range(m * count, (m + 1) * count):
            out[k] = numbers[m * size + places[k]]


def means_of(x, down, across, divisor, y):
    """y[m, r, c] = the window's sum over `divisor`, or over the places that it counts if that is 0; x (M, H, W)."""
    for r, (top, bottom, tall) in enumerate(down):
        for c, (left, right, wide) in enumerate(across):
            y[:, r, c] = x[:, top:bottom, left:right].sum(axis=(1, 2)) / (divisor or tall * wide)


@kernel
def compiled_means_of(x, down, across, divisor, y):
    """The compiled form of `means_of`."""
    for m in range(y.shape[0]):
        for r in range(y.shape[1]):
            for c in range(y.shape[2]):
                total = np.float64(0)  # as quick as the type's own: each addition waits for the last one
                for i in range(down[r, 0], down[r, 1]):
                    for j in range(across[c, 0], across[c, 1]):
                        total += x[m, i, j]
                y[m, r, c] = total / (divisor if divisor > 0 else down[r, 2] * across[c, 2])


means_of.compiled_form = compiled_means_of  # type: ignore[attr-defined]


def spread_means(grad, down, across, divisor, out):
    """out[m, i, j] = Σ grad[m, r, c] / divisor over the windows that hold place (i, j): the transpose of `means_of`."""
    out[:] = 0
    for r, (top, bottom, tall) in enumerate(down):
        for c, (left, right, wide) in enumerate(across):
            out[:, top:bottom, left:right] += (grad[:, r, c] / (divisor or tall * wide))[:, None, None]


@kernel
def compiled_spread_means(grad, down, across, divisor, out):
    """The compiled form of `spread_means`."""
    out[:] = 0
    for m in range(grad.shape[0]):
        for r in range(grad.shape[1]):
            for c in range(grad.shape[2]):
                gradient = grad[m, r, c] / out.dtype.type(divisor if divisor > 0 else down[r, 2] * across[c, 2])
                for i in range(down[r, 0], down[r, 1]):
                    for j in range(across[c, 0], across[c, 1]):
                        out[m, i, j] += gradient


spread_means.compiled_form = compiled_spread_means  # type: ignore[attr-defined]
