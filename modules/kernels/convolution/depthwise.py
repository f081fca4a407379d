"""Depthwise convolution with a square kernel and padding that keeps the size; images are read where they lie.

An image of width W is read as the vector it is. Column j of the kernel makes

    Tⱼ[q] = Σᵢ weight[i, j] x[q + (i - s) W],     y[q] = Σⱼ Tⱼ[q + j - s],     s = ⌊side / 2⌋,

without what is outside the image, and without what Tⱼ[q + j - s] holds of another row. Vectors of Tⱼ stay in registers,
and a vector at q + j - s is taken from two that lie side by side. Channels are shared among threads. Each plain Python
function is the meaning of the compiled one below it.
"""

import numpy as np

from ...compiler.instruction_set import VECTOR_BYTES
from ...compiler.kernel import kernel
from ...compiler.numba_api import cgutils, intrinsic, ir, types
from ..matmul.gemm import panel_width
from ..matmul.micro_kernels import MULTIPLY_ADD, Tile
from ..threads import dispatch

SIDES = 3, 5  # of the kernels that there is code for


def make_masks(masks, height, width, side, itemsize):
    """Allocate the masks of `fill_masks`."""
    vectors = (height * width * itemsize + VECTOR_BYTES - 1) // VECTOR_BYTES
    return masks if masks.size == 2 * side * vectors + 2 else np.full(2 * side * vectors + 2, -1)


@kernel
def fill_masks(height, width, side, lanes, masks):
    """Which numbers of vector v at q are read: from q + (i - s) W in bits of masks[v, i], if they are of the image;
    from q + j - s in bits of masks[v, side + j], if they are of the same row. The last two numbers: for which images.
    """
    end = masks.size - 2
    if masks[end] == height and masks[end + 1] == width:
        return
    masks[end], masks[end + 1] = height, width
    for k in range(end):
        i, first, bits = k % (2 * side), k // (2 * side) * lanes, 0
        for q in range(first, min(first + lanes, height * width)):
            other = q // width + i - side // 2, q % width + i - side - side // 2
            if (0 <= other[0] < height) if i < side else (0 <= other[1] < width):
                bits |= 1 << (q - first)
        masks[k] = bits


