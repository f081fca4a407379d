"""Convolutions of images and signals."""

import numpy as np
from bprop.modules import Conv1d, Conv2d, ConvTranspose2d

from .case import Case


def padded(x, before, total):
    """x with zeros around its last axes, `before` of `total` in front."""
    return np.pad(x, [(0, 0), (0, 0), *((b, t - b) for b, t in zip(before, total, strict=True))])


def conv(module, x):
    """Each pixel of y as the sum over its patch."""
    x = padded(x, module.before, module.padded_by)
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

MODULES = [*CONV2D, *CONV1D, *TRANSPOSED]
