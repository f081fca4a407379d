"""Images as planes in which a convolution is nothing but sums of shifted rows.

The images of one channel, with zeros around each, lie one after the other in one long row; with strides (s, t), the
pixels (s r + a, t c + b) have a row of their own for each remainder (a, b). So whatever the padding, stride or
dilation, term (i, j) of a patch lies at one fixed distance from where the patch begins, for all pixels of all images.
"""

import numpy as np

from .kernel import apart, kernel
from .lines import clear_line, copy_line


def split(image, shape, before, stride, tall, wide, start, row, planes):
    """planes[c, a, b, n, i, j] = image[n, c, s i + a - before, t j + b - before], and 0 where the image has no pixel.

    Args: image: a vector of shape (N, C, H, W); tall, wide: sizes of a plane; planes: a vector that begins with `start`
        zeros, then has rows of `row` numbers, one for each (c, a, b), with zeros after the N planes.
    """
    (samples, channels, height, width), (s, t) = shape, stride
    padded = np.zeros((samples, channels, tall * s + before[0] + height, wide * t + before[1] + width), image.dtype)
    padded[:, :, before[0] : before[0] + height, before[1] : before[1] + width] = image.reshape(shape)
    padded = padded[:, :, : tall * s, : wide * t].reshape((samples, channels, tall, s, wide, t))
    planes[:] = 0
    rows = planes[start : start + channels * s * t * row].reshape((channels * s * t, row))
    rows[:, : samples * tall * wide] = padded.transpose((1, 3, 5, 0, 2, 4)).reshape((len(rows), -1))


@kernel
def compiled_split(image, shape, before, stride, tall, wide, start, row, planes):
    """The same, line by line."""
    (samples, channels, height, width), (s, t) = shape, stride
    clear_line(planes, 0, 1, start)
    for line in range(channels * s * t):
        c, a, b = line // (s * t), line // t % s, line % t
        at, size = start + line * row, samples * tall * wide
        first, last = inside(width, before[1], t, b)
        for n in range(samples):
            for i in range(tall):
                y, to = s * i + a - before[0], at + (n * tall + i) * wide
                if y < 0 or y >= height:
                    clear_line(planes, to, 1, wide)
                else:
                    clear_line(planes, to, 1, first)
                    from_ = ((n * channels + c) * height + y) * width + t * first + b - before[1]
                    copy_line(image, from_, t, planes, to + first, 1, last - first)
                    clear_line(planes, to + last, 1, wide - last)
        clear_line(planes, at + size, 1, row - size)


split.compiled_form = compiled_split  # type: ignore[attr-defined]


def join(planes, start, row, before, stride, tall, wide, image, shape):
    """image[n, c, s i + a - before, t j + b - before] = planes[c, a, b, n, i, j].

    Args: as of `split`, which this undoes; the planes hold all pixels of the image.
    """
    (samples, channels, height, width), (s, t) = shape, stride
    rows = planes[start : start + channels * s * t * row].reshape((channels * s * t, row))[:, : samples * tall * wide]
    padded = rows.reshape((channels, s, t, samples, tall, wide)).transpose((3, 0, 4, 1, 5, 2))
    padded = padded.reshape((samples, channels, tall * s, wide * t))
    image.reshape(shape)[:] = padded[:, :, before[0] : before[0] + height, before[1] : before[1] + width]


@kernel
def compiled_join(planes, start, row, before, stride, tall, wide, image, shape):
    """The same, line by line."""
    (samples, channels, height, width), (s, t) = shape, stride
    for b in range(t):
        first, last = inside(width, before[1], t, b)
        for line in range(samples * channels * height):
            n, c, y = line // (channels * height), line // height % channels, line % height
            a, i = (y + before[0]) % s, (y + before[0]) // s
            at, to = start + ((c * s + a) * t + b) * row + (n * tall + i) * wide, line * width + b - before[1]
            copy_line(planes, at + first, 1, image, to + t * first, t, last - first)


join.compiled_form = compiled_join  # type: ignore[attr-defined]


def plane_size(coarse, fine, before, reach, stride):
    """Rows of a plane, by those of the coarse and the fine image: all patches and all pixels are in it."""
    return max(coarse + reach // stride, (fine + before + stride - 1) // stride)


@kernel
def inside(width, before, stride, remainder):
    """Of a plane's columns, the first one that is a pixel of the image, and the one after the last."""
    first = max(0, (before - remainder + stride - 1) // stride)
    return first, max(first, (width + before - remainder + stride - 1) // stride)


@apart
def add_to_channels(bias, y):
    """y[n, c, i, j] += bias[c]."""
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    y[n, c, i, j] += bias[c]


@apart
def sum_channels(y, out, add):
    """out[c] = Σ y[n, c, i, j], or out += it."""
    if not add:
        out[:] = 0
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            total = out.dtype.type(0)
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    total += y[n, c, i, j]
            out[c] += total
