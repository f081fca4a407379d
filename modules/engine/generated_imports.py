"""Imports of generated source: the names that a plan's source uses."""

import numba
import numpy as np
from numba.types import Array as array
from numba.types import (
    BaseTuple,
    boolean,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)

from ..compiler.bounds_check import note_operation
from ..compiler.kernel import EntryCompiler, KernelCompiler
from ..kernels import gather as kernels
from . import compiler
from .code_cache import compile_cached
from .compiler import OPTIONS, get_dispatcher, get_method_dispatcher
from .index_check import make_checked_type
from .state import StateType, state_at
from .stateful import get_raw_method

tuple_of = BaseTuple.from_types
gather, gather_scaled = get_dispatcher(kernels.gather), get_dispatcher(kernels.gather_scaled)
copy_rows, sum_of = get_dispatcher(kernels.copy_rows), get_dispatcher(kernels.sum_of)
cut_buffer, find_longest = get_dispatcher(kernels.cut_buffer), get_dispatcher(kernels.find_longest)


def entry(function):
    """Compile a function for calls from Python, with cached code."""
    return compile_cached(function, no_cfunc_wrapper=True, pipeline_class=EntryCompiler, **OPTIONS)


def section(function):
    """Compile a section of a long entry, which is called."""
    options = OPTIONS | {"pipeline_class": KernelCompiler, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return function if numba.config.DISABLE_JIT else numba.njit(function, **options)


def method(cls, name):
    """Get the dispatcher of a module's method."""
    return get_method_dispatcher(get_raw_method(cls, name))


def checked_method(cls, name):
    """Get the dispatcher of a module's method, with bounds checks in user-defined functions."""
    return compiler.get_checked_method_dispatcher(get_raw_method(cls, name))


__all__ = [
    "StateType",
    "array",
    "boolean",
    "checked_method",
    "copy_rows",
    "cut_buffer",
    "entry",
    "find_longest",
    "float32",
    "float64",
    "gather",
    "gather_scaled",
    "int8",
    "int16",
    "int32",
    "int64",
    "make_checked_type",
    "method",
    "note_operation",
    "np",
    "section",
    "state_at",
    "sum_of",
    "tuple_of",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]  # fmt: skip
