"""Sums of many numbers, accurate to the last digits: blocks are summed, and their sums added in float64.

One running float32 sum of a hundred thousand numbers is off by 1e-5 of their size, and a float64 sum of float32 numbers
takes twice as long. Blocks of a thousand keep the speed of the one, and nearly the digits of the other.
"""

import numba
import numpy as np

from ..compiler.arrays import stack_vector
from ..compiler.numba_api import intrinsic, types

BLOCK = 1024  # numbers
ROWS, COLUMNS = 256, 4096  # of a block of a matrix


def as_double(number):
    """Convert to float64: compiled code, where scalars are weakly typed, would add in the array's type."""
    return number


@intrinsic
def compiled_as_double(typing_context, number):
    """The compiled form of `as_double`."""

    def generate(context, builder, signature, args):
        return context.cast(builder, args[0], signature.args[0], types.float64)

    return types.float64(number), generate


as_double.compiled_form = compiled_as_double  # type: ignore[attr-defined]


def exact_difference(a, b):
    """a - b, rounded: compiled code, which may reassociate sums, would combine it with what follows."""
    return a - b


def exact_ratio(a, b):
    """a / b, rounded: compiled code would rewrite quotients of products, which may overflow."""
    return a / b


for plain in (exact_difference, exact_ratio):
    plain.compiled_form = numba.njit(  # type: ignore[attr-defined]
        plain, fastmath=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )


def sum_of(row):
    """Σₖ row[k]."""
    total = np.float64(0)
    for begin in range(0, row.size, BLOCK):
        block, part = row[begin : begin + BLOCK], row.dtype.type(0)
        for k in range(block.size):
            part += block[k]
        total += as_double(part)
    return row.dtype.type(total)


def sum_of_differences(row, number):
    """Σₖ (row[k] - number)."""
    total = np.float64(0)
    for begin in range(0, row.size, BLOCK):
        block, part = row[begin : begin + BLOCK], row.dtype.type(0)
        for k in range(block.size):
            part += exact_difference(block[k], number)
        total += as_double(part)
    return row.dtype.type(total)


def sum_of_squares(row, number):
    """Σₖ (row[k] - number)²."""
    total = np.float64(0)
    for begin in range(0, row.size, BLOCK):
        block, part = row[begin : begin + BLOCK], row.dtype.type(0)
        for k in range(block.size):
            part += exact_difference(block[k], number) * exact_difference(block[k], number)
        total += as_double(part)
    return row.dtype.type(total)


def dot(a, b):
    """Σₖ a[k] b[k]."""
    total = np.float64(0)
    for begin in range(0, a.size, BLOCK):
        left, right, part = a[begin : begin + BLOCK], b[begin : begin + BLOCK], a.dtype.type(0)
        for k in range(left.size):
            part += left[k] * right[k]
        total += as_double(part)
    return a.dtype.type(total)


def sum_of_scaled_squares(row, largest):
    """Σₖ (row[k] / largest)²."""
    total = np.float64(0)
    for begin in range(0, row.size, BLOCK):
        block, part = row[begin : begin + BLOCK], row.dtype.type(0)
        for k in range(block.size):
            share = exact_ratio(block[k], largest)
            part += share * share
        total += as_double(part)
    return row.dtype.type(total)


def columns_like(a):
    """Allocate COLUMNS numbers of the type of `a` on the stack; the contents are not defined."""
    return np.empty(COLUMNS, a.dtype)


compiled_columns_like = stack_vector(lambda lanes: COLUMNS)
columns_like.compiled_form = compiled_columns_like  # type: ignore[attr-defined]


def column_sums(x, out):
    """out[k] += Σₙ x[n, k]; x (N, K), out (K,)."""
    if x.shape[0] <= ROWS:
        add_rows(x, 0, out)
        return
    parts = columns_like(x)
    for first in range(0, out.size, COLUMNS):
        columns = out[first : first + COLUMNS]
        part = parts[: columns.size]
        for begin in range(0, x.shape[0], ROWS):
            part[:] = 0
            add_rows(x[begin : begin + ROWS], first, part)
            add_row(part, columns)


def add_rows(x, first, out):
    """out[k] += Σₙ x[n, first + k], for a few rows."""
    if out.size == x.shape[1]:
        for n in range(x.shape[0]):
            for k in range(out.size):
                out[k] += x[n, k]
    else:
        for n in range(x.shape[0]):
            add_row(x[n][first : first + out.size], out)


def add_row(row, out):
    """out += row, both vectors."""
    for k in range(out.size):
        out[k] += row[k]


def column_products(a, b, out, add):
    """out[k] = Σₙ a[n, k] b[n, k], or out += it; a, b (N, K), out (K,)."""
    if not add:
        out[:] = 0
    if a.shape[0] <= ROWS:
        add_products(a, b, 0, out)
        return
    parts = columns_like(a)
    for first in range(0, out.size, COLUMNS):
        columns = out[first : first + COLUMNS]
        part = parts[: columns.size]
        for begin in range(0, a.shape[0], ROWS):
            part[:] = 0
            add_products(a[begin : begin + ROWS], b[begin : begin + ROWS], first, part)
            add_row(part, columns)


def add_products(a, b, first, out):
    """out[k] += Σₙ a[n, first + k] b[n, first + k], for a few rows."""
    if out.size == a.shape[1]:
        for n in range(a.shape[0]):
            for k in range(out.size):
                out[k] += a[n, k] * b[n, k]
    else:
        for n in range(a.shape[0]):
            left, right = a[n][first : first + out.size], b[n][first : first + out.size]
            for k in range(out.size):
                out[k] += left[k] * right[k]


def column_means(x, out):
    """out[k] = Σₙ x[n, k] / N, from differences to the first row; x (N, K)."""
    parts = columns_like(x)
    out[:] = 0
    if x.shape[0] <= ROWS:
        add_differences(x, x[0], 0, out)
    else:
        for first in range(0, out.size, COLUMNS):
            columns = out[first : first + COLUMNS]
            part = parts[: columns.size]
            for begin in range(0, x.shape[0], ROWS):
                part[:] = 0
                add_differences(x[begin : begin + ROWS], x[0], first, part)
                add_row(part, columns)
    for k in range(out.size):
        out[k] = x[0, k] + out[k] / x.shape[0]


def add_differences(x, origin, first, out):
    """out[k] += Σₙ (x[n, first + k] - origin[first + k]), of few rows."""
    if out.size == origin.size:
        for n in range(x.shape[0]):
            for k in range(out.size):
                out[k] += exact_difference(x[n, k], origin[k])
    else:
        start = origin[first : first + out.size]
        for n in range(x.shape[0]):
            row = x[n][first : first + out.size]
            for k in range(out.size):
                out[k] += exact_difference(row[k], start[k])
