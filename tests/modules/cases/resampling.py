"""Images of another size and shape, and the largest of several channels."""

import numpy as np
from bprop.modules import (
    CircularPad1d,
    CircularPad2d,
    CircularPad3d,
    ConstantPad1d,
    ConstantPad2d,
    ConstantPad3d,
    MaxoutChannels,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    Reshape,
    Transpose,
    Upsample,
    ZeroPad1d,
    ZeroPad2d,
    ZeroPad3d,
)

from .case import Case

NUMPYS_MODES = {"Reflection": "reflect", "Replication": "edge", "Circular": "wrap"}


def pad(module, x):
    sides = [(module.front, module.back), (module.top, module.bottom), (module.left, module.right)]
    sides = [(0, 0), (0, 0), *sides[5 - x.ndim :]]
    mode = NUMPYS_MODES.get(type(module).__name__.partition("Pad")[0])
    return np.pad(x, sides, mode=mode) if mode else np.pad(x, sides, constant_values=module.value)


def pixel_shuffle(module, x):
    n, channels, height, width = module.output_shape(x.shape)
    r = module.upscale_factor
    return (
        x.reshape((n, channels, r, r, *x.shape[2:])).transpose((0, 1, 4, 2, 5, 3)).reshape((n, channels, height, width))
    )


def cubic(t):
    """Keys's cubic with a = -3/4."""
    t, a = abs(t), -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0


def interpolation(module, size, count, factor):
    """The matrix (count, size) of the weights with which places of x make those of y, along one axis."""
    matrix = np.zeros((count, size))
    step = 1 / factor if factor else size / count
    for i in range(count):
        if module.mode == "area":
            first, end = i * size // count, -(-(i + 1) * size // count)
            matrix[i, first:end] = 1 / (end - first)
            continue
        if module.mode.startswith("nearest"):
            place = (i + 0.5) * step if module.mode == "nearest-exact" else i * step
            matrix[i, min(int(np.floor(place)), size - 1)] = 1
            continue
        place = i * (size - 1) / max(count - 1, 1) if module.align_corners else (i + 0.5) * step - 0.5
        if module.mode == "bicubic":
            for k in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
                matrix[i, np.clip(k, 0, size - 1)] += cubic(place - k)
            continue
        place = max(place, 0)
        first = min(int(np.floor(place)), size - 1)
        matrix[i, first] += 1 - (place - first)
        matrix[i, min(first + 1, size - 1)] += place - first
    return matrix


def upsample(module, x):
    """The product of x with such a matrix along each of its axes of places."""
    for axis, count in list(enumerate(module.output_shape(x.shape)))[2:]:
        matrix = interpolation(module, x.shape[axis], count, module.factors[axis - x.ndim])
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x


