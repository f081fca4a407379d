"""Convolution of each channel by itself: its planes stay in the first cache from where they are made to where they go.

The steps are those of planes.py and shifts.py, for one channel of so many samples after the other. Channels are shared
among threads. Each plain Python function is the meaning of the compiled one below it.
"""

from .kernel import apart, kernel
from .lines import clear_line
from .planes import join, join_channels, split, split_channels
from .products import strip_width
from .shifts import dot_stretches, dot_tile, shifted_dots, shifted_sums, strip_of, sum_strips
from .threads import parts_of, share
from .tiles import line_sum, on_stack

ROOM = 1 << 15  # numbers of a channel's planes, with zeros around them, at most
PLANE = on_stack(lambda lanes: ROOM)


@apart
def samples_of_channel(samples, lanes, size):
    """How many samples a channel's planes hold, of `size` numbers each: a divisor of `samples`, or 0 if too few fit."""
    for count in range(lanes, samples + 1):
        if samples % count == 0 and (count + lanes - 1) // lanes * lanes * 4 <= 5 * count:
            return count if count * size + 128 <= ROOM else 0
    return 0


def channel_sums(
    source, source_shape, places, gaps, start, target, target_shape, target_places, target_start,
    left, bias, terms, met, together, row, end, runs, pitch, count, first, work,
):  # fmt: skip
    """target[n, c, target_places[q]] = Σₖ left[c, k] planes[terms[k] + q + first] + bias[c] of the channel's planes.

    Args: source, target: images as vectors, with their shapes; places, gaps, start, row, end: of `split`, for
        `together` samples; left: (C, terms) as a vector; bias: (C,) or none; met, runs, pitch, count: of
        `shifted_sums`; work: numbers of a channel's planes, at most.
    """
    images, results = source.reshape(source_shape), target.reshape(target_shape)
    size = left.size // source_shape[1]
    planes, sums = source[:0].copy(), source[:0].copy()
    planes.resize(work)
    sums.resize(work)
    for n in range(0, len(images), together):
        for c in range(source_shape[1]):
            image, result = images[n : n + together, c : c + 1], results[n : n + together, c : c + 1].copy()
            split(image.ravel(), image.shape, places, gaps, 1, start, row, end, planes)
            weights = left[c * size : (c + 1) * size]
            shifted_sums(
                weights, 1, 1, planes[first:], 0, terms, size, met, sums, target_start + first, row, runs, pitch, count
            )
            sums[target_start : target_start + end] += bias[c] if bias.size else 0
            join(sums, target_start, row, target_places, 1, result.reshape(-1), result.shape)
            results[n : n + together, c : c + 1] = result