class Images(Tile):
    """Base of the micro-kernels that read images by masks."""

    def __init__(self, context, builder, dtype, side, masks, width):
        super().__init__(context, builder, dtype)
        self.side, self.masks, self.row = side, masks, width

    def place(self, base, vector, offset=0):
        """Where vector `vector` of an image begins, or the one so many numbers after it."""
        return self.pointer(base, self.builder.mul(vector, cgutils.intp_t(self.width)), cgutils.intp_t(offset))

    def mask(self, vector, k):
        """The mask of row k of the kernel, or of column k - side."""
        at = self.builder.add(self.builder.mul(vector, cgutils.intp_t(2 * self.side)), cgutils.intp_t(k))
        bits = self.builder.trunc(self.builder.load(self.builder.gep(self.masks, [at])), ir.IntType(self.width))
        return self.builder.bitcast(bits, ir.VectorType(ir.IntType(1), self.width))

    def lines(self, base, vector):
        """Load the SIMD vectors at q + (i - s) W, for each i."""
        first, reach = self.place(base, vector), range(self.side)
        places = [self.pointer(first, self.times(i - self.side // 2, self.row)) for i in reach]
        return [self.load_some(place, self.mask(vector, i)) for i, place in zip(reach, places, strict=True)]

    def moved(self, first, second, places):
        """Shuffle two adjacent SIMD vectors into the one that begins at an offset in the first."""
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [places + k for k in range(self.width)])
        return self.builder.shuffle_vector(first, second, lanes)

    def fma(self, a, b, c):
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.{MULTIPLY_ADD}.v{self.width}f{self.align * 8}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [a, b, c])

    def if_of_row(self, vector, j, value):
        """Mask a SIMD vector: 0 for the numbers that are not of the row."""
        return self.builder.select(self.mask(vector, self.side + j), value, self.broadcast(self.zero()))

    def zero(self):
        return ir.Constant(self.scalar, 0.0)


def image_sums(side: int):
    """Make the sums y[q] = bias + Σ weight[i, j] x[q + (i - s) W + j - s] of one image.

    Its arguments: x (offset), the kernel (offset, step from number to number), bias, the masks, y (offset), W, and how
    many vectors there are.
    """
    middle = side // 2

    @intrinsic
    def sums(typing_context, x, x_at, weight, w_at, w_step, bias, masks, y, y_at, width, vectors):
        def generate(context, builder, signature, args):
            data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, x), (2, weight))]
            mask_data, out = (
                context.make_array(kind)(context, builder, args[k]).data for k, kind in ((6, masks), (7, y))
            )
            t = Images(context, builder, x.dtype, side, mask_data, args[9])
            x0, w0, y0 = (builder.gep(base, [args[k]]) for base, k in zip((*data, out), (1, 3, 8), strict=True))
            number = [builder.load(builder.gep(w0, [t.times(k, args[4])])) for k in range(side * side)]
            weights, start = [t.broadcast(each) for each in number], t.broadcast(args[5])
            before = dict(zip((j for j in range(side) if j != middle), t.sums(side - 1), strict=True))  # the last Tⱼ
            (open_sum,) = t.sums(1)  # of the last vector, whose terms from the right are still to come
            last = builder.sub(args[10], cgutils.intp_t(1))

            def columns(v):
                lines, made = t.lines(x0, v), []
                for j in range(side):
                    made.append(start if j == middle else builder.fmul(weights[j], lines[0]))
                    for i in range(0 if j == middle else 1, side):
                        made[j] = t.fma(weights[i * side + j], lines[i], made[j])
                return made

            def closed(v, following):
                total = builder.load(open_sum)
                for j in range(middle + 1, side):
                    term = t.moved(builder.load(before[j]), following[j], j - middle)
                    total = builder.fadd(total, t.if_of_row(v, j, term))
                return total

            with cgutils.for_range(builder, args[10]) as loop:
                made = columns(loop.index)
                with builder.if_then(builder.icmp_signed(">", loop.index, cgutils.intp_t(0)), likely=True):
                    v = builder.sub(loop.index, cgutils.intp_t(1))
                    t.store(closed(v, made), t.place(y0, v))
                total = made[middle]
                for j in range(middle):
                    term = t.moved(builder.load(before[j]), made[j], t.width + j - middle)
                    total = builder.fadd(total, t.if_of_row(loop.index, j, term))
                builder.store(total, open_sum)
                for j, slot in before.items():
                    builder.store(made[j], slot)
            nothing = [t.broadcast(t.zero())] * side
            t.store_some(closed(last, nothing), t.place(y0, last), t.mask(last, middle))
            return context.get_dummy_value()

        n = types.intp
        return types.none(x, n, weight, n, n, x.dtype, masks, y, n, n, n), generate

    return sums


