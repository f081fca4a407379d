"""Convolutions of images and signals."""

import itertools

import numpy as np
from bprop.modules import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, Fold, Unfold

from .case import Case


def padded(x, before, total):
    """x with zeros around its last axes, `before` of `total` in front."""
    return np.pad(x, [(0, 0), (0, 0), *((b, t - b) for b, t in zip(before, total, strict=True))])


NUMPYS_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def conv(module, x):
    """Each pixel of y as the sum over its patch."""
    x = padded(x, module.before, module.padded_by)
    if module.padding_mode != "zeros":
        left, right, top, bottom = module.sides
        x = np.pad(x, [(0, 0), (0, 0), (top, bottom), (left, right)], mode=NUMPYS_MODES[module.padding_mode])
    (s, t), (d, e), (k, m) = module.stride, module.dilation, module.kernel_size
    weight, out = module.weight, module.coarse_channels // module.groups
    inner, rows, columns = (
        weight.shape[1],
        (x.shape[2] - d * (k - 1) - 1) // s + 1,
        (x.shape[3] - e * (m - 1) - 1) // t + 1,
    )
    y = np.empty((len(x), len(weight), rows, columns))
    for o in range(len(weight)):
        channels = slice(o // out * inner, (o // out + 1) * inner)
        for r in range(rows):
            for c in range(columns):
                patch = x[:, channels, s * r : s * r + d * (k - 1) + 1 : d, t * c : t * c + e * (m - 1) + 1 : e]
                y[:, o, r, c] = (patch * weight[o]).sum(axis=(1, 2, 3))
    return y if module.bias is None else y + module.bias[:, None, None]


def conv_signal(module, x):
    """The same for a signal, an image of one row."""
    twin = Conv2d(module.in_channels, module.out_channels, module.kernel_size, groups=module.groups).to("float64")
    twin.weight, twin.stride, twin.dilation = module.weight[:, :, None], module.stride, module.dilation
    twin.bias = np.zeros(module.out_channels) if module.bias is None else module.bias
    twin.before, twin.padded_by = module.before, module.padded_by
    twin.sides, twin._padding_mode = module.sides, module.padding_mode
    return conv(twin, x[:, :, None])[:, :, 0]


def conv_transpose(module, x):
    """Each pixel of x adds its kernels to y."""
    (s, t), (d, e), (k, m), (p, q) = module.stride, module.dilation, module.kernel_size, module.before
    _, out, height, width = module.output_shape(x.shape)
    tall, wide = (x.shape[2] - 1) * s + d * (k - 1) + 1, (x.shape[3] - 1) * t + e * (m - 1) + 1
    y = np.zeros((len(x), out, max(tall, p + height), max(wide, q + width)))
    weight, inner = module.weight, out // module.groups
    for c in range(module.in_channels):
        first = c // (module.in_channels // module.groups) * inner
        for r in range(x.shape[2]):
            for j in range(x.shape[3]):
                place = y[:, first : first + inner, s * r : s * r + tall, t * j : t * j + wide]
                place[:, :, : d * (k - 1) + 1 : d, : e * (m - 1) + 1 : e] += x[:, c, r, j, None, None, None] * weight[c]
    y = y[:, :, p : p + height, q : q + width]
    return y if module.bias is None else y + module.bias[:, None, None]


def conv_transpose_signal(module, x):
    """The same for a signal."""
    settings = module.kernel_size, module.stride, module.before, module.output_padding, module.groups, False
    twin = ConvTranspose2d(module.in_channels, module.out_channels, *settings, module.dilation).to("float64")
    twin.weight = module.weight[:, :, None]
    y = conv_transpose(twin, x[:, :, None])[:, :, 0]
    return y if module.bias is None else y + module.bias[:, None]


def conv_volumes(module, x):
    """Each place of y as the sum over its patch."""
    x = padded(x, module.before, module.padded_by)
    y, out = (
        np.empty((*x.shape[:1], *module.output_shape(unpadded_shape(module, x))[1:])),
        module.out_channels // module.groups,
    )
    inner = module.weight.shape[1]
    for place in np.ndindex(y.shape[2:]):
        patch = tuple(
            slice(s * q, s * q + d * (k - 1) + 1, d)
            for q, s, d, k in zip(place, module.stride, module.dilation, module.kernel_size, strict=True)
        )
        for o, kernel in enumerate(module.weight):
            channels = slice(o // out * inner, (o // out + 1) * inner)
            y[(slice(None), o, *place)] = (x[(slice(None), channels, *patch)] * kernel).sum(axis=(1, 2, 3, 4))
    return y if module.bias is None else y + module.bias[:, None, None, None]


def unpadded_shape(module, x):
    return (*x.shape[:2], *(size - pad for size, pad in zip(x.shape[2:], module.padded_by, strict=True)))


def patches(module, height, width):
    """For each patch: the places of an image with its padding that it has, for each place of a kernel."""
    (k, m), (s, t), (p, q), (d, e) = module.kernel_size, module.stride, module.padding, module.dilation
    rows = range(0, height + 2 * p - d * (k - 1), s)
    columns = range(0, width + 2 * q - e * (m - 1), t)
    for a, b in itertools.product(range(k), range(m)):
        yield [(r + d * a, c + e * b) for r in rows for c in columns]


def unfold(module, x):
    (p, q), (height, width) = module.padding, x.shape[2:]
    image = np.pad(x, [(0, 0), (0, 0), (p, p), (q, q)])
    columns = [[image[:, :, i, j] for i, j in places] for places in patches(module, height, width)]
    y = np.array(columns).transpose((2, 3, 0, 1))  # (N, C, places of the kernel, patches)
    return y.reshape((len(x), -1, y.shape[3]))


def fold(module, x):
    (p, q), (height, width), size = module.padding, module.output_size, np.prod(module.kernel_size)
    columns = x.reshape((len(x), -1, size, x.shape[2]))
    y = np.zeros((*columns.shape[:2], height + 2 * p, width + 2 * q))
    for a, places in enumerate(patches(module, height, width)):
        for k, (i, j) in enumerate(places):
            y[:, :, i, j] += columns[:, :, a, k]
    return y[:, :, p : p + height, q : q + width]


def conv_row(settings, shape, refused=None, message="", cls=Conv2d, reference=conv, **names):
    text = ", ".join([*map(str, settings), *(f"{name}={value!r}" for name, value in names.items())])
    return Case(
        f"{cls.__name__}({text})",
        lambda: cls(*settings, **names),
        shape,
        refused,
        message,
        reference=reference,
        torch=lambda nn: getattr(nn, cls.__name__)(*settings, **names),
    )


def causal_twin(nn, module, zeros):
    """PyTorch's convolution with zeros before the signal, and its names of parameters."""

    class Causal(type(module)):
        def forward(self, x):
            return super().forward(nn.functional.pad(x, (zeros, 0)))

    module.__class__ = Causal
    return module


CONV2D = [
    conv_row(
        (2, 5, 3),
        (4, 2, 6, 5),
        (4, 3, 6, 5),
        "Conv2d(2 -> 5, kernel_size=3, padding=1): x has shape (4, 3, 6, 5), expected (N, 2, H, W)",
        padding=1,
    ),
    conv_row((4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), (4, 4, 5, 6)),
    conv_row(
        (3, 6, 3),
        (4, 3, 4, 3),
        (4, 3, 4, 2),
        "Conv2d(3 -> 6, kernel_size=3, groups=3, bias=False): x has shape (4, 3, 4, 2), "
        "expected at least 3 by 3 places",
        groups=3,
        bias=False,
    ),
]

CONV1D = [
    conv_row(
        (2, 4, 3),
        (4, 2, 7),
        (4, 2, 7, 7),
        "Conv1d(2 -> 4, kernel_size=3, stride=2, padding=1): x has shape (4, 2, 7, 7), expected (N, 2, L)",
        Conv1d,
        conv_signal,
        stride=2,
        padding=1,
    ),
    conv_row(
        (4, 4, 3),
        (4, 4, 5),
        (4, 4, 1),
        "Conv1d(4 -> 4, kernel_size=3, padding=1, dilation=2, groups=2, bias=False): x has shape (4, 4, 1), "
        "expected at least 3 places",
        Conv1d,
        conv_signal,
        padding=(1,),
        dilation=2,
        groups=2,
        bias=False,
    ),
    Case(
        "Conv1d, causal",
        lambda: Conv1d(2, 3, 3, padding="causal", dilation=2),
        (3, 2, 7),
        (3, 3, 7),
        "Conv1d(2 -> 3, kernel_size=3, padding=causal, dilation=2): x has shape (3, 3, 7), expected (N, 2, L)",
        reference=conv_signal,
        torch=lambda nn: causal_twin(nn, nn.Conv1d(2, 3, 3, dilation=2), 4),
    ),
    Case(
        "Conv1d, causal, stride 2",
        lambda: Conv1d(2, 4, 2, 2, "causal", groups=2),
        (3, 2, 5),
        reference=conv_signal,
    ),
]

TRANSPOSED = [
    conv_row(
        (3, 2, 3),
        (4, 3, 4, 3),
        (4, 2, 4, 3),
        "ConvTranspose2d(3 -> 2, kernel_size=3): x has shape (4, 2, 4, 3), expected (N, 3, H, W)",
        ConvTranspose2d,
        conv_transpose,
    ),
    conv_row((4, 6, (3, 2), (2, 3), 1, (1, 2), 2, False), (4, 4, 3, 4), None, "", ConvTranspose2d, conv_transpose),
]

AROUND = [
    conv_row(
        (2, 3, 3),
        (4, 2, 4, 3),
        (4, 2, 4, 1),
        "Conv2d(2 -> 3, kernel_size=3, padding=1, padding_mode='reflect'): x has shape (4, 2, 4, 1), "
        "expected at least 2 places beside a padding of 1",
        padding=1,
        padding_mode="reflect",
    ),
    conv_row((2, 3, (2, 3), (1, 2), (1, 2)), (4, 2, 4, 3), padding_mode="circular", bias=False),
    conv_row((2, 3, (1, 3)), (4, 2, 4, 5), padding="same", padding_mode="replicate", dilation=(2, 1)),
    conv_row(
        (2, 3, 3),
        (4, 2, 5),
        (4, 2, 1),
        "Conv1d(2 -> 3, kernel_size=3, padding=2, padding_mode='circular'): x has shape (4, 2, 1), "
        "expected at least 2 places beside a padding of 2",
        Conv1d,
        conv_signal,
        padding=2,
        padding_mode="circular",
    ),
    conv_row((4, 2, 3, 2, 1, 1, 2), (4, 4, 5), None, "", Conv1d, conv_signal, padding_mode="reflect"),
]

SIGNALS = [
    conv_row(
        (3, 2, 3),
        (4, 3, 4),
        (4, 3, 4, 3),
        "ConvTranspose1d(3 -> 2, kernel_size=3): x has shape (4, 3, 4, 3), expected (N, 3, L)",
        ConvTranspose1d,
        conv_transpose_signal,
    ),
    conv_row((4, 6, 3, 3, 1, 2, 2, False, 2), (4, 4, 5), None, "", ConvTranspose1d, conv_transpose_signal),
]

VOLUMES = [
    conv_row(
        (2, 3, 2),
        (3, 2, 3, 4, 3),
        (3, 2, 4, 3),
        "Conv3d(2 -> 3, kernel_size=2): x has shape (3, 2, 4, 3), expected (N, 2, D, H, W)",
        Conv3d,
        conv_volumes,
    ),
    conv_row((4, 6, (3, 2, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), 2), (3, 4, 3, 4, 2), None, "", Conv3d, conv_volumes),
    conv_row(
        (2, 2, 3),
        (3, 2, 4, 3, 3),
        (3, 2, 4, 3, 2),
        "Conv3d(2 -> 2, kernel_size=3, bias=False): x has shape (3, 2, 4, 3, 2), expected at least 3 by 3 by 3 places",
        Conv3d,
        conv_volumes,
        bias=False,
    ),
    conv_row((2, 2, (1, 3, 3)), (3, 2, 3, 2, 3), None, "", Conv3d, conv_volumes, padding="same"),
]

PATCHES = [
    conv_row(
        (2,),
        (4, 2, 3, 4),
        (4, 2, 1, 4),
        "Unfold(kernel_size=2): x has shape (4, 2, 1, 4), expected an image of at least one patch",
        Unfold,
        unfold,
    ),
    conv_row(((2, 3), (1, 2), (1, 2), (2, 1)), (4, 2, 3, 4), None, "", Unfold, unfold),
    conv_row(
        ((3, 4), 2),
        (4, 8, 6),
        (4, 6, 6),
        "Fold(output_size=(3, 4), kernel_size=2): x has shape (4, 6, 6), expected (N, a multiple of 4, 6)",
        Fold,
        fold,
    ),
    conv_row(((3, 4), (2, 3), (1, 2), (1, 2), (2, 1)), (4, 12, 8), None, "", Fold, fold),
]

MODULES = [*CONV2D, *CONV1D, *TRANSPOSED, *AROUND, *SIGNALS, *VOLUMES, *PATCHES]
