"""Augmentations that move whole pixels: shifts and mirror images."""

from ...datasets.checks import check_finite_number
from ..optimizers.checks import check_count
from .augment import Augment


class Shift(Augment):
    """Moves each image by a random number of pixels, the same as padding it and cutting out a random part.

        y[c, i, j] = x[c, i + a, j + b],   a, b whole, uniform on -pixels..pixels;   fill beyond the edges

    Args: pixels: the largest shift in each direction; fill: what comes in at the edges.
    Errors: ValueError for pixels below 1, and for an image that is not larger.
    Source: He et al., Deep residual learning (2016), section 4.2; PyTorch's RandomCrop(size, padding=pixels).
    """

    def __init__(self, pixels: int = 2, fill: float = 0.0):
        super().__init__()
        check_count("Shift", 1, pixels=pixels)
        self.pixels, self.fill = pixels, check_finite_number("Shift", "fill", fill)

    def numbers(self, shape):
        return 2

    def transform(self, x, y, u):
        channels, height, width = x.shape
        a = int(u[0] * (2 * self.pixels + 1)) - self.pixels
        b = int(u[1] * (2 * self.pixels + 1)) - self.pixels
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    inside = 0 <= i + a < height and 0 <= j + b < width
                    y[c, i, j] = x[c, i + a, j + b] if inside else self.fill

    def check(self, input_shape: tuple[int, ...]) -> None:
        Augment.check(self, input_shape)
        if self.pixels >= min(input_shape[1:]):
            height, width = input_shape[1:]
            raise ValueError(f"{self.label()}: an image has {height} x {width} pixels, expected more than its shift")

    def extra_repr(self) -> str:
        return f"pixels={self.pixels}" + (f", fill={self.fill:g}" if self.fill else "")


class Flip(Augment):
    """Mirrors images left to right, each with probability p.

        y[c, i, j] = x[c, i, W - 1 - j] with probability p, else x[c, i, j]

    Args: p: 0 to 1.
    Errors: ValueError for another p.
    Source: PyTorch's RandomHorizontalFlip.
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"Flip: p is {p}, expected 0 to 1")
        self.p = float(p)

    def numbers(self, shape):
        return 1

    def transform(self, x, y, u):
        channels, height, width = x.shape
        mirrored = u[0] < self.p
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    y[c, i, j] = x[c, i, width - 1 - j] if mirrored else x[c, i, j]

    def extra_repr(self) -> str:
        return f"p={self.p:g}"
