"""Convolution with kernels of 3 x 3 by 16 multiplications where the sum has 36: Winograd's F(2 x 2, 3 x 3).

    y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A         each 2 x 2 tile y of the output from the 4 x 4 tile d that it depends on
    grad_g = Gᵀ [(A grad_y Aᵀ) ⊙ (Bᵀ d B)] G

summed over channels, so 16 matrix products for a block of tiles; the images lie in planes (see planes.py), and a
SIMD vector is one pixel of several samples. Each plain Python function defines what the compiled one below it computes.

Numerics: additions come before the products; in float32 y and grad_x are within 1e-6 of their largest number, and
grad_weight within 3e-6 (tests/modules/layers/test_convolution.py). NaN and infinity reach all four pixels of
a tile, not only those that depend on them.
Source: Winograd, Arithmetic Complexity of Computations (1980); Lavin & Gray, Fast Algorithms for Convolutional Neural
Networks (2016), section 4.1.
"""

import itertools

import numpy as np

from ...compiler.arrays import stack_vector
from ...compiler.kernel import kernel, noinline
from ...compiler.numba_api import cgutils, intrinsic, types
from ..matmul.gemm import panel_width
from ..matmul.micro_kernels import Tile, make_outer_product_tile, make_transpose
from ..strided_loops import clear_slice
from ..threads import dispatch

A = np.array([[1, 0], [1, 1], [1, -1], [0, -1]])
B = np.array([[1, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]])
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])

MAX_CHANNELS = 128
BLOCK = 16 * MAX_CHANNELS * 32  # numbers of the transformed tiles of a block: they stay in the cache
GROUPS = 4  # of blocks, each with its own sum of gradients, so that no number of threads changes a bit
SUM_4_2, SUM_8_1, TRANSPOSE = make_outer_product_tile(4, 2), make_outer_product_tile(8, 1), make_transpose()
INPUT_TILES, OUTPUT_TILES, TRANSPOSED = (stack_vector(lambda lanes: BLOCK) for _ in range(3))
CORNER = stack_vector(lambda lanes: 16 * lanes * lanes)


def transform_input(t, row):
    """Bᵀ times a row of four: the 1-D transform of an input tile."""
    sub, add = t.builder.fsub, t.builder.fadd
    return [sub(row[0], row[2]), add(row[1], row[2]), sub(row[2], row[1]), sub(row[1], row[3])]


def transform_output(t, row):
    """Aᵀ times a row of four: the 1-D inverse transform of an output tile."""
    sub, add = t.builder.fsub, t.builder.fadd
    return [add(add(row[0], row[1]), row[2]), sub(sub(row[1], row[2]), row[3])]


def transform_gradient(t, row):
    """A times a row of two: the 1-D transform of a tile of grad_y."""
    return [row[0], t.builder.fadd(*row), t.builder.fsub(*row), t.builder.fneg(row[1])]


def transform_both_axes(t, change, tile):
    """Apply a 1-D transform to the columns of a tile of SIMD vectors, then to its rows."""
    columns = [change(t, list(column)) for column in zip(*tile, strict=True)]
    return [change(t, list(row)) for row in zip(*columns, strict=True)]


def make_tile_transform(change, size):
    """Make out[to + u step] = (change of the tile a[at + i down + j across], i, j < size)[u], a SIMD vector each."""

    @intrinsic
    def transform_tile(typing_context, a, a_at, down, across, out, to, step):
        def generate(context, builder, signature, args):
            source, target = (
                context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, a), (4, out))
            )
            t = Tile(context, builder, a.dtype)
            tile = [
                [t.load(t.pointer(source, args[1], t.times(i, args[2]), t.times(j, args[3]))) for j in range(size)]
                for i in range(size)
            ]
            for u, value in enumerate(itertools.chain(*transform_both_axes(t, change, tile))):
                t.store(value, t.pointer(target, args[5], t.times(u, args[6])))
            return context.get_dummy_value()

        n = types.intp
        return types.none(a, n, n, n, out, n, n), generate

    return transform_tile


@intrinsic
def store_output_tile(typing_context, m, m_at, step, out, to, down, across, rows, columns):
    """out[to + i down + j across] = (Aᵀ M A)[i, j] for i < rows <= 2, j < columns <= 2, M[u] = m[m_at + u step]."""

    def generate(context, builder, signature, args):
        source, target = (context.make_array(kind)(context, builder, args[k]).data for k, kind in ((0, m), (3, out)))
        t = Tile(context, builder, m.dtype)
        tile = [[t.load(t.pointer(source, args[1], t.times(4 * i + j, args[2]))) for j in range(4)] for i in range(4)]
        for i, row in enumerate(transform_both_axes(t, transform_output, tile)):
            for j, value in enumerate(row):
                there = builder.and_(
                    *(builder.icmp_signed("<", cgutils.intp_t(k), args[a]) for k, a in ((i, 7), (j, 8)))
                )
                with builder.if_then(there, likely=True):
                    t.store(value, t.pointer(target, args[4], t.times(i, args[5]), t.times(j, args[6])))
        return context.get_dummy_value()

    n = types.intp
    return types.none(m, n, n, out, n, n, n, n, n), generate


