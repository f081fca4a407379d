"""Words of memory that compiled code of all threads and Python share, read and written atomically; bytes that wake.

Compiled code finds the memory by a name, so that code from the cache finds it in every process.
"""

import os
from typing import NamedTuple

import numpy as np

from ..compiler.numba_api import cgutils, intrinsic, ir, llvm, types

WORD = cgutils.intp_t
BYTE = ir.IntType(8)


class SharedWords(NamedTuple):
    """An array of whole numbers of 64 bits, and functions for compiled code."""

    array: np.ndarray
    load: object  # load(place)
    store: object  # store(place, value)
    fetch_add: object  # fetch_add(place, amount) returns the old value
    compare_exchange: object  # compare_exchange(place, expected, value) returns the old value


def make_shared_words(name: str, count: int) -> SharedWords:
    """Allocate `count` words, all 0, which compiled code finds by `name`."""
    array = np.zeros(count, np.int64)
    llvm.add_symbol(name, array.ctypes.data)

    def find_word(builder, place):
        block = builder.module.globals.get(name)
        if block is None:
            block = ir.GlobalVariable(builder.module, ir.ArrayType(WORD, count), name)
        return builder.gep(block, [WORD(0), place])

    @intrinsic
    def load(typing_context, place):
        def generate(context, builder, signature, args):
            return builder.load_atomic(find_word(builder, args[0]), "acquire", 8)

        return types.intp(types.intp), generate

    @intrinsic
    def store(typing_context, place, value):
        def generate(context, builder, signature, args):
            builder.store_atomic(args[1], find_word(builder, args[0]), "release", 8)
            return context.get_dummy_value()

        return types.none(types.intp, types.intp), generate

    @intrinsic
    def fetch_add(typing_context, place, amount):
        def generate(context, builder, signature, args):
            return builder.atomic_rmw("add", find_word(builder, args[0]), args[1], "acq_rel")

        return types.intp(types.intp, types.intp), generate

    @intrinsic
    def compare_exchange(typing_context, place, expected, value):
        def generate(context, builder, signature, args):
            pair = builder.cmpxchg(find_word(builder, args[0]), args[1], args[2], "acq_rel", "acquire")
            return builder.extract_value(pair, 0)

        return types.intp(types.intp, types.intp, types.intp), generate

    return SharedWords(array, load, store, fetch_add, compare_exchange)


def notify(pipe, value):
    """Write a byte, 1 to 255, into a pipe, a file descriptor, which wakes a thread of Python that reads there.

    It sees what was written to memory before.
    """
    os.write(pipe, bytes([value]))


@intrinsic
def compiled_notify(typing_context, pipe, value):
    """The compiled form of `notify`, for POSIX: elsewhere it writes nothing."""

    def generate(context, builder, signature, args):
        if os.name == "posix":
            place = cgutils.alloca_once(builder, BYTE)
            builder.store(builder.trunc(args[1], BYTE), place)
            kind = ir.FunctionType(WORD, [ir.IntType(32), BYTE.as_pointer(), WORD])
            write = cgutils.get_or_insert_function(builder.module, kind, "write")
            builder.call(write, [builder.trunc(args[0], ir.IntType(32)), place, WORD(1)])
        return context.get_dummy_value()

    return types.none(types.intp, types.intp), generate


notify.compiled_form = compiled_notify  # type: ignore[attr-defined]
