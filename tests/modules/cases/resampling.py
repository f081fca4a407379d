"""Images of another size and shape, and the largest of several channels."""

import numpy as np
from bprop.modules import MaxoutChannels, PixelShuffle, Reshape, Upsample, ZeroPad2d

from .case import Case


def zero_pad(module, x):
    return np.pad(x, [(0, 0), (0, 0), (module.top, module.bottom), (module.left, module.right)])


def pixel_shuffle(module, x):
    n, channels, height, width = module.output_shape(x.shape)
    r = module.upscale_factor
    return (
        x.reshape((n, channels, r, r, *x.shape[2:])).transpose((0, 1, 4, 2, 5, 3)).reshape((n, channels, height, width))
    )


def interpolation(module, size, count, factor):
    """The matrix (count, size) of the weights with which pixels of x make those of y, along one axis."""
    matrix = np.zeros((count, size))
    step = 1 / factor if factor else size / count
    for i in range(count):
        if module.nearest:
            matrix[i, min(int(np.floor(i * step)), size - 1)] = 1
            continue
        place = i * (size - 1) / max(count - 1, 1) if module.align_corners else max((i + 0.5) * step - 0.5, 0)
        first = min(int(np.floor(place)), size - 1)
        matrix[i, first] += 1 - (place - first)
        matrix[i, min(first + 1, size - 1)] += place - first
    return matrix


def upsample(module, x):
    _, _, height, width = module.output_shape(x.shape)
    down = interpolation(module, x.shape[2], height, module.factors[0])
    across = interpolation(module, x.shape[3], width, module.factors[1])
    return np.einsum("ik,jl,nckl->ncij", down, across, x)


def reshape(module, x):
    return np.array([sample.ravel().reshape(module.shape) for sample in x])


def maxout_channels(module, x):
    return np.stack([x[:, c : c + module.pieces].max(axis=1) for c in range(0, x.shape[1], module.pieces)], axis=1)


def row(make, shape, reference, torch=None, refused=None, expected=""):
    label = make().label()
    message = f"{label}: x has shape {refused}, {expected}" if refused else ""
    return Case(label, make, shape, refused, message, reference=reference, torch=torch)


def upsample_row(shape, *settings, **names):
    return row(
        lambda: Upsample(*settings, **names),
        shape,
        upsample,
        lambda nn: nn.Upsample(*settings, **{name: value or None for name, value in names.items()}),
        (4, 2),
        "expected (N, C, H, W)",
    )


MODULES = [
    row(
        lambda: ZeroPad2d((1, 0, 2, 3)),
        (4, 2, 3, 2),
        zero_pad,
        lambda nn: nn.ZeroPad2d((1, 0, 2, 3)),
        (4, 2, 3),
        "expected (N, C, H, W)",
    ),
    row(
        lambda: PixelShuffle(2),
        (4, 8, 3, 2),
        pixel_shuffle,
        lambda nn: nn.PixelShuffle(2),
        (4, 6, 3, 2),
        "expected a multiple of 4 channels",
    ),
    upsample_row((4, 2, 3, 4), scale_factor=2),
    upsample_row((4, 2, 3, 4), (5, 2)),
    upsample_row((4, 2, 3, 4), scale_factor=(2.5, 1.5), mode="bilinear"),
    upsample_row((4, 2, 3, 4), (7, 2), mode="bilinear", align_corners=True),
    row(
        lambda: Reshape([2, 3]),
        (4, 3, 2),
        reshape,
        lambda nn: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 3))),
        (4, 5),
        "expected samples of 6 numbers",
    ),
    row(
        lambda: MaxoutChannels(3),
        (4, 6, 2, 2),
        maxout_channels,
        None,
        (4, 4, 2, 2),
        "expected (N, C, ...) with C a multiple of 3",
    ),
]
