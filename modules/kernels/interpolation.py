"""Interpolation of volumes along layers, rows and columns, by tables of the places that each new one is made of."""

import math

from ..compiler.kernel import noinline

A = -0.75  # of Keys's cubic, as OpenCV and PyTorch have it


def near_weight(t):
    """Keys's cubic at distances 0 to 1."""
    return ((A + 2) * t - (A + 3)) * t * t + 1


def far_weight(t):
    """Keys's cubic at distances 1 to 2."""
    return ((A * t - 5 * A) * t + 8 * A) * t - 4 * A


def fill_taps(size, factor, exact, align_corners, places, weights):
    """Which of `size` places each new one is made of, and what each weighs.

    Args: factor: of the sizes, 0 for that of the numbers of places; exact: the nearest by its centre; places, weights:
        (new size, 1, 2 or 4): the nearest, linear, cubic.
    """
    count, taps = places.shape
    step = 1 / factor if factor > 0 else size / count
    if align_corners:
        step = (size - 1) / (count - 1) if count > 1 else 0.0
    for i in range(count):
        place = i * step if align_corners else (i + 0.5) * step - 0.5
        if taps == 1:
            place = (i + 0.5) * step if exact else i * step
            places[i, 0], weights[i, 0] = min(int(place), size - 1), 1
        elif taps == 2:
            place = max(0.0, place)
            first = min(int(place), size - 1)
            places[i, 0], places[i, 1] = first, min(first + 1, size - 1)
            weights[i, 0], weights[i, 1] = 1 - (place - first), place - first
        else:
            first = math.floor(place)
            t = place - first
            for k in range(4):
                places[i, k] = min(max(first - 1 + k, 0), size - 1)
            weights[i, 0], weights[i, 1] = far_weight(1 + t), near_weight(t)
            weights[i, 2], weights[i, 3] = near_weight(1 - t), far_weight(2 - t)


def fill_even_taps(size, places, weights):
    """Make each new place the mean of a window, of windows that cover `size` places evenly; arguments of `fill_taps`.

    The table has room for the longest window; what does not belong to a window weighs 0.
    """
    count, taps = places.shape
    for i in range(count):
        first, end = i * size // count, -(-(i + 1) * size // count)
        for k in range(taps):
            places[i, k] = min(first + k, size - 1)
            weights[i, k] = 1 / (end - first) if first + k < end else 0.0


def resample(x, layers, through, rows, down, columns, across, plane, line, y):
    """y[m, h, i, j] = Σ through[h, a] down[i, b] across[j, c] x[m, layers[h, a], rows[i, b], columns[j, c]].

    Args: x: (M, D, H, W), images with D = 1; plane (1, H, W), line (W,): scratch.
    """
    if x.shape[1] == 1 and y.shape[1] == 1:
        of_x, of_y = x.reshape((x.shape[0], x.shape[2], x.shape[3])), y.reshape((y.shape[0], y.shape[2], y.shape[3]))
        resample_images(of_x, rows, down, columns, across, line, of_y)
        return
    for m in range(y.shape[0]):
        for h in range(y.shape[1]):
            plane[:] = 0
            for a in range(layers.shape[1]):
                if through[h, a] != 0:
                    add_scaled(through[h, a], x[m, layers[h, a]], plane[0])
            resample_images(plane, rows, down, columns, across, line, y[m, h : h + 1])


def resample_back(grad_y, layers, through, rows, down, columns, across, plane, line, grad_x):
    """grad_x[m, h, k, l] = Σ through[g, a] down[i, b] across[j, c] grad_y[m, g, i, j] over what is made of (h, k, l).

    It is the transpose of `resample`.
    """
    if grad_x.shape[1] == 1 and grad_y.shape[1] == 1:
        of_x = grad_x.reshape((grad_x.shape[0], grad_x.shape[2], grad_x.shape[3]))
        of_y = grad_y.reshape((grad_y.shape[0], grad_y.shape[2], grad_y.shape[3]))
        resample_images_back(of_y, rows, down, columns, across, line, of_x)
        return
    grad_x[:] = 0
    for m in range(grad_y.shape[0]):
        for h in range(grad_y.shape[1]):
            resample_images_back(grad_y[m, h : h + 1], rows, down, columns, across, line, plane)
            for a in range(layers.shape[1]):
                if through[h, a] != 0:
                    add_scaled(through[h, a], plane[0], grad_x[m, layers[h, a]])


@noinline
def add_scaled(weight, plane, out):
    """out += weight plane, both matrices."""
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[i, k] += weight * plane[i, k]


@noinline
def resample_images(x, rows, down, columns, across, line, y):
    """y[m, i, j] = Σ down[i, a] across[j, b] x[m, rows[i, a], columns[j, b]]; line: scratch (W,).

    What weighs 0 is not looked at, so an infinite pixel stays where it is.
    """
    for m in range(y.shape[0]):
        for i in range(y.shape[1]):
            line[:] = 0
            for a in range(rows.shape[1]):
                weight, row = down[i, a], x[m, rows[i, a]]
                if weight != 0:
                    for k in range(line.size):
                        line[k] += weight * row[k]
            out = y[m, i]
            for j in range(out.size):
                total = line.dtype.type(0)
                for b in range(columns.shape[1]):
                    if across[j, b] != 0:
                        total += across[j, b] * line[columns[j, b]]
                out[j] = total


@noinline
def resample_images_back(grad_y, rows, down, columns, across, line, grad_x):
    """grad_x[m, k, l] = Σ down[i, a] across[j, b] grad_y[m, i, j] over rows[i, a] = k, columns[j, b] = l."""
    grad_x[:] = 0
    for m in range(grad_y.shape[0]):
        for i in range(grad_y.shape[1]):
            grad = grad_y[m, i]
            line[:] = 0
            for j in range(grad.size):
                for b in range(columns.shape[1]):
                    if across[j, b] != 0:
                        line[columns[j, b]] += across[j, b] * grad[j]
            for a in range(rows.shape[1]):
                weight, row = down[i, a], grad_x[m, rows[i, a]]
                if weight != 0:
                    for k in range(line.size):
                        row[k] += weight * line[k]
