"""The bases of padding layers: how many places stand around a signal, an image or a volume."""

from ...core.module import Module
from ...core.shapes import Sizes, as_image_shape
from ...kernels.rearrange import CIRCULAR, CONSTANT, REFLECT, fill_padded
from ..rearrangement import Rearrangement


class Pad(Rearrangement):
    """Base of the padding layers: their classes have the equations and set `mode`."""

    axes = 2
    mode = CONSTANT

    def __init__(self, padding: Sizes):
        super().__init__()
        count = 2 * self.axes
        sides = (padding,) * count if isinstance(padding, int) else tuple(padding)
        if len(sides) != count or not all(isinstance(side, int) and side >= 0 for side in sides):
            expected = f"one size or {count} of at least 0"
            raise ValueError(f"{type(self).__name__}: padding is {padding}, expected {expected}")
        self.left, self.right, self.top, self.bottom, self.front, self.back = (*sides, 0, 0, 0, 0)[:6]
        self.edge = self.mode  # compiled code reads attributes of the object alone

    def list_sides(self) -> tuple[int, ...]:
        """The sides in PyTorch's order, the last axis first."""
        return (self.left, self.right, self.top, self.bottom, self.front, self.back)[: 2 * self.axes]

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        shape, sides = tuple(input_shape), self.list_sides()
        as_image_shape(self, shape, None, self.axes)
        check_sides(self, shape, self.mode, shape[2:], sides)
        around = [before + after for before, after in zip(sides[::2], sides[1::2], strict=True)]
        return (*shape[:2], *(size + more for size, more in zip(shape[2:], around[::-1], strict=True)))

    def extra_repr(self) -> str:
        sides = self.list_sides()
        return str(sides[0] if len(set(sides)) == 1 else sides)


class Pad1d(Pad):
    """Base of the padding layers of signals (N, C, L)."""

    axes = 1

    def shape_of(self, x):
        return x.shape[0], x.shape[1], x.shape[2] + self.left + self.right

    def fill_places(self, x):
        columns = x.shape[2] + self.left + self.right
        fill_padded((1, 1, x.shape[2]), (0, 0, self.left), (1, 1, columns), self.edge, self.places)


class Pad2d(Pad):
    """Base of the padding layers of images (N, C, H, W)."""

    def shape_of(self, x):
        return x.shape[0], x.shape[1], x.shape[2] + self.top + self.bottom, x.shape[3] + self.left + self.right

    def fill_places(self, x):
        rows, columns = x.shape[2] + self.top + self.bottom, x.shape[3] + self.left + self.right
        sizes, before = (1, x.shape[2], x.shape[3]), (0, self.top, self.left)
        fill_padded(sizes, before, (1, rows, columns), self.edge, self.places)


class Pad3d(Pad):
    """Base of the padding layers of volumes (N, C, D, H, W)."""

    axes = 3

    def shape_of(self, x):
        depth, height = x.shape[2] + self.front + self.back, x.shape[3] + self.top + self.bottom
        return x.shape[0], x.shape[1], depth, height, x.shape[4] + self.left + self.right

    def fill_places(self, x):
        layers, rows = x.shape[2] + self.front + self.back, x.shape[3] + self.top + self.bottom
        counts = (layers, rows, x.shape[4] + self.left + self.right)
        sizes, before = (x.shape[2], x.shape[3], x.shape[4]), (self.front, self.top, self.left)
        fill_padded(sizes, before, counts, self.edge, self.places)


def check_sides(module: Module, shape, mode: int, sizes: tuple[int, ...], sides: tuple[int, ...]) -> None:
    """Raise ValueError where an axis is too short for a reflection, or for going around once.

    sides: before and after each axis, the last axis first: left, right, top, bottom.
    """
    around = list(zip(sides[::2], sides[1::2], strict=True))[::-1]
    for size, widest in zip(sizes, map(max, around), strict=True):
        least = widest + 1 if mode == REFLECT and widest else widest if mode == CIRCULAR else 1
        if size < least:
            expected = f"at least {least} places beside a padding of {widest}"
            raise ValueError(f"{module.label()}: x has shape {tuple(shape)}, expected {expected}")
