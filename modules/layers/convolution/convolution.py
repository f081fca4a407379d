"""The base of convolutions: the maps between a fine and a coarse image, both ways, and the weights' gradient.

A convolution takes the fine image to the coarse one, a transposed convolution the coarse one to the fine one; the
backward pass of each is the other's forward pass.
"""

import math
from typing import Literal

import numpy as np

from ...core.module import Module
from ...core.parameter import Parameter
from ...core.shapes import as_image_sizes, check_sizes, collapse_sizes
from ...initializers.initializers import Initializer, PyTorchUniform
from ...kernels.buffers import flat, reuse
from ...kernels.convolution.depthwise import SIDES, channel_dots, channel_sums, make_masks
from ...kernels.convolution.planes import add_sums
from ...kernels.convolution.pointwise import MAX_TERMS, fill_points, point_dots, point_sums, samples_of_points
from ...kernels.convolution.winograd import GROUPS, MAX_CHANNELS
from ...kernels.rearrange import CIRCULAR, CONSTANT, REFLECT, REPLICATE
from ...kernels.threads import count_equal_shares, parallel_for_parts
from .in_planes import InPlanes

Padding = int | list[int] | tuple[int, ...] | Literal["same", "valid", "causal"]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
MODES = {"zeros": CONSTANT, "reflect": REFLECT, "replicate": REPLICATE, "circular": CIRCULAR}


