"""All internals of numba and llvmlite that bprop uses, in one place: every other file imports them from here.

numba documents `njit`, `config`, `types` and `numba.extending`; the rest may change with any release. `NAMES` says of
each name what it is relied on for, `ATTRIBUTES` the same of attributes and conventions; each has a canary test of its
own in `tests/modules/compiler/test_numba_api.py`. Only `llvm_passes` and `llvm_specializer`, which run as programs,
import llvmlite themselves.
"""

from . import numba_version

# isort: split

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir
from llvmlite.binding import ObjectFileRef, ffi, parse_assembly, parse_bitcode
from numba import _helperlib, config, types
from numba._dynfunc import Environment
from numba.core import cgutils
from numba.core import ir as numba_ir
from numba.core.cgutils import normalize_ir_text
from numba.core.codegen import CodeLibrary, JITCodeLibrary, _parse_refprune_flags
from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder, compile_result
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.datamodel.models import OpaqueModel
from numba.core.datamodel.registry import register_default
from numba.core.dispatcher import Dispatcher
from numba.core.environment import lookup_environment
from numba.core.errors import NumbaError, TypingError
from numba.core.imputils import impl_ret_borrowed, impl_ret_new_ref
from numba.core.lowering import Lower
from numba.core.registry import cpu_target
from numba.core.runtime import _nrt_python, rtsys
from numba.core.serialize import dumps
from numba.core.typed_passes import NativeLowering
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, builtin_registry
from numba.core.untyped_passes import IRProcessing
from numba.cpython.unsafe.tuple import tuple_setitem
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    lower_setattr_generic,
    overload,
)
from numba.np.arrayobj import _empty_nd_impl, populate_array
from numba.np.numpy_support import as_dtype

NAMES = {
    # Documented by numba or llvmlite.
    "config": "The settings that the variables NUMBA_... make, such as DISABLE_JIT, OPT, CPU_NAME and BOUNDSCHECK.",
    "types": "The types of compiled values: arrays with dtype, ndim and layout, tuples, numbers, dispatchers.",
    "intrinsic": "Makes a function whose LLVM code is written by hand.",
    "overload": "Says what compiled code calls in place of a Python function; takes jit_options.",
    "infer_getattr": "Registers the types of the attributes of a type.",
    "lower_getattr_generic": "Registers the code that reads any attribute of a type.",
    "lower_setattr_generic": "Registers the code that writes any attribute of a type.",
    "NumbaError": "The base class of the errors that compiling raises.",
    "TypingError": "The error of types that do not fit, raised out of typing and lowering as it is.",
    "ir": "llvmlite's builder of LLVM code: types, constants, functions, atomic operations.",
    "llvm": "llvmlite's binding to LLVM: symbols that the linker finds, names and features of the processor.",
    "llvmlite": "The package; its version is part of the names of cached code.",
    "parse_assembly": "Makes a module of LLVM's text.",
    "parse_bitcode": "Makes a module of LLVM's bitcode; modules are linked by `link_in`.",
    "ObjectFileRef": "An object file in memory, made of machine code by `from_data`.",
    # Not documented: writing LLVM code.
    "cgutils": "Helpers that write LLVM code: loops, stack memory, tuples, constants.",
    "impl_ret_borrowed": "Returns a value whose owner counts its reference.",
    "impl_ret_new_ref": "Returns a value with a reference of its own.",
    "populate_array": "Fills numba's array structure from pointer, shape, strides, item size and owner.",
    "_empty_nd_impl": "Allocates an array; asks the context for the alignment.",
    "tuple_setitem": "A tuple with another item at an index that is known only at run time.",
    "as_dtype": "NumPy's dtype of a number type.",
    # Not documented: types of our own.
    "OpaqueModel": "The data model of a value that is a bare pointer.",
    "register_default": "Gives a type its data model.",
    "AttributeTemplate": "The base class of what `infer_getattr` registers; calls `generic_resolve`.",
    "AbstractTemplate": "The base class of what finds the types of a call, by `generic`.",
    "signature": "Makes the signature of a call from its types.",
    "builtin_registry": "Holds what `overload` has registered: pairs of a function and its templates.",
    # Not documented: the passes of the compiler.
    "CompilerBase": "The base class of a compiler with pipelines of its own; a dispatcher takes it as pipeline_class.",
    "DefaultPassBuilder": "Builds numba's nopython pipeline, to which passes are added.",
    "FunctionPass": "The base class of a pass over one function.",
    "register_pass": "Registers a pass, so that a pipeline may contain it.",
    "IRProcessing": "The pass after which ours rewrites a function, before types are inferred.",
    "NativeLowering": "The pass that writes LLVM code; ours take its place, with another library and lowering class.",
    "Lower": "Writes LLVM code statement by statement; ours adds attributes and the line of a bounds check.",
    "numba_ir": "The statements of a function as numba reads it: Assign, Expr, Global, FreeVar, Const, Arg, SetAttr.",
    "global_compiler_lock": "The lock of all that compiles, held while a plan is made and before a fork.",
    "cpu_target": "The typing and target context of the CPU, and its code generator.",
    # Not documented: code libraries and the cache.
    "CodeLibrary": "The base class of the code of one function; ours is compiled by LLVM in another process.",
    "JITCodeLibrary": "The code of a function that Python calls, linked from other libraries.",
    "_parse_refprune_flags": "Which reference counts LLVM's pass removes, as numba's own pipeline has it.",
    "normalize_ir_text": "Encodes names in LLVM text so that llvmlite can take them.",
    "ffi": "llvmlite's library; `lib._lock` is held around each call of LLVM.",
    "CompileResult": "A compiled function; `_reduce` and `_rebuild` are what numba's cache stores and loads.",
    "compile_result": "Makes a CompileResult of a cached kernel.",
    "Dispatcher": "What `njit` returns; `overloads`, `py_func`, `targetoptions`, `_cache` and `_compiler`.",
    "dumps": "Pickles what compiled code refers to, functions by value.",
    # Not documented: at run time.
    "Environment": "Holds the Python constants of a compiled function; found by the address of a global variable.",
    "lookup_environment": "Finds a function's Environment by its name.",
    "rtsys": "The runtime of reference counts, initialised before cached code is loaded.",
    "_helperlib": "Reads and sets the state of the random numbers that compiled code draws.",
    "_nrt_python": "Makes and frees the owner of an array's memory, of which `_MemInfo` is Python's view.",
}

