"""Matrix products into memory that is there already, added to it or not.

Small products are made of tiles (see tiles.py), large ones by the BLAS that numba uses (SciPy's), called with a beta of
its own, since NumPy's `dot(a, b, out)` cannot add. The plain Python function and the compiled one mean the same.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload
from numba.np.linalg import check_blas_return, ensure_blas, get_blas_kind, ll_char, ll_void_p

from .kernel import kernel
from .tiles import dot_products, lanes, row_sums

TILED_BYTES = 450_000  # of the left operand, which is read once for each strip of the right one: up to the L2 cache


def product(a, b, out, add):
    """out = a @ b, or out += a @ b; a (m, k), b (k, n), out (m, n), each C- or F-contiguous, of one float type."""
    if add:
        out += a @ b
    else:
        out[...] = a @ b


DOT_4_3, DOT_1_3 = dot_products(4, 3), dot_products(1, 3)
SUM_4_2, SUM_1_2 = row_sums(4, 2), row_sums(1, 2)


@kernel
def dot_form(a, b, out, add):
    """The product of a C-contiguous and an F-contiguous b: dot products of rows of both."""
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    if a.size * a.itemsize > TILED_BYTES:
        gemm(a, b, out, add)
    elif m == 1:
        for j in range(0, n, 3):
            DOT_1_3(a, 0, k, b, j * k, k, out, j, n, 1, min(3, n - j), k, add)
    else:
        for j in range(0, n, 3):
            for i in range(0, m, 4):
                DOT_4_3(a, i * k, k, b, j * k, k, out, i * n + j, n, min(4, m - i), min(3, n - j), k, add)


@kernel
def sum_form(a, b, out, add):
    """The product with a C-contiguous b: rows of b, weighted by elements of a, summed into rows of out."""
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    strip = strip_width(a)
    if n < strip or a.size * a.itemsize > TILED_BYTES:
        gemm(a, b, out, add)
        return
    a_i, a_k = strides(a)
    for first in range(0, n, strip):
        j = min(first, n - strip)  # the last strip may overlap the one before it
        if m == 1:
            SUM_1_2(a, 0, a_i, a_k, b, j, n, out, j, n, 1, k, add, first - j)
        else:
            for i in range(0, m, 4):
                SUM_4_2(a, i * a_i, a_i, a_k, b, j, n, out, i * n + j, n, min(4, m - i), k, add, first - j)


@intrinsic
def strip_width(typing_context, a):
    """Columns of a tile of `sum_form`."""
    return types.intp(a), lambda context, builder, signature, args: cgutils.intp_t(2 * lanes(a.dtype))


def strides(a):
    """Elements from one row of the contiguous matrix a to the next, and from one column to the next."""


@overload(strides, inline="always")
def compiled_strides(a):
    """The layout decides, while compiling."""
    if a.layout == "C":
        return lambda a: (a.shape[1], 1)
    return lambda a: (1, a.shape[0])


@intrinsic
def compiled_product(typing_context, a, b, out, add):
    """`product`, by the kernel for these layouts."""
    kinds = [a, b, out]
    if not all(isinstance(kind, types.Array) and kind.ndim == 2 and kind.layout in "CF" for kind in kinds):
        return None
    if len({kind.dtype for kind in kinds}) > 1:
        raise TypingError(f"product of {a.dtype} and {b.dtype} into {out.dtype}: expected one type")
    form = {"CFC": dot_form, "CCC": sum_form, "FCC": sum_form}.get("".join(k.layout for k in kinds), plain_gemm)
    kernel_type = types.Dispatcher(form)
    signature = kernel_type.get_call_type(typing_context, (a, b, out, add), {})

    def generate(context, builder, _, args):
        implementation = context.get_function(kernel_type, signature)
        implementation(builder, args)
        context.add_linking_libs(implementation.libs)
        return context.get_dummy_value()

    return types.none(a, b, out, add), generate


product.compiled_form = compiled_product  # type: ignore[attr-defined]


@kernel
def plain_gemm(a, b, out, add):
    """Any layouts: BLAS."""
    gemm(a, b, out, add)


@intrinsic
def gemm(typing_context, a, b, out, add):
    """The call of BLAS: column-major out' = b' a', so that a C-contiguous matrix counts as its transpose."""
    ensure_blas()

    def generate(context, builder, signature, args):
        dtype = out.dtype
        left, right, result = (
            context.make_array(kind)(context, builder, arg) for kind, arg in zip((a, b, out), args, strict=False)
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
