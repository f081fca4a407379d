"""Convolutions in planes: images in a layout in which a convolution is a sum of shifted rows."""

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...kernels.buffers import flat, reuse
from ...kernels.convolution.planes import (
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
from ...kernels.convolution.shifted_rows import (
    fill_fine_terms,
    fill_full_ranges,
    fill_terms,
    shifted_dots,
    shifted_sums,
)
from ...kernels.convolution.winograd import (
    convolve_tiles,
    end_filter_gradient,
    fill_filters,
    filter_gradient,
    sums_size,
)
from ...kernels.threads import parallel_for


class InPlanes(Module):
    """Base of `Convolution`: the methods "sums" and "winograd", of kernels/convolution/{planes,winograd}.py.

    Planes hold a chunk of samples. Whatever has a `slot` runs in several threads at once, each with its own planes, and
    assigns no attribute.
    """

    weight: Parameter
    method: str
    coarse_channels: int
    fine_channels: int
    groups: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    reach: tuple[int, ...]
    before: tuple[int, ...]
    tiles: int
    slots: int

    def __init__(self):
        super().__init__()
        self.rows = self.columns = self.height = self.width = 0  # of the coarse and of the fine image
        self.margin = self.row = self.end = self.tall = self.wide = self.samples = 0
        self.coarse, self.fine, self.winograd_sums = np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0))
        self.left, self.filters = np.empty(0), np.empty(0)
        self.terms, self.fine_terms = np.empty(0, np.int64), np.empty(0, np.int64)
        self.ranges, self.fine_ranges = np.empty((0, 2), np.int64), np.empty((0, 0, 2), np.int64)
        self.phases = np.empty((0, 6), np.int64)
        self.places = self.gaps = self.coarse_places = self.coarse_gaps = np.empty(0, np.int64)

    def uses_planes(self):
        """Whether images are laid out in planes."""
        return self.method == "sums" or self.method == "winograd"

    def uses_winograd(self):
        """Whether the samples fill a SIMD vector."""
        return self.samples >= 64 // self.weight.itemsize

    def samples_together(self, n):
        """The samples of a chunk."""
        (s, t), size = self.stride, self.weight.itemsize
        self.tall = plane_size(self.rows, self.height, self.before[0], self.reach[0], s)
        self.wide = plane_size(self.columns, self.width, self.before[1], self.reach[1], t)
        channels = self.fine_channels * s * t + self.coarse_channels
        return samples_together(n, 64 // size, channels * self.tall * self.wide * size)

    def lay_out_planes(self, dtype):
        """Allocate the planes of a chunk's coarse and fine images, and find the positions of their pixels."""
        (s, t), (k, m), size = self.stride, self.kernel_size, self.weight.itemsize
        tall, wide, n = self.tall, self.wide, self.samples
        self.end = n * tall * wide
        lanes = 64 // size  # at most, in one vector
        self.row = (self.end + 31) // 32 * 32 + lanes  # odd: rows do not share their cache sets
        self.margin = n * (self.reach[0] // s * wide + self.reach[1] // t)
        beyond = n * (3 * wide + 4) + 32  # what is read past the last row
        coarse = self.margin + self.coarse_channels * self.row + beyond
        fine = self.fine_channels * s * t * self.row + self.margin + beyond
        self.coarse = reuse(self.coarse, (self.slots, coarse), dtype)
        self.fine = reuse(self.fine, (self.slots, fine), dtype)
        self.places, self.gaps = tables(self.places, self.gaps, self.height * self.width, s * t * tall * wide)
        pixels = self.rows * self.columns
        self.coarse_places, self.coarse_gaps = tables(self.coarse_places, self.coarse_gaps, pixels, tall * wide)
        fill_places(self.height, self.width, self.before, self.stride, tall, wide, self.row, n, self.places, self.gaps)
        fill_places(
            self.rows, self.columns, (0, 0), (1, 1), tall, wide, self.row, n, self.coarse_places, self.coarse_gaps
        )
        if self.method == "winograd" and self.uses_winograd():
            self.filters = reuse(self.filters, (self.weight.size // 9 * 16,), dtype)
            sums = sums_size(self.tiles, self.coarse_channels, self.fine_channels, lanes)
            self.winograd_sums = reuse(self.winograd_sums, (self.tiles, sums), dtype)
        else:
            self.lay_out_terms(self.fine_channels // self.groups * k * m, dtype)

    def lay_out_terms(self, size, dtype):
        """Find the positions of the `size` terms of a patch; each row of the coarse planes uses all of them."""
        inner, outer = self.fine_channels // self.groups, self.coarse_channels // self.groups
        taps, phases = size // inner, self.stride[0] * self.stride[1]
        self.left = reuse(self.left, (self.weight.size,), dtype)
        self.terms = reuse(self.terms, (size,), np.int64)
        fill_terms(inner, self.kernel_size, self.stride, self.dilation, self.row, self.wide, self.samples, self.terms)
        runs, _ = runs_of(self.rows, self.columns, self.wide, self.samples)
        self.ranges = reuse(self.ranges, (runs, 2), np.int64)
        fill_full_ranges(size, self.ranges)
        self.fine_terms = reuse(self.fine_terms, (outer * taps,), np.int64)
        self.fine_ranges = reuse(self.fine_ranges, (phases, self.tall, 2), np.int64)
        self.phases = reuse(self.phases, (phases, 6), np.int64)

    # -- images and their planes ---------------------------------------------------------------------------------------

    def read_fine(self, slot, image):
        """Lay the fine image out in its planes."""
        phases = self.stride[0] * self.stride[1]
        split(flat(image), image.shape, self.places, self.gaps, phases, 0, self.row, self.end, self.fine[slot])

    def read_coarse(self, slot, image):
        """Lay the coarse image out in its planes."""
        split(
            flat(image), image.shape, self.coarse_places, self.coarse_gaps, 1, self.margin, self.row, self.end,
            self.coarse[slot],
        )  # fmt: skip

    def write_fine(self, slot, image):
        """Copy the fine image from its planes."""
        join(self.fine[slot], 0, self.row, self.places, self.stride[0] * self.stride[1], flat(image), image.shape)

    def write_coarse(self, slot, bias, image):
        """Copy the coarse image from its planes, plus the biases."""
        add_to_planes(bias, self.coarse[slot], self.margin, self.row, self.end, self.coarse_places, self.samples)
        join(self.coarse[slot], self.margin, self.row, self.coarse_places, 1, flat(image), image.shape)

    # -- maps ----------------------------------------------------------------------------------------------------------

    def prepare_planes(self, weight, back):
        """Transform the kernels; or find the terms by which the coarse planes reach each plane of the fine image."""
        if self.method == "winograd" and self.uses_winograd():
            rows = self.fine_channels if back else self.coarse_channels
            parallel_for(
                fill_filters, rows, 10 * self.filters.size, flat(weight), self.coarse_channels, self.fine_channels,
                back, self.filters,
            )  # fmt: skip
        elif back:
            self.find_phase_terms(weight)

    def find_phase_terms(self, weight):
        """Find, for each remainder of the stride, the kernel's terms that reach its plane, and their weights in order.

        phases[k]: how many terms, where they and their weights begin, where the plane's pixels begin, its runs, and how
        many numbers are in each.
        """
        inner, outer, (s, t) = self.fine_channels // self.groups, self.coarse_channels // self.groups, self.stride
        wide, samples, size, at = self.wide, self.samples, 0, 0
        for phase in range(s * t):
            top, bottom = inside(self.height, self.before[0], s, phase // t)
            begin, end = inside(self.width, self.before[1], t, phase % t)
            runs, count = runs_of(bottom - top, end - begin, wide, samples)
            term_count = fill_fine_terms(
                flat(weight), outer, inner, self.groups, self.kernel_size, self.stride, self.dilation,
                phase, self.margin, self.row, wide, samples, self.rows, top, (bottom - top) // max(1, runs),
                self.fine_terms[size:], self.left[at:], self.fine_ranges[phase][:runs],
            )  # fmt: skip
            of_phase = self.phases[phase]
            of_phase[0], of_phase[1], of_phase[2] = term_count, size, at
            of_phase[3], of_phase[4], of_phase[5] = (top * wide + begin) * samples, runs, count
            size, at = size + term_count, at + term_count * inner * self.groups

    def to_coarse(self, slot, weight):
        """Compute the coarse image's planes from the fine one's."""
        if self.method == "winograd" and self.uses_winograd():
            convolve_tiles(
                self.filters, self.coarse_channels, self.fine_channels, self.fine[slot], 0, self.row,
                self.coarse[slot], self.margin, self.row, self.rows, self.columns, self.wide, self.samples,
            )  # fmt: skip
            return
        inner, phases = self.fine_channels // self.groups, self.stride[0] * self.stride[1]
        runs, count = runs_of(self.rows, self.columns, self.wide, self.samples)
        shifted_sums(
            flat(weight), self.coarse_channels // self.groups, self.groups,
            self.fine[slot], inner * phases * self.row, self.terms, self.terms.size, self.ranges,
            self.coarse[slot], self.margin, self.row, runs, self.wide * self.samples, count,
        )  # fmt: skip

    def to_fine(self, slot):
        """Compute the fine image's planes from the coarse one's, for each remainder of the stride."""
        if self.method == "winograd" and self.uses_winograd():
            first = (self.before[0] * self.wide + self.before[1]) * self.samples
            convolve_tiles(
                self.filters, self.fine_channels, self.coarse_channels, self.coarse[slot], first, self.row,
                self.fine[slot], first, self.row, self.height, self.width, self.wide, self.samples,
            )  # fmt: skip
            return
        inner, outer, (s, t) = self.fine_channels // self.groups, self.coarse_channels // self.groups, self.stride
        for phase in range(s * t):
            of_phase = self.phases[phase]
            term_count, size, at, first, runs, count = (
                of_phase[0], of_phase[1], of_phase[2], of_phase[3], of_phase[4], of_phase[5],
            )  # fmt: skip
            shifted_sums(
                self.left[at:], inner, self.groups, self.coarse[slot][first:], outer * self.row,
                self.fine_terms[size:], term_count, self.fine_ranges[phase],
                self.fine[slot], phase * self.row + first, s * t * self.row, runs, self.wide * self.samples, count,
            )  # fmt: skip

    def gradient_in_planes(self, tile, slot, out, grad_bias, more):
        """Add both images' planes to the sums for the weights' gradient, and coarse planes to those for the bias."""
        coarse, fine = self.coarse[slot], self.fine[slot]
        sum_planes(coarse, self.margin, self.row, self.end, grad_bias, more)
        if self.method == "winograd" and self.uses_winograd():
            filter_gradient(
                coarse, self.margin, self.row, self.coarse_channels, fine, 0, self.row, self.fine_channels,
                self.rows, self.columns, self.wide, self.samples, self.winograd_sums[tile], self.tiles, more,
            )  # fmt: skip
            return
        inner, phases = self.fine_channels // self.groups, self.stride[0] * self.stride[1]
        runs, count = runs_of(self.rows, self.columns, self.wide, self.samples)
        shifted_dots(
            coarse, self.margin, self.row, self.coarse_channels // self.groups, self.groups,
            fine, inner * phases * self.row, self.terms, self.terms.size,
            runs, self.wide * self.samples, count, out, more,
        )  # fmt: skip

    def end_winograd(self, out, add):
        """Compute the weights' gradient from winograd_sums."""
        end_filter_gradient(flat(self.winograd_sums), self.tiles, self.coarse_channels, self.fine_channels, out, add)
