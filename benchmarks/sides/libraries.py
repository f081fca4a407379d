"""Matrix products of other libraries, called from compiled code without Python in between.

OpenBLAS is SciPy's, MKL PyTorch's; BLIS and LIBXSMM are Debian's packages libblis4 and libxsmm-dev, where they are
installed. LIBXSMM generates a kernel for each size; it has none for a transposed first operand (in the order of
Fortran), which it transposes first, in the time that is measured.
"""

import ctypes
import ctypes.util
import subprocess
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numba
import numpy as np
from bprop.modules.compiler.numba_api import cgutils, intrinsic, ir, types
from bprop.modules.engine.specialization import specialization
from bprop.modules.kernels.matmul.gemm import matmul_into

from . import describe_blas

own = matmul_into.compiled_form
BLAS = ("OpenBLAS", "MKL", "BLIS")
WORD, INT, FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()
PLAIN, TRANSPOSED = ord("N"), ord("T")
TRANS_B = 2  # a flag of LIBXSMM


def find_blas() -> dict[str, int]:
    """The addresses of `sgemm`, with whole numbers of 32 bits, of the libraries that are there."""
    import_module("scipy.linalg.blas")  # which loads OpenBLAS
    from threadpoolctl import threadpool_info

    found = {}
    for info in threadpool_info():
        if info["internal_api"] == "openblas":
            for name in ("scipy_sgemm_", "sgemm_"):
                if address := find_symbol(info["filepath"], name):
                    found["OpenBLAS"] = address
    spec = find_spec("torch")
    if spec is not None and spec.origin is not None:
        import_module("torch")  # which loads what its library needs
        if address := find_symbol(str(Path(spec.origin).parent / "lib" / "libtorch_cpu.so"), "sgemm_"):
            found["MKL"] = address
    blis = ctypes.util.find_library("blis")
    if blis and (address := find_symbol(blis, "sgemm_")):
        ctypes.CDLL(blis).bli_init()  # with BLIS_ARCH_TYPE it ends the process if it is asked for its kernels before
        found["BLIS"] = address
    return found


def find_symbol(path: str, name: str) -> int:
    """The address of a function in a shared library; 0 if either is not there."""
    try:
        function = getattr(ctypes.CDLL(path), name)
    except (OSError, AttributeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def find_libxsmm():
    """LIBXSMM as a shared library, linked from Debian's archives if it is only there as those; None without it."""
    path = ctypes.util.find_library("xsmm")
    try:
        library = ctypes.CDLL(path) if path is not None else link_archives()
    except (OSError, subprocess.CalledProcessError):
        return None
    library.libxsmm_init()
    library.libxsmm_smmdispatch.restype = ctypes.c_void_p
    library.libxsmm_get_target_arch.restype = ctypes.c_char_p
    return library


def link_archives():
    """Link Debian's archives of LIBXSMM into a library, and load it; OSError or CalledProcessError if that fails."""
    archives = [f"/usr/lib/libxsmm{part}.a" for part in ("", "noblas")]
    whole = ["-Wl,--whole-archive", *archives, "-Wl,--no-whole-archive", "-lm", "-ldl", "-lpthread"]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "libxsmm.so")
        subprocess.run(["gcc", "-shared", "-o", path, *whole], check=True, capture_output=True)
        return ctypes.CDLL(path)


def make_libxsmm_kernel(library, m: int, n: int, k: int, transposed: bool) -> int:
    """The address of LIBXSMM's kernel of an (m, k) by (k, n) product in the order of Fortran; 0 if it has none."""
    leading = [ctypes.byref(ctypes.c_int(number)) for number in (m, n if transposed else k, m)]
    one, zero = ctypes.byref(ctypes.c_float(1)), ctypes.byref(ctypes.c_float(0))
    flags = ctypes.byref(ctypes.c_int(TRANS_B if transposed else 0))
    return library.libxsmm_smmdispatch(m, n, k, *leading, one, zero, flags, None) or 0


@intrinsic
def call_sgemm(typing_context, address, ta, tb, m, n, k, a, lda, b, ldb, c, ldc):
    """Call a BLAS's `sgemm`, C = A B in the order of Fortran, with operands by their addresses."""

    def generate(context, builder, signature, args):
        def point_to(value):
            return builder.ptrtoint(cgutils.alloca_once_value(builder, value), WORD)

        at, *sizes = args
        letters = [point_to(builder.trunc(each, ir.IntType(8))) for each in sizes[:2]]
        m, n, k, lda, ldb, ldc = (point_to(builder.trunc(sizes[each], INT)) for each in (2, 3, 4, 6, 8, 10))
        one, zero = point_to(ir.Constant(FLOAT, 1)), point_to(ir.Constant(FLOAT, 0))
        length = ir.Constant(WORD, 1)  # of each letter
        function = builder.inttoptr(at, ir.FunctionType(ir.VoidType(), [WORD] * 15).as_pointer())
        a, b, c = sizes[5], sizes[7], sizes[9]
        builder.call(function, [*letters, m, n, k, one, a, lda, b, ldb, zero, c, ldc, length, length])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 12), generate


