"""Pooling of images and signals."""

import numpy as np
from bprop.modules import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)

from .case import Case


def windows(module, x):
    """For each pixel (r, c) of y: the places of its window inside x, and how many it has with the padding."""
    (k, m), (s, t), (p, q), (d, e) = module.kernel_size, module.stride, module.padding, module.dilation
    _, _, rows, columns = module.output_shape(x.shape) if x.ndim == 4 else (0, 0, 1, module.output_shape(x.shape)[2])
    height, width = (1, *x.shape[2:])[-2:]
    for r in range(rows):
        for c in range(columns):
            tall = [s * r - p + d * i for i in range(k) if s * r - p + d * i < height + p]
            wide = [t * c - q + e * j for j in range(m) if t * c - q + e * j < width + q]
            inside = np.ix_([i for i in tall if 0 <= i < height], [j for j in wide if 0 <= j < width])
            yield r, c, inside, len(tall) * len(wide)


def pooled(module, x, value):
    image = x if x.ndim == 4 else x[:, :, None]
    cells = [(r, c, value(image[(..., *inside)], count)) for r, c, inside, count in windows(module, x)]
    y = np.empty((*x.shape[:2], 1 + cells[-1][0], 1 + cells[-1][1]))
    for r, c, numbers in cells:
        y[:, :, r, c] = numbers
    return y if x.ndim == 4 else y[:, :, 0]


def max_pool(module, x):
    return pooled(module, x, lambda patch, count: patch.max(axis=(2, 3)))


def avg_pool(module, x):
    def mean(patch, count):
        places = count if module.count_include_pad else patch[0, 0].size
        return patch.sum(axis=(2, 3)) / (module.divisor_override or places)

    return pooled(module, x, mean)


def adaptive(module, x, value=np.mean):
    image = x if x.ndim == 4 else x[:, :, None]
    rows, columns = (1, *module.output_shape(x.shape)[2:])[-2:]
    height, width = image.shape[2:]
    y = np.empty((*x.shape[:2], rows, columns))
    for r in range(rows):
        for c in range(columns):
            tall = slice(int(np.floor(r * height / rows)), int(np.ceil((r + 1) * height / rows)))
            wide = slice(int(np.floor(c * width / columns)), int(np.ceil((c + 1) * width / columns)))
            y[:, :, r, c] = value(image[:, :, tall, wide], axis=(2, 3))
    return y if x.ndim == 4 else y[:, :, 0]


def adaptive_max(module, x):
    return adaptive(module, x, np.max)


def pool_volumes(module, x, value):
    """Each place of y from its window, in which places outside of the volume are NaN."""
    y = np.empty(module.output_shape(x.shape))
    room = [(0, 0), (0, 0), *((p, p) for p in module.padding)]
    far = [
        (0, 0),
        (0, 0),
        *((0, s + d * k) for s, d, k in zip(module.stride, module.dilation, module.kernel_size, strict=True)),
    ]
    padded = np.pad(x, room, constant_values=np.nan)
    counted = np.pad(np.ones(padded.shape), far)
    padded = np.pad(padded, far, constant_values=np.nan)
    for place in np.ndindex(y.shape[2:]):
        window = tuple(
            slice(s * q, s * q + d * (k - 1) + 1, d)
            for q, s, d, k in zip(place, module.stride, module.dilation, module.kernel_size, strict=True)
        )
        where = (slice(None), slice(None), *window)
        y[(..., *place)] = value(padded[where], counted[where][0, 0].sum())
    return y


def max_pool_volumes(module, x):
    return pool_volumes(module, x, lambda window, count: np.nanmax(window, axis=(2, 3, 4)))


def avg_pool_volumes(module, x):
    def mean(window, count):
        places = count if module.count_include_pad else np.isfinite(window[0, 0]).sum()
        return np.nansum(window, axis=(2, 3, 4)) / (module.divisor_override or places)

    return pool_volumes(module, x, mean)


def global_avg(module, x):
    return x.reshape((*x.shape[:2], -1)).mean(axis=2)


def global_max(module, x):
    return x.reshape((*x.shape[:2], -1)).max(axis=2)


def global_row(cls, reference, shape, torch):
    refused = (4, 3)
    message = f"{cls.__name__}(): x has shape (4, 3), expected (N, C, places ...)"
    return Case(f"{cls.__name__} {len(shape)}", cls, shape, refused, message, reference=reference, torch=torch)


def row(cls, reference, settings, shape, refused=None, message="", **names):
    text = ", ".join([*map(str, settings), *(f"{name}={value}" for name, value in names.items())])
    return Case(
        f"{cls.__name__}({text})",
        lambda: cls(*settings, **names),
        shape,
        refused,
        message,
        reference=reference,
        torch=lambda nn: getattr(nn, cls.__name__)(*settings, **names),
    )


