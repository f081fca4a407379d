"""Images of another size: zeros around them, pixels between pixels, and channels laid out as pixels."""

import math
from typing import Literal

import numpy as np

from ..core.module import Module
from ..core.shapes import Sizes, as_image_shape, as_image_sizes, check_sizes, collapse_sizes
from ..kernels.buffers import reuse, reuse_like


class ZeroPad2d(Module):
    """Zeros around an image.

        y[n, c, i + top, j + left] = x[n, c, i, j], 0 elsewhere
        grad_x[n, c, i, j]         = grad_y[n, c, i + top, j + left]

    Shapes: x (N, C, H, W), y (N, C, H + top + bottom, W + left + right).
    Args: padding: one size for all sides, or (left, right, top, bottom), at least 0.
    Errors: ValueError for other paddings, and for an x that is no image.
    Source: Goodfellow et al., Deep Learning, section 9.5; PyTorch's ZeroPad2d.
    """

    locally_linear = True

    def __init__(self, padding: Sizes):
        super().__init__()
        sides = (padding,) * 4 if isinstance(padding, int) else tuple(padding)
        if len(sides) != 4 or min(sides) < 0:
            raise ValueError(f"ZeroPad2d: padding is {padding}, expected one size or 4 of at least 0")
        self.left, self.right, self.top, self.bottom = sides
        self.y = self.grad_x = np.empty((0, 0, 0, 0))

    def fprop(self, x):
        self.x = x
        height, width = x.shape[2] + self.top + self.bottom, x.shape[3] + self.left + self.right
        self.y = reuse(self.y, (x.shape[0], x.shape[1], height, width), x.dtype)
        self.pad(x, self.y)
        return self.y

    def pad(self, x, y):
        """y = x with zeros around it."""
        y[:] = 0
        for n in range(x.shape[0]):
            for c in range(x.shape[1]):
                for i in range(x.shape[2]):
                    row = y[n, c, i + self.top]
                    for j in range(x.shape[3]):
                        row[j + self.left] = x[n, c, i, j]

    def jvp(self, v):
        """Zeros around v: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.pad(v, out)
        return out

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        for n in range(grad_y.shape[0]):
            for c in range(grad_y.shape[1]):
                for i in range(self.x.shape[2]):
                    row = grad_y[n, c, i + self.top]
                    for j in range(self.x.shape[3]):
                        self.grad_x[n, c, i, j] = row[j + self.left]
        return self.grad_x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape))
        return (n, channels, height + self.top + self.bottom, width + self.left + self.right)

    def extra_repr(self) -> str:
        sides = (self.left, self.right, self.top, self.bottom)
        return str(sides[0] if len(set(sides)) == 1 else sides)


class PixelShuffle(Module):
    """Channels laid out as pixels: r² images of one size as one that is r times as large.

        y[n, c, r i + a, r j + b]       = x[n, c r² + a r + b, i, j]
        grad_x[n, c r² + a r + b, i, j] = grad_y[n, c, r i + a, r j + b]

    Shapes: x (N, C r², H, W), y (N, C, r H, r W).
    Args: upscale_factor: r, at least 1.
    Errors: ValueError for other factors, and for channels that r² does not divide.
    Source: Shi et al., Real-time single image super-resolution (2016), eq. 4; PyTorch's PixelShuffle.
    """

    locally_linear = True

    def __init__(self, upscale_factor: int):
        super().__init__()
        check_sizes(self, upscale_factor=upscale_factor)
        self.upscale_factor = upscale_factor
        self.y = self.grad_x = np.empty((0, 0, 0, 0))

    def fprop(self, x):
        self.x, r = x, self.upscale_factor
        self.y = reuse(self.y, (x.shape[0], x.shape[1] // (r * r), r * x.shape[2], r * x.shape[3]), x.dtype)
        self.shuffle(x, self.y)
        return self.y

    def shuffle(self, x, y):
        """The channels of x as the pixels of y."""
        r = self.upscale_factor
        for n in range(x.shape[0]):
            for m in range(x.shape[1]):
                c, a, b = m // (r * r), m // r % r, m % r
                for i in range(x.shape[2]):
                    for j in range(x.shape[3]):
                        y[n, c, r * i + a, r * j + b] = x[n, m, i, j]

    def jvp(self, v):
        """The channels of v as pixels: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.shuffle(v, out)
        return out

    def bprop(self, grad_y):
        self.grad_x, r = reuse_like(self.grad_x, self.x), self.upscale_factor
        for n in range(self.grad_x.shape[0]):
            for m in range(self.grad_x.shape[1]):
                c, a, b = m // (r * r), m // r % r, m % r
                for i in range(self.grad_x.shape[2]):
                    for j in range(self.grad_x.shape[3]):
                        self.grad_x[n, m, i, j] = grad_y[n, c, r * i + a, r * j + b]
        return self.grad_x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape))
        r = self.upscale_factor
        if channels % (r * r):
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected a multiple of {r * r} channels")
        return (n, channels // (r * r), r * height, r * width)

    def extra_repr(self) -> str:
        return str(self.upscale_factor)


class Upsample(Module):
    """Images of another size, their pixels repeated or interpolated.

        y[n, c, i, j]      = Σ u[i, k] v[j, l] x[n, c, k, l]
        grad_x[n, c, k, l] = Σ u[i, k] v[j, l] grad_y[n, c, i, j]

    where row i looks at place s of x, s = (i + 1/2) H / H' - 1/2, or i (H - 1) / (H' - 1) with align_corners: bilinear,
    u weighs the two rows around s by how near they are; nearest, it takes row ⌊i H / H'⌋ alone. So do columns by v.

    Shapes: x (N, C, H, W), y (N, C, H', W').
    Args: size: H' and W', one size or two; or scale_factor: H' / H and W' / W, one or two, rounded down; mode:
        "nearest" or "bilinear"; align_corners: the corner pixels' centres stay at the corners (bilinear only).
    Errors: ValueError for other settings, and for an x that is no image.
    Source: PyTorch's Upsample.
    """

    locally_linear = True

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | list[float] | tuple[float, ...] | None = None,
        mode: Literal["nearest", "bilinear"] = "nearest",
        align_corners: bool = False,
    ):
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError("Upsample: expected a size or a scale_factor, and not both")
        if mode not in ("nearest", "bilinear") or (align_corners and mode == "nearest"):
            expected = "'nearest' or 'bilinear', and align_corners with the latter alone"
            raise ValueError(f"Upsample: mode is {mode!r} with align_corners {align_corners}, expected {expected}")
        factors = (scale_factor,) * 2 if isinstance(scale_factor, int | float) else tuple(scale_factor or (0.0, 0.0))
        if scale_factor is not None and (len(factors) != 2 or not all(0 < factor < math.inf for factor in factors)):
            raise ValueError(f"Upsample: scale_factor is {scale_factor}, expected one factor or 2 above 0")
        self.size = (0, 0) if size is None else as_image_sizes(self, "size", size)
        self.factors = (float(factors[0]), float(factors[1]))
        self.nearest, self.align_corners = mode == "nearest", align_corners
        self.rows = self.columns = np.empty((0, 2), np.int64)  # which two pixels each one of y is made of
        self.down = self.across = np.empty(0)  # what the second of them weighs
        self.y = self.grad_x = np.empty((0, 0, 0, 0))

    def fprop(self, x):
        self.x = x
        height, width = self.size_of(x.shape[2], 0), self.size_of(x.shape[3], 1)
        self.rows, self.columns = reuse(self.rows, (height, 2), np.int64), reuse(self.columns, (width, 2), np.int64)
        self.down, self.across = reuse(self.down, (height,), x.dtype), reuse(self.across, (width,), x.dtype)
        fill_pixels(x.shape[2], self.factors[0], self.nearest, self.align_corners, self.rows, self.down)
        fill_pixels(x.shape[3], self.factors[1], self.nearest, self.align_corners, self.columns, self.across)
        self.y = reuse(self.y, (x.shape[0], x.shape[1], height, width), x.dtype)
        self.resample(x, self.y)
        return self.y

    def resample(self, x, y):
        """y's pixels between those of x."""
        for n in range(x.shape[0]):
            for c in range(x.shape[1]):
                for i in range(y.shape[2]):
                    above, below, u = x[n, c, self.rows[i, 0]], x[n, c, self.rows[i, 1]], self.down[i]
                    for j in range(y.shape[3]):
                        first, second, v = self.columns[j, 0], self.columns[j, 1], self.across[j]
                        upper, lower = (
                            interpolate(above[first], above[second], v),
                            interpolate(below[first], below[second], v),
                        )
                        y[n, c, i, j] = interpolate(upper, lower, u)

    def jvp(self, v):
        """Pixels between those of v: the layer is linear."""
        out = np.empty(self.y.shape, v.dtype)
        self.resample(v, out)
        return out

    def bprop(self, grad_y):
        self.grad_x = reuse_like(self.grad_x, self.x)
        self.grad_x[:] = 0
        for n in range(grad_y.shape[0]):
            for c in range(grad_y.shape[1]):
                for i in range(grad_y.shape[2]):
                    u, above, below = (
                        self.down[i],
                        self.grad_x[n, c, self.rows[i, 0]],
                        self.grad_x[n, c, self.rows[i, 1]],
                    )
                    for j in range(grad_y.shape[3]):
                        first, second, v = self.columns[j, 0], self.columns[j, 1], self.across[j]
                        distribute(above, first, second, v, (1 - u) * grad_y[n, c, i, j])
                        if u != 0:
                            distribute(below, first, second, v, u * grad_y[n, c, i, j])
        return self.grad_x

    def size_of(self, size, axis):
        """H' or W'."""
        return self.size[axis] if self.size[axis] > 0 else int(size * self.factors[axis])

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape))
        sizes = self.size_of(height, 0), self.size_of(width, 1)
        if min(sizes) < 1:
            raise ValueError(f"{self.label()}: x has shape {input_shape}, of which it would leave {sizes} places")
        return (n, channels, *sizes)

    def extra_repr(self) -> str:
        text = f"size={collapse_sizes(self.size)}" if self.size[0] else f"scale_factor={collapse_sizes(self.factors)}"
        return (
            text + ("" if self.nearest else ", mode=bilinear") + (", align_corners=True" if self.align_corners else "")
        )


def fill_pixels(size, factor, nearest, align_corners, pixels, weights):
    """Which two of `size` pixels each new one is made of, and what the second weighs; factor 0: that of the sizes."""
    count = weights.size
    step = 1 / factor if factor > 0 else size / count
    if align_corners:
        step = (size - 1) / (count - 1) if count > 1 else 0.0
    for i in range(count):
        place = i * step if nearest or align_corners else max(0.0, (i + 0.5) * step - 0.5)
        first = min(int(place), size - 1)
        pixels[i, 0], pixels[i, 1] = first, min(first + 1, size - 1)
        weights[i] = 0.0 if nearest else place - first


def interpolate(a, b, weight):
    """(1 - weight) a + weight b; a alone where the weight is 0, even if b is infinite."""
    return a if weight == 0 else (1 - weight) * a + weight * b


def distribute(row, first, second, weight, grad):
    """The gradients of a and b, added to row[first] and row[second], for that of what `between` made of them."""
    row[first] += (1 - weight) * grad
    if weight != 0:
        row[second] += weight * grad
