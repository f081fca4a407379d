"""Convolutional layers of images and signals."""

import numpy as np

from ...core.shapes import Sizes, as_image_shape
from ...engine.stateful import is_written_by
from ...initializers.initializers import Initializer
from ...kernels.buffers import flat, reuse, reuse_like
from ...kernels.convolution.planes import add_image
from ...kernels.rearrange import fill_padded, gather_places, scatter_places
from ...kernels.threads import MOVE_FLOPS, parallel_for, parallel_for_parts
from ..activations.elementwise import Elementwise, apply, apply_back, count_tiles
from ..padding.pad import check_sides
from .convolution import Convolution, Padding, PaddingMode, check_groups


class Conv2d(Convolution):
    """Cross-correlation of an image with learned kernels.

        y[n, o, p]              = Σ weight[o, c, i, j] x[n, c, s p + d (i, j) - padding] + bias[o]
        grad_x[n, c, q]         = Σ weight[o, c, i, j] grad_y[n, o, p]   over p, i, j with s p + d (i, j) - padding = q
        grad_weight[o, c, i, j] += Σₙ Σₚ grad_y[n, o, p] x[n, c, s p + d (i, j) - padding]
        grad_bias[o]            += Σₙ Σₚ grad_y[n, o, p]

    with s the stride, d the dilation, and x zero outside, or what padding_mode says. Of G groups, each sees in / G
    channels and makes out / G.

    Shapes: x (N, in, H, W), y (N, out, H', W'), weight (out, in / groups, *kernel_size), bias (out,), with
        H' = ⌊(H + 2 padding - d (kernel_size - 1) - 1) / s⌋ + 1.
    Args: in_channels, out_channels; kernel_size, stride, padding, dilation: one size, or one for each axis; padding:
        also "same" (as many places as x; stride 1 only) or "valid" (none); groups: divides both numbers of channels
        (in_channels groups: each channel by itself); bias: add b; padding_mode: what stands around the image, zeros, or
        reflect, replicate, circular as of the padding layers; weight_init, bias_init: as of Linear.
    Errors: ValueError for wrong settings, wrong channels, and an image that is smaller than the kernel or the padding.
    Source: Goodfellow et al., Deep Learning, sections 9.1 (eq. 9.6) and 9.5 (eq. 9.9 to 9.13); PyTorch's Conv2d.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ):
        super().__init__(out_channels, in_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        check_groups(self, groups, in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.start(bias, out_channels, weight_init, bias_init)
        self.y = self.grad_x = np.empty((0, 0, 0, 0))

    def fprop(self, x):
        return self.images(self.pad(x))

    def bprop(self, grad_y):
        return self.unpad(self.images_back(np.ascontiguousarray(grad_y)), self.unpadded)

    def pad(self, x):
        """Put what padding_mode says around images; of zeros, the convolution itself takes care."""
        if self.pads is None:
            return x
        left, right, top, bottom = self.sides
        rows, columns = x.shape[2] + top + bottom, x.shape[3] + left + right
        self.edge_places = reuse(self.edge_places, (rows * columns,), np.int64)
        fill_padded((1, x.shape[2], x.shape[3]), (0, top, left), (1, rows, columns), self.edge, self.edge_places)
        self.padded = reuse(self.padded, (x.shape[0], x.shape[1], rows, columns), x.dtype)
        self.unpadded = reuse_like(self.unpadded, x)
        self.gather(x, self.padded)
        return self.padded

    def pad_direction(self, v):
        """Pad a direction in memory of its own."""
        if self.pads is None:
            return v
        out = np.empty(self.padded.shape, v.dtype)
        self.gather(v, out)
        return out

    def gather(self, x, out):
        """out = x padded."""
        planes = x.shape[0] * x.shape[1]
        zero = x.dtype.type(0)
        parallel_for(gather_places, planes, MOVE_FLOPS * out.size, flat(x), self.edge_places, planes, zero, flat(out))

    def unpad(self, grad, out):
        """Add the gradients of padded images up at the places where they come from."""
        if self.pads is None:
            return grad
        if self.needs_grad_x:
            planes, cost = grad.shape[0] * grad.shape[1], MOVE_FLOPS * grad.size
            parallel_for(scatter_places, planes, cost, flat(grad), self.edge_places, planes, flat(out))
        return out

    def images(self, x):
        """Compute y."""
        self.begin(x)
        self.coarse_of(x, self.weight, self.none if self.bias is None else self.bias, self.y)
        return self.y

    def images_back(self, grad_y):
        """Compute grad_x, and the gradients of the parameters."""
        self.begin_back()
        parallel_for_parts(convolve_back, self.tiles, self.slots, self, grad_y)
        if self.needs_grad_parameters:
            self.end_gradient(self.none if self.bias is None else self.grad_bias, self.accumulate)
        return self.grad_x

    def begin(self, x):
        """Allocate y."""
        rows, columns = self.image_of(x.shape[2], x.shape[3])
        self.x, self.y = x, reuse(self.y, (len(x), self.out_channels, rows, columns), x.dtype)

    def begin_back(self):
        """Allocate grad_x."""
        self.grad_x = reuse_like(self.grad_x, self.x)
        self.prepare(self.weight, self.none, True)

    def convolve_back(self, tile, slot, k, grad_y):
        """Compute some tiles of the backward pass."""
        x, grad_y, more = self.x[k : k + self.samples], grad_y[k : k + self.samples], k > self.start_of(tile)
        if self.needs_grad_parameters:
            self.some_gradient(tile, slot, x, grad_y, self.bias is not None, more)  # which prepares what grad_x needs
        if self.needs_grad_x:
            read = not self.needs_grad_parameters
            self.some_fine(slot, grad_y, self.weight, self.grad_x[k : k + self.samples], read)

    def jvp(self, v):
        """The convolution of v with W, that of x with V_W, and v_b."""
        return self.convolve_directions(self.pad_direction(np.ascontiguousarray(v)))

    def convolve_directions(self, v):
        """Compute the directional derivative."""
        out, other = np.empty(self.y.shape, v.dtype), np.empty(self.y.shape, v.dtype)
        self.coarse_of(self.x, self.v_weight, self.none if self.bias is None else self.v_bias, out)
        if self.needs_grad_x:  # else nothing before this layer is learned, and x stands still
            self.coarse_of(v, self.weight, self.none, other)
            add_image(flat(other), flat(out))
        return out

    def rbprop(self, v, grad_y, r_grad_y):
        """bprop of r_grad_y with x and W, plus bprop of grad_y with v and V_W."""
        v, grad_y = self.pad_direction(np.ascontiguousarray(v)), np.ascontiguousarray(grad_y)
        out = self.directions_back(v, grad_y, np.ascontiguousarray(r_grad_y))
        return self.unpad(out, np.empty(self.unpadded.shape, v.dtype))

    def directions_back(self, v, grad_y, r_grad_y):
        """Compute the change of the results of `convolve_back`."""
        out, other = np.empty(v.shape, v.dtype), np.empty(v.shape, v.dtype)
        if self.needs_grad_x:
            self.gradient_of(v, grad_y, self.none, True)
            self.fine_of(grad_y, self.v_weight, other)
        self.gradient_of(self.x, r_grad_y, self.none if self.bias is None else self.grad_bias, True)
        if self.needs_grad_x:
            self.fine_of(r_grad_y, self.weight, out)
            add_image(flat(other), flat(out))
        return out

    def image_of(self, height, width):
        """Infer height and width of y."""
        return (
            (height + self.padded_by[0] - self.reach[0] - 1) // self.stride[0] + 1,
            (width + self.padded_by[1] - self.reach[1] - 1) // self.stride[1] + 1,
        )

    def fuses_with(self, unit) -> bool:
        return self.pads is None and is_written_by(self, Conv2d) and is_written_by(unit, Elementwise)

    def fprop_then(self, unit, x):
        """fprop of this layer and of the elementwise unit after it, while the cache holds what lies between."""
        self.begin(x)
        unit.x = self.y
        unit.y = reuse_like(unit.y, self.y)
        bias = self.none if self.bias is None else self.bias
        self.begin_coarse(x, self.weight, bias, self.y)
        parallel_for_parts(convolve_then, self.tiles, self.slots, self, unit, x, self.weight, bias, self.y, unit.y)
        return unit.y

    def bprop_after(self, unit, grad_y):
        """bprop of the unit after this layer, then of this layer, some samples at a time."""
        unit.grad_x = reuse_like(unit.grad_x, unit.x)
        self.begin_back()
        parallel_for_parts(convolve_back_after, self.tiles, self.slots, self, unit, unit.x, unit.y, grad_y, unit.grad_x)
        if self.needs_grad_parameters:
            self.end_gradient(self.none if self.bias is None else self.grad_bias, self.accumulate)
        return self.grad_x

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        n, _, height, width = as_image_shape(self, tuple(input_shape), self.in_channels, self.axes)
        left, right, top, bottom = self.sides
        check_sides(self, input_shape, self.edge, (height, width), self.sides)
        height, width = height + top + bottom, width + left + right
        sizes = self.image_of(height, width)[2 - self.axes :]
        if min(sizes) < 1:
            least = [1 + reach - padded for reach, padded in zip(self.reach, self.padded_by, strict=True)]
            expected = " by ".join(map(str, least[2 - self.axes :]))
            raise ValueError(f"{self.label()}: x has shape {input_shape}, expected at least {expected} places")
        return (n, self.out_channels, *sizes)

    def extra_repr(self) -> str:
        return f"{self.in_channels} -> {self.out_channels}{self.settings()}"


def convolve_then(first, last, layer, unit, x, weight, bias, between, y):
    """Compute some tiles of the layer's y, and of the activation's after it."""
    for k in range(layer.start_of(first), layer.start_of(last), layer.samples):
        some_x, some_y = between[k : k + layer.samples], flat(y[k : k + layer.samples])
        layer.some_coarse(layer.slot_of(first), x[k : k + layer.samples], weight, bias, some_x, True)
        apply(0, count_tiles(some_y), unit, flat(some_x), some_y)


def convolve_back(first, last, layer, grad_y):
    """Add a chunk of samples, from k on, to the tile's sums for weight and bias; writes its grad_x."""
    for tile in range(first, last):
        for k in range(layer.start_of(tile), layer.start_of(tile + 1), layer.samples):
            layer.convolve_back(tile, layer.slot_of(first), k, grad_y)


