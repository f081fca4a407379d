"""What the convolutions have in common: the two maps between a fine image and a coarse one, and the weights' gradient.

A convolution takes the fine image to the coarse one, a transposed convolution the coarse one to the fine one; the
backward pass of each is the other's forward pass.
"""

import math
from typing import Literal

import numpy as np

from .initializers import Initializer, PyTorchUniform
from .kernels.buffers import flat, reuse
from .kernels.depthwise import SIDES, channel_dots, channel_sums, make_masks
from .kernels.planes import (
    add_to_planes,
    fill_places,
    inside,
    join,
    plane_size,
    runs_of,
    samples_together,
    split,
    sum_planes,
    tables,
)
from .kernels.pointwise import MOST_TERMS, point_dots, point_sums, samples_of_points
from .kernels.shifts import all_met, fill_fine_terms, fill_terms, shifted_dots, shifted_sums
from .kernels.winograd import MOST_CHANNELS, fill_filters, filter_gradient, filtered, sums_size
from .module import Module
from .parameter import Parameter
from .sizes import check_sizes, image_sizes, plain

Padding = int | list[int] | tuple[int, ...] | Literal["same", "valid"]


class Convolution(Module):
    """Base of the convolutions: equations are in the leaves, loops in kernels/, by a method that the sizes decide.

        coarse[n, o, p] = Σ weight[o, c, i, j] fine[n, c, s p + d (i, j) - padding]
        fine            = the transposed map
        grad_weight     += Σₙ Σₚ coarse[n, o, p] fine[n, c, s p + d (i, j) - padding]

    Shapes: weight (coarse channels, fine channels / groups, *kernel_size).
    Methods: "channels" (each by itself) and "points" (kernels of one pixel) read images where they lie; "squares"
        (Winograd's, for kernels of 3 x 3 and 16 channels or more) and "sums" (all others) lay them out in planes.
    """

    axes = 2

    def __init__(self, coarse: int, fine: int, kernel_size, stride, padding, dilation, groups: int):
        super().__init__()
        self.coarse_channels, self.fine_channels, self.groups = coarse, fine, groups
        self.kernel_size = image_sizes(self, "kernel_size", kernel_size, self.axes)
        self.stride = image_sizes(self, "stride", stride, self.axes)
        self.dilation = image_sizes(self, "dilation", dilation, self.axes)
        self.reach = tuple(d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True))
        self.before, self.padded_by = self.paddings(padding)
        self._padding = padding if isinstance(padding, str) else self.before
        square = self.kernel_size == (3, 3) and (*self.stride, *self.dilation, groups) == (1,) * 5
        self.method = "squares" if square and 16 <= min(coarse, fine) <= max(coarse, fine) <= MOST_CHANNELS else "sums"
        middle = self.kernel_size[0] // 2, self.kernel_size[1] // 2
        as_large = (*self.stride, *self.dilation) == (1,) * 4 and self.before == middle and self.padded_by == self.reach
        if groups == coarse == fine and as_large and self.kernel_size in [(side, side) for side in SIDES]:
            self.method = "channels"
        if as_large and self.kernel_size == (1, 1) and groups == 1 and max(coarse, fine) <= MOST_TERMS:
            self.method = "points"
        self.coarse = self.fine = self.left = self.filters = self.sums = self.none = np.empty(0)
        self.terms, self.met = np.empty(0, np.int64), np.empty((0, 2), np.int64)
        self.places = self.gaps = self.coarse_places = self.coarse_gaps = np.empty(0, np.int64)
        self.masks = np.empty(0, np.int64)
        self.margin = self.row = self.end = self.tall = self.wide = self.samples = 0

    def start(self, bias: bool, out: int, weight_init: Initializer | None, bias_init: Initializer | None) -> None:
        """Make the parameters."""
        kernel = self.kernel_size[2 - self.axes :]
        shape = (self.coarse_channels, self.fine_channels // self.groups, *kernel)
        default = PyTorchUniform(math.prod(shape[1:]))
        self.weight = Parameter((weight_init or default).sample(shape))
        self.bias = Parameter((bias_init or default).sample((out,))) if bias else None

    def lay_out(self, n, rows, columns, height, width, dtype):
        """Memory for the planes of some samples' coarse and fine images, and where their pixels lie."""
        (s, t), (k, m), size = self.stride, self.kernel_size, self.weight.itemsize
        if self.method == "channels":
            self.samples, self.masks = n, make_masks(self.masks, height, width, k, size)
            return
        if self.method == "points":
            channels = self.fine_channels + self.coarse_channels
            self.samples = samples_of_points(n, channels * height * width * size)
            self.left = reuse(self.left, (self.weight.size + channels,), dtype)
            return
        tall = plane_size(rows, height, self.before[0], self.reach[0], s)
        wide = plane_size(columns, width, self.before[1], self.reach[1], t)
        channels = self.fine_channels * s * t + self.coarse_channels
        lanes = 64 // size  # at most, in one vector
        self.samples = samples_together(n, lanes, channels * tall * wide * size)
        n = self.samples
        self.tall, self.wide, self.end = tall, wide, n * tall * wide
        self.row = (self.end + 31) // 32 * 32 + lanes  # odd: rows do not share their cache sets
        self.margin = n * (self.reach[0] // s * wide + self.reach[1] // t)
        beyond = n * (3 * wide + 4) + 32  # what is read past the last row
        self.coarse = reuse(self.coarse, (self.margin + self.coarse_channels * self.row + beyond,), dtype)
        self.fine = reuse(self.fine, (self.fine_channels * s * t * self.row + self.margin + beyond,), dtype)
        self.terms = reuse(
            self.terms, (max(self.coarse_channels, self.fine_channels) // self.groups * k * m,), np.int64
        )
        self.left = reuse(self.left, (self.weight.size,), dtype)
        if self.method == "squares":
            self.filters = reuse(self.filters, (self.weight.size // 9 * 16,), dtype)
            self.sums = reuse(self.sums, (sums_size(self.coarse_channels, self.fine_channels, lanes),), dtype)
        self.places, self.gaps = tables(self.places, self.gaps, height * width, s * t * tall * wide)
        self.coarse_places, self.coarse_gaps = tables(self.coarse_places, self.coarse_gaps, rows * columns, tall * wide)
        fill_places(height, width, self.before, self.stride, tall, wide, self.row, n, self.places, self.gaps)
        fill_places(rows, columns, (0, 0), (1, 1), tall, wide, self.row, n, self.coarse_places, self.coarse_gaps)

    # -- images --------------------------------------------------------------------------------------------------------

    def coarse_of(self, fine, weight, bias, coarse):
        """Write the coarse image of a fine one, some samples at a time: their planes fit the cache; bias: or none."""
        self.lay_out(len(fine), coarse.shape[2], coarse.shape[3], fine.shape[2], fine.shape[3], fine.dtype)
        self.prepare(weight, False)
        for k in range(0, len(fine), self.samples):
            self.some_coarse(fine[k : k + self.samples], weight, bias, coarse[k : k + self.samples])

    def fine_of(self, coarse, weight, fine):
        """Write the fine image of a coarse one."""
        self.lay_out(len(fine), coarse.shape[2], coarse.shape[3], fine.shape[2], fine.shape[3], fine.dtype)
        self.prepare(weight, True)
        for k in range(0, len(fine), self.samples):
            self.some_fine(coarse[k : k + self.samples], weight, fine[k : k + self.samples])

    def gradient_of(self, fine, coarse, grad_bias, add):
        """The weights' gradient from both images, of which one is a gradient; or add it; grad_bias: or none."""
        self.lay_out(len(fine), coarse.shape[2], coarse.shape[3], fine.shape[2], fine.shape[3], fine.dtype)
        for k in range(0, len(fine), self.samples):
            begins, ends = k == 0, k + self.samples == len(fine)
            self.some_gradient(fine[k : k + self.samples], coarse[k : k + self.samples], grad_bias, add, begins, ends)

    def some_coarse(self, fine, weight, bias, coarse):
        """The coarse images of as many samples as there are planes for; bias: for each channel, or none."""
        if self.in_planes():
            self.read_fine(fine)
        self.some_coarse_again(fine, weight, bias, coarse)

    def some_coarse_again(self, fine, weight, bias, coarse):
        """The same, where the fine images have been laid out in their planes."""
        if self.method == "channels":
            side = self.kernel_size[0]
            channel_sums(flat(fine), fine.shape, side, flat(weight), bias, False, self.masks, flat(coarse))
            return
        if self.method == "points":
            rows, terms = self.coarse_channels, self.fine_channels
            point_sums(flat(weight), rows, terms, False, bias, self.left, flat(fine), len(fine), flat(coarse))
            return
        self.to_coarse(coarse.shape[2], coarse.shape[3], weight)
        add_to_planes(bias, self.coarse, self.margin, self.row, self.end, self.coarse_places, self.samples)
        self.write_coarse(coarse)

    def some_fine(self, coarse, weight, fine):
        """The fine images of as many samples."""
        if self.in_planes():
            self.read_coarse(coarse)
        self.some_fine_again(coarse, weight, fine)

    def some_fine_again(self, coarse, weight, fine):
        """The same, where the coarse images have been laid out in their planes."""
        if self.method == "channels":
            side = self.kernel_size[0]
            channel_sums(flat(coarse), coarse.shape, side, flat(weight), self.none, True, self.masks, flat(fine))
            return
        if self.method == "points":
            rows, terms = self.fine_channels, self.coarse_channels
            point_sums(flat(weight), rows, terms, True, self.none, self.left, flat(coarse), len(fine), flat(fine))
            return
        self.to_fine(coarse.shape[2], fine.shape[2], fine.shape[3], weight)
        self.write_fine(fine)

    def some_gradient(self, fine, coarse, grad_bias, add, begins, ends):
        """The weights' gradient from as many samples; begins, ends: whether these are the first and the last.

        grad_bias: for the sums of the coarse image's channels, or none.
        """
        add_bias = add or not begins
        if self.method == "channels":
            side, out = self.kernel_size[0], flat(self.grad_weight)
            channel_dots(flat(coarse), flat(fine), fine.shape, side, self.masks, out, grad_bias, add_bias)
            return
        if self.method == "points":
            out, rows, terms = flat(self.grad_weight), self.coarse_channels, self.fine_channels
            point_dots(flat(coarse), rows, flat(fine), terms, len(fine), out, grad_bias, add_bias)
            return
        self.read_fine(fine)
        self.read_coarse(coarse)
        sum_planes(self.coarse, self.margin, self.row, self.end, grad_bias, add_bias)
        self.add_weight_gradient(coarse.shape[2], coarse.shape[3], add, begins, ends)

    def in_planes(self):
        """Whether images are laid out in planes."""
        return self.method == "sums" or self.method == "squares"

    # -- planes --------------------------------------------------------------------------------------------------------

    def read_fine(self, image):
        """Lay the fine image out in its planes."""
        phases = self.stride[0] * self.stride[1]
        split(flat(image), image.shape, self.places, self.gaps, phases, 0, self.row, self.end, self.fine)

    def read_coarse(self, image):
        """Lay the coarse image out in its planes."""
        split(
            flat(image), image.shape, self.coarse_places, self.coarse_gaps, 1, self.margin, self.row, self.end,
            self.coarse,
        )  # fmt: skip

    def write_fine(self, image):
        """Make the fine image of its planes."""
        join(self.fine, 0, self.row, self.places, self.stride[0] * self.stride[1], flat(image), image.shape)

    def write_coarse(self, image):
        """Make the coarse image of its planes."""
        join(self.coarse, self.margin, self.row, self.coarse_places, 1, flat(image), image.shape)

    def by_squares(self):
        """Whether a vector is full of samples."""
        return self.samples >= 64 // self.weight.itemsize

    def prepare(self, weight, back):
        """Transform the kernels, for the map to the coarse image or for the one back."""
        if self.method == "squares" and self.by_squares():
            fill_filters(flat(weight), self.coarse_channels, self.fine_channels, back, self.filters)

    def to_coarse(self, rows, columns, weight):
        """The coarse image's planes from the fine one's."""
        if self.method == "squares" and self.by_squares():
            filtered(
                self.filters, self.coarse_channels, self.fine_channels, self.fine, 0, self.row,
                self.coarse, self.margin, self.row, rows, columns, self.wide, self.samples,
            )  # fmt: skip
            return
        inner, phases = self.fine_channels // self.groups, self.stride[0] * self.stride[1]
        runs, count = self.meet_all(rows, columns)
        shifted_sums(
            flat(weight), self.coarse_channels // self.groups, self.groups,
            self.fine, inner * phases * self.row, self.terms, self.weight.size // self.coarse_channels, self.met,
            self.coarse, self.margin, self.row, runs, self.wide * self.samples, count,
        )  # fmt: skip

    def add_weight_gradient(self, rows, columns, add, begins, ends):
        """grad_weight, or what is added to it, from both images' planes, of which one is a gradient.

        begins, ends: whether these are the first and the last of the samples.
        """
        if self.method == "squares" and self.by_squares():
            filter_gradient(
                self.coarse, self.margin, self.row, self.coarse_channels, self.fine, 0, self.row, self.fine_channels,
                rows, columns, self.wide, self.samples, self.sums, flat(self.grad_weight), add, begins, ends,
            )  # fmt: skip
            return
        inner, phases = self.fine_channels // self.groups, self.stride[0] * self.stride[1]
        runs, count = self.meet_all(rows, columns)
        shifted_dots(
            self.coarse, self.margin, self.row, self.coarse_channels // self.groups, self.groups,
            self.fine, inner * phases * self.row, self.terms, self.weight.size // self.coarse_channels,
            runs, self.wide * self.samples, count, flat(self.grad_weight), add or not begins,
        )  # fmt: skip

    def to_fine(self, rows, height, width, weight):
        """The fine image's planes from the coarse one's: for each remainder, the terms of the kernel that reach it."""
        if self.method == "squares" and self.by_squares():
            first = (self.before[0] * self.wide + self.before[1]) * self.samples
            filtered(
                self.filters, self.fine_channels, self.coarse_channels, self.coarse, first, self.row,
                self.fine, first, self.row, height, width, self.wide, self.samples,
            )  # fmt: skip
            return
        inner, outer, (s, t) = self.fine_channels // self.groups, self.coarse_channels // self.groups, self.stride
        for phase in range(s * t):
            size, first, runs, count = self.meet_some(phase, rows, height, width, weight)
            shifted_sums(
                self.left, inner, self.groups, self.coarse[first:], outer * self.row, self.terms, size, self.met,
                self.fine, phase * self.row + first, s * t * self.row, runs, self.wide * self.samples, count,
            )  # fmt: skip

    def meet_all(self, rows, columns):
        """Where the terms of a patch lie; the runs of a coarse plane, and how many numbers are in each."""
        inner, samples = self.fine_channels // self.groups, self.samples
        fill_terms(inner, self.kernel_size, self.stride, self.dilation, self.row, self.wide, samples, self.terms)
        runs, count = runs_of(rows, columns, self.wide, samples)
        self.met = reuse(self.met, (runs, 2), np.int64)
        all_met(self.weight.size // self.coarse_channels, self.met)
        return runs, count

    def meet_some(self, phase, rows, height, width, weight):
        """The terms by which `rows` rows of the coarse planes reach a plane of the fine image.

        Returns how many there are, where the plane's pixels begin, its runs, and how many numbers are in each.
        """
        inner, outer, (s, t) = self.fine_channels // self.groups, self.coarse_channels // self.groups, self.stride
        samples = self.samples
        top, bottom = inside(height, self.before[0], s, phase // t)
        begin, end = inside(width, self.before[1], t, phase % t)
        runs, count = runs_of(bottom - top, end - begin, self.wide, samples)
        self.met = reuse(self.met, (runs, 2), np.int64)
        size = fill_fine_terms(
            flat(weight), outer, inner, self.groups, self.kernel_size, self.stride, self.dilation,
            phase, self.margin, self.row, self.wide, samples, rows, top, (bottom - top) // max(1, runs),
            self.terms, self.left, self.met,
        )  # fmt: skip
        return size, (top * self.wide + begin) * samples, runs, count

    # -- settings ----------------------------------------------------------------------------------------------------

    def paddings(self, padding) -> tuple[tuple[int, ...], ...]:
        """Zeros before the image, and before and after it together, for each axis."""
        if padding == "same":
            if max(self.stride) > 1:
                raise ValueError(f"{type(self).__name__}: padding is 'same' with a stride above 1, expected stride 1")
            return (self.reach[0] // 2, self.reach[1] // 2), self.reach
        if isinstance(padding, str) and padding != "valid":
            raise ValueError(f"{type(self).__name__}: padding is {padding!r}, expected sizes, 'same' or 'valid'")
        before = image_sizes(self, "padding", 0 if padding == "valid" else padding, self.axes)
        return before, (2 * before[0], 2 * before[1])

    def settings(self) -> str:
        """What differs from the defaults, for the repr."""
        values = {"stride": (self.stride, 1), "padding": (self._padding, 0), "dilation": (self.dilation, 1)}
        text = f", kernel_size={plain(self.kernel_size, self.axes)}"
        for name, (value, default) in values.items():
            value = value if isinstance(value, str) else plain(value, self.axes)
            text += f", {name}={value}" if value != default else ""
        text += f", groups={self.groups}" if self.groups > 1 else ""
        return text + ("" if self.bias is not None else ", bias=False")


def check_groups(owner: Module, groups: int, **channels: int) -> None:
    """ValueError unless all sizes are at least 1 and `groups` divides the channels."""
    check_sizes(owner, **channels, groups=groups)
    for name, count in channels.items():
        if count % groups:
            raise ValueError(f"{type(owner).__name__}: {name} is {count}, expected a multiple of groups, {groups}")