MODULES = [
    row(
        MaxPool2d,
        max_pool,
        (2,),
        (4, 3, 6, 5),
        (4, 3, 1, 5),
        "MaxPool2d(kernel_size=2): x has shape (4, 3, 1, 5), expected an image that fills each window",
    ),
    row(MaxPool2d, max_pool, ((3, 2), (2, 1), 1, (1, 2)), (4, 2, 6, 5), ceil_mode=True),
    row(
        MaxPool1d,
        max_pool,
        (3, 2, 1),
        (4, 2, 8),
        (4, 2, 8, 8),
        "MaxPool1d(kernel_size=3, stride=2, padding=1): x has shape (4, 2, 8, 8), expected (N, C, L)",
    ),
    row(
        AvgPool2d,
        avg_pool,
        (2,),
        (4, 3, 6, 5),
        (3, 6, 5),
        "AvgPool2d(kernel_size=2): x has shape (3, 6, 5), expected (N, C, H, W)",
    ),
    row(AvgPool2d, avg_pool, ((3, 2), 2, 1), (4, 2, 6, 5), ceil_mode=True),
    row(AvgPool2d, avg_pool, (3, 2, 1), (4, 2, 6, 5), count_include_pad=False),
    row(AvgPool2d, avg_pool, (2, 1), (4, 2, 4, 3), divisor_override=3),
    row(AvgPool1d, avg_pool, (3, 2, 1), (4, 2, 8)),
    row(
        AdaptiveAvgPool2d,
        adaptive,
        ((2, 3),),
        (4, 2, 5, 7),
        (4, 2, 5),
        "AdaptiveAvgPool2d((2, 3)): x has shape (4, 2, 5), expected (N, C, H, W)",
    ),
    row(AdaptiveAvgPool2d, adaptive, ((None, 4),), (4, 2, 5, 3)),
    row(
        AdaptiveAvgPool1d,
        adaptive,
        (3,),
        (4, 2, 7),
        (4, 2, 5, 5),
        "AdaptiveAvgPool1d(3): x has shape (4, 2, 5, 5), expected (N, C, L)",
    ),
    row(
        AdaptiveMaxPool2d,
        adaptive_max,
        ((2, 3),),
        (4, 2, 5, 7),
        (4, 2, 5),
        "AdaptiveMaxPool2d((2, 3)): x has shape (4, 2, 5), expected (N, C, H, W)",
    ),
    row(AdaptiveMaxPool2d, adaptive_max, ((None, 4),), (4, 2, 5, 3)),
    row(
        AdaptiveMaxPool1d,
        adaptive_max,
        (3,),
        (4, 2, 7),
        (4, 2, 5, 5),
        "AdaptiveMaxPool1d(3): x has shape (4, 2, 5, 5), expected (N, C, L)",
    ),
    row(
        MaxPool3d,
        max_pool_volumes,
        (2,),
        (3, 2, 3, 4, 5),
        (3, 2, 3, 1, 5),
        "MaxPool3d(kernel_size=2): x has shape (3, 2, 3, 1, 5), expected a volume that fills each window",
    ),
    row(MaxPool3d, max_pool_volumes, ((2, 3, 2), (1, 2, 2), 1, (1, 1, 2)), (3, 2, 3, 4, 5), ceil_mode=True),
    row(
        AvgPool3d,
        avg_pool_volumes,
        (2,),
        (3, 2, 3, 4, 5),
        (3, 2, 4, 5),
        "AvgPool3d(kernel_size=2): x has shape (3, 2, 4, 5), expected (N, C, D, H, W)",
    ),
    row(AvgPool3d, avg_pool_volumes, ((2, 3, 2), (1, 2, 2), 1), (3, 2, 3, 4, 5), ceil_mode=True),
    row(AvgPool3d, avg_pool_volumes, (3, 2, 1), (3, 2, 4, 3, 4), count_include_pad=False),
    row(AvgPool3d, avg_pool_volumes, (2, 1), (3, 2, 3, 2, 3), divisor_override=3),
    global_row(GlobalAvgPool, global_avg, (4, 3, 5), lambda nn: nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())),
    global_row(
        GlobalAvgPool, global_avg, (4, 3, 2, 3, 2), lambda nn: nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())
    ),
    global_row(GlobalMaxPool, global_max, (4, 3, 5), lambda nn: nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten())),
    global_row(
        GlobalMaxPool, global_max, (4, 3, 2, 3), lambda nn: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
    ),
]
