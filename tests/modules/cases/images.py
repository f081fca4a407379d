"""Convolutions of images and signals."""

import numpy as np
from bprop.modules import Conv2d

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


def conv_row(settings, shape, refused=None, message="", **names):
    text = ", ".join([*map(str, settings), *(f"{name}={value!r}" for name, value in names.items())])
    return Case(
        f"Conv2d({text})",
        lambda: Conv2d(*settings, **names),
        shape,
        refused,
        message,
        reference=conv,
        torch=lambda nn: nn.Conv2d(*settings, **names),
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

MODULES = [*CONV2D]
