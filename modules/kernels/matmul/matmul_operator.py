"""The operator `@` of a user's methods: products of this package, for matrices of any layout, and stacks of them.

numba's own goes to BLAS, warns of strided arrays, and takes no more than two axes. This one keeps NumPy's meaning. Each
form is a kernel: compiled once for its types, stored, and only called by the methods that multiply.
"""

import numpy as np

from ...compiler.kernel import kernel
from ...compiler.numba_api import intrinsic, overload, types
from ..buffers import as_rows
from ..builtin_functions import as_contiguous
from .gemm import matmul_into

product = matmul_into.compiled_form  # type: ignore[attr-defined]
rows_of = as_rows.compiled_form  # type: ignore[attr-defined]
INNER_SIZES = "matmul: the columns of the left array are not as many as the rows of the right one"
OUTER_SIZES = "matmul: the arrays differ in an axis before the last two"


@intrinsic
def multiply_arrays(typing_context, a, b):
    """a @ b, which the engine's compiler puts in the place of the operator."""
    form = types.Dispatcher(choose_form(a, b))
    inner = form.get_call_type(typing_context, (a, b), {})

    def generate(context, builder, signature, args):
        implementation = context.get_function(form, inner)
        result = implementation(builder, args)
        context.add_linking_libs(implementation.libs)
        return result

    return inner.return_type(a, b), generate


def choose_form(a, b):
    """Choose the kernel that multiplies: numba's own for all but matrices, and stacks of them, of one float type."""
    if not all(isinstance(each, types.Array) for each in (a, b)):
        return multiply_others
    floats = a.dtype == b.dtype and isinstance(a.dtype, types.Float)
    if not floats or a.ndim < 2 or (b.ndim not in (2, a.ndim) and a.ndim > 2) or b.ndim < 2:
        return multiply_by_numba
    if a.ndim == 2:
        return multiply_matrices if b.ndim == 2 else multiply_matrix_and_stack
    return multiply_stack_and_matrix if b.ndim == 2 else multiply_stacks


@kernel
def multiply_others(a, b):
    """a @ b as numba has it, or an error."""
    return a @ b


@kernel
def multiply_by_numba(a, b):
    """a @ b by BLAS: of vectors, and of other types than floats."""
    return as_dense(a) @ as_dense(b)


@kernel
def multiply_matrices(a, b):
    """a (m, k) @ b (k, n)."""
    if a.shape[1] != b.shape[0]:
        raise ValueError(INNER_SIZES)
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    product(as_dense(a), as_dense(b), out, False)
    return out


@kernel
def multiply_matrix_and_stack(a, b):
    """a (m, k) @ b (..., k, n)."""
    if a.shape[1] != b.shape[-2]:
        raise ValueError(INNER_SIZES)
    rows, terms, columns = a.shape[0], a.shape[1], b.shape[-1]
    out = np.empty(b.shape[:-2] + (rows, columns), a.dtype)  # noqa: RUF005
    count, left = out.size // (rows * columns), as_dense(a)
    rights, outs = as_contiguous(b).reshape((count, terms, columns)), out.reshape((count, rows, columns))
    for n in range(count):
        product(left, rights[n], outs[n], False)
    return out


@kernel
def multiply_stack_and_matrix(a, b):
    """a (..., m, k) @ b (k, n)."""
    if a.shape[-1] != b.shape[0]:
        raise ValueError(INNER_SIZES)
    out = np.empty(a.shape[:-1] + (b.shape[1],), a.dtype)  # noqa: RUF005
    product(rows_of(as_contiguous(a)), as_dense(b), rows_of(out), False)
    return out


@kernel
def multiply_stacks(a, b):
    """a (..., m, k) @ b (..., k, n)."""
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(INNER_SIZES)
    if a.shape[:-2] != b.shape[:-2]:
        raise ValueError(OUTER_SIZES)
    rows, terms, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    out = np.empty(a.shape[:-1] + (columns,), a.dtype)  # noqa: RUF005
    count = out.size // (rows * columns)
    lefts = as_contiguous(a).reshape((count, rows, terms))
    rights, outs = as_contiguous(b).reshape((count, terms, columns)), out.reshape((count, rows, columns))
    for n in range(count):
        product(lefts[n], rights[n], outs[n], False)
    return out


def as_dense(a):
    """The array itself, or a C-contiguous copy where it is strided."""
    return a


@overload(as_dense)
def compiled_as_dense(a):
    """The compiled form of `as_dense`."""
    if a.layout in "CF" and a.ndim < 3:
        return lambda a: a
    return lambda a: np.ascontiguousarray(a)