TRANSFORM_INPUT, TRANSFORM_GRADIENT = (
    make_tile_transform(transform_input, 4),
    make_tile_transform(transform_gradient, 2),
)


@noinline
def fill_filters(first, last, weight, outer, inner, flip, filters):
    """filters[u, o, c] = (G g Gᵀ)[u] of the kernel g of weight[o, c], or flipped, for [c, o] in its place.

    Args: first, last: of the rows, o or c, that are filled; weight: (outer, inner, 3, 3) as a vector; flip: for the map
        back: filters is [u, c, o], kernels are rotated by 180 degrees.
    """
    rows, columns = (inner, outer) if flip else (outer, inner)
    half = weight.dtype.type(0.5)
    for row in range(first, last):
        for column in range(columns):
            at, step = ((column * inner + row) * 9 + 8, -1) if flip else ((row * inner + column) * 9, 1)
            for j in range(3):
                first, middle, last = (weight[at + step * j], weight[at + step * (j + 3)], weight[at + step * (j + 6)])
                both, rest = half * (first + last), half * middle
                for i, number in enumerate((first, both + rest, both - rest, last)):
                    filters[((4 * i + j) * rows + row) * columns + column] = number
            for i in range(4):
                to, by = (4 * i * rows + row) * columns + column, rows * columns
                first, middle, last = filters[to], filters[to + by], filters[to + 2 * by]
                both, rest = half * (first + last), half * middle
                filters[to + by], filters[to + 2 * by], filters[to + 3 * by] = both + rest, both - rest, last


def convolve_tiles(filters, rows, inner, source, from_, source_row, out, at, out_row, height, width, wide, samples):
    """out[at + o out_row + (i wide + j) N + n] = Σ g[o, c] source[from_ + c source_row + ((i, j) + tap) N + n].

    Args: filters: of `fill_filters`, (16, rows, inner) as a vector; height, width: of the result; wide: columns of a
        plane; samples: N.
    """
    filters = filters[: 16 * rows * inner].reshape((4, 4, rows, inner))
    for i in range(0, height, 2):
        for j in range(0, width, 2):
            v = transform_patch(source, from_, source_row, inner, 4, i, j, wide, samples, B)
            y = np.einsum("ua,vb,uvkn->kabn", A, A, np.einsum("uvkc,cuvn->uvkn", filters, v))
            for a in range(min(2, height - i)):
                for b in range(min(2, width - j)):
                    place = at + ((i + a) * wide + j + b) * samples
                    for k in range(rows):
                        out[place + k * out_row : place + k * out_row + samples] = y[k, a, b]


def transform_patch(source, from_, row, channels, size, i, j, wide, samples, change):
    """changeᵀ d change (C, 4, 4, N) of the tile d at (i, j)."""
    place = from_ + (i * wide + j) * samples
    tile = [
        [source[place + c * row + (a * wide + b) * samples :][:samples] for a in range(size) for b in range(size)]
        for c in range(channels)
    ]
    return np.einsum("au,bv,cabn->cuvn", change, change, np.reshape(tile, (channels, size, size, samples)))


