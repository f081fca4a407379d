"""Small matrix products that a training calls often get code of their own, in which the sizes are constants.

A training calls `specialize_often_called` at its pauses. What has been called often is compiled by LLVM in another
process, which also measures whether that is faster; at a later pause it is entered in the table that the products look
up. The code is stored with the plans. The results are the same bits, so it does not matter when a product changes over.
"""

import atexit
import contextlib
import os
import subprocess
import tempfile
import threading
import time
from typing import IO

from ..compiler import llvm_specializer
from ..compiler.code_library import MACHINE_CODE, find_code_address, load_machine_code
from ..compiler.cpu import count_cores
from ..compiler.llvm_passes import from_line, to_line
from ..compiler.llvm_worker import can_start_program, codegen_settings, llvm_options, start_program
from ..compiler.numba_api import cpu_target, dumps, global_compiler_lock, types
from ..kernels.matmul.gemm import list_argument_types, multiply
from ..kernels.matmul.specialized_products import Product, enter_code, list_called
from . import cache
from .code_cache import cache_file_name, cache_kernels, read_cached

EVERY = 0.1  # seconds between two looks at the table
OFTEN = 0.1  # seconds, about, that a product has taken before it is compiled on another core
VERY_OFTEN = 5.0  # the same where there is one core, and compiling it takes some tenths of a second
SOME = 0.005  # seconds, about, before it is looked for in the cache
WORTH = 0.95  # of the general product's time: with more, the constants are not worth it
DTYPES = {4: types.float32, 8: types.float64}


class Specialization:
    """The products that have been specialised in this process, and the one process that compiles others."""

    def __init__(self):
        self._next = 0.0
        self._lock = threading.Lock()
        self._looked_up: set[Product] = set()
        self._submitted: set[Product] = set()
        self._process: subprocess.Popen | None = None
        self._output: IO[bytes] | None = None
        self._products: list[Product] = []

    def look(self) -> None:
        """Enter what has been compiled; submit what has been called often. At most every 0.1 s anything is done."""
        now = time.perf_counter()
        if now < self._next or not self._lock.acquire(blocking=False):
            return
        try:
            self._next = now + EVERY
            self._take_results()
            self._submit(SOME, OFTEN if count_cores() > 1 else VERY_OFTEN)
        finally:
            self._lock.release()

    def wait(self) -> None:
        """Wait for the process, and enter what it has compiled."""
        with self._lock:
            if self._process is not None:
                self._process.wait()
            self._take_results()

    def specialize_all(self) -> None:
        """Specialise all products that have been called, however seldom, and wait for them."""
        self.wait()
        with self._lock:
            self._submit(some=0.0, often=0.0)
        self.wait()

    def _submit(self, some: float, often: float) -> None:
        """Enter stored products that have taken `some` seconds; submit those that have taken `often` seconds."""
        submitted = []
        for product, seconds in list_called(min(some, often)):
            if seconds > some and product not in self._looked_up:
                self._looked_up.add(product)
                if (stored := read_cached(name_file(product))) is not None:
                    self._enter(product, *stored)
                    self._submitted.add(product)
            if seconds > often and product not in self._submitted:
                submitted.append(product)
        if submitted and self._process is None and can_start_program():
            self._submitted.update(submitted)
            with contextlib.suppress(OSError):  # no memory, or no folder for temporary files
                self._start(submitted)

    def _enter(self, product: Product, name: str, code: bytes) -> None:
        if name:
            with global_compiler_lock:
                load_machine_code(name, code)
                enter_code(product, find_code_address(name))

    def _start(self, products: list[Product]) -> None:
        """Start the process that compiles the products; its input and its output are files, so that nobody waits."""
        requests: list[tuple] = [(codegen_settings(cpu_target.target_context.codegen()), llvm_options())]
        known: list[Product] = []
        with global_compiler_lock:
            libraries = {size: find_library(DTYPES[size]) for size in {product.item_size for product in products}}
        for item_size, library in libraries.items():
            if library is not None:
                names = library.names()
                codes = library.bitcodes(), [MACHINE_CODE[name] for name in names]
                requests.append(("load_function", (str(item_size), *codes, library.symbol, names[0])))
        for product in products:
            if libraries[product.item_size] is not None:
                requests.append(("specialize", (len(known), str(product.item_size), *list_constants(product), WORTH)))
                known.append(product)
        if known:
            self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open until the process has ended
            with tempfile.TemporaryFile() as source:
                source.writelines(map(to_line, requests))
                source.seek(0)
                self._process = start_program(llvm_specializer.__file__, stdin=source, stdout=self._output)
            self._products = known

    def _take_results(self) -> None:
        """Enter and store the results of a process that has ended. One that has failed has none."""
        if self._process is None or self._output is None or self._process.poll() is None:
            return
        self._output.seek(0)
        with contextlib.suppress(EOFError, ValueError):
            for number, result in from_line(self._output.read()):
                self._enter(self._products[number], *result)
                cache.write_code(name_file(self._products[number]), dumps(tuple(result)))
        self._forget()

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def reset_after_fork(self) -> None:
        """In a forked process: leave the process to the parent."""
        if self._process is not None:
            self._process.returncode = 0
            self._forget()
        self._lock = threading.Lock()

    def _forget(self) -> None:
        if self._output is not None:
            self._output.close()
        self._process = self._output = None


def name_file(product: Product) -> str:
    """The name of a product's file in the cache."""
    codegen = cpu_target.target_context.codegen()
    return cache_file_name(f"product_{product.m}x{product.n}x{product.k}", "nbp", product, codegen.magic_tuple())


def find_library(dtype):
    """Find the code of `multiply` for a type of numbers, compiled here or cached; None without it."""
    kinds = list_argument_types(dtype)
    if kinds in multiply.overloads:
        return multiply.overloads[kinds].library
    cache_kernels()
    result = multiply._cache.load_overload(kinds, cpu_target.target_context)
    return None if result is None else result.library


def list_constants(product: Product) -> tuple[list[str | None], list[int], int]:
    """What makes a product of `multiply`: its constants, the sizes of the three arrays, the bytes of a number.

    The constants are those of LLVM, with None for what remains an argument: two pointers for what it returns, the words
    of three arrays, strides, sizes, and whether to add. The words of an array: owner, parent, number of items, item
    size, data, shape and stride.
    """
    sizes = [product.m * product.k, product.k * product.n, product.m * product.n]
    item = str(product.item_size)
    a, b, out = (["null", "null", str(size), item, None, str(size), item] for size in sizes)
    a_i, a_k, b_k, b_j = map(str, product.strides())
    shape = [str(product.m), str(product.k), str(product.n)]
    return [None, None, *a, a_i, a_k, *b, b_k, b_j, *out, *shape, None], sizes, product.item_size


specialization = Specialization()
specialize_often_called = specialization.look
atexit.register(specialization.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=specialization.reset_after_fork)
