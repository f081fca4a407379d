"""GEMM: out = a @ b or out += a @ b, into allocated memory.

All are sums of small tiles kept in registers (see micro_kernels.py). Where many rows meet the right operand, it is
first packed into panels of columns that the cache holds: the packing of Goto and van de Geijn, Anatomy of
High-Performance Matrix Multiplication (2008), which BLAS has, too; small products are spared it. A layer's weight meets
few samples in its fprop, and it is the samples that are packed then. Large products run in several threads. The plain
Python function and the compiled one mean the same.
"""

from ...compiler.arrays import flatten_contiguous, simd_lanes, stack_vector
from ...compiler.kernel import kernel
from ...compiler.numba_api import TypingError, cgutils, intrinsic, types
from ..sums import column_sums
from ..threads import dispatch
from .micro_kernels import (
    make_column_store,
    make_copy,
    make_dot_product_tile,
    make_outer_product_tile,
    make_prefetch,
    make_transpose,
)
from .register_tiles import NARROW, choose_tiles
from .specialized_products import call_specialized, find_specialized, make_flags

TILES = choose_tiles()  # see register_tiles.py
TALL, SHORT, ROWS, SHARED_ROWS = TILES.packed_rows, TILES.rows, TILES.block_rows, TILES.shared_rows
FEW_ROWS, SOME_ROWS, FEW_TERMS = TILES.few_rows, TILES.some_rows, TILES.few_terms
MANY_ROWS, VERY_FEW_TERMS = TILES.many_rows, TILES.very_few_terms
DOT_ROWS, DOT_COLUMNS = TILES.dots
# A block at most: terms of a sum, panels of the right operand. There may be twice as many rows of half the terms.
DEPTH, PANELS = 256, 8
# The right operand is read where it lies if few rows meet it, if some rows meet panels of few terms, or if it is small.
FEW_NUMBERS = 8192
# Dot products waste no columns where the last panel would be half empty; the smaller operand then is read many times.
SOME_TERMS, CACHED = 128, 131072
BRIEF_TERMS = 48  # of a product that costs less packed than as dot products, if it has a whole panel
NARROW_TERMS = 128  # likewise where the last columns may be half a SIMD vector
# Many rows, few columns and few terms: the rows are packed as columns of the transposed product.
FEW_OUTPUTS, FEW_INPUTS = (28, 64) if NARROW else (12, 16)
CLOSE = 262144  # as many numbers of the right operand are near the core from step to step
NEAR = 16384  # as many numbers of out are so near that nothing is prefetched


def matmul_into(a, b, out, add):
    """out = a @ b, or out += a @ b; a (m, k), b (k, n), out (m, n), each C- or F-contiguous, of one float type."""
    if add:
        out += a @ b
    else:
        out[...] = a @ b


