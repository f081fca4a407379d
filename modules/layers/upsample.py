"""Signals, images and volumes of another size, their places repeated, interpolated or averaged."""

import math
from typing import Literal

import numpy as np

from ..core.module import Module
from ..core.shapes import Sizes, collapse_sizes
from ..kernels.buffers import flat, replace_size, reuse, reuse_like
from ..kernels.interpolation import fill_even_taps, fill_taps, resample, resample_back

Mode = Literal["nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear"]
TAPS = {"nearest": 1, "nearest-exact": 1, "area": 0, "linear": 2, "bilinear": 2, "bicubic": 4, "trilinear": 2}
OF_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}  # what a mode is for: signals, images, volumes
SHAPES = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}
ANY_SHAPE = "(N, C, L), (N, C, H, W) or (N, C, D, H, W)"
KINDS = {1: "a signal", 2: "an image", 3: "a volume"}


class Upsample(Module):
    """Signals, images or volumes of another size, their places repeated, interpolated or averaged.

        y[n, c, i, j]      = Σ u[i, k] v[j, l] x[n, c, k, l]
        grad_x[n, c, k, l] = Σ u[i, k] v[j, l] grad_y[n, c, i, j]

    where row i looks at place s of x, s = (i + 1/2) H / H' - 1/2, or i (H - 1) / (H' - 1) with align_corners. By mode

        nearest         row ⌊i H / H'⌋ alone; nearest-exact: the one nearest to s
        area            the mean of the rows ⌊i H / H'⌋ <= k < ⌈(i + 1) H / H'⌉, as AdaptiveAvgPool2d
        linear          the two rows around s, by how near they are; bilinear, trilinear: of images, volumes
        bicubic         four rows around s, by Keys's cubic with a = -3/4

    So do columns by v. A signal has no rows, and a volume has layers, too.

    Shapes: x (N, C, L), (N, C, H, W) or (N, C, D, H, W), y the same with L', H' and W', or D', H' and W'.
    Args: size: of y, one for all axes or one for each; or scale_factor: H' / H likewise, rounded down; mode: see
        above, linear for signals, bilinear and bicubic for images, trilinear for volumes, the others for all;
        align_corners: the corner places' centres stay at the corners (of the modes that interpolate).
    Errors: ValueError for other settings, and for an x that is none of these or has another number of axes than sizes.
    Source: Keys, Cubic convolution interpolation for digital image processing (1981), eq. 4; PyTorch's Upsample.
    """

    locally_linear = True

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | list[float] | tuple[float, ...] | None = None,
        mode: Mode = "nearest",
        align_corners: bool = False,
    ):
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError("Upsample: expected a size or a scale_factor, and not both")
        if mode not in TAPS or (align_corners and TAPS[mode] < 2):
            *names, last = map(repr, TAPS)
            expected = f"{', '.join(names)} or {last}, and align_corners with the last four"
            raise ValueError(f"Upsample: mode is {mode!r} with align_corners {align_corners}, expected {expected}")
        self.axes = OF_AXES.get(mode, 0)  # 0: any
        self.size: tuple[int, ...] = (0, 0, 0)  # of the last axes of x; 0: not stated
        self.factors: tuple[float, ...] = (0.0, 0.0, 0.0)
        if size is not None:
            self.size, self.count = self.as_settings("size", size, int, "of at least 1")
        else:
            factors, self.count = self.as_settings("scale_factor", scale_factor, (int, float), "above 0")
            self.factors = tuple(map(float, factors))
        self._mode, self.taps, self.align_corners = mode, TAPS[mode], align_corners
        self.exact = mode == "nearest-exact"
        self.layers = self.rows = self.columns = np.empty((0, 0), np.int64)  # which places each one of y is made of
        self.through = self.down = self.across = np.empty((0, 0))  # what each of them weighs
        self.plane, self.line = np.empty((0, 0, 0)), np.empty(0)
        self.y = self.grad_x = np.empty((0, 0))

    def as_settings(self, name: str, value, kind, least: str) -> tuple[tuple, int]:
        """Convert a size or factor, or one for each axis, to three, and how many there were; ValueError if wrong."""
        numbers = (value,) if isinstance(value, int | float) else tuple(value)
        right = all(isinstance(number, kind) and 0 < number < math.inf for number in numbers)
        if len(numbers) not in ((1, self.axes) if self.axes else (1, 2, 3)) or not right:
            one, most = ("size", "sizes") if name == "size" else ("factor", "factors")
            expected = {0: f"one {one}, 2 or 3 {most}", 1: f"one {one}"}.get(self.axes, f"one {one} or {self.axes}")
            raise ValueError(f"Upsample: {name} is {value}, expected {expected} {least}")
        return (*numbers * 3, *numbers)[-3:], len(numbers)

    @property
    def mode(self) -> str:
        """How places are made."""
        return self._mode

    def fprop(self, x):
        self.x = x
        deep, tall, wide = self.places_of(x)
        layers = 1 if x.ndim < 5 else self.size_of(deep, 0)
        rows, columns = 1 if x.ndim < 4 else self.size_of(tall, 1), self.size_of(wide, 2)
        self.layers, self.through = self.lay_out(deep, layers, 0, self.layers, self.through, x.dtype)
        self.rows, self.down = self.lay_out(tall, rows, 1, self.rows, self.down, x.dtype)
        self.columns, self.across = self.lay_out(wide, columns, 2, self.columns, self.across, x.dtype)
        shape = replace_size(x.shape, x.ndim - 1, columns)
        shape = shape if x.ndim < 4 else replace_size(shape, x.ndim - 2, rows)
        self.y = reuse(self.y, shape if x.ndim < 5 else replace_size(shape, 2, layers), x.dtype)
        self.plane, self.line = reuse(self.plane, (1, tall, wide), x.dtype), reuse(self.line, (wide,), x.dtype)
        self.resample(x, self.y)
        return self.y

    def places_of(self, x):
        """D, H and W; 1 for what x does not have."""
        return 1 if x.ndim < 5 else x.shape[2], 1 if x.ndim < 4 else x.shape[x.ndim - 2], x.shape[x.ndim - 1]

    def lay_out(self, size, count, axis, places, weights, dtype):
        """Find which places of an axis those of y are made of, and what each weighs."""
        taps = self.taps if self.taps > 0 else (size + count - 1) // count + 1
        places, weights = reuse(places, (count, taps), np.int64), reuse(weights, (count, taps), dtype)
        if self.taps > 0:
            fill_taps(size, self.factors[axis], self.exact, self.align_corners, places, weights)
        else:
            fill_even_taps(size, places, weights)
        return places, weights

    def resample(self, x, y):
        """y = places between those of x."""
        deep, tall, wide = self.places_of(x)
        channels = x.shape[0] * x.shape[1]
        shape = (channels, self.layers.shape[0], self.rows.shape[0], self.columns.shape[0])
        resample(
            flat(x).reshape((channels, deep, tall, wide)), self.layers, self.through, self.rows, self.down,
            self.columns, self.across, self.plane, self.line, flat(y).reshape(shape),
        )  # fmt: skip

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        deep, tall, wide = self.places_of(self.grad_x)
        channels = grad_y.shape[0] * grad_y.shape[1]
        shape = (channels, self.layers.shape[0], self.rows.shape[0], self.columns.shape[0])
        resample_back(
            flat(grad_y).reshape(shape), self.layers, self.through, self.rows, self.down, self.columns, self.across,
            self.plane, self.line, flat(self.grad_x).reshape((channels, deep, tall, wide)),
        )  # fmt: skip
        return self.grad_x

    def jvp(self, v):
        """Places between those of v: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.resample(v, out)
        return out

    def size_of(self, size, axis):
        """How many places of an axis y has."""
        return self.size[axis] if self.size[axis] > 0 else int(size * self.factors[axis])

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape, axes = tuple(input_shape), len(input_shape) - 2
        if axes not in ((self.axes,) if self.axes else SHAPES) or min(shape[1:]) < 1:
            raise ValueError(f"{self.label()}: x has shape {shape}, expected {SHAPES.get(self.axes, ANY_SHAPE)}")
        if self.count not in (1, axes):
            expected = f"{KINDS[self.count]} for {self.count} sizes"
            raise ValueError(f"{self.label()}: x has shape {shape}, {KINDS[axes]}, expected {expected}")
        sizes = tuple(self.size_of(size, axis) for size, axis in zip(shape[2:], range(3 - axes, 3), strict=True))
        if min(sizes) < 1:
            left = sizes if axes > 1 else sizes[0]
            raise ValueError(f"{self.label()}: x has shape {shape}, of which it would leave {left} places")
        return (*shape[:2], *sizes)

    def extra_repr(self) -> str:
        name = "size" if self.size[2] else "scale_factor"
        text = f"{name}={collapse_sizes(self.size if self.size[2] else self.factors, self.count)}"
        text += "" if self.mode == "nearest" else f", mode={self.mode}"
        return text + (", align_corners=True" if self.align_corners else "")
