"""Products of small blocks that lie where they are: parts of rows of larger matrices, with any distance between rows.

The tiles are those of all matrix products (see kernels/matmul/micro_kernels.py). A block below the diagonal of causal
attention is half empty: there each group of rows has its own columns, or its own terms.
"""

import numpy as np

from ...compiler.arrays import flatten_contiguous, stack_vector
from ...compiler.kernel import kernel
from ...compiler.numba_api import intrinsic, types
from ..matmul.gemm import TALL, narrow_width, panel_width
from ..matmul.micro_kernels import make_outer_product_tile, make_transpose
from ..matmul.register_tiles import NARROW

BLOCK = 64  # queries, and keys, of a block of scores at most; a row of scores has room for as many keys
CAPACITY = BLOCK * BLOCK  # numbers of a block of queries, keys or values, and of a block of scores
MAX_SIZE = CAPACITY // 16  # of a head, so that a block has at least 16 rows
ALL, COLUMNS, FIRST_TERMS, LAST_TERMS = 0, 1, 2, 3  # which parts of a product are needed, see `block_product`

SUM_TALL_2, SUM_TALL_1 = make_outer_product_tile(TALL, 2), make_outer_product_tile(TALL, 1)
SUM_4_2, SUM_4_1, SUM_1_2 = (make_outer_product_tile(*shape) for shape in ((4, 2), (4, 1), (1, 2)))
SUM_TALL_NARROW = make_outer_product_tile(TALL, 1, share=2)
SHARE = 2 if NARROW else 1
TRANSPOSED = make_transpose(share=SHARE)


def block_rows(size: int) -> int:
    """How many rows of `size` numbers a block has."""
    return BLOCK if size * BLOCK <= CAPACITY else BLOCK // 2 if size * BLOCK <= 2 * CAPACITY else BLOCK // 4


def block_like(a):
    """Allocate the memory of a block on the stack, of the type of `a`; the contents are not defined."""
    return np.zeros(CAPACITY, a.dtype)


def row_like(a):
    """Allocate a number for each row of a block on the stack."""
    return np.zeros(BLOCK, a.dtype)


block_like.compiled_form = stack_vector(lambda lanes: CAPACITY)  # type: ignore[attr-defined]
row_like.compiled_form = stack_vector(lambda lanes: BLOCK)  # type: ignore[attr-defined]


def without_owner(a):
    """A view of a vector whose slices count no references; for calls during which the array itself lives."""
    return a


@intrinsic
def compiled_without_owner(typing_context, a):
    """The compiled form of `without_owner`."""

    def generate(context, builder, signature, args):
        return flatten_contiguous(context, builder, a, args[0])

    return types.Array(a.dtype, 1, "C")(a), generate


without_owner.compiled_form = compiled_without_owner  # type: ignore[attr-defined]


def view_block(a, at, shape, strides):
    """View a block of a vector as a matrix, in plain Python."""
    steps = tuple(a.itemsize * stride for stride in strides)
    return np.lib.stride_tricks.as_strided(a[at:], shape, steps)