DOT, DOT_1_8 = make_dot_product_tile(DOT_ROWS, DOT_COLUMNS), make_dot_product_tile(1, 8)
SUM_4_3, SUM_4_2, SUM_1_2 = (make_outer_product_tile(*shape) for shape in ((4, 3), (4, 2), (1, 2)))
SUM_SHORT_2, SUM_SHORT_1 = make_outer_product_tile(SHORT, 2), make_outer_product_tile(SHORT, 1)
SUM_TALL_2, SUM_TALL_1 = make_outer_product_tile(TALL, 2), make_outer_product_tile(TALL, 1)
SUM_SHORT_NARROW = make_outer_product_tile(SHORT, 1, share=2)
SUM_TALL_NARROW = make_outer_product_tile(TALL, 1, share=2)
TRANSPOSED_NARROW, COPY_NARROW = make_transpose(share=2), make_copy(lambda lanes: max(1, lanes // 2))
TRANSPOSED, COPY, COPY_TALL = make_transpose(), make_copy(lambda lanes: lanes), make_copy(lambda lanes: TALL)
STORE_COLUMNS = make_column_store()
prefetch_read, prefetch_write = make_prefetch(1, False), make_prefetch(2, True)
PACKED_PANELS = stack_vector(lambda lanes: DEPTH * PANELS * 2 * lanes)  # panels of b
LEFT = stack_vector(lambda lanes: ROWS * DEPTH)  # rows of a, where their numbers lie apart
CORNER = stack_vector(lambda lanes: TALL * 2 * lanes)  # a tile that is wider than out, or transposed


@kernel
def multiply(a, a_i, a_k, b, b_k, b_j, out, m, k, n, add):
    """out[i, j] (+)= Σₖ a[i, k] b[k, j]; matrices are vectors with the strides of their indices, out lies by rows."""
    panel_size, half = panel_width(out), panel_width(out) // 2
    flops, unit = 2 * m * k * n, narrow_width(out)
    wasteful = 16 * ((n + unit - 1) // unit * unit - n) > n
    terms = NARROW_TERMS if NARROW else BRIEF_TERMS if n >= panel_size and m > 4 else VERY_FEW_TERMS
    brief = k <= terms and m > 3 and n >= unit and not wasteful  # packing costs less than adding up dot products
    together = a_k == 1 and b_k == 1 and not brief
    dense = m <= 3 * SHORT and b_k <= 4 * panel_size
    ragged = wasteful and k >= SOME_TERMS and k * min(m, n) <= CACHED
    if k < 1:
        for place in range(0 if add else m * n):
            out[place] = 0
    elif together and ((4 * m <= n and k >= DEPTH) or (2 * m <= n and wasteful)) and fits_panels(m, k, panel_size):
        tall, down = SHARED_ROWS, (n + SHARED_ROWS - 1) // SHARED_ROWS
        dispatch(packed_blocks, down, flops, b, b_j, b_k, a, a_k, a_i, out, n, k, m, tall, k, m, add, True)
    elif (
        together and wasteful and m >= SHARED_ROWS and 4 <= n <= FEW_OUTPUTS and k <= (16 if 4 < n < 8 else FEW_INPUTS)
    ):
        wide = 2 * panel_size
        across = (m + wide - 1) // wide
        dispatch(packed_blocks, across, flops, b, b_j, b_k, a, a_k, a_i, out, n, k, m, n, k, wide, add, True)
    elif together and (m <= FEW_ROWS or n < panel_size or ragged):
        if m == 1:
            for j in range(0, n, 8):
                DOT_1_8(a, 0, k, b, j * b_j, b_j, out, j, n, 1, min(8, n - j), 1, 0, k, add)
        else:
            down, across = (m + DOT_ROWS - 1) // DOT_ROWS, (n + DOT_COLUMNS - 1) // DOT_COLUMNS
            dispatch(dot_tiles, down * across, flops, a, a_i, b, b_j, out, m, k, n, add)
    elif b_j == 1 and n >= unit and (m <= FEW_ROWS or are_few(m, k) or k * n <= FEW_NUMBERS or dense):
        if m == 1 and n >= panel_size:
            for start in range(0, n, panel_size):
                j = min(start, n - panel_size)
                SUM_1_2(a, 0, a_i, a_k, b, j, b_k, out, j, n, 1, k, add, start - j)
        else:
            dispatch(sum_tiles, (m + SHORT - 1) // SHORT, flops, a, a_i, a_k, b, b_k, out, m, k, n, add)
    elif a_i == 1 and n < half <= m:
        dispatch(thin_tiles, (m + half - 1) // half, flops, b, b_j, b_k, a, a_k, out, n, k, m, add)
    else:
        deep = split_evenly(k)
        tall = 2 * ROWS if 2 * deep <= DEPTH else ROWS
        down = (m + tall - 1) // tall
        wide = panel_size * max(2, min(PANELS, down * n // (8 * panel_size)))  # so that there are some blocks to share
        blocks = down * ((n + wide - 1) // wide)
        dispatch(packed_blocks, blocks, flops, a, a_i, a_k, b, b_k, b_j, out, m, k, n, tall, deep, wide, add, False)


@kernel
def dot_tiles(first, last, a, a_i, b, b_j, out, m, k, n, add):
    """Compute tiles of DOT_ROWS rows and DOT_COLUMNS columns as dot products of rows of a and columns of b."""
    down, across = (m + DOT_ROWS - 1) // DOT_ROWS, (n + DOT_COLUMNS - 1) // DOT_COLUMNS
    for tile in range(first, last):
        i, j = (tile % down, tile // down) if m < n else (tile // across, tile % across)
        i, j = DOT_ROWS * i, DOT_COLUMNS * j
        rows, columns = min(DOT_ROWS, m - i), min(DOT_COLUMNS, n - j)
        DOT(a, i * a_i, a_i, b, j * b_j, b_j, out, i * n + j, n, rows, columns, 1, 0, k, add)


@kernel
def sum_tiles(first, last, a, a_i, a_k, b, b_k, out, m, k, n, add):
    """Compute groups of SHORT rows, by panels of columns: rows of b, weighted by numbers of a, summed into rows of out.

    The last panel, or half of one, may overlap the one before it: so a group is one thread's.
    """
    panel_size, half, unit = panel_width(out), panel_width(out) // 2, narrow_width(out)
    begin, end = SHORT * first, min(SHORT * last, m)
    start = 0
    while start < n:
        left, i = n - start, begin
        if left == panel_size + half:
            while i < end:
                rows = min(4, end - i)
                SUM_4_3(a, i * a_i, a_i, a_k, b, start, b_k, out, i * n + start, n, rows, k, add, 0)
                i += rows
            start = n
        elif left > half and n >= panel_size:
            j = min(start, n - panel_size)
            while i < end:
                rows = min(SHORT, end - i)
                if rows <= 4 or end - i == 8:
                    rows = min(4, rows)
                    SUM_4_2(a, i * a_i, a_i, a_k, b, j, b_k, out, i * n + j, n, rows, k, add, start - j)
                else:
                    SUM_SHORT_2(a, i * a_i, a_i, a_k, b, j, b_k, out, i * n + j, n, rows, k, add, start - j)
                i += rows
            start = j + panel_size
        elif NARROW and (left <= unit or n < half):
            j = min(start, n - unit)
            while i < end:
                rows = min(SHORT, end - i)
                SUM_SHORT_NARROW(a, i * a_i, a_i, a_k, b, j, b_k, out, i * n + j, n, rows, k, add, start - j)
                i += rows
            start = j + unit
        else:
            j = min(start, n - half)
            while i < end:
                rows = min(SHORT, end - i)
                SUM_SHORT_1(a, i * a_i, a_i, a_k, b, j, b_k, out, i * n + j, n, rows, k, add, start - j)
                i += rows
            start = j + half


@kernel
def thin_tiles(first, last, a, a_i, a_k, b, b_k, out, m, k, n, add):
    """Compute tiles of m rows, fewer than a SIMD vector has numbers, and a vector of columns; out lies by columns."""
    half, corner = panel_width(out) // 2, CORNER(out)
    for tile in range(first, last):
        start = tile * half
        j = min(start, n - half)
        for i in range(0, m, SHORT):
            rows = min(SHORT, m - i)
            SUM_SHORT_1(a, i * a_i, a_i, a_k, b, j, b_k, corner, 0, half, rows, k, False, 0)
            for c in range(start - j, half):
                for r in range(rows):
                    place, number = (j + c) * m + i + r, corner[r * half + c]
                    out[place] = out[place] + number if add else number


@kernel
def are_few(rows, terms):
    """Whether so few rows meet an operand of so many terms that packing it costs more than it saves."""
    return (rows <= SOME_ROWS and terms <= FEW_TERMS) or (rows <= MANY_ROWS and terms <= VERY_FEW_TERMS)


@kernel
def packed_blocks(first, last, a, a_i, a_k, b, b_k, b_j, out, m, k, n, tall, deep, wide, add, transposed):
    """Compute blocks of rows and columns of out: panels of b are packed, then multiplied by all rows of the block.

    A block: `tall` rows, `wide` columns, `deep` terms at a time. transposed: out lies by columns.
    Meanwhile what the next block packs is prefetched into L2, if it is large, and where the next tile goes, into L1.
    """
    width, together, unit = panel_width(out), a_k == 1, narrow_width(out)
    panel, left, corner = PACKED_PANELS(out), LEFT(out), CORNER(out)
    down, across = (m + tall - 1) // tall, (n + wide - 1) // wide
    packed = packed_columns = -1  # which rows and columns are copied already
    lines = a if together else left
    for block in range(first, last):
        row, column = (block % down, block // down) if together else (block // across, block % across)
        top, begin = tall * row, wide * column
        rows, end = min(tall, m - top), min(begin + wide, n)
        panel_count = (end - begin + width - 1) // width
        tiles = (rows + TALL - 1) // TALL * panel_count
        for k0 in range(0, k, deep):
            depth, more = min(deep, k - k0), add or k0 > 0
            if not together and (top != packed or deep < k):
                packed = top
                pack_rows(a, top * a_i + k0 * a_k, a_i, a_k, rows, depth, left)
            for j in range(begin, end if begin != packed_columns or deep < k else begin, width):
                columns = min(width, n - j)
                pack_panel(b, k0 * b_k + j * b_j, b_k, b_j, depth, columns, width, panel, (j - begin) * depth)
            packed_columns = begin
            next_k, next_j = (k0 + deep, begin) if k0 + deep < k else (0, begin + wide)
            next_depth, next_width = min(deep, k - next_k), min(wide, n - next_j) if k * n > CLOSE else 0
            runs, length, apart = (next_depth, next_width, b_k) if b_j == 1 else (next_width, next_depth, b_j)
            runs, share, run = runs if next_width > 0 else 0, (runs + tiles - 1) // tiles, 0
            i, following = 0, begin
            for _ in range(tiles):
                for _ in range(min(share, runs - run)):
                    for q in range(0, length, width):
                        prefetch_read(b, next_k * b_k + next_j * b_j + run * apart + q)
                    run += 1
                i, j = (i, following) if following < end else (i + TALL, begin)
                following = j + width
                real, columns = min(TALL, rows - i), min(width, n - j)
                at, step, step_k = ((top + i) * a_i + k0, a_i, 1) if together else (i * depth, 1, TALL)
                to, b_at = (top + i) * n + j, (j - begin) * depth
                if transposed or columns % unit:
                    if real > 4:
                        SUM_TALL_2(lines, at, step, step_k, panel, b_at, width, corner, 0, width, real, depth, False, 0)
                    else:
                        SUM_4_2(lines, at, step, step_k, panel, b_at, width, corner, 0, width, real, depth, False, 0)
                    for r in range(0, real, 4):
                        store_edge_tile(
                            corner, r, width, min(4, real - r), columns, out, top + i, j, m, n, transposed, more
                        )
                    continue
                for r in range(real if m * n > NEAR else 0):
                    prefetch_write(out, to + width + r * n)
                if columns < width:
                    if columns >= width // 2:
                        SUM_TALL_1(lines, at, step, step_k, panel, b_at, width, out, to, n, real, depth, more, 0)
                    if NARROW and columns % (width // 2):
                        done = columns - unit
                        SUM_TALL_NARROW(
                            lines, at, step, step_k, panel, b_at + done, width, out, to + done, n, real, depth, more, 0
                        )
                elif real > 4:
                    SUM_TALL_2(lines, at, step, step_k, panel, b_at, width, out, to, n, real, depth, more, 0)
                else:
                    SUM_4_2(lines, at, step, step_k, panel, b_at, width, out, to, n, real, depth, more, 0)


@kernel
def split_evenly(k):
    """The terms of a block: equally many in each, a multiple of 16."""
    parts = (k + DEPTH - 1) // DEPTH
    return ((k + parts - 1) // parts + 15) // 16 * 16


@kernel
def pack_rows(a, at, a_i, a_k, rows, depth, left):
    """left[i, k, r] = a[TALL i + r, k]: packs the rows of a tile side by side."""
    whole = rows - rows % TALL if a_i == 1 else 0
    for k in range(depth):
        for i in range(0, whole, TALL):
            COPY_TALL(a, at + i + k * a_k, left, i * depth + TALL * k)
        for i in range(whole, rows):
            left[i // TALL * TALL * depth + TALL * k + i % TALL] = a[at + i * a_i + k * a_k]


@kernel
def pack_panel(b, at, b_k, b_j, depth, columns, panel_size, panel, to):
    """Pack a panel: panel[k, c] = b[k, c]; missing columns repeat the last, unless whole vectors are missing."""
    half, unit = panel_size // 2, panel_size // 4 if NARROW else panel_size // 2
    full, even = columns % unit == 0, columns - columns % half
    if b_j == 1 and full:
        for k in range(depth):
            for c in range(0, even, half):
                COPY(b, at + k * b_k + c, panel, to + k * panel_size + c)
            if NARROW and even < columns:
                COPY_NARROW(b, at + k * b_k + even, panel, to + k * panel_size + even)
    else:
        whole = depth - depth % half if b_k == 1 and full else 0
        for c in range(0, even if whole else 0, half):
            for k in range(0, whole, half):
                TRANSPOSED(b, at + c * b_j + k, b_j, panel, to + k * panel_size + c, panel_size)
        if NARROW and b_k == 1 and full:
            done, whole = whole, depth - depth % unit
            for c in range(0, columns, unit):
                for k in range(done if c < even else 0, whole, unit):
                    TRANSPOSED_NARROW(b, at + c * b_j + k, b_j, panel, to + k * panel_size + c, panel_size)
        for k in range(whole, depth):
            for c in range(panel_size):
                panel[to + k * panel_size + c] = b[at + k * b_k + min(c, columns - 1) * b_j]


@kernel
def store_edge_tile(corner, first, panel_size, rows, columns, out, i, j, m, n, transposed, add):
    """Some rows of a tile, four at most, to out (m, n), where the tile begins at (i, j); transposed: out is (n, m)."""
    i, at = i + first, first * panel_size
    start, o_i, o_j = (j * m + i, 1, m) if transposed else (i * n + j, n, 1)
    half, whole = panel_size // 2, 0
    if transposed and rows == 4:
        whole = columns - columns % half
        for c in range(0, whole, half):
            STORE_COLUMNS(corner, at + c, panel_size, out, start + c * o_j, o_j, add)
    for c in range(whole, columns):
        for r in range(rows):
            place, number = start + r * o_i + c * o_j, corner[at + r * panel_size + c]
            out[place] = out[place] + number if add else number


@kernel
def fits_panels(columns, k, panel_size):
    """Whether panels of this many columns are nearly full, and fit into the packed memory with all of their terms."""
    panel_count = (columns + panel_size - 1) // panel_size
    return 16 * (panel_count * panel_size - columns) <= columns and panel_count * k <= PANELS * DEPTH


@intrinsic
def narrow_width(typing_context, a):
    """The columns of the narrowest tile: one SIMD vector, or half of one where vectors are so long."""
    share = 2 if NARROW else 1
    return types.intp(a), lambda context, builder, signature, args: cgutils.intp_t(simd_lanes(a.dtype) // share)


@intrinsic
def panel_width(typing_context, a):
    """The columns of a panel: two SIMD vectors."""
    return types.intp(a), lambda context, builder, signature, args: cgutils.intp_t(2 * simd_lanes(a.dtype))


@intrinsic
def compiled_matmul(typing_context, a, b, out, add):
    """`matmul_into`, for matrices of any contiguous layout; with an F-contiguous out, its transpose is computed."""
    kinds = [a, b, out]
    if not all(isinstance(kind, types.Array) and kind.ndim == 2 and kind.layout in "CF" for kind in kinds):
        return None
    if len({kind.dtype for kind in kinds}) > 1:
        raise TypingError(f"product of {a.dtype} and {b.dtype} into {out.dtype}: expected one type")
    multiply_type, find_type = types.Dispatcher(multiply), types.Dispatcher(find_specialized)
    signature = multiply_type.get_call_type(typing_context, list_argument_types(out.dtype), {})
    find_signature = find_type.get_call_type(typing_context, (types.intp,) * 4, {})

    def generate(context, builder, outer, args):
        views = [view_matrix(context, builder, *item) for item in zip(kinds, args[:3], strict=True)]
        left, right, (result, _, _, (m, n)) = views
        k = left[3][1]
        by_columns = [kind.layout == "F" for kind in kinds[:2]]
        if out.layout == "F":
            left, right, m, n = (transpose_view(right), transpose_view(left), n, m)
            by_columns = [not each for each in reversed(by_columns)]
        adding = context.cast(builder, args[3], add, types.boolean)
        flags = cgutils.intp_t(make_flags(*by_columns, out.dtype.bitwidth // 8))
        find = context.get_function(find_type, find_signature)
        address = find(builder, [m, n, k, flags])
        context.add_linking_libs(find.libs)
        with builder.if_else(cgutils.is_not_null(builder, address)) as (specialized, general):
            with specialized:
                call_specialized(context, builder, address, (left[0], right[0], result), adding)
            with general:
                implementation = context.get_function(multiply_type, signature)
                implementation(builder, [*left[:3], *right[:3], result, m, k, n, adding])
                context.add_linking_libs(implementation.libs)
        return context.get_dummy_value()

    return types.none(a, b, out, add), generate


def list_argument_types(dtype) -> tuple:
    """List the types of the arguments of `multiply` for a type of numbers."""
    vector, number = types.Array(dtype, 1, "C"), types.intp
    operand = (vector, number, number)
    return (*operand, *operand, vector, number, number, number, types.boolean)


def view_matrix(context, builder, kind, value):
    """(vector of a matrix's numbers, stride of its rows, stride of its columns, its shape), all LLVM values."""
    array = context.make_array(kind)(context, builder, value)
    rows, columns = cgutils.unpack_tuple(builder, array.shape, 2)
    one = cgutils.intp_t(1)
    strides = (columns, one) if kind.layout == "C" else (one, rows)
    return flatten_contiguous(context, builder, kind, value), *strides, (rows, columns)


def transpose_view(matrix):
    """Transpose a view."""
    numbers, rows, columns, shape = matrix
    return numbers, columns, rows, shape[::-1]


matmul_into.compiled_form = compiled_matmul  # type: ignore[attr-defined]


def add_to_rows(y, bias):
    """y[n] += bias for each row n; y (N, k), bias (k,)."""
    for n in range(y.shape[0]):
        for k in range(y.shape[1]):
            y[n, k] += bias[k]


def sum_rows(grad_y, out, add=False):
    """out = Σₙ grad_y[n], or out += it; grad_y (N, k), out (k,)."""
    if not add:
        out[:] = 0
    column_sums(grad_y, out)
