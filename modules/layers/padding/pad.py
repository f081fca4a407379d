"""The bases of padding layers: how many places stand around an image or a signal."""

from ...core.module import Module
from ...core.shapes import Sizes, as_image_shape
from ...kernels.rearrange import CIRCULAR, CONSTANT, REFLECT, fill_padded
from ..rearrangement import Rearrangement


class Pad2d(Rearrangement):
    """Base of the padding layers of images: their classes have the equations and set `mode`."""

    axes = 2
    mode = CONSTANT

    def __init__(self, padding: Sizes, value: float = 0.0):
        super().__init__(value)
        count = 2 * self.axes
        sides = (padding,) * count if isinstance(padding, int) else tuple(padding)
        if len(sides) != count or not all(isinstance(side, int) and side >= 0 for side in sides):
            expected = f"one size or {count} of at least 0"
            raise ValueError(f"{type(self).__name__}: padding is {padding}, expected {expected}")
        self.left, self.right, self.top, self.bottom = (*sides, 0, 0)[:4]
        self.edge = self.mode  # compiled code reads attributes of the object alone

    def shape_of(self, x):
        return x.shape[0], x.shape[1], x.shape[2] + self.top + self.bottom, x.shape[3] + self.left + self.right

    def fill_places(self, x):
        height, width = x.shape[x.ndim - 2], x.shape[x.ndim - 1]
        rows, columns = height + self.top + self.bottom, width + self.left + self.right
        fill_padded(height, width, self.top, self.left, rows, columns, self.edge, self.places)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, channels, height, width = as_image_shape(self, tuple(input_shape), None, self.axes)
        sides = (self.left, self.right, self.top, self.bottom)
        check_sides(self, input_shape, self.mode, (height, width), sides)
        sizes = (height + self.top + self.bottom, width + self.left + self.right)
        return (n, channels, *sizes[2 - self.axes :])

    def extra_repr(self) -> str:
        sides = (self.left, self.right, self.top, self.bottom)[: 2 * self.axes]
        return str(sides[0] if len(set(sides)) == 1 else sides)


class Pad1d(Pad2d):
    """Base of the padding layers of signals (N, C, L)."""

    axes = 1

    def shape_of(self, x):
        return x.shape[0], x.shape[1], x.shape[2] + self.left + self.right

    def fill_places(self, x):
        width, columns = x.shape[2], x.shape[2] + self.left + self.right
        fill_padded(1, width, 0, self.left, 1, columns, self.edge, self.places)


def check_sides(module: Module, shape, mode: int, sizes: tuple[int, int], sides: tuple[int, ...]) -> None:
    """Raise ValueError where an axis is too short for a reflection, or for going around once.

    sides: left, right, top, bottom.
    """
    left, right, top, bottom = sides
    for size, widest in zip(sizes, (max(top, bottom), max(left, right)), strict=True):
        least = widest + 1 if mode == REFLECT and widest else widest if mode == CIRCULAR else 1
        if size < least:
            expected = f"at least {least} places beside a padding of {widest}"
            raise ValueError(f"{module.label()}: x has shape {tuple(shape)}, expected {expected}")
