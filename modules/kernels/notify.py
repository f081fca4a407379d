"""A byte into a pipe, from compiled code: it wakes a thread of Python that waits at the other end."""

import os

from ..compiler.numba_api import cgutils, intrinsic, ir, types
from .shared_words import WORD

BYTE = ir.IntType(8)


def notify(pipe, value):
    """Write a byte, 1 to 255, into a pipe, a file descriptor; who reads it sees what was written to memory before."""
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