ATTRIBUTES = {
    "array header": "An array in memory: owner, parent, number of items, item size, data, shape, strides; a word each.",
    "reference count": "The first word of an array's owner.",
    "environment symbols": "A function's Environment is a global variable whose name begins with _ZN08NumbaEnv.",
    "unresolved symbols": "A call of what is compiled later has a global variable that begins with .numba.unresolved$.",
    "do_boundscheck": "Code that checks an index calls it through the module cgutils.",
    "dispatcher cache": "A dispatcher calls `load_overload` and `save_overload` of its attribute `_cache`.",
    "dispatcher options": "`targetoptions` and `_compiler.pipeline_class` are what a dispatcher compiles with.",
    "bound functions": "`types.BoundFunction` asks its template for a call's types, `get_impl_key` for its code.",
    "dispatcher compiling": "`is_compiling` is set while a dispatcher compiles.",
    "overload template": "A template in `builtin_registry` has the overload's function as `_overload_func`.",
    "lookup global": "`typing_context._lookup_global` finds a function that an overload knows.",
    "refresh": "`typing_context.refresh()` lets an overload be seen that is registered while numba compiles.",
    "definitions": "`func_ir._definitions` lists what a variable is assigned, for `get_definition`.",
    "pipeline passes": "`passes` of a pass builder are pairs that begin with the class, `_finalized` stops changes.",
    "fastmath inheritance": "An inner function without flags of its own takes its caller's, unless it says False.",
    "calling convention": "`call_conv` makes a function's type, calls it by address, and passes on its error.",
    "code generator": "It has _engine._ee, _llvm_module, _data_layout, _customize_tm_options and magic_tuple.",
    "library protocol": "It has _ensure_finalized, _raise_if_finalized, _finalized, _codegen, _get_module_for_linking.",
    "entry library": "JITCodeLibrary has _final_module, _linking_libraries and _finalize_final_module.",
    "assertions": "An AssertionError raised while code is written comes out of the compiler as it is.",
    "hashing symbols": "Importing numba.cpython.hashing gives the linker the symbols of Python's hash secret.",
}


def register_hash_symbols() -> None:
    """Define the symbols of Python's hash secret for the linker, as cached code may refer to them."""
    import numba.cpython.hashing
