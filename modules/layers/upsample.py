"""Images and signals of another size, their places repeated or interpolated."""

import math
from typing import Literal

import numpy as np

from ..core.module import Module
from ..core.shapes import Sizes, as_image_sizes, collapse_sizes
from ..kernels.buffers import flat, replace_size, reuse, reuse_like
from ..kernels.interpolation import fill_taps, resample, resample_back

Mode = Literal["nearest", "nearest-exact", "linear", "bilinear", "bicubic"]
TAPS = {"nearest": 1, "nearest-exact": 1, "linear": 2, "bilinear": 2, "bicubic": 4}
OF_AXES = {"linear": 1, "bilinear": 2, "bicubic": 2}  # whether a mode is for signals or for images


class Upsample(Module):
    """Images or signals of another size, their places repeated or interpolated.

        y[n, c, i, j]      = Σ u[i, k] v[j, l] x[n, c, k, l]
        grad_x[n, c, k, l] = Σ u[i, k] v[j, l] grad_y[n, c, i, j]

    where row i looks at place s of x, s = (i + 1/2) H / H' - 1/2, or i (H - 1) / (H' - 1) with align_corners. By mode

        nearest         row ⌊i H / H'⌋ alone; nearest-exact: the one nearest to s
        linear          the two rows around s, by how near they are; bilinear is its name for images
        bicubic         four rows around s, by Keys's cubic with a = -3/4

    So do columns by v. A signal is an image of one row.

    Shapes: x (N, C, H, W), y (N, C, H', W'); or x (N, C, L), y (N, C, L').
    Args: size: H' and W', one size or two, or L'; or scale_factor: H' / H and W' / W, one or two, rounded down; mode:
        see above, linear for signals, bilinear and bicubic for images, the others for both; align_corners: the corner
        places' centres stay at the corners (not of the nearest).
    Errors: ValueError for other settings, and for an x that is no image or signal.
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
        if mode not in TAPS or (align_corners and TAPS[mode] == 1):
            expected = "'nearest', 'nearest-exact', 'linear', 'bilinear' or 'bicubic', and align_corners with the last"
            raise ValueError(
                f"Upsample: mode is {mode!r} with align_corners {align_corners}, expected {expected} three"
            )
        factors: tuple[float, ...] = (0.0, 0.0)
        if scale_factor is not None:
            factors = (scale_factor,) * 2 if isinstance(scale_factor, int | float) else tuple(scale_factor)
        factors = (factors[0], factors[0]) if len(factors) == 1 else factors
        if scale_factor is not None and (len(factors) != 2 or not all(0 < factor < math.inf for factor in factors)):
            raise ValueError(f"Upsample: scale_factor is {scale_factor}, expected one factor or 2 above 0")
        single = size[0] if isinstance(size, list | tuple) and len(size) == 1 else size
        self.size = (0, 0) if single is None else as_image_sizes(self, "size", single)
        self.factors = (float(factors[0]), float(factors[1]))
        self.axes = OF_AXES.get(mode, 0)  # 0: any
        self._mode, self.taps, self.align_corners = mode, TAPS[mode], align_corners
        self.exact = mode == "nearest-exact"
        self.rows = self.columns = np.empty((0, 0), np.int64)  # which places each one of y is made of
        self.down = self.across = np.empty((0, 0))  # what each of them weighs
        self.line = np.empty(0)
        self.y = self.grad_x = np.empty((0, 0))

    @property
    def mode(self) -> str:
        """How places are made."""
        return self._mode

    def fprop(self, x):
        self.x = x
        tall, wide = self.height_of(x), x.shape[x.ndim - 1]
        height, width = 1 if x.ndim == 3 else self.size_of(tall, 0), self.size_of(wide, 1)
        self.lay_out(tall, height, wide, width, x.dtype)
        self.y = reuse(self.y, self.shape_of(x.shape, height, width), x.dtype)
        self.line = reuse(self.line, (wide,), x.dtype)
        resample(
            self.images(x, tall, wide), self.rows, self.down, self.columns, self.across, self.line,
            self.images(self.y, height, width),
        )  # fmt: skip
        return self.y

    def lay_out(self, tall, height, wide, width, dtype):
        """Find which places those of y are made of."""
        taps = self.taps
        self.rows, self.columns = (
            reuse(self.rows, (height, taps), np.int64),
            reuse(self.columns, (width, taps), np.int64),
        )
        self.down, self.across = reuse(self.down, (height, taps), dtype), reuse(self.across, (width, taps), dtype)
        fill_taps(tall, self.factors[0], self.exact, self.align_corners, self.rows, self.down)
        fill_taps(wide, self.factors[1], self.exact, self.align_corners, self.columns, self.across)

    def height_of(self, x):
        """H; 1 of a signal."""
        return 1 if x.ndim == 3 else x.shape[x.ndim - 2]

    def images(self, x, height, width):
        """View x as (N C, H, W)."""
        return flat(x).reshape((x.shape[0] * x.shape[1], height, width))

    def shape_of(self, shape, height, width):
        """The shape of y."""
        shape = replace_size(shape, len(shape) - 1, width)
        return shape if len(shape) == 3 else replace_size(shape, len(shape) - 2, height)

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        grad = self.images(grad_y, self.rows.shape[0], self.columns.shape[0])
        grad_x = self.images(self.grad_x, self.height_of(self.x), self.x.shape[self.x.ndim - 1])
        resample_back(grad, self.rows, self.down, self.columns, self.across, self.line, grad_x)
        return self.grad_x

    def jvp(self, v):
        """Places between those of v: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        resample(
            self.images(v, self.height_of(v), v.shape[v.ndim - 1]), self.rows, self.down, self.columns, self.across,
            self.line, self.images(out, self.rows.shape[0], self.columns.shape[0]),
        )  # fmt: skip
        return out

    def size_of(self, size, axis):
        """H' or W'."""
        return self.size[axis] if self.size[axis] > 0 else int(size * self.factors[axis])

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape, axes = tuple(input_shape), len(input_shape) - 2
        if axes not in ((self.axes,) if self.axes else (1, 2)) or min(shape[1:]) < 1:
            kinds = {1: "(N, C, L)", 2: "(N, C, H, W)", 0: "(N, C, H, W) or (N, C, L)"}
            raise ValueError(f"{self.label()}: x has shape {shape}, expected {kinds[self.axes]}")
        if axes == 1 and (self.size[0] != self.size[1] or self.factors[0] != self.factors[1]):
            raise ValueError(f"{self.label()}: x has shape {shape}, a signal, expected an image for two sizes")
        sizes = tuple(self.size_of(size, axis) for size, axis in zip(shape[2:], (0, 1)[-axes:], strict=True))
        if min(sizes) < 1:
            left = sizes if axes == 2 else sizes[0]
            raise ValueError(f"{self.label()}: x has shape {shape}, of which it would leave {left} places")
        return (*shape[:2], *sizes)

    def extra_repr(self) -> str:
        text = f"size={collapse_sizes(self.size)}" if self.size[0] else f"scale_factor={collapse_sizes(self.factors)}"
        text += "" if self.mode == "nearest" else f", mode={self.mode}"
        return text + (", align_corners=True" if self.align_corners else "")
