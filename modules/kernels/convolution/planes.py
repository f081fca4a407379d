"""Images in planes, a layout in which a convolution is a sum of shifted rows.

A plane holds one channel of all images, with zeros around: place (i, j) is N numbers, that pixel in each of N images,
and the places lie one after the other in one long row. With strides (s, t), the pixels (s i + a, t j + b) have a plane
of their own for each remainder (a, b). So whatever the padding, stride or dilation, term (i, j) of a patch lies at one
fixed distance from where the patch begins, for all pixels of all images.
"""

import numpy as np

from ...compiler.kernel import kernel, noinline
from ..buffers import flat
from ..matmul.gemm import panel_width
from ..matmul.micro_kernels import make_transpose, sum_slice
from ..strided_loops import clear_slice, gather_slice, scatter_slice
from ..sums import BLOCK
from ..threads import MOVE_FLOPS, dispatch

TRANSPOSE = make_transpose()


def plane_size(coarse, fine, before, reach, stride):
    """The rows of a plane, which has all patches of the coarse image and all pixels of the fine one."""
    return max(coarse + reach // stride, (fine + before + stride - 1) // stride)


KEY_SIZE = 5  # sizes stored behind the gaps, for which the tables were filled
CACHED = 3 << 19  # bytes of planes that stay in the cache while they are used


@noinline
def samples_together(samples, lanes, size):
    """The samples of a chunk, a divisor of `samples`: as many as fit the cache, at most half of them.

    Args: lanes: numbers of a vector, which the samples should fill to four fifths at least; size: bytes of one
        sample's planes.
    """
    best = samples
    for count in range(samples, lanes - 1, -1):
        if samples % count == 0 and (count + lanes - 1) // lanes * lanes * 4 <= 5 * count:
            best = count
            if count * size <= CACHED and 2 * count <= samples:
                break
    return best


def tables(places, gaps, pixels, size):
    """Allocate the tables of `fill_places`, for `pixels` pixels and `size` positions in all, or reuse them."""
    if places.size == pixels and gaps.size == size - pixels + KEY_SIZE:
        return places, gaps
    return np.empty(pixels, np.int64), np.full(size - pixels + KEY_SIZE, -1)


@noinline
def fill_places(height, width, before, stride, tall, wide, row, samples, places, gaps):
    """places[W y + x]: where in its channel's planes a pixel lies; gaps: the places at which there is none.

    Args: before: zeros above and to the left of the image; tall, wide: sizes of a plane; row: numbers from one plane
        to the next; gaps: ends with the KEY_SIZE sizes for which the tables were filled: -1 where they are new.
    """
    count, end, new = 0, gaps.size - KEY_SIZE, False
    for k, number in enumerate((height, tall, wide, row, samples)):
        new = new or gaps[end + k] != number
        gaps[end + k] = number
    if not new:
        return
    for a in range(stride[0]):
        for b in range(stride[1]):
            for i in range(tall):
                for j in range(wide):
                    y, x = stride[0] * i + a - before[0], stride[1] * j + b - before[1]
                    at = (a * stride[1] + b) * row + (i * wide + j) * samples
                    if 0 <= y < height and 0 <= x < width:
                        places[y * width + x] = at
                    else:
                        gaps[count] = at
                        count += 1


@noinline
def inside(width, before, stride, remainder):
    """The range of a plane's columns that are pixels of the image."""
    first = max(0, (before - remainder + stride - 1) // stride)
    return first, max(first, (width + before - remainder + stride - 1) // stride)


@noinline
def runs_of(rows, columns, wide, samples):
    """The positions of an image's pixels as (runs, numbers of a run): a run for each row, or one for the whole plane.

    One run is taken where rows are short, or fill their panels of 32 numbers badly.
    """
    whole, row = ((rows - 1) * wide + columns) * samples, columns * samples
    if rows < 1 or columns < 1:
        return 0, 0
    if row < 32 or (row + 31) // 32 * rows > (whole + 31) // 32:
        return 1, whole
    return rows, row


def split(image, shape, places, gaps, phases, start, row, end, planes):
    """planes[start + c phases row + places[p] + n] = image[n, c, p], and 0 elsewhere.

    Args: image: a vector of shape (N, C, H, W); phases: planes of a channel; planes: a vector that begins with `start`
        zeros, then has rows of `row` numbers, one for each plane; end: numbers of a row that belong to places.
    """
    samples, channels = shape[:2]
    planes[:] = 0
    for c, pixels in enumerate(image.reshape(shape).transpose(1, 2, 3, 0).reshape(channels, -1, samples)):
        for n in range(samples):
            planes[start + c * phases * row + places + n] = pixels[:, n]


@kernel
def compiled_split(image, shape, places, gaps, phases, start, row, end, planes):
    """The compiled form of `split`, by square blocks of pixels and samples."""
    channels = shape[1]
    clear_slice(planes, 0, 1, start)
    last = start + channels * phases * row
    clear_slice(planes, last, 1, planes.size - last)
    dispatch(
        split_channels, channels, MOVE_FLOPS * image.size, image, shape, places, gaps, phases, start, row, end, planes
    )  # fmt: skip


@kernel
def split_channels(first, last, image, shape, places, gaps, phases, start, row, end, planes):
    """Split some channels into planes."""
    samples, channels = shape[0], shape[1]
    size, side = places.size, panel_width(planes) // 2
    for c in range(first, last):
        to, from_ = start + c * phases * row, c * size
        for k in range(gaps.size - KEY_SIZE):
            clear_slice(planes, to + gaps[k], 1, samples)
        for phase in range(phases):
            clear_slice(planes, to + phase * row + end, 1, row - end)
        if samples < side or size < side:
            for n in range(samples):
                scatter_slice(image, from_ + n * channels * size, planes, to + n, places, size)
            continue
        for p in range(0, size, side):
            at = min(p, size - side)
            for n in range(0, samples, side):
                m = min(n, samples - side)
                TRANSPOSE(image, m * channels * size + from_ + at, channels * size, planes, to + m, places[at:])


split.compiled_form = compiled_split  # type: ignore[attr-defined]


def join(planes, start, row, places, phases, image, shape):
    """image[n, c, p] = planes[start + c phases row + places[p] + n].

    Args: as of `split`, which this undoes.
    """
    samples, channels = shape[:2]
    pixels = image.reshape((samples, channels, len(places)))
    for c in range(channels):
        for n in range(samples):
            pixels[n, c] = planes[start + c * phases * row + places + n]


@kernel
def compiled_join(planes, start, row, places, phases, image, shape):
    """The compiled form of `join`, by square blocks of pixels and samples."""
    dispatch(join_channels, shape[1], MOVE_FLOPS * image.size, planes, start, row, places, phases, image, shape)


@kernel
def join_channels(first, last, planes, start, row, places, phases, image, shape):
    """Join some channels' planes."""
    samples, channels = shape[0], shape[1]
    size, side = places.size, panel_width(planes) // 2
    for c in range(first, last):
        from_, to = start + c * phases * row, c * size
        if samples < side or size < side:
            for n in range(samples):
                gather_slice(planes, from_ + n, places, image, to + n * channels * size, size)
            continue
        for p in range(0, size, side):
            at = min(p, size - side)
            for n in range(0, samples, side):
                m = min(n, samples - side)
                TRANSPOSE(planes, from_ + m, places[at:], image, m * channels * size + to + at, channels * size)


join.compiled_form = compiled_join  # type: ignore[attr-defined]


@noinline
def add_image(image, out):
    """out += image; vectors."""
    for i in range(out.size):
        out[i] += image[i]


def add_to_planes(bias, planes, start, row, end, places, samples):
    """planes[start + c row + places[p] + n] += bias[c], n < samples, as far as there are biases; end: as of `split`."""
    for c in range(bias.size):
        for place in start + c * row + places:
            planes[place : place + samples] = planes[place : place + samples] + bias[c]


@kernel
def compiled_add_to_planes(bias, planes, start, row, end, places, samples):
    """The compiled form of `add_to_planes`, which adds to the unused positions, too."""
    dispatch(add_to_some_planes, bias.size, MOVE_FLOPS * bias.size * end, bias, planes, start, row, end)


@kernel
def add_to_some_planes(first, last, bias, planes, start, row, end):
    """Add biases to the planes of some channels."""
    for c in range(first, last):
        line, number = planes[start + c * row : start + c * row + end], bias[c]
        for q in range(end):
            line[q] += number


add_to_planes.compiled_form = compiled_add_to_planes  # type: ignore[attr-defined]


def sum_planes(planes, start, row, end, out, add):
    """out[c] (+)= Σ planes[start + c row + q], q < end, as far as out reaches."""
    for c in range(out.size):
        total = planes[start + c * row : start + c * row + end].sum()
        out[c] = out[c] + total if add else total


@kernel
def compiled_sum_planes(planes, start, row, end, out, add):
    """The compiled form of `sum_planes`."""
    dispatch(sum_some_planes, out.size, MOVE_FLOPS * out.size * end, planes, start, row, end, out, add)


@kernel
def sum_some_planes(begin, stop, planes, start, row, end, out, add):
    """Sum the planes of some channels."""
    for c in range(begin, stop):
        total = np.float64(0)
        for at in range(0, end, BLOCK):
            total += sum_slice(planes, start + c * row + at, min(BLOCK, end - at))
        out[c] = out.dtype.type(out[c] + total) if add else out.dtype.type(total)


sum_planes.compiled_form = compiled_sum_planes  # type: ignore[attr-defined]


@noinline
def add_sums(sums, at, out, add):
    """out = Σₖ sums[k, at : at + out.size], or out += it: added up in the order of k."""
    for k in range(sums.shape[0]):
        row = sums[k]
        for i in range(out.size):
            out[i] = out[i] + row[at + i] if add or k > 0 else row[at + i]


def add_to_channels(bias, y):
    """y[n, c, i, j] += bias[c]."""
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            line, number = flat(y[n, c]), bias[c]
            for p in range(line.size):
                line[p] += number


def sum_channels(y, out, add):
    """out[c] = Σ y[n, c, i, j], or out += it."""
    size = y.shape[2] * y.shape[3]
    for n in range(y.shape[0]):
        sum_planes(flat(y), n * y.shape[1] * size, size, size, out, add or n > 0)
