"""Products with a weight that is packed once and then meets many small matrices, as in a recurrent layer's time loop.

`matmul_into` packs its right operand at each call, which costs as much as the product where few rows meet it. Here
`pack_weight` packs it into panels of columns, in which `matmul_packed` finds it at each step. The plain Python
functions and the compiled ones mean the same.
"""

from ...compiler.kernel import kernel
from .gemm import (
    CORNER,
    DEPTH,
    NARROW,
    SUM_4_2,
    SUM_TALL_1,
    SUM_TALL_2,
    SUM_TALL_NARROW,
    TALL,
    narrow_width,
    pack_panel,
    panel_width,
)

WIDEST = 32  # columns of the widest panel


def packed_size(depth, columns):
    """The numbers that a packed matrix (depth, columns) takes at most."""
    return depth * ((columns + WIDEST - 1) // WIDEST) * WIDEST


def pack_weight(weight, transposed, packed):
    """Pack a matrix, or its transpose, as the right operand of `matmul_packed`; packed (`packed_size`,)."""
    b = weight.T if transposed else weight
    packed[: b.size] = b.reshape(b.size)


def matmul_packed(a, packed, out, add):
    """out = a @ b, or out += a @ b; a (m, k), out (m, n), C-contiguous, b (k, n) as `pack_weight` has packed it."""
    b = packed[: a.shape[1] * out.shape[1]].reshape(a.shape[1], out.shape[1])
    if add:
        out += a @ b
    else:
        out[...] = a @ b


@kernel
def compiled_pack_weight(weight, transposed, packed):
    """The compiled form of `pack_weight`."""
    rows, columns = weight.shape
    depth, count = (columns, rows) if transposed else (rows, columns)
    stride_k, stride_j = (1, columns) if transposed else (columns, 1)
    numbers, width = weight.reshape(weight.size), panel_width(packed)
    for j in range(0, count, width):
        real = min(width, count - j)
        pack_panel(numbers, j * stride_j, stride_k, stride_j, depth, real, width, packed, j * depth)


@kernel
def multiply_packed(a, packed, out, m, k, n, add):
    """The compiled form of `matmul_packed`, of matrices as vectors: panel by panel, tile by tile."""
    width, half, unit = panel_width(out), panel_width(out) // 2, narrow_width(out)
    corner = CORNER(out)
    for k0 in range(0, k, DEPTH):
        terms, more = min(DEPTH, k - k0), add or k0 > 0
        for j in range(0, n, width):
            columns, b_at = min(width, n - j), j * k + k0 * width
            for i in range(0, m, TALL):
                real, at, to = min(TALL, m - i), i * k + k0, i * n + j
                if columns == width:
                    if real > 4:
                        SUM_TALL_2(a, at, k, 1, packed, b_at, width, out, to, n, real, terms, more, 0)
                    else:
                        SUM_4_2(a, at, k, 1, packed, b_at, width, out, to, n, real, terms, more, 0)
                elif columns % unit:
                    SUM_TALL_2(a, at, k, 1, packed, b_at, width, corner, 0, width, real, terms, False, 0)
                    for r in range(real):
                        for c in range(columns):
                            place, number = to + r * n + c, corner[r * width + c]
                            out[place] = out[place] + number if more else number
                else:
                    if columns >= half:
                        SUM_TALL_1(a, at, k, 1, packed, b_at, width, out, to, n, real, terms, more, 0)
                    if NARROW and columns % half:
                        done = columns - unit
                        SUM_TALL_NARROW(
                            a, at, k, 1, packed, b_at + done, width, out, to + done, n, real, terms, more, 0
                        )


@kernel
def compiled_matmul_packed(a, packed, out, add):
    """The compiled form of `matmul_packed`."""
    multiply_packed(a.reshape(a.size), packed, out.reshape(out.size), a.shape[0], a.shape[1], out.shape[1], add)


pack_weight.compiled_form = compiled_pack_weight  # type: ignore[attr-defined]
matmul_packed.compiled_form = compiled_matmul_packed  # type: ignore[attr-defined]
