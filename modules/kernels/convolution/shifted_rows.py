"""Sums of shifted rows: the matrix products of a convolution, with operands that are read where they lie.

Row k of the right operand is a vector from place terms[k] on (see planes.py), so nothing is copied into the columns of
a matrix of patches; the tiles of tiles.py do the rest. Large jobs are shared among threads. Each plain Python function
is the meaning of the compiled one below it.
"""

from ...compiler.kernel import kernel, noinline
from ..matmul.gemm import panel_width
from ..matmul.micro_kernels import make_dot_product_tile, make_outer_product_tile
from ..threads import dispatch

SUM_6_2, SUM_4_2, SUM_1_2, SUM_1_7, SUM_1_8 = (
    make_outer_product_tile(*tile) for tile in ((6, 2), (4, 2), (1, 2), (1, 7), (1, 8))
)
DOT_4_3, DOT_6_4, DOT_1_9 = make_dot_product_tile(4, 3), make_dot_product_tile(6, 4), make_dot_product_tile(1, 9)
SLICE = 2048  # numbers of a row that all others are multiplied with before the next ones


def shifted_sums(
    left, rows, groups, source, source_group, terms, size, ranges, out, at, out_row, runs, pitch, count
):  # fmt: skip
    """out[at + (g rows + i) out_row + q] = Σₖ left[g rows + i, k] source[g source_group + terms[k] + q], of all places
    q = r pitch + p of `runs` runs r and p < count.

    Args: left: (groups rows, size) as a vector; size: number of terms; ranges: (first, end) of each run's terms, the
        others would add zeros; out: where count is less than a panel, numbers of its rows after the first `count`
        are written, too.
    """
    for g in range(groups):
        for i in range(g * rows, (g + 1) * rows):
            for r in range(runs):
                begin = at + i * out_row + r * pitch
                row = out[begin : begin + count]
                row[:] = 0
                for k in range(ranges[r, 0], ranges[r, 1]):
                    first = g * source_group + terms[k] + r * pitch
                    row += left[i * size + k] * source[first : first + count]


