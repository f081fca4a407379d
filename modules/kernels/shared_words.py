"""Words of memory that compiled code of all threads and Python share, read and written atomically.

Compiled code finds the memory by a name, so that code from the cache finds it in every process.
"""

from typing import NamedTuple

import numpy as np

from ..compiler.numba_api import cgutils, intrinsic, ir, llvm, types

WORD = cgutils.intp_t


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
