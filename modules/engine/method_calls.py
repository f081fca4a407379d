"""Calls of a compiled method from Python, without a compiled entry of its own.

The entry of a function with one operation only passes its arguments on, and numba takes as long for it as for the
method. So all methods with the same types of arguments and result share one compiled caller, which takes the method's
address and the address of the plan's table of states.
"""

from functools import partial

import numba

from ..compiler.code_library import MACHINE_CODE, find_code_address, load_machine_code
from ..compiler.environments import load_environment
from ..compiler.kernel import EntryCompiler
from ..compiler.numba_api import cgutils, cpu_target, dumps, intrinsic, rtsys, types
from . import cache
from .code_cache import CodeCache, cache_file_name, read_cached
from .compiler import OPTIONS, get_method_dispatcher

INT64 = types.int64
MOST_ARGUMENTS = 3

_callers: dict = {}


def compile_call(name: str, method, states, arguments: tuple[types.Type, ...]):
    """Compile a call of a method, or load its code from the cache; returns a function (table's address, arguments).

    `name` is that of the function in its plan, for the file; `states` and `arguments` are the types of what the method
    gets. None for more than MOST_ARGUMENTS, and for code that refers to this process: it must be linked to an entry.
    """
    signature = (*states, *arguments)
    compiled = (
        compile_method(name, get_method_dispatcher(method), signature) if len(arguments) <= MOST_ARGUMENTS else None
    )
    if compiled is None:
        return None
    address, result = compiled
    return partial(find_caller(len(states), arguments, result), address)


def compile_method(name: str, dispatcher, signature) -> tuple[int, types.Type] | None:
    """Compile a method, or load its code; returns its address and the type of its result."""
    context, keep = cpu_target.target_context, cache.is_kept(name.partition(".")[0])
    file = cache_file_name(name, "nbc", "method", signature, context.codegen().magic_tuple())
    if keep and (parts := read_cached(file)) is not None:
        public, result, constants, codes = parts
        rtsys.initialize(context)
        for symbol, values in constants.items():
            load_environment(symbol, values)
        for each, code in codes.items():
            load_machine_code(each, code)
        return find_code_address(public), result
    dispatcher.compile(signature)
    overload = dispatcher.overloads[signature]
    library, result = overload.library, overload.signature.return_type
    if library.process_bound:
        return None
    names = library.names()
    if keep:
        codes = {each: MACHINE_CODE[each] for each in names}
        cache.write_code(file, dumps((names[0], result, library.constants(), codes)))
    return find_code_address(names[0]), result


def find_caller(states: int, arguments: tuple[types.Type, ...], result: types.Type):
    """The compiled caller (method's address, table's address, arguments) of methods of these types.

    The method gets the first `states` entries of the table, then the arguments; at most MOST_ARGUMENTS of these.
    """
    key = states, arguments, result
    if key not in _callers:
        signature = INT64, INT64, *arguments
        dispatcher = numba.njit(
            write_caller(len(arguments), make_call(states, arguments, result)),
            no_cfunc_wrapper=True,
            pipeline_class=EntryCompiler,
            **OPTIONS,
        )
        dispatcher._cache = CallerCache(dispatcher, str(key))
        dispatcher.compile(signature)
        _callers[key] = dispatcher.get_overload(signature)
    return _callers[key]


class CallerCache(CodeCache):
    """The cache of a caller, whose code depends only on types."""

    def __init__(self, dispatcher, key: str):
        super().__init__(dispatcher)
        self._key = key

    def _name(self, sig, codegen) -> str:
        return cache_file_name("call_method", "nbc", self._key, codegen.magic_tuple())


def write_caller(count: int, call):
    """The function that is compiled, with `count` arguments."""
    if count == 0:
        return lambda address, table: call(address, table, ())
    if count == 1:
        return lambda address, table, x: call(address, table, (x,))
    if count == 2:
        return lambda address, table, x, target: call(address, table, (x, target))
    return lambda address, table, x, target, weight: call(address, table, (x, target, weight))


def make_call(states: int, arguments: tuple[types.Type, ...], result: types.Type):
    """The call itself, in numba's calling convention, which passes on errors."""
    argument_types = (*[types.voidptr] * states, *arguments)

    @intrinsic
    def call(typing_context, address, table, values):
        def generate(context, builder, signature, args):
            convention = context.call_conv
            function = convention.get_function_type(result, argument_types)
            callee = builder.inttoptr(args[0], function.as_pointer())
            block = context.get_value_type(types.voidptr)
            entries = builder.inttoptr(args[1], block.as_pointer())
            own = [builder.load(builder.gep(entries, [cgutils.intp_t(k)])) for k in range(states)]
            passed = [*own, *cgutils.unpack_tuple(builder, args[2], len(arguments))]
            status, value = convention.call_function(builder, callee, result, argument_types, passed)
            with builder.if_then(status.is_error, likely=False):
                convention.return_status_propagate(builder, status)
            return value

        return result(address, table, values), generate

    return call
