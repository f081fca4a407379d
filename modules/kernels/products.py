"""Matrix products into memory that is there already, added to it or not: BLAS `gemm` with its own beta.

NumPy's `dot(a, b, out)` cannot add, so a gradient would need a temporary and a second pass. The plain Python function and
the compiled one have the same meaning; the compiled one calls the BLAS that numba uses (SciPy's).
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload
from numba.np.linalg import check_blas_return, ensure_blas, get_blas_kind, ll_char, ll_void_p


def product(a, b, out, add=False):
    """out = a @ b, or out += a @ b; a (m, k), b (k, n), out (m, n), each C- or F-contiguous, of one float type."""
    if add:
        out += a @ b
    else:
        out[...] = a @ b


@overload(product, jit_options={"error_model": "numpy"})
def compiled_product(a, b, out, add=False):
    kinds = [a, b, out]
    if not all(isinstance(kind, types.Array) and kind.ndim == 2 and kind.layout in "CF" for kind in kinds):
        return None
    if len({kind.dtype for kind in kinds}) > 1:
        raise TypingError(f"product of {a.dtype} and {b.dtype} into {out.dtype}: expected one type")

    def call(a, b, out, add=False):
        gemm(a, b, out, add)

    return call


@intrinsic
def gemm(typing_context, a, b, out, add):
    """The call of BLAS: column-major out' = b' a', so that a C-contiguous matrix counts as its transpose."""
    ensure_blas()

    def generate(context, builder, signature, args):
        dtype = out.dtype
        left, right, result = (
            context.make_array(kind)(context, builder, arg) for kind, arg in zip((a, b, out), args)
        )
        (m, k), (_, n) = (cgutils.unpack_tuple(builder, array.shape, 2) for array in (left, right))
        rows, columns = cgutils.unpack_tuple(builder, result.shape, 2)
        kind = context.get_value_type(dtype)
        alpha, beta = cgutils.alloca_once(builder, kind), cgutils.alloca_once(builder, kind)
        one, zero = ir.Constant(kind, 1.0), ir.Constant(kind, 0.0)
        builder.store(one, alpha)
        adding = context.cast(builder, args[3], add, types.boolean)
        builder.store(builder.select(adding, one, zero), beta)

        def operand(array_type, array, shape):
            """(transposed?, leading dimension, data) as column-major BLAS wants it, for a C-contiguous result."""
            same = array_type.layout == out.layout
            leading = shape[1] if array_type.layout == "C" else shape[0]
            return (
                ir.Constant(ll_char, ord("n" if same else "t")),
                leading,
                builder.bitcast(array.data, ll_void_p),
            )

        first, second = (a, left, (m, k)), (b, right, (k, n))
        sizes = (m, n)
        if out.layout == "C":
            first, second, sizes = second, first, (n, m)
        trans_first, lead_first, data_first = operand(*first)
        trans_second, lead_second, data_second = operand(*second)
        intp = cgutils.intp_t
        signature_type = ir.FunctionType(
            ir.IntType(32),
            [
                ll_char,
                ll_char,
                ll_char,
                intp,
                intp,
                intp,
                ll_void_p,
                ll_void_p,
                intp,
                ll_void_p,
                intp,
                ll_void_p,
                ll_void_p,
                intp,
            ],
        )
        function = cgutils.get_or_insert_function(builder.module, signature_type, "numba_xxgemm")
        letter = ir.Constant(ll_char, ord(get_blas_kind(dtype)))
        status = builder.call(
            function,
            [
                letter, trans_first, trans_second, *sizes, k, builder.bitcast(alpha, ll_void_p), data_first, lead_first,
                data_second, lead_second, builder.bitcast(beta, ll_void_p), builder.bitcast(result.data, ll_void_p),
                columns if out.layout == "C" else rows,
            ],
        )  # fmt: skip
        check_blas_return(context, builder, status)
        return context.get_dummy_value()

    return types.none(a, b, out, add), generate


def add_to_rows(y, bias):
    """y[n] += bias for each row n; y (N, k), bias (k,)."""
    for n in range(y.shape[0]):
        for k in range(y.shape[1]):
            y[n, k] += bias[k]


def sum_rows(grad_y, out, add=False):
    """out = Σₙ grad_y[n], or out += it; grad_y (N, k), out (k,)."""
    if not add:
        out[:] = 0
    for n in range(grad_y.shape[0]):
        for k in range(grad_y.shape[1]):
            out[k] += grad_y[n, k]


__all__ = ["add_to_rows", "np", "product", "sum_rows"]
