"""Pooling by tables of windows: maxima of windows of different sizes, maxima and means of volumes."""

from ...compiler.kernel import noinline


@noinline
def largest_in_windows(first, last, x, down, across, y, largest):
    """y[m, r, c] = the largest number of the window, or the first NaN in it; largest[m, r, c]: where in x[m] it stands.

    Args: x: (M, H, W); down, across: tables of R rows and C columns, (first place, end, places counted); for some m.
    """
    width = x.shape[2]
    for m in range(first, last):
        for r in range(y.shape[1]):
            for c in range(y.shape[2]):
                top, left = down[r, 0], across[c, 0]
                best, place = x[m, top, left], top * width + left
                for i in range(top, down[r, 1]):
                    for j in range(left, across[c, 1]):
                        number = x[m, i, j]
                        if number > best or (number != number and best == best):  # a NaN counts as the largest
                            best, place = number, i * width + j
                y[m, r, c], largest[m, r, c] = best, place


@noinline
def largest_of_volumes(first, last, x, deep, down, across, step, y, largest):
    """The same of volumes: x (M, D, H, W), y and largest (M, Q, R, C); step: distances inside a window."""
    height, width = x.shape[2], x.shape[3]
    for m in range(first, last):
        for q in range(y.shape[1]):
            for r in range(y.shape[2]):
                for c in range(y.shape[3]):
                    front, top, left = deep[q, 0], down[r, 0], across[c, 0]
                    best, place = x[m, front, top, left], (front * height + top) * width + left
                    for h in range(front, deep[q, 1], step[0]):
                        for i in range(top, down[r, 1], step[1]):
                            for j in range(left, across[c, 1], step[2]):
                                number = x[m, h, i, j]
                                if number > best or (number != number and best == best):
                                    best, place = number, (h * height + i) * width + j
                    y[m, q, r, c], largest[m, q, r, c] = best, place


@noinline
def means_of_volumes(first, last, x, deep, down, across, divisor, y):
    """y[m, q, r, c] = the window's sum over `divisor`, or over the places that it counts if that is 0."""
    for m in range(first, last):
        for q in range(y.shape[1]):
            for r in range(y.shape[2]):
                for c in range(y.shape[3]):
                    total = x.dtype.type(0)
                    for h in range(deep[q, 0], deep[q, 1]):
                        for i in range(down[r, 0], down[r, 1]):
                            for j in range(across[c, 0], across[c, 1]):
                                total += x[m, h, i, j]
                    count = deep[q, 2] * down[r, 2] * across[c, 2] if divisor == 0 else divisor
                    y[m, q, r, c] = total / x.dtype.type(count)


@noinline
def spread_volume_means(first, last, grad_y, deep, down, across, divisor, grad_x):
    """grad_x[m, h, i, j] = Σ grad_y / size over the windows that hold the place: transpose of `means_of_volumes`."""
    grad_x[first:last] = 0
    for m in range(first, last):
        for q in range(grad_y.shape[1]):
            for r in range(grad_y.shape[2]):
                for c in range(grad_y.shape[3]):
                    count = deep[q, 2] * down[r, 2] * across[c, 2] if divisor == 0 else divisor
                    part = grad_y[m, q, r, c] / grad_x.dtype.type(count)
                    for h in range(deep[q, 0], deep[q, 1]):
                        for i in range(down[r, 0], down[r, 1]):
                            for j in range(across[c, 0], across[c, 1]):
                                grad_x[m, h, i, j] += part
