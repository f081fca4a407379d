"""An augmentation that hides a part of each image, so that a model does not rely on one feature alone."""

from ...datasets.checks import check_finite_number
from ..optimizers.checks import check_count
from .augment import Augment


class Cutout(Augment):
    """Covers a square around a random pixel of each image; what lies beyond the edges is cut off.

        y[c, i, j] = fill where |i - a| and |j - b| are at most size / 2, else x[c, i, j];   (a, b) any pixel

    Args: size: the square's side in pixels, at least 1; fill: what covers it.
    Errors: ValueError for a smaller size.
    Source: DeVries and Taylor, Improved regularization of convolutional neural networks with cutout (2017).
    """

    def __init__(self, size: int = 8, fill: float = 0.0):
        super().__init__()
        check_count("Cutout", 1, size=size)
        self.size, self.fill = size, check_finite_number("Cutout", "fill", fill)

    def numbers(self, shape):
        return 2

    def transform(self, x, y, u):
        channels, height, width = x.shape
        top, left = int(u[0] * height) - self.size // 2, int(u[1] * width) - self.size // 2
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    covered = top <= i < top + self.size and left <= j < left + self.size
                    y[c, i, j] = self.fill if covered else x[c, i, j]

    def extra_repr(self) -> str:
        return f"size={self.size}" + (f", fill={self.fill:g}" if self.fill else "")
