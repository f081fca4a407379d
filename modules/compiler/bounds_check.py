"""Bounds checks of indices: numba's `boundscheck=True`, which also reports the index, its axis and the line.

numba's own check raises "index is out of bounds", and no more. Here the numbers go to a block that Python reads, and
the error carries the line. Code from the cache finds the block by its symbol.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np

from .numba_api import cgutils, intrinsic, ir, llvm, types

FAILED, INDEX, AXIS, SIZE, OPERATION = range(5)  # words of the report
REPORT = np.zeros(5, np.int64)
llvm.add_symbol("bprop_index_report", REPORT.ctypes.data)

WORD = cgutils.intp_t


class _Lowered:
    function: Any = None  # the lowering of the function that is compiled now


@contextlib.contextmanager
def report_indices() -> Iterator[None]:
    """Context in which numba's code for a bounds check reports what is wrong."""
    with mock.patch.object(cgutils, "do_boundscheck", _check_index):
        yield


def note_lowering(lowering) -> None:
    """Record the lowering from which bounds checks take their line."""
    _Lowered.function = lowering


def _check_index(context, builder, index, size, axis=None) -> None:
    """Emit code that raises IndexError unless 0 <= index < size; negative indices have had the size added."""
    outside = builder.icmp_unsigned(">=", index, size)
    with cgutils.if_unlikely(builder, outside):
        place = axis if isinstance(axis, ir.Value) else WORD(0 if axis is None else axis)
        for word, value in ((FAILED, WORD(1)), (INDEX, index), (AXIS, place), (SIZE, size)):
            builder.store(value, _word(builder, word))
        lowering = _Lowered.function
        name, line = lowering.func_ir.func_id.func_name, lowering.loc
        context.call_conv.return_user_exc(builder, IndexError, ("index is out of range",), loc=line, func_name=name)


def _word(builder, place: int):
    block = builder.module.globals.get("bprop_index_report")
    if block is None:
        block = ir.GlobalVariable(builder.module, ir.ArrayType(WORD, REPORT.size), "bprop_index_report")
    return builder.gep(block, [WORD(0), WORD(place)])


@intrinsic
def note_operation(typing_context, number):
    """Record that operation `number` of a plan begins."""

    def generate(context, builder, signature, args):
        builder.store(args[0], _word(builder, OPERATION))
        return context.get_dummy_value()

    return types.none(types.intp), generate
