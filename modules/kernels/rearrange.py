"""Numbers at other places: gathering by a table of places, its transpose, and the tables of padding and of patches."""

from ..compiler.kernel import noinline

CONSTANT, REFLECT, REPLICATE, CIRCULAR = range(4)  # what stands outside of an image


@noinline
def gather_places(first, last, x, places, rows, value, y):
    """y[m, k] = x[m, places[k]], or `value` where places[k] < 0, for some m; x and y are vectors of so many rows."""
    count, size = places.size, x.size // rows
    for m in range(first, last):
        source, target = x[m * size : (m + 1) * size], y[m * count : (m + 1) * count]
        for k in range(count):
            place = places[k]
            target[k] = source[place] if place >= 0 else value


@noinline
def scatter_places(first, last, grad_y, places, rows, grad_x):
    """grad_x[m, j] = Σ grad_y[m, k] over the k with places[k] = j, for some m: the transpose of `gather_places`."""
    count, size = places.size, grad_x.size // rows
    for m in range(first, last):
        source, target = grad_y[m * count : (m + 1) * count], grad_x[m * size : (m + 1) * size]
        target[:] = 0
        for k in range(count):
            place = places[k]
            if place >= 0:
                target[place] += source[k]


@noinline
def fill_permuted(shape, order, steps, places):
    """places[k] = where in a sample of x the k-th number of a sample of x.transpose(order) stands; order[0] is 0.

    steps: scratch, as long as `order`.
    """
    size = 1
    for axis in range(order.size - 1, 0, -1):
        steps[axis] = size
        size *= shape[axis]
    last = order.size - 1
    length = shape[order[last]] if last > 0 else 1
    step = steps[order[last]] if last > 0 else 0
    for k in range(0, places.size, length):
        rest, place = k // length, 0
        for axis in range(last - 1, 0, -1):
            source = order[axis]
            place += rest % shape[source] * steps[source]
            rest //= shape[source]
        for i in range(length):
            places[k + i] = place + i * step


def place_outside(i, size, mode):
    """The place of an axis that place i stands for; -1 for the constant outside."""
    if 0 <= i < size:
        return i
    if mode == REFLECT:
        return -i if i < 0 else 2 * (size - 1) - i
    if mode == REPLICATE:
        return 0 if i < 0 else size - 1
    if mode == CIRCULAR:
        return i % size
    return -1


def fill_padded(sizes, before, counts, mode, places):
    """places[(h, i, j)] = where in a volume the place (h, i, j) - before around it comes from; -1: a constant.

    Args: sizes: of the volume, of which an image is one layer and a signal one row; before: how much stands before it
        on each axis; counts: the sizes of the result.
    """
    _, height, width = sizes
    k = 0
    for h in range(counts[0]):
        layer = place_outside(h - before[0], sizes[0], mode)
        for i in range(counts[1]):
            row = place_outside(i - before[1], height, mode)
            for j in range(counts[2]):
                column = place_outside(j - before[2], width, mode)
                inside = layer >= 0 and row >= 0 and column >= 0
                places[k] = (layer * height + row) * width + column if inside else -1
                k += 1


@noinline
def fill_patches(height, width, kernel_size, stride, padding, dilation, rows, columns, places):
    """places[(a, b), (r, c)] = where in an image place (a, b) of the patch of (r, c) stands; -1 outside."""
    k = 0
    for a in range(kernel_size[0]):
        for b in range(kernel_size[1]):
            for r in range(rows):
                i = stride[0] * r + dilation[0] * a - padding[0]
                for c in range(columns):
                    j = stride[1] * c + dilation[1] * b - padding[1]
                    places[k] = i * width + j if 0 <= i < height and 0 <= j < width else -1
                    k += 1


@noinline
def fill_unshuffled(height, width, factor, places):
    """places[(a, b), (i, j)] = where in an image pixel (factor i + a, factor j + b) stands."""
    k = 0
    for a in range(factor):
        for b in range(factor):
            for i in range(height // factor):
                for j in range(width // factor):
                    places[k] = (factor * i + a) * width + factor * j + b
                    k += 1
