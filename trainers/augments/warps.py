"""Augmentations that bend images: affine maps and elastic distortions, with what lies between pixels interpolated."""

import math

import numpy as np

from ...datasets.checks import check_finite_number
from ...modules.kernels.buffers import reuse
from ...modules.kernels.philox import circle
from ..optimizers.checks import check_not_negative, check_positive
from .augment import Augment


class Affine(Augment):
    """Turns, scales, shears and shifts each image about its middle m, by random amounts.

        y[c, p] = x[c, m + A⁻¹ (p - m - t)],   A = s R(angle) (1 tan(shear); 0 1),   R a rotation, clockwise

    with angle ~ U(-degrees, degrees), s ~ U(scale), shear ~ U(-shear, shear), t ~ U(-translate, translate) of the
    image's sizes. p = (column, row); between pixels x is interpolated along both axes, beyond its edges it is fill.

    Args: degrees, shear: angles, 0 to 180 and 0 to 89; translate: 0 to 1; scale: least and largest factor.
    Errors: ValueError for settings out of range.
    Source: PyTorch's RandomAffine.
    """

    def __init__(
        self,
        degrees: float = 0.0,
        translate: float = 0.0,
        scale: tuple[float, float] = (1.0, 1.0),
        shear: float = 0.0,
        fill: float = 0.0,
    ):
        super().__init__()
        for name, value, most in (("degrees", degrees, 180), ("translate", translate, 1), ("shear", shear, 89)):
            if not 0 <= value <= most:
                raise ValueError(f"Affine: {name} is {value}, expected 0 to {most}")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf:
            raise ValueError(f"Affine: scale is {scale}, expected two factors above 0, the smaller one first")
        self.degrees, self.translate, self.shear = float(degrees), float(translate), float(shear)
        self.fill = check_finite_number("Affine", "fill", fill)
        self.least, self.largest = float(scale[0]), float(scale[1])

    def numbers(self, shape):
        return 5

    def transform(self, x, y, u):
        channels, height, width = x.shape
        cosine, sine = rotate((2 * u[0] - 1) * self.degrees)
        shear_cosine, shear_sine = rotate((2 * u[1] - 1) * self.shear)
        tangent = shear_sine / shear_cosine
        s = self.least + (self.largest - self.least) * u[2]
        middle_i, middle_j = 0.5 * (height - 1), 0.5 * (width - 1)
        shift_i, shift_j = (2 * u[3] - 1) * self.translate * height, (2 * u[4] - 1) * self.translate * width
        for i in range(height):
            for j in range(width):
                row, column = i - middle_i - shift_i, j - middle_j - shift_j
                back_i, back_j = (cosine * row - sine * column) / s, (cosine * column + sine * row) / s
                for c in range(channels):
                    y[c, i, j] = interpolate(x[c], middle_i + back_i, middle_j + back_j - tangent * back_i, self.fill)

    def extra_repr(self) -> str:
        settings = {"degrees": self.degrees, "translate": self.translate, "shear": self.shear, "fill": self.fill}
        parts = [f"{name}={value:g}" for name, value in settings.items() if value]
        scale = [f"scale=({self.least:g}, {self.largest:g})"] if (self.least, self.largest) != (1, 1) else []
        return ", ".join([*parts, *scale])


class Elastic(Augment):
    """Bends each image as handwriting bends: every pixel moves by a random field that changes slowly.

        y[c, i, j] = x[c, i + a[i, j], j + b[i, j]],   a, b = alpha G * U(-1, 1)

    with G a Gaussian of standard deviation sigma along both axes, cut off at 4 sigma; beyond the edges the numbers are
    0 and x is fill. Between pixels x is interpolated along both axes.

    Args: alpha: how far pixels move; sigma: how slowly that changes, in pixels; both above 0.
    Errors: ValueError for other values.
    Source: Simard, Steinkraus and Platt, Best practices for convolutional neural networks (2003), section 2;
        PyTorch's ElasticTransform.
    """

    def __init__(self, alpha: float = 34.0, sigma: float = 4.0, fill: float = 0.0):
        super().__init__()
        check_positive("Elastic", alpha=alpha, sigma=sigma)
        check_not_negative("Elastic", alpha=alpha, sigma=sigma)
        self.alpha, self.sigma, self.fill = float(alpha), float(sigma), check_finite_number("Elastic", "fill", fill)
        self.bell, self.rows, self.field = np.empty(0), np.empty((0, 0)), np.empty((0, 0, 0))

    def numbers(self, shape):
        return 2 * shape[1] * shape[2]

    def transform(self, x, y, u):
        channels, height, width = x.shape
        self.bell = reuse(self.bell, (2 * int(4 * self.sigma + 0.5) + 1,), x.dtype)
        self.rows = reuse(self.rows, (height, width), x.dtype)
        self.field = reuse(self.field, (2, height, width), x.dtype)
        fill_gaussian(self.sigma, self.bell)
        for k in range(2):
            field = u[k * height * width : (k + 1) * height * width].reshape((height, width))
            smooth(field, self.bell, self.alpha, self.rows, self.field[k])
        for i in range(height):
            for j in range(width):
                row, column = i + self.field[0, i, j], j + self.field[1, i, j]
                for c in range(channels):
                    y[c, i, j] = interpolate(x[c], row, column, self.fill)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}, sigma={self.sigma:g}" + (f", fill={self.fill:g}" if self.fill else "")


def rotate(degrees):
    """Compute cosine and sine of an angle."""
    turns = degrees / 360
    return circle(turns - np.floor(turns))


def interpolate(x, row, column, fill):
    """Interpolate x (H, W) bilinearly at a point; beyond the edges it is `fill`."""
    row, column = min(max(row, -2), x.shape[0] + 1), min(max(column, -2), x.shape[1] + 1)  # so that both fit an int
    i, j = int(np.floor(row)), int(np.floor(column))
    a, b = row - i, column - j
    above = (1 - b) * read_pixel(x, i, j, fill) + b * read_pixel(x, i, j + 1, fill)
    below = (1 - b) * read_pixel(x, i + 1, j, fill) + b * read_pixel(x, i + 1, j + 1, fill)
    return (1 - a) * above + a * below


def read_pixel(x, i, j, fill):
    """Read x[i, j], or `fill` beyond the edges."""
    return x[i, j] if 0 <= i < x.shape[0] and 0 <= j < x.shape[1] else x.dtype.type(fill)


def fill_gaussian(sigma, out):
    """out[k] = exp(-(k - r)² / 2 sigma²), scaled to the sum of 1; r is the middle of `out`."""
    radius, total = out.size // 2, out.dtype.type(0)
    for k in range(out.size):
        out[k] = np.exp(-0.5 * ((k - radius) / sigma) ** 2)
        total += out[k]
    for k in range(out.size):
        out[k] /= total


def smooth(u, bell, alpha, rows, out):
    """out = alpha (2 u - 1), smoothed by `bell` along both axes and taken as 0 beyond the edges; `rows` is room."""
    height, width = out.shape
    radius = bell.size // 2
    rows[:] = 0
    out[:] = 0
    for i in range(height):
        for k in range(max(0, i - radius), min(height, i + radius + 1)):
            weight = alpha * bell[k - i + radius]
            for j in range(width):
                rows[i, j] += weight * (2 * u[k, j] - 1)
    for i in range(height):
        for k in range(-radius, radius + 1):
            weight = bell[k + radius]
            for j in range(max(0, -k), min(width, width - k)):
                out[i, j] += weight * rows[i, j + k]