@intrinsic
def call_kernel(typing_context, address, a, b, c):
    """Call a kernel of three addresses."""

    def generate(context, builder, signature, args):
        function = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), [WORD] * 3).as_pointer())
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def call_transpose(typing_context, address, out, matrix, rows, columns):
    """Call `libxsmm_otrans` of float32 in the order of Fortran: (rows, columns) to (columns, rows)."""

    def generate(context, builder, signature, args):
        kinds = [WORD, WORD, INT, INT, INT, INT, INT]
        function = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        rows, columns = (builder.trunc(each, INT) for each in args[3:])
        builder.call(function, [args[1], args[2], ir.Constant(INT, 4), rows, columns, rows, columns])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@numba.njit
def by_blas(address, a, b, c, ta, tb, repeat):
    """C = A B, A lying as its transpose if `ta`, B if `tb`: matrices of this shape in memory by rows."""
    m, n = c.shape
    k = a.shape[0] if ta else a.shape[1]
    for _ in range(repeat):
        call_sgemm(
            address, TRANSPOSED if tb else PLAIN, TRANSPOSED if ta else PLAIN, n, m, k,
            b.ctypes.data, b.shape[1], a.ctypes.data, a.shape[1], c.ctypes.data, n,
        )  # fmt: skip


@numba.njit
def by_libxsmm(kernel, transpose, a, b, c, tb, scratch, repeat):
    """The same by LIBXSMM, for which both operands change places; B is transposed first if `tb`."""
    for _ in range(repeat):
        first = b.ctypes.data
        if tb:
            first = scratch.ctypes.data
            call_transpose(transpose, first, b.ctypes.data, b.shape[1], b.shape[0])
        call_kernel(kernel, first, a.ctypes.data, c.ctypes.data)


@numba.njit
def by_bprop(a, b, c, ta, tb, repeat):
    """The same by bprop's kernels."""
    a_t, b_t = a.T, b.T
    for _ in range(repeat):
        if ta:
            own(a_t, b, c, False)
        elif tb:
            own(a, b_t, c, False)
        else:
            own(a, b, c, False)


@numba.njit
def multiply(way, address, transpose, a, b, c, ta, tb, scratch, repeat):
    """C = A B in one of three ways: bprop's kernels, a BLAS, or a kernel of LIBXSMM."""
    if way == 0:
        by_bprop(a, b, c, ta, tb, repeat)
    elif way == 1:
        by_blas(address, a, b, c, ta, tb, repeat)
    else:
        by_libxsmm(address, transpose, a, b, c, tb, scratch, repeat)


class Libraries:
    """What multiplies matrices here."""

    def __init__(self):
        self.blas, self.libxsmm = find_blas(), find_libxsmm()
        self.transpose = 0
        if self.libxsmm is not None:
            self.transpose = ctypes.cast(self.libxsmm.libxsmm_otrans, ctypes.c_void_p).value

    def specialize(self) -> None:
        """Let bprop compile what it has been called for with constant sizes, as LIBXSMM does at its first call."""
        specialization.specialize_all()

    def describe(self) -> str:
        """The kernels of each, as far as it can be asked."""
        target = self.libxsmm.libxsmm_get_target_arch().decode() if self.libxsmm is not None else "not installed"
        missing = [name for name in BLAS if name not in self.blas]
        return f"{describe_blas()}, LIBXSMM {target}" + "".join(f", {name} not installed" for name in missing)

    def list_ways(self, m: int, n: int, k: int, ta: bool) -> dict[str, tuple[int, int]]:
        """For each library, the way of `multiply` and the address of the function for this product."""
        ways = {"bprop": (0, 0)} | {name: (1, address) for name, address in self.blas.items()}
        kernel = make_libxsmm_kernel(self.libxsmm, n, m, k, ta) if self.libxsmm is not None else 0
        return ways | ({"LIBXSMM": (2, kernel)} if kernel else {})

    def list_calls(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, ta: bool, tb: bool) -> dict:
        """For each library a function that computes C = A B so many times; A lies as its transpose if `ta`."""
        (m, n), k = c.shape, b.shape[1] if tb else b.shape[0]
        scratch = np.empty(b.shape[::-1], np.float32)
        return {
            name: lambda repeat, way=way: multiply(*way, self.transpose, a, b, c, ta, tb, scratch, repeat)
            for name, way in self.list_ways(m, n, k, ta).items()
        }