@kernel
def compiled_shifted_sums(
    left, rows, groups, source, source_group, terms, size, ranges, out, at, out_row, runs, pitch, count
):  # fmt: skip
    """The compiled form of `shifted_sums`, by panels of positions."""
    panel_size = choose_panel_size(rows, count, panel_width(out))
    panel_count = groups * runs * ((count + panel_size - 1) // panel_size)
    flops = 2 * rows * size * groups * runs * count
    dispatch(
        compute_panels, panel_count, flops, left, rows, groups, source, source_group, terms, size, ranges,
        out, at, out_row, pitch, count,
    )  # fmt: skip


@kernel
def choose_panel_size(rows, count, width):
    """The positions of a tile: `width`; for a single row about four times as many, if there are as many."""
    if rows > 1 or count < 4 * width:
        return width
    seven = 7 * width // 2
    return seven if count % seven == 0 else 4 * width


@kernel
def compute_panels(
    first, last, left, rows, groups, source, source_group, terms, size, ranges, out, at, out_row, pitch, count
):  # fmt: skip
    """Compute panels of positions, group by group: all rows use a panel while its inputs are in the cache."""
    panel_size = choose_panel_size(rows, count, panel_width(out))
    of_run = (count + panel_size - 1) // panel_size
    for tile in range(first, last):
        g, run, k = tile % groups, tile // groups // of_run, tile // groups % of_run
        q = run * pitch + max(0, min(k * panel_size, count - panel_size))  # the last panel of a run overlaps
        begin, to, weights = g * source_group + q, at + g * rows * out_row + q, g * rows * size + ranges[run, 0]
        run_terms, run_size = terms[ranges[run, 0] :], ranges[run, 1] - ranges[run, 0]
        if panel_size == 7 * panel_width(out) // 2:
            SUM_1_7(left, weights, size, 1, source, begin, run_terms, out, to, out_row, 1, run_size, False, 0)
        elif panel_size > panel_width(out):
            SUM_1_8(left, weights, size, 1, source, begin, run_terms, out, to, out_row, 1, run_size, False, 0)
        elif rows == 1:
            SUM_1_2(left, weights, size, 1, source, begin, run_terms, out, to, out_row, 1, run_size, False, 0)
        elif rows % 6 == 0 and rows % 4:
            for i in range(0, rows, 6):
                SUM_6_2(
                    left, weights + i * size, size, 1, source, begin, run_terms,
                    out, to + i * out_row, out_row, 6, run_size, False, 0,
                )  # fmt: skip
        else:
            for i in range(0, rows, 4):
                SUM_4_2(
                    left, weights + i * size, size, 1, source, begin, run_terms,
                    out, to + i * out_row, out_row, min(4, rows - i), run_size, False, 0,
                )  # fmt: skip


shifted_sums.compiled_form = compiled_shifted_sums  # type: ignore[attr-defined]


def shifted_dots(
    grad, at, grad_row, rows, groups, source, source_group, terms, size, runs, pitch, count, out, add
):  # fmt: skip
    """out[g rows + i, k] (+)= Σ grad[at + (g rows + i) grad_row + q] source[g source_group + terms[k] + q], over all
    places q = r pitch + p of `runs` runs r and p < count.

    Args: size: how many terms there are; out: (groups rows, size) as a vector.
    """
    for g in range(groups):
        for i in range(g * rows, (g + 1) * rows):
            for k, term in enumerate(terms[:size]):
                total = out[i * size + k] if add else 0
                for q in range(0, runs * pitch, pitch):
                    row, other = at + i * grad_row + q, g * source_group + term + q
                    total += grad[row : row + count] @ source[other : other + count]
                out[i * size + k] = total


@kernel
def compiled_shifted_dots(
    grad, at, grad_row, rows, groups, source, source_group, terms, size, runs, pitch, count, out, add
):  # fmt: skip
    """The compiled form of `shifted_dots`: tiles of 4 rows and 3 terms, 6 and 4, or one row and 9 terms."""
    down, across = dot_tile(rows)
    tiles = groups * ((rows + down - 1) // down) * ((size + across - 1) // across)
    flops = 2 * rows * size * groups * runs * count
    dispatch(
        compute_dot_slices, tiles, flops, grad, at, grad_row, rows, source, source_group, terms, size,
        runs, pitch, count, out, add,
    )  # fmt: skip


@kernel
def dot_tile(rows):
    """The rows and terms of a tile."""
    if rows == 1:
        return 1, 9
    return (6, 4) if rows % 6 == 0 and rows % 4 else (4, 3)


@kernel
def compute_dot_slices(
    first, last, grad, at, grad_row, rows, source, source_group, terms, size, runs, pitch, count, out, add
):  # fmt: skip
    """Compute tiles of rows and terms, a slice of positions at a time: of one run, or of a few short ones."""
    (tall, together), length = dot_tile(rows), min(SLICE, count)
    down, across, lines = (rows + tall - 1) // tall, (size + together - 1) // together, max(1, SLICE // count)
    for r in range(0, runs, lines):
        for p in range(0, count, length):
            at_once, numbers, more = min(lines, runs - r), min(length, count - p), add or r + p > 0
            for tile in range(first, last):
                g, i, k = tile // (down * across), tall * (tile // across % down), together * (tile % across)
                begin, to = g * source_group + r * pitch + p, (g * rows + i) * size + k
                real, columns = min(tall, rows - i), min(together, size - k)
                from_ = at + (g * rows + i) * grad_row + r * pitch + p
                if tall == 1:
                    DOT_1_9(
                        grad, from_, grad_row, source, begin, terms[k:],
                        out, to, size, 1, columns, at_once, pitch, numbers, more,
                    )  # fmt: skip
                elif tall == 6:
                    DOT_6_4(
                        grad, from_, grad_row, source, begin, terms[k:],
                        out, to, size, 6, columns, at_once, pitch, numbers, more,
                    )  # fmt: skip
                else:
                    DOT_4_3(
                        grad, from_, grad_row, source, begin, terms[k:],
                        out, to, size, real, columns, at_once, pitch, numbers, more,
                    )  # fmt: skip


shifted_dots.compiled_form = compiled_shifted_dots  # type: ignore[attr-defined]


@noinline
def fill_full_ranges(size, ranges):
    """ranges[r] = (0, size): each run uses all terms."""
    for r in range(ranges.shape[0]):
        ranges[r, 0], ranges[r, 1] = 0, size


@noinline
def fill_terms(channels, kernel_size, stride, dilation, row, wide, samples, terms):
    """terms[c, i, j]: where term (i, j) of a patch lies in the fine image's planes, less where the patch begins."""
    (s, t), (d, e), taps = stride, dilation, kernel_size[0] * kernel_size[1]
    for tap in range(taps):
        i, j = d * (tap // kernel_size[1]), e * (tap % kernel_size[1])
        place = (i % s * t + j % t) * row + (i // s * wide + j // t) * samples
        for c in range(channels):
            terms[c * taps + tap] = c * s * t * row + place


@noinline
def fill_fine_terms(
    weight, outer, inner, groups, kernel_size, stride, dilation, phase, start, row, wide, samples, rows,
    top, together, terms, left, ranges,
):  # fmt: skip
    """The terms by which the coarse image's planes reach one plane of the fine one, and left[g c, term], their weights.

    Args: weight: (groups outer, inner, *kernel_size) as a vector; phase: which plane;
        start: where the coarse planes begin; rows: of the coarse image; ranges: to be filled, (first, end) of the terms
        that run r meets, which is rows top + together r and so on of the fine plane.
    Returns how many terms there are.
    """
    (s, t), (d, e), taps, count = stride, dilation, kernel_size[0] * kernel_size[1], 0
    ranges[:] = 0
    for tap in range(taps):
        i, j = d * (tap // kernel_size[1]), e * (tap % kernel_size[1])
        if i % s * t + j % t == phase:
            for o in range(outer):
                terms[count * outer + o] = start + o * row - (i // s * wide + j // t) * samples
            count += 1
            for r in range(ranges.shape[0]):  # fine row f meets coarse row f - i // s
                if i // s <= top + together * r - rows:
                    ranges[r, 0] = count * outer
                if i // s < top + together * (r + 1):
                    ranges[r, 1] = count * outer
    size, term_count = count * outer, 0
    for tap in range(taps):
        i, j = d * (tap // kernel_size[1]), e * (tap % kernel_size[1])
        if i % s * t + j % t == phase:
            for c in range(groups * inner):
                at, to = (c // inner * outer * inner + c % inner) * taps + tap, c * size + term_count * outer
                for o in range(outer):
                    left[to + o] = weight[at + o * inner * taps]
            term_count += 1
    return size