def pixel_unshuffle(module, x):
    r, (n, channels, height, width) = module.downscale_factor, x.shape
    blocks = x.reshape((n, channels, height // r, r, width // r, r)).transpose((0, 1, 3, 5, 2, 4))
    return blocks.reshape((n, channels * r * r, height // r, width // r))


def reshape(module, x):
    return np.array([sample.ravel().reshape(module.shape) for sample in x])


def maxout_channels(module, x):
    return np.stack([x[:, c : c + module.pieces].max(axis=1) for c in range(0, x.shape[1], module.pieces)], axis=1)


def row(make, shape, reference, torch=None, refused=None, expected=""):
    label = make().label()
    message = f"{label}: x has shape {refused}, {expected}" if refused else ""
    return Case(label, make, shape, refused, message, reference=reference, torch=torch)


def upsample_row(expected, shape, *settings, **names):
    return row(
        lambda: Upsample(*settings, **names),
        shape,
        upsample,
        lambda nn: nn.Upsample(*settings, **{name: value or None for name, value in names.items()}),
        (4, 2),
        f"expected {expected}",
    )


def pad_row(cls, padding, shape, refused=None, expected=""):
    return row(lambda: cls(padding), shape, pad, lambda nn: getattr(nn, cls.__name__)(padding), refused, expected)


def torch_permute(dims):
    def make(nn):
        class Permuted(nn.Module):
            def forward(self, x):
                return x.permute(dims)

        return Permuted()

    return make


PADS_3D = (ReflectionPad3d, ReplicationPad3d, CircularPad3d, ZeroPad3d)
PADS_2D = (ReflectionPad2d, ReplicationPad2d, CircularPad2d)
PADS_1D = (ReflectionPad1d, ReplicationPad1d, CircularPad1d, ZeroPad1d)
ANY = "(N, C, L), (N, C, H, W) or (N, C, D, H, W)"

MODULES = [
    row(
        lambda: ZeroPad2d((1, 0, 2, 3)),
        (4, 2, 3, 2),
        pad,
        lambda nn: nn.ZeroPad2d((1, 0, 2, 3)),
        (4, 2, 3),
        "expected (N, C, H, W)",
    ),
    *(pad_row(cls, (1, 0, 2, 1), (4, 2, 3, 2), (4, 2, 3), "expected (N, C, H, W)") for cls in PADS_2D),
    *(pad_row(cls, (2, 1), (4, 2, 3), (4, 2, 3, 2), "expected (N, C, L)") for cls in PADS_1D),
    *(pad_row(cls, (1, 0, 2, 1, 1, 2), (2, 2, 3, 3, 2), (4, 2, 3, 2), "expected (N, C, D, H, W)") for cls in PADS_3D),
    *(pad_row(cls, 0, shape) for cls, shape in ((ReflectionPad2d, (2, 1, 1, 2)), (CircularPad1d, (2, 1, 2)))),
    row(
        lambda: ConstantPad2d((0, 2, 1, 0), -1.5),
        (4, 2, 3, 2),
        pad,
        lambda nn: nn.ConstantPad2d((0, 2, 1, 0), -1.5),
        (4, 2, 3),
        "expected (N, C, H, W)",
    ),
    row(lambda: ConstantPad3d(1, 0.5), (2, 2, 3, 2, 1), pad, lambda nn: nn.ConstantPad3d(1, 0.5)),
    row(lambda: ConstantPad1d(2, 0.5), (4, 2, 3), pad, lambda nn: nn.ConstantPad1d(2, 0.5)),
    row(
        lambda: PixelShuffle(2),
        (4, 8, 3, 2),
        pixel_shuffle,
        lambda nn: nn.PixelShuffle(2),
        (4, 6, 3, 2),
        "expected a multiple of 4 channels",
    ),
    row(
        lambda: PixelUnshuffle(2),
        (4, 3, 4, 6),
        pixel_unshuffle,
        lambda nn: nn.PixelUnshuffle(2),
        (4, 3, 4, 5),
        "expected multiples of 2 places",
    ),
    row(
        lambda: Permute((0, 2, -1, 1)),
        (4, 2, 3, 5),
        lambda module, x: x.transpose(module.dims),
        torch_permute((0, 2, 3, 1)),
        (4, 2, 3),
        "expected 4 axes",
    ),
    row(lambda: Permute([0, 2, 1]), (4, 2, 3), lambda module, x: x.transpose(module.dims), torch_permute((0, 2, 1))),
    row(
        lambda: Transpose(1, -1),
        (4, 2, 3, 5),
        lambda module, x: x.swapaxes(module.dim0, module.dim1),
        torch_permute((0, 3, 2, 1)),
        (4,),
        "which has no axis 1",
    ),
    row(
        lambda: Transpose(1, 2),
        (4, 2, 3),
        lambda module, x: x.swapaxes(1, 2),
        torch_permute((0, 2, 1)),
        (4, 2),
        "which has no axis 2",
    ),
    upsample_row(ANY, (4, 2, 3, 4), scale_factor=2),
    upsample_row(ANY, (4, 2, 3, 4), (5, 2)),
    upsample_row(ANY, (4, 2, 3, 5), (8, 2), mode="nearest-exact"),
    upsample_row("(N, C, H, W)", (4, 2, 3, 4), scale_factor=(2.5, 1.5), mode="bilinear"),
    upsample_row("(N, C, H, W)", (4, 2, 3, 4), (7, 2), mode="bilinear", align_corners=True),
    upsample_row("(N, C, H, W)", (4, 2, 3, 4), scale_factor=(2, 3), mode="bicubic"),
    upsample_row("(N, C, H, W)", (4, 2, 3, 4), (7, 2), mode="bicubic", align_corners=True),
    upsample_row(ANY, (4, 2, 5, 3), (3, 4), mode="area"),
    upsample_row(ANY, (4, 2, 5), scale_factor=1.7),
    upsample_row(ANY, (4, 2, 5), 3, mode="nearest-exact"),
    upsample_row("(N, C, L)", (4, 2, 5), 8, mode="linear"),
    upsample_row("(N, C, L)", (4, 2, 5), scale_factor=2.5, mode="linear", align_corners=True),
    upsample_row("(N, C, D, H, W)", (3, 2, 2, 3, 4), scale_factor=(2.5, 0.7, 1.5), mode="trilinear"),
    upsample_row("(N, C, D, H, W)", (3, 2, 2, 3, 4), (3, 4, 2), mode="trilinear", align_corners=True),
    upsample_row(ANY, (3, 2, 4, 3, 5), 3, mode="area"),
    upsample_row(ANY, (3, 2, 2, 3, 4), scale_factor=(1.5, 2, 2), mode="nearest-exact"),
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