@kernel
def tiles_per_block(channels, lanes):
    """How many tiles, each of one SIMD vector of samples, a block has."""
    return min(32, BLOCK // (16 * channels * lanes)) // 2 * 2


@kernel
def compiled_convolve_tiles(
    filters, rows, inner, source, from_, source_row, out, at, out_row, height, width, wide, samples
):
    """The compiled form of `convolve_tiles`: a block of tiles at a time."""
    lanes = panel_width(out) // 2
    tile_count = ((height + 1) // 2) * ((width + 1) // 2) * ((samples + lanes - 1) // lanes)
    per_block = tiles_per_block(max(rows, inner), lanes)
    blocks = (tile_count + per_block - 1) // per_block
    flops = 32 * rows * inner * tile_count * lanes
    dispatch(
        convolve_blocks, blocks, flops, filters, rows, inner, source, from_, source_row,
        out, at, out_row, height, width, wide, samples,
    )  # fmt: skip


@kernel
def convolve_blocks(
    first, last, filters, rows, inner, source, from_, source_row, out, at, out_row, height, width, wide, samples
):
    """Convolve blocks of tiles: transform the inputs, multiply, transform the outputs."""
    panel_size = panel_width(out)
    lanes, down, across = panel_size // 2, wide * samples, (width + 1) // 2
    chunks, per_block = (samples + lanes - 1) // lanes, tiles_per_block(max(rows, inner), lanes)
    tile_count, pitch = ((height + 1) // 2) * across * chunks, per_block * lanes
    inputs, outputs = INPUT_TILES(out), OUTPUT_TILES(out)
    for block in range(first, last):
        begin, end = block * per_block, min(tile_count, (block + 1) * per_block)
        for k in range(begin, end):
            n, i, j = min(k % chunks * lanes, samples - lanes), k // chunks // across, k // chunks % across
            place, to = from_ + 2 * (i * down + j * samples) + n, (k - begin) * lanes
            for c in range(inner):
                TRANSFORM_INPUT(source, place + c * source_row, down, samples, inputs, to + c * pitch, inner * pitch)
        for u in range(16):
            for q in range(0, (end - begin) * lanes, panel_size):
                for o in range(0, rows, 4):
                    SUM_4_2(
                        filters, (u * rows + o) * inner, inner, 1, inputs, u * inner * pitch + q, pitch,
                        outputs, (u * rows + o) * pitch + q, pitch, min(4, rows - o), inner, False, 0,
                    )  # fmt: skip
        for k in range(begin, end):
            n, i, j = min(k % chunks * lanes, samples - lanes), k // chunks // across, k // chunks % across
            place, to = at + 2 * (i * down + j * samples) + n, (k - begin) * lanes
            for o in range(rows):
                store_output_tile(
                    outputs, to + o * pitch, rows * pitch, out, place + o * out_row, down, samples,
                    min(2, height - 2 * i), min(2, width - 2 * j),
                )  # fmt: skip


convolve_tiles.compiled_form = compiled_convolve_tiles  # type: ignore[attr-defined]


def filter_gradient(
    grad, at, grad_row, rows, source, from_, source_row, inner, height, width, wide, samples, sums, splits, more
):  # fmt: skip
    """Sum the terms of the kernels' gradient in the transformed domain; `end_filter_gradient` transforms the sums back.

        S[u, o, c] = Σ (A grad_y Aᵀ)[u, o] (Bᵀ d B)[u, c]   over all tiles of 2 x 2 pixels

    Args: grad: begins at `at`, 0 beside and below the height x width places; sums: `sums_size` numbers; splits: the
        number of such sums; more: add to the sums, else overwrite them; the others as of `convolve_tiles`.
    """
    total = np.zeros((4, 4, rows, inner), sums.dtype)
    for i in range(0, height, 2):
        for j in range(0, width, 2):
            left = transform_patch(grad, at, grad_row, rows, 2, i, j, wide, samples, A.T)
            total += np.einsum(
                "kuvn,cuvn->uvkc", left, transform_patch(source, from_, source_row, inner, 4, i, j, wide, samples, B)
            )
    group_sums = sums.reshape((GROUPS // splits, 4, 4, rows, -1))
    if not more:
        group_sums[:] = 0
    group_sums[0, ..., :inner] += total


@noinline
def sums_size(splits, rows, inner, lanes):
    """The size of the sums of one split: of its groups, `GROUPS` or a few less in all."""
    return GROUPS // splits * 16 * rows * ((inner + lanes - 1) // lanes * lanes)


@kernel
def compiled_filter_gradient(
    grad, at, grad_row, rows, source, from_, source_row, inner, height, width, wide, samples, sums, splits, more
):  # fmt: skip
    """The compiled form of `filter_gradient`: by groups of blocks of tiles."""
    lanes = panel_width(sums) // 2
    tile_count = ((height + 1) // 2) * ((width + 1) // 2) * ((samples + lanes - 1) // lanes)
    groups = GROUPS // splits
    flops = 32 * rows * inner * tile_count * lanes
    dispatch(
        gradient_groups, groups, flops, grad, at, grad_row, rows, source, from_, source_row, inner,
        height, width, wide, samples, sums, groups, more,
    )  # fmt: skip


@kernel
def gradient_groups(
    first, last, grad, at, grad_row, rows, source, from_, source_row, inner, height, width, wide, samples, sums, groups,
    more,
):  # fmt: skip
    """Add the products of transposed input tiles and gradient tiles to the sums of some groups of blocks."""
    panel_size = panel_width(grad)
    lanes, down, across = panel_size // 2, wide * samples, (width + 1) // 2
    columns, chunks = (inner + lanes - 1) // lanes * lanes, (samples + lanes - 1) // lanes
    per_block = tiles_per_block(max(rows, columns), lanes)
    tile_count, pitch = ((height + 1) // 2) * across * chunks, per_block * lanes
    blocks = (tile_count + per_block - 1) // per_block
    corner, inputs, gradients = CORNER(grad), TRANSPOSED(grad), OUTPUT_TILES(grad)
    for group in range(first, last):
        if not more:
            clear_slice(sums, group * 16 * rows * columns, 1, 16 * rows * columns)
        for block in range(group * blocks // groups, (group + 1) * blocks // groups):
            begin, end = block * per_block, min(tile_count, (block + 1) * per_block)
            for k in range(begin, end):
                n, i, j = k % chunks * lanes, k // chunks // across, k // chunks % across
                place, to = 2 * (i * down + j * samples) + n, (k - begin) * lanes
                for c in range(0, inner, lanes):
                    for d in range(min(lanes, inner - c)):
                        TRANSFORM_INPUT(
                            source,
                            from_ + place + (c + d) * source_row,
                            down,
                            samples,
                            corner,
                            d * lanes,
                            lanes * lanes,
                        )
                    for u in range(16):
                        TRANSPOSE(corner, u * lanes * lanes, lanes, inputs, (u * pitch + to) * columns + c, columns)
                for o in range(rows):
                    TRANSFORM_GRADIENT(
                        grad, at + place + o * grad_row, down, samples, gradients, to + o * pitch, rows * pitch
                    )
                if samples - n < lanes:  # the others are another pixel's
                    for line in range(16 * rows):
                        clear_slice(gradients, line * pitch + to + samples - n, 1, lanes - (samples - n))
            count = (end - begin) * lanes
            for u in range(16):
                for c in range(0, columns, panel_size):
                    right, result = u * pitch * columns + c, (group * 16 + u) * rows * columns + c
                    if columns - c >= panel_size:
                        for o in range(0, rows, 4):
                            SUM_4_2(
                                gradients, (u * rows + o) * pitch, pitch, 1, inputs, right, columns,
                                sums, result + o * columns, columns, min(4, rows - o), count, True, 0,
                            )  # fmt: skip
                    else:
                        for o in range(0, rows, 8):
                            SUM_8_1(
                                gradients, (u * rows + o) * pitch, pitch, 1, inputs, right, columns,
                                sums, result + o * columns, columns, min(8, rows - o), count, True, 0,
                            )  # fmt: skip


filter_gradient.compiled_form = compiled_filter_gradient  # type: ignore[attr-defined]


def end_filter_gradient(sums, splits, rows, inner, out, add):
    """out[o, c] (+)= Gᵀ S G, where S is the sum over all splits; out: (rows, inner, 3, 3) as a vector."""
    total = sums.reshape((splits * (GROUPS // splits), 4, 4, rows, -1))[..., :inner].sum(0)
    gradient = np.einsum("ui,vj,uvkc->kcij", G, G, total).reshape(out.shape)
    out[:] = out + gradient if add else gradient


@kernel
def compiled_end_filter_gradient(sums, splits, rows, inner, out, add):
    """The compiled form of `end_filter_gradient`."""
    dispatch(end_rows, rows, 2 * sums.size, sums, splits, rows, inner, out, add)


@kernel
def end_rows(first, last, sums, splits, rows, inner, out, add):
    """Add up the groups' sums in their order, in place of the first, and transform some rows of them back."""
    lanes, half, groups = panel_width(out) // 2, out.dtype.type(0.5), GROUPS // splits
    columns = (inner + lanes - 1) // lanes * lanes
    size = rows * columns
    for group in range(1, splits * groups):
        source = group // groups * (sums.size // splits) + group % groups * 16 * size
        for u in range(16):
            for k in range(u * size + first * columns, u * size + last * columns):
                sums[k] += sums[source + k]
    for row in range(first, last):
        for column in range(inner):
            at, to = row * columns + column, (row * inner + column) * 9
            if not add:
                clear_slice(out, to, 1, 9)
            for v in range(4):  # Gᵀ S
                a, b, c, d = at + v * size, at + (v + 4) * size, at + (v + 8) * size, at + (v + 12) * size
                both, rest = half * (sums[b] + sums[c]), half * (sums[b] - sums[c])
                sums[a], sums[b], sums[c] = sums[a] + both, rest, both + sums[d]
            for i in range(3):
                a, step = at + 4 * i * size, to + 3 * i
                both, rest = half * (sums[a + size] + sums[a + 2 * size]), half * (sums[a + size] - sums[a + 2 * size])
                out[step] += sums[a] + both
                out[step + 1] += rest
                out[step + 2] += both + sums[a + 3 * size]


end_filter_gradient.compiled_form = compiled_end_filter_gradient  # type: ignore[attr-defined]