def image_dots(side: int):
    """Make the sums out[i, j] (+)= Σ grad_y[q] x[q + (i - s) W + j - s] of many images.

    Its arguments: grad_y (offset), x (offset), from one image to the next, how many there are, the masks, out (offset),
    whether to add, W, and how many vectors an image has. It returns Σ grad_y[q].
    """
    middle = side // 2

    @intrinsic
    def dots(typing_context, grad, grad_at, x, x_at, step, images, masks, out, out_at, add, width, vectors):
        def generate(context, builder, signature, args):
            data = [context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, grad), (2, x))]
            mask_data, to = (
                context.make_array(kind)(context, builder, args[k]).data for k, kind in ((6, masks), (7, out))
            )
            t = Images(context, builder, x.dtype, side, mask_data, args[10])
            grad0, x0, out0 = (builder.gep(base, [args[k]]) for base, k in zip((*data, to), (1, 3, 8), strict=True))
            *slots, total = t.sums(side * side + 1)
            with cgutils.for_range(builder, args[5]) as image:
                at = builder.mul(image.index, args[4])
                of_grad, of_x = builder.gep(grad0, [at]), builder.gep(x0, [at])
                with cgutils.for_range(builder, args[11]) as loop:
                    lines, v = t.lines(of_x, loop.index), loop.index
                    others = [
                        t.load_some(t.place(of_grad, v, middle - j), t.mask(v, 2 * side - 1 - j)) for j in range(side)
                    ]
                    for k, slot in enumerate(slots):
                        t.add_product(slot, lines[k // side], others[k % side])
                    builder.store(builder.fadd(builder.load(total), others[middle]), total)
            for k, slot in enumerate(slots):
                pointer = builder.gep(out0, [cgutils.intp_t(k)])
                number = builder.select(args[9], builder.load(pointer), t.zero())
                builder.store(builder.fadd(number, t.total(builder.load(slot))), pointer)
            return t.total(builder.load(total))

        n = types.intp
        return x.dtype(grad, n, x, n, n, n, masks, out, n, types.boolean, n, n), generate

    return dots


SUMS_3, SUMS_5 = (image_sums(side) for side in SIDES)
DOTS_3, DOTS_5 = (image_dots(side) for side in SIDES)


def channel_sums(x, shape, side, weight, bias, back, masks, y):
    """y[n, c, p] = Σ weight[c, i, j] x[n, c, p + (i, j) - s] + bias[c].

    Args: x, y: images of one shape, as vectors; weight: (C, side, side) as a vector; bias: (C,) or none; back: with the
        kernel turned by half a turn; masks: of `make_masks`.
    """
    images, kernels, s = x.reshape(shape), weight.reshape((shape[1], side, side)), side // 2
    padded, out = np.pad(images, ((0, 0), (0, 0), (s, s), (s, s))), y.reshape(shape)
    out[:] = bias.reshape((-1, 1, 1)) if bias.size else 0
    for i in range(side):
        for j in range(side):
            numbers = kernels[:, -1 - i, -1 - j] if back else kernels[:, i, j]
            out += numbers.reshape((-1, 1, 1)) * padded[:, :, i : i + shape[2], j : j + shape[3]]


@kernel
def compiled_channel_sums(x, shape, side, weight, bias, back, masks, y):
    """The compiled form of `channel_sums`."""
    fill_masks(shape[2], shape[3], side, panel_width(y) // 2, masks)
    dispatch(sums_of_channels, shape[1], 2 * side * side * y.size, x, shape, side, weight, bias, back, masks, y)


@kernel
def sums_of_channels(begin, stop, x, shape, side, weight, bias, back, masks, y):
    """Compute `channel_sums` for some channels."""
    (samples, channels, height, width), taps = shape, side * side
    vectors = (masks.size - 2) // (2 * side)
    for n in range(samples):
        for c in range(begin, stop):
            at, number = (n * channels + c) * height * width, bias[c] if bias.size > 0 else y.dtype.type(0)
            first, step = ((c + 1) * taps - 1, -1) if back else (c * taps, 1)
            if side == 3:
                SUMS_3(x, at, weight, first, step, number, masks, y, at, width, vectors)
            else:
                SUMS_5(x, at, weight, first, step, number, masks, y, at, width, vectors)


channel_sums.compiled_form = compiled_channel_sums  # type: ignore[attr-defined]


def channel_dots(grad_y, x, shape, side, masks, out, grad_bias, add):
    """out[c, i, j] (+)= Σₙ Σₚ grad_y[n, c, p] x[n, c, p + (i, j) - s], and grad_bias[c] (+)= Σₙ Σₚ grad_y[n, c, p].

    Args: as of `channel_sums`; out: (C, side, side) as a vector; grad_bias: (C,) or none.
    """
    grads, kernels, s = grad_y.reshape(shape), out.reshape((shape[1], side, side)), side // 2
    padded = np.pad(x.reshape(shape), ((0, 0), (0, 0), (s, s), (s, s)))
    if not add:
        out[:] = grad_bias[:] = 0
    for i in range(side):
        for j in range(side):
            kernels[:, i, j] += (grads * padded[:, :, i : i + shape[2], j : j + shape[3]]).sum((0, 2, 3))
    if grad_bias.size:
        grad_bias += grads.sum((0, 2, 3))


@kernel
def compiled_channel_dots(grad_y, x, shape, side, masks, out, grad_bias, add):
    """The compiled form of `channel_dots`."""
    fill_masks(shape[2], shape[3], side, panel_width(out) // 2, masks)
    dispatch(dots_of_channels, shape[1], 2 * side * side * x.size, grad_y, x, shape, side, masks, out, grad_bias, add)


@kernel
def dots_of_channels(begin, stop, grad_y, x, shape, side, masks, out, grad_bias, add):
    """Compute `channel_dots` for some channels."""
    (samples, channels, height, width), taps = shape, side * side
    vectors, step = (masks.size - 2) // (2 * side), channels * height * width
    for c in range(begin, stop):
        at = c * height * width
        if side == 3:
            total = DOTS_3(grad_y, at, x, at, step, samples, masks, out, c * taps, add, width, vectors)
        else:
            total = DOTS_5(grad_y, at, x, at, step, samples, masks, out, c * taps, add, width, vectors)
        if grad_bias.size > 0:
            grad_bias[c] = grad_bias[c] + total if add else total


channel_dots.compiled_form = compiled_channel_dots  # type: ignore[attr-defined]