@kernel
def compiled_channel_sums(
    source, source_shape, places, gaps, start, target, target_shape, target_places, target_start,
    left, bias, terms, met, together, row, end, runs, pitch, count, first, work,
):  # fmt: skip
    """The same."""
    channels = source_shape[1]
    parts = min(channels, parts_of(2 * left.size // channels * target.size))
    share(
        sums_of_channels, channels, parts, source, source_shape, places, gaps, start, target, target_shape,
        target_places, target_start, left, bias, terms, met, together, row, end, runs, pitch, count, first,
    )  # fmt: skip


@kernel
def sums_of_channels(
    begin, stop, source, source_shape, places, gaps, start, target, target_shape, target_places, target_start,
    left, bias, terms, met, together, row, end, runs, pitch, count, first,
):  # fmt: skip
    """Some channels."""
    planes, sums = PLANE(source), PLANE(source)
    samples, channels, height, width = source_shape
    size, rows, columns = left.size // channels, target_shape[2], target_shape[3]
    strip = strip_of(1, count, strip_width(target))
    strips = runs * ((count + strip - 1) // strip)
    clear_line(planes, 0, 1, ROOM)
    for n in range(0, samples, together):
        image = source[n * channels * height * width :]
        result = target[n * channels * rows * columns :]
        for c in range(begin, stop):
            split_channels(
                c, c + 1, image, (together, channels, height, width), places, gaps, 1, start - c * row, row, end, planes
            )
            sum_strips(
                0, strips, left[c * size :], 1, 1, planes[first:], 0, terms, size, met,
                sums, target_start + first, row, pitch, count,
            )  # fmt: skip
            if bias.size > 0:
                add_number(bias[c], sums, target_start, end)
            join_channels(
                c, c + 1, sums, target_start - c * row, row, target_places, 1, result,
                (together, channels, rows, columns),
            )  # fmt: skip


channel_sums.compiled_form = compiled_channel_sums  # type: ignore[attr-defined]


@kernel
def add_number(number, numbers, start, count):
    """numbers[start + q] += number, q < count; a vector."""
    line = numbers[start : start + count]
    for q in range(count):
        line[q] += number


def channel_dots(
    fine, fine_shape, places, gaps, coarse, coarse_shape, coarse_places, coarse_gaps, start,
    terms, together, row, end, runs, pitch, count, out, grad_bias, add, work,
):  # fmt: skip
    """out[c, k] (+)= Σₙ Σ coarse[start + q] fine[terms[k] + q] of the channel's planes.

    Args: as of `channel_sums`; out: (C, terms) as a vector; grad_bias: (C,), for the coarse images' sums, or none.
    """
    images, others, size = fine.reshape(fine_shape), coarse.reshape(coarse_shape), out.size // fine_shape[1]
    planes, grad = fine[:0].copy(), fine[:0].copy()
    planes.resize(work)
    grad.resize(work)
    for n in range(0, len(images), together):
        for c in range(fine_shape[1]):
            image, other = images[n : n + together, c : c + 1], others[n : n + together, c : c + 1]
            split(image.ravel(), image.shape, places, gaps, 1, 0, row, end, planes)
            split(other.ravel(), other.shape, coarse_places, coarse_gaps, 1, start, row, end, grad)
            if grad_bias.size:
                grad_bias[c] = (grad_bias[c] if add or n > 0 else 0) + other.sum()
            sums = out[c * size : (c + 1) * size]
            shifted_dots(
                grad, start, row, 1, 1, planes, 0, terms, size, runs, pitch, count, sums, add or n > 0
            )  # fmt: skip


@kernel
def compiled_channel_dots(
    fine, fine_shape, places, gaps, coarse, coarse_shape, coarse_places, coarse_gaps, start,
    terms, together, row, end, runs, pitch, count, out, grad_bias, add, work,
):  # fmt: skip
    """The same."""
    channels = fine_shape[1]
    parts = min(channels, parts_of(2 * out.size // channels * coarse.size))
    share(
        dots_of_channels, channels, parts, fine, fine_shape, places, gaps, coarse, coarse_shape, coarse_places,
        coarse_gaps, start, terms, together, row, end, runs, pitch, count, out, grad_bias, add,
    )  # fmt: skip


@kernel
def dots_of_channels(
    begin, stop, fine, fine_shape, places, gaps, coarse, coarse_shape, coarse_places, coarse_gaps, start,
    terms, together, row, end, runs, pitch, count, out, grad_bias, add,
):  # fmt: skip
    """Some channels."""
    planes, grad = PLANE(fine), PLANE(fine)
    samples, channels, height, width = fine_shape
    size, rows, columns = out.size // channels, coarse_shape[2], coarse_shape[3]
    across = dot_tile(1)[1]
    clear_line(planes, 0, 1, ROOM)
    clear_line(grad, 0, 1, ROOM)
    for n in range(0, samples, together):
        image, other = fine[n * channels * height * width :], coarse[n * channels * rows * columns :]
        for c in range(begin, stop):
            split_channels(
                c, c + 1, image, (together, channels, height, width), places, gaps, 1, -c * row, row, end, planes
            )
            split_channels(
                c, c + 1, other, (together, channels, rows, columns), coarse_places, coarse_gaps, 1, start - c * row,
                row, end, grad,
            )  # fmt: skip
            if grad_bias.size > 0:
                total = line_sum(grad, start, end)
                grad_bias[c] = grad_bias[c] + total if add or n > 0 else total
            dot_stretches(
                0, (size + across - 1) // across, grad, start, row, 1, planes, 0, terms, size,
                runs, pitch, count, out[c * size :], add or n > 0,
            )  # fmt: skip


channel_dots.compiled_form = compiled_channel_dots  # type: ignore[attr-defined]
