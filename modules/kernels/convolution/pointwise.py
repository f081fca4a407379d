"""Pointwise (1 x 1) convolution: a matrix product over the pixels of all samples, read where they lie.

Pixels are taken in panels, which may begin in one sample and end in another. A panel of all channels is copied to where
the cache holds it together, and all rows of weights meet it there; the bias is one more term, of a channel of ones.
The plain Python function is the meaning of the compiled one below it.
"""

from ...compiler.arrays import stack_vector
from ...compiler.kernel import kernel, noinline
from ..matmul.gemm import COPY, CORNER, SUM_4_2, matmul_into, panel_width, prefetch_read, prefetch_write
from ..strided_loops import clear_slice, copy_slice
from ..threads import dispatch
from .planes import sum_planes

MAX_TERMS = 1024  # channels of a panel, at most
NEAR = 1 << 21  # bytes of images that are still near when they are met again
PANEL = stack_vector(lambda lanes: (MAX_TERMS + 1) * 2 * lanes)


def samples_of_points(samples, size):
    """The samples of a chunk, of `size` bytes each: a divisor of `samples`."""
    count = max(1, min(samples, NEAR // size))
    while samples % count:
        count -= 1
    return count


@noinline
def fill_points(weight, rows, terms, back, bias, left):
    """left[i (terms + 1) + k] = weight[i, k], or weight[k, i] for the map back; bias[i] where k = terms.

    Args: weight: a vector; bias: (rows,) or none; left: memory for rows (terms + 1) numbers.
    """
    for i in range(rows):
        for k in range(terms):
            left[i * (terms + 1) + k] = weight[k * rows + i] if back else weight[i * terms + k]
        if bias.size > 0:
            left[i * (terms + 1) + terms] = bias[i]


def point_sums(left, rows, terms, biased, x, samples, y):
    """y[n, i, p] = Σₖ weight[i, k] x[n, k, p] + bias[i]; left: of `fill_points`; biased: with a bias; vectors all."""
    matrix = left[: rows * (terms + 1)].reshape((rows, terms + 1))
    y.reshape((samples, rows, -1))[:] = matrix[:, :terms] @ x.reshape((samples, terms, -1))
    if biased:
        y.reshape((samples, rows, -1))[:] += matrix[:, terms:]


@kernel
def compiled_point_sums(left, rows, terms, biased, x, samples, y):
    """The compiled form of `point_sums`, by panels of pixels."""
    depth = terms + 1 if biased else terms
    size = y.size // (samples * rows)
    panel_size = panel_width(y)
    panel_count = (samples * size + panel_size - 1) // panel_size
    dispatch(compute_point_panels, panel_count, 2 * terms * y.size, left, rows, depth, x, terms, samples, size, y)


@kernel
def compute_point_panels(first, last, left, rows, depth, x, terms, samples, size, y):
    """Compute some panels; prefetches the outputs of the next tile, and a part of the next panel."""
    panel_size, panel, corner, tiles, row = panel_width(y), PANEL(y), CORNER(y), (rows + 3) // 4, terms + 1
    for c in range(panel_size if depth > terms else 0):
        panel[terms * panel_size + c] = 1
    for q in range(first * panel_size, last * panel_size, panel_size):
        n, p = q // size, q % size
        whole = p + panel_size <= size
        for k in range(terms if whole else 0):
            at = (n * terms + k) * size + p
            COPY(x, at, panel, k * panel_size)
            COPY(x, at + panel_size // 2, panel, k * panel_size + panel_size // 2)
        if not whole:
            gather_panel(x, terms, n, p, samples, size, panel, panel_size)
        for tile in range(tiles):
            i, real = 4 * tile, min(4, rows - 4 * tile)
            if whole:
                to = (n * rows + i) * size + p
                for r in range(4, 8):
                    prefetch_write(y, to + r * size)
                for k in range(tile * terms // tiles, (tile + 1) * terms // tiles):
                    prefetch_read(x, (n * terms + k) * size + p + panel_size)
                SUM_4_2(left, i * row, row, 1, panel, 0, panel_size, y, to, size, real, depth, False, 0)
            else:
                SUM_4_2(left, i * row, row, 1, panel, 0, panel_size, corner, 0, panel_size, real, depth, False, 0)
                scatter_corner(corner, panel_size, real, i, rows, n, p, samples, size, y)


@kernel
def gather_panel(x, terms, n, p, samples, size, panel, panel_size):
    """Copy a panel that begins at pixel p of sample n and ends in another sample, or after the last one."""
    done = 0
    while done < panel_size and n < samples:
        count = min(panel_size - done, size - p)
        for k in range(terms):
            copy_slice(x, (n * terms + k) * size + p, panel, k * panel_size + done, count)
        done, n, p = done + count, n + 1, 0
    for k in range(terms if done < panel_size else 0):
        clear_slice(panel, k * panel_size + done, 1, panel_size - done)


@kernel
def scatter_corner(corner, panel_size, real, i, rows, n, p, samples, size, y):
    """Copy rows i and so on of such a panel's results to the output."""
    done = 0
    while done < panel_size and n < samples:
        count = min(panel_size - done, size - p)
        for r in range(real):
            copy_slice(corner, r * panel_size + done, y, (n * rows + i + r) * size + p, count)
        done, n, p = done + count, n + 1, 0


point_sums.compiled_form = compiled_point_sums  # type: ignore[attr-defined]


def point_dots(grad_y, rows, x, terms, samples, out, grad_bias, add):
    """out[i, k] (+)= Σₙ Σₚ grad_y[n, i, p] x[n, k, p], grad_bias[i] (+)= Σₙ Σₚ grad_y[n, i, p]; grad_bias: or none."""
    matrix, size = out.reshape((rows, terms)), grad_y.size // (samples * rows)
    for n in range(samples):
        left = grad_y[n * rows * size : (n + 1) * rows * size].reshape((rows, size))
        right = x[n * terms * size : (n + 1) * terms * size].reshape((terms, size))
        matmul_into(left, right.T, matrix, add or n > 0)
        sum_planes(grad_y, n * rows * size, size, size, grad_bias, add or n > 0)
