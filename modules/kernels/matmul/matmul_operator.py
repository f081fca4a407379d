"""The operator `@` of a user's methods: products of this package, for matrices of any layout, and stacks of them.

numba's own goes to BLAS, warns of strided arrays, and takes no more than two axes. This one keeps NumPy's meaning.
"""

import numpy as np

from ...compiler.numba_api import overload, types
from ..buffers import as_rows
from .gemm import matmul_into

product = matmul_into.compiled_form  # type: ignore[attr-defined]
rows_of = as_rows.compiled_form  # type: ignore[attr-defined]


def multiply_arrays(a, b):
    """a @ b"""
    return a @ b


@overload(multiply_arrays)
def compiled_multiply_arrays(a, b):
    """The compiled form: `product` for matrices of one float type; numba's own for all else, such as vectors."""
    if not all(isinstance(each, types.Array) for each in (a, b)):
        return lambda a, b: a @ b
    left, right = (keep if each.layout in "CF" and each.ndim < 3 else np.ascontiguousarray for each in (a, b))
    floats = a.dtype == b.dtype and isinstance(a.dtype, types.Float)
    if not floats or a.ndim < 2 or (b.ndim not in (2, a.ndim) and a.ndim > 2) or b.ndim < 2:
        return lambda a, b: left(a) @ right(b)
    if a.ndim == 2 < b.ndim:

        def multiply(a, b):
            check_inner_sizes(a.shape[1], b.shape[-2])
            rows, terms, columns = a.shape[0], a.shape[1], b.shape[-1]
            out = np.empty(b.shape[:-2] + (rows, columns), a.dtype)  # noqa: RUF005
            count, first = out.size // (rows * columns), left(a)
            rights, outs = right(b).reshape((count, terms, columns)), out.reshape((count, rows, columns))
            for n in range(count):
                product(first, rights[n], outs[n], False)
            return out

    elif a.ndim == 2:

        def multiply(a, b):
            check_inner_sizes(a.shape[1], b.shape[0])
            out = np.empty((a.shape[0], b.shape[1]), a.dtype)
            product(left(a), right(b), out, False)
            return out

    elif b.ndim == 2:

        def multiply(a, b):
            check_inner_sizes(a.shape[-1], b.shape[0])
            out = np.empty(a.shape[:-1] + (b.shape[1],), a.dtype)  # noqa: RUF005
            product(rows_of(left(a)), right(b), rows_of(out), False)
            return out

    else:

        def multiply(a, b):
            check_inner_sizes(a.shape[-1], b.shape[-2])
            if a.shape[:-2] != b.shape[:-2]:
                raise ValueError("matmul: the arrays differ in an axis before the last two")
            rows, terms, columns = a.shape[-2], a.shape[-1], b.shape[-1]
            out = np.empty(a.shape[:-1] + (columns,), a.dtype)  # noqa: RUF005
            count = out.size // (rows * columns)
            lefts, rights = left(a).reshape((count, rows, terms)), right(b).reshape((count, terms, columns))
            outs = out.reshape((count, rows, columns))
            for n in range(count):
                product(lefts[n], rights[n], outs[n], False)
            return out

    return multiply


def check_inner_sizes(columns, rows):
    """Raise ValueError unless the columns of the left matrix are as many as the rows of the right one."""
    if columns != rows:
        raise ValueError("matmul: the columns of the left array are not as many as the rows of the right one")


def keep(a):
    """The array itself."""
    return a


overload(check_inner_sizes)(lambda columns, rows: check_inner_sizes)
overload(keep)(lambda a: keep)