class Convolution(InPlanes):
    """Base of the convolutions: equations are in the leaves, loops in kernels/, by a method that the sizes decide.

        coarse[n, o, p] = Σ weight[o, c, i, j] fine[n, c, s p + d (i, j) - padding]
        fine            = the transposed map
        grad_weight     += Σₙ Σₚ coarse[n, o, p] fine[n, c, s p + d (i, j) - padding]

    Shapes: weight (coarse channels, fine channels / groups, *kernel_size).
    Args: coarse, fine: channels of the two maps; kernel_size, stride, padding, dilation: one size, or one for each
        axis; groups, padding_mode: as of Conv2d.
    Errors: ValueError for wrong settings.
    Methods: "channels" (each by itself) and "points" (kernels of one pixel) read images where they lie; "winograd"
        (Winograd's, for kernels of 3 x 3 and 16 channels or more) and "sums" (all others) lay them out in planes.
    Threads: samples run in chunks that fit the cache, and chunks belong to a few tiles. If threads can share the
        tiles evenly, they do: what a sample needs then stays with one core, from layer to layer. Else they share the
        work of each chunk. The weights' gradient is summed tile by tile, so that threads change no bit.
    """

    axes = 2
    needs_y = False
    allows_causal = False  # whether all padding may stand before the signal

    def __init__(
        self, coarse: int, fine: int, kernel_size, stride, padding, dilation, groups: int, padding_mode: str = "zeros"
    ):
        super().__init__()
        self.coarse_channels, self.fine_channels, self.groups = coarse, fine, groups
        self.kernel_size = as_image_sizes(self, "kernel_size", kernel_size, self.axes)
        self.stride = as_image_sizes(self, "stride", stride, self.axes)
        self.dilation = as_image_sizes(self, "dilation", dilation, self.axes)
        self.reach = tuple(d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True))
        self.before, self.padded_by = self.paddings(padding)
        self._padding = padding if isinstance(padding, str) else self.before
        self.surround(padding_mode)
        square = self.kernel_size == (3, 3) and (*self.stride, *self.dilation, groups) == (1,) * 5
        self.method = "winograd" if square and 16 <= min(coarse, fine) <= max(coarse, fine) <= MAX_CHANNELS else "sums"
        middle = self.kernel_size[0] // 2, self.kernel_size[1] // 2
        as_large = (*self.stride, *self.dilation) == (1,) * 4 and self.before == middle and self.padded_by == self.reach
        if groups == coarse == fine and as_large and self.kernel_size in [(side, side) for side in SIDES]:
            self.method = "channels"
        if as_large and self.kernel_size == (1, 1) and groups == 1 and max(coarse, fine) <= MAX_TERMS:
            self.method = "points"
        self.none, self.sums, self.masks = np.empty(0), np.empty((0, 0)), np.empty(0, np.int64)
        self.chunks = self.tiles = self.slots = 0

    def start(self, bias: bool, out: int, weight_init: Initializer | None, bias_init: Initializer | None) -> None:
        """Make the parameters."""
        kernel = self.kernel_size[2 - self.axes :]
        shape = (self.coarse_channels, self.fine_channels // self.groups, *kernel)
        default = PyTorchUniform(math.prod(shape[1:]))
        self.weight = Parameter((weight_init or default).sample(shape))
        self.bias = Parameter((bias_init or default).sample((out,))) if bias else None

    def lay_out(self, n, rows, columns, height, width, dtype):
        """Allocate coarse and fine images of these sizes, and divide samples into chunks."""
        self.rows, self.columns, self.height, self.width = rows, columns, height, width
        size = self.weight.itemsize
        self.samples = n
        if self.method == "channels":
            self.masks = make_masks(self.masks, height, width, self.kernel_size[0], size)
        elif self.method == "points":
            self.samples = samples_of_points(n, (self.fine_channels + self.coarse_channels) * height * width * size)
            longest = max(self.fine_channels, self.coarse_channels)
            self.left = reuse(self.left, (self.weight.size + longest,), dtype)
        else:
            self.samples = self.samples_together(n)
        self.chunks = n // self.samples
        self.tiles = min(GROUPS, self.chunks)
        self.slots = count_equal_shares(self.tiles)
        self.sums = reuse(self.sums, (self.tiles, self.weight.size + self.coarse_channels), dtype)
        if self.uses_planes():
            self.lay_out_planes(dtype)

    def prepare(self, weight, bias, back):
        """Reorder the weights for a map: to the coarse image, or back to the fine one."""
        if self.method == "points":
            rows = self.fine_channels if back else self.coarse_channels
            fill_points(flat(weight), rows, weight.size // rows, back, bias, self.left)
        elif self.uses_planes():
            self.prepare_planes(weight, back)

    def start_of(self, tile):
        """The first sample of a tile."""
        return tile * self.chunks // self.tiles * self.samples

    def slot_of(self, tile):
        """The slot whose planes serve a range of tiles that begins with this one."""
        return tile * self.slots // self.tiles

    # -- images --------------------------------------------------------------------------------------------------------

    def coarse_of(self, fine, weight, bias, coarse):
        """Compute the coarse image of a fine one, tile by tile; bias: or none."""
        self.begin_coarse(fine, weight, bias, coarse)
        parallel_for_parts(coarse_tiles, self.tiles, self.slots, self, fine, weight, bias, coarse)

    def begin_coarse(self, fine, weight, bias, coarse):
        """Allocate the coarse image, and reorder the weights."""
        self.lay_out(len(fine), coarse.shape[2], coarse.shape[3], fine.shape[2], fine.shape[3], fine.dtype)
        self.prepare(weight, bias, False)

    def fine_of(self, coarse, weight, fine):
        """Compute the fine image of a coarse one."""
        self.lay_out(len(fine), coarse.shape[2], coarse.shape[3], fine.shape[2], fine.shape[3], fine.dtype)
        self.prepare(weight, self.none, True)
        parallel_for_parts(fine_tiles, self.tiles, self.slots, self, coarse, weight, fine)

    def gradient_of(self, fine, coarse, grad_bias, add):
        """Compute the weights' gradient from both images, of which one is a gradient; or add it; grad_bias: or none."""
        self.lay_out(len(fine), coarse.shape[2], coarse.shape[3], fine.shape[2], fine.shape[3], fine.dtype)
        for tile in range(self.tiles):
            first = self.start_of(tile)
            for k in range(first, self.start_of(tile + 1), self.samples):
                chunk = slice(k, k + self.samples)
                self.some_gradient(tile, 0, fine[chunk], coarse[chunk], grad_bias.size > 0, k > first)
        self.end_gradient(grad_bias, add)

    def some_coarse(self, slot, fine, weight, bias, coarse, read):
        """Compute the coarse images of a chunk of samples; bias: for each channel, or none.

        Args: slot: whose planes serve; read: whether the fine images must be laid out in them first.
        """
        if self.method == "channels":
            side = self.kernel_size[0]
            channel_sums(flat(fine), fine.shape, side, flat(weight), bias, False, self.masks, flat(coarse))
        elif self.method == "points":
            rows, terms = self.coarse_channels, self.fine_channels
            point_sums(self.left, rows, terms, bias.size > 0, flat(fine), len(fine), flat(coarse))
        else:
            if read:
                self.read_fine(slot, fine)
            self.to_coarse(slot, weight)
            self.write_coarse(slot, bias, coarse)

    def some_fine(self, slot, coarse, weight, fine, read):
        """Compute the fine images of a chunk of samples; read: whether the coarse images must be laid out first."""
        if self.method == "channels":
            side = self.kernel_size[0]
            channel_sums(flat(coarse), coarse.shape, side, flat(weight), self.none, True, self.masks, flat(fine))
        elif self.method == "points":
            rows, terms = self.fine_channels, self.coarse_channels
            point_sums(self.left, rows, terms, False, flat(coarse), len(fine), flat(fine))
        else:
            if read:
                self.read_coarse(slot, coarse)
            self.to_fine(slot)
            self.write_fine(slot, fine)

    def some_gradient(self, tile, slot, fine, coarse, biased, more):
        """Add a chunk of samples to the tile's sums for the weights' gradient; both images are in the planes then.

        Args: biased: the coarse image's channels are summed, too; more: these are not the tile's first samples.
        """
        out = self.sums[tile][: self.weight.size]
        grad_bias = self.sums[tile][self.weight.size :] if biased else self.none
        if self.method == "channels":
            side = self.kernel_size[0]
            channel_dots(flat(coarse), flat(fine), fine.shape, side, self.masks, out, grad_bias, more)
        elif self.method == "points":
            rows, terms = self.coarse_channels, self.fine_channels
            point_dots(flat(coarse), rows, flat(fine), terms, len(fine), out, grad_bias, more)
        else:
            self.read_fine(slot, fine)
            self.read_coarse(slot, coarse)
            self.gradient_in_planes(tile, slot, out, grad_bias, more)

    def end_gradient(self, grad_bias, add):
        """Compute the gradients from the tiles' sums, or add them; grad_bias: or none."""
        if self.method == "winograd" and self.uses_winograd():
            self.end_winograd(flat(self.grad_weight), add)
        else:
            add_sums(self.sums, 0, flat(self.grad_weight), add)
        add_sums(self.sums, self.weight.size, grad_bias, add)

    # -- settings ----------------------------------------------------------------------------------------------------

    def paddings(self, padding) -> tuple[tuple[int, ...], ...]:
        """Compute the zeros before the image, and before and after it together, for each axis."""
        if padding == "same":
            if max(self.stride) > 1:
                raise ValueError(f"{type(self).__name__}: padding is 'same' with a stride above 1, expected stride 1")
            return (self.reach[0] // 2, self.reach[1] // 2), self.reach
        if padding == "causal" and self.allows_causal:
            return self.reach, self.reach
        if isinstance(padding, str) and padding != "valid":
            expected = "sizes, 'same', 'valid' or 'causal'" if self.allows_causal else "sizes, 'same' or 'valid'"
            raise ValueError(f"{type(self).__name__}: padding is {padding!r}, expected {expected}")
        before = as_image_sizes(self, "padding", 0 if padding == "valid" else padding, self.axes)
        return before, (2 * before[0], 2 * before[1])

    def surround(self, padding_mode: str) -> None:
        """Let the layer pad images itself, where they are not to be padded by zeros; the convolution then pads none."""
        if padding_mode not in MODES:
            expected = ", ".join(map(repr, list(MODES)[:-1])) + f" or {list(MODES)[-1]!r}"
            raise ValueError(f"{type(self).__name__}: padding_mode is {padding_mode!r}, expected {expected}")
        (top, left), (down, across) = self.before, self.padded_by
        self.edge, self._padding_mode = MODES[padding_mode], padding_mode
        self.pads = None if padding_mode == "zeros" or down == across == 0 else "pads"  # decided while compiling
        self.sides = (left, across - left, top, down - top) if self.pads else (0, 0, 0, 0)
        if self.pads:
            self.before, self.padded_by = (0, 0), (0, 0)
        self.edge_places = np.empty(0, np.int64)
        self.padded = self.unpadded = np.empty((0, 0, 0, 0))

    @property
    def padding_mode(self) -> str:
        """What stands around images."""
        return self._padding_mode

    def settings(self) -> str:
        """Format the settings that differ from the defaults, for the repr."""
        values = {"stride": (self.stride, 1), "padding": (self._padding, 0), "dilation": (self.dilation, 1)}
        text = f", kernel_size={collapse_sizes(self.kernel_size, self.axes)}"
        for name, (value, default) in values.items():
            value = value if isinstance(value, str) else collapse_sizes(value, self.axes)
            text += f", {name}={value}" if value != default else ""
        text += f", groups={self.groups}" if self.groups > 1 else ""
        text += f", padding_mode={self.padding_mode!r}" if self.padding_mode != "zeros" else ""
        return text + ("" if self.bias is not None else ", bias=False")


def coarse_tiles(first, last, layer, fine, weight, bias, coarse):
    """Compute some tiles of the coarse images, a chunk at a time, whose planes stay in the cache."""
    for k in range(layer.start_of(first), layer.start_of(last), layer.samples):
        chunk = slice(k, k + layer.samples)
        layer.some_coarse(layer.slot_of(first), fine[chunk], weight, bias, coarse[chunk], True)


def fine_tiles(first, last, layer, coarse, weight, fine):
    """Compute some tiles of the fine images."""
    for k in range(layer.start_of(first), layer.start_of(last), layer.samples):
        chunk = slice(k, k + layer.samples)
        layer.some_fine(layer.slot_of(first), coarse[chunk], weight, fine[chunk], True)


def check_groups(owner: Module, groups: int, **channels: int) -> None:
    """Raise ValueError unless all sizes are at least 1 and `groups` divides the channels."""
    check_sizes(owner, **channels, groups=groups)
    for name, count in channels.items():
        if count % groups:
            raise ValueError(f"{type(owner).__name__}: {name} is {count}, expected a multiple of groups, {groups}")