def convolve_back_after(first, last, layer, unit, unit_x, unit_y, grad_y, between):
    """Compute some tiles of the backward pass of the activation after the layer, then of the layer."""
    for tile in range(first, last):
        for k in range(layer.start_of(tile), layer.start_of(tile + 1), layer.samples):
            x, y = flat(unit_x[k : k + layer.samples]), flat(unit_y[k : k + layer.samples])
            grad, out = flat(grad_y[k : k + layer.samples]), flat(between[k : k + layer.samples])
            apply_back(0, count_tiles(x), unit, x, y, grad, out)
            layer.convolve_back(tile, layer.slot_of(first), k, between)


class Conv1d(Conv2d):
    """Cross-correlation of a signal with learned kernels.

        y[n, o, p]           = Σ weight[o, c, i] x[n, c, s p + d i - padding] + bias[o]
        grad_x[n, c, q]      = Σ weight[o, c, i] grad_y[n, o, p]   over p, i with s p + d i - padding = q
        grad_weight[o, c, i] += Σₙ Σₚ grad_y[n, o, p] x[n, c, s p + d i - padding]
        grad_bias[o]         += Σₙ Σₚ grad_y[n, o, p]

    Shapes: x (N, in, L), y (N, out, L'), weight (out, in / groups, kernel_size), bias (out,); L' as Conv2d's H'.
    Args, Errors: as of Conv2d, with one size each; padding: also "causal": d (kernel_size - 1) zeros before the signal
        and none after it, so that y[p] sees x up to s p; layers of it make a temporal convolutional net.
    Source: Goodfellow et al., Deep Learning, section 9.1 (eq. 9.3); Bai, Kolter and Koltun, An empirical evaluation of
        generic convolutional and recurrent networks for sequence modeling (2018), section 3.1; PyTorch's Conv1d.
    """

    axes = 1
    allows_causal = True

    def fprop(self, x):
        y = self.images(self.pad(flat(x).reshape((x.shape[0], x.shape[1], 1, x.shape[2]))))
        return y.reshape((x.shape[0], self.out_channels, y.shape[3]))

    def bprop(self, grad_y):
        grad_x = self.unpad(self.images_back(flat(grad_y).reshape(self.y.shape)), self.unpadded)
        return grad_x.reshape((grad_y.shape[0], self.in_channels, grad_x.shape[3]))

    def jvp(self, v):
        y = self.convolve_directions(self.pad_direction(flat(v).reshape((v.shape[0], v.shape[1], 1, v.shape[2]))))
        return y.reshape((y.shape[0], self.out_channels, y.shape[3]))

    def rbprop(self, v, grad_y, r_grad_y):
        shape = self.y.shape
        grad_y, r_grad_y = flat(grad_y).reshape(shape), flat(r_grad_y).reshape(shape)
        images = self.pad_direction(flat(v).reshape((v.shape[0], v.shape[1], 1, v.shape[2])))
        out = self.directions_back(images, grad_y, r_grad_y)
        return self.unpad(out, np.empty(self.unpadded.shape, v.dtype)).reshape(v.shape)