def whole_columns(columns, a):
    """`columns`, rounded up to what a product computes at once; in plain Python 16."""
    return -(-columns // 16) * 16


@kernel
def compiled_whole_columns(columns, a):
    """The compiled form of `whole_columns`."""
    unit = narrow_width(a)
    return (columns + unit - 1) // unit * unit


whole_columns.compiled_form = compiled_whole_columns  # type: ignore[attr-defined]


def block_product(a, a_at, a_i, a_k, b, b_at, b_k, c, c_at, c_i, m, n, k, add, part, shift):
    """c[i, j] (+)= Σₖ a[i, k] b[k, j], m rows, n columns, k terms; the blocks are vectors, an offset, and strides.

    Columns of b and c lie side by side, and n is a multiple of `whole_columns`. Of a causal block, where query i sees
    keys up to i + shift, a part is enough: COLUMNS up to i + shift of each row; FIRST_TERMS, up to i + shift;
    LAST_TERMS, from i - shift on. The other numbers of a must be zero there; those of c are not defined.
    """
    left = view_block(a, a_at, (m, k), (a_i, a_k))
    right, out = view_block(b, b_at, (k, n), (b_k, 1)), view_block(c, c_at, (m, n), (c_i, 1))
    product = left @ right
    out[...] = out + product if add else product


@kernel
def compiled_block_product(a, a_at, a_i, a_k, b, b_at, b_k, c, c_at, c_i, m, n, k, add, part, shift):
    """The compiled form of `block_product`, by groups of TALL rows."""
    panel, half, unit = panel_width(c), panel_width(c) // 2, narrow_width(c)
    for i in range(0, m, TALL):
        rows = min(TALL, m - i)
        columns, begin, end = n, 0, k
        if part == COLUMNS:
            columns = min(n, (i + rows + shift + unit - 1) // unit * unit)
        elif part == FIRST_TERMS:
            end = min(k, i + rows + shift)
        elif part == LAST_TERMS:
            begin = max(0, i - shift)
        count = max(0, end - begin)
        from_a, from_b, to = a_at + i * a_i + begin * a_k, b_at + begin * b_k, c_at + i * c_i
        j = 0
        while j < columns:
            left = columns - j
            if left >= panel:
                if rows > 4:
                    SUM_TALL_2(a, from_a, a_i, a_k, b, from_b + j, b_k, c, to + j, c_i, rows, count, add, 0)
                elif rows > 1:
                    SUM_4_2(a, from_a, a_i, a_k, b, from_b + j, b_k, c, to + j, c_i, rows, count, add, 0)
                else:
                    SUM_1_2(a, from_a, a_i, a_k, b, from_b + j, b_k, c, to + j, c_i, rows, count, add, 0)
                j += panel
            elif left >= half:
                if rows > 4:
                    SUM_TALL_1(a, from_a, a_i, a_k, b, from_b + j, b_k, c, to + j, c_i, rows, count, add, 0)
                else:
                    SUM_4_1(a, from_a, a_i, a_k, b, from_b + j, b_k, c, to + j, c_i, rows, count, add, 0)
                j += half
            else:
                if NARROW:
                    SUM_TALL_NARROW(a, from_a, a_i, a_k, b, from_b + j, b_k, c, to + j, c_i, rows, count, add, 0)
                j += unit


block_product.compiled_form = compiled_block_product  # type: ignore[attr-defined]


def transpose_block(a, at, a_i, rows, size, out, out_i):
    """out[k, r] = a[r, k] of a block of rows; out has `out_i` numbers a row, zeros from `rows` to whole columns."""
    to = out[: size * out_i].reshape(size, out_i)
    to[:, :rows] = view_block(a, at, (rows, size), (a_i, 1)).T
    to[:, rows:] = 0


@kernel
def compiled_transpose_block(a, at, a_i, rows, size, out, out_i):
    """The compiled form of `transpose_block`, by squares as wide as the narrowest tile of products."""
    unit = narrow_width(a)
    whole, whole_size = rows - rows % unit, size - size % unit
    for r in range(0, whole, unit):
        for k in range(0, whole_size, unit):
            TRANSPOSED(a, at + r * a_i + k, a_i, out, k * out_i + r, out_i)
        for k in range(whole_size, size):
            for c in range(r, r + unit):
                out[k * out_i + c] = a[at + c * a_i + k]
    end = (rows + unit - 1) // unit * unit
    for k in range(size if end > whole else 0):
        for r in range(whole, rows):
            out[k * out_i + r] = a[at + r * a_i + k]
        for r in range(rows, end):
            out[k * out_i + r] = 0


transpose_block.compiled_form = compiled_transpose_block  # type: ignore[attr-defined]


def widen_block(a, at, a_i, rows, size, width, out):
    """Copy a block of rows of `size` numbers to rows of `width`; the numbers between are zero."""
    for r in range(rows):
        source, row = a[at + r * a_i : at + r * a_i + size], out[r * width : r * width + width]
        for k in range(size):
            row[k] = source[k]
        for k in range(size, width):
            row[k] = 0


def add_block(block, width, out, at, out_i, rows, size, add):
    """out (+)= the first `size` numbers of each row of a block of rows of `width`."""
    for r in range(rows):
        source, row = block[r * width : r * width + size], out[at + r * out_i : at + r * out_i + size]
        if add:
            for k in range(size):
                row[k] += source[k]
        else:
            for k in range(size):
                row[k] = source[k]


def clear_block(out, at, out_i, first, last, size):
    """Set some rows of a block to zero."""
    for r in range(first, last):
        row = out[at + r * out_i : at + r * out_i + size]
        for k in range(size):
            row[k] = 0
