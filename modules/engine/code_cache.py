"""The code cache: machine code on disk, safe for processes that share it.

numba keeps an index beside the code of a function; two processes that write it at once may leave it naming the code of
another signature. Here each signature has a file of its own, its name a digest of all that the code depends on; and a
file that cannot be read, or is not as it was written, is compiled again.
"""

import pickle
from functools import partial

import numba

from ..compiler.code_library import MACHINE_CODE, CachedLibrary, has_unresolved_calls, load_machine_code
from ..compiler.environments import load_environment
from ..compiler.kernel import KERNELS
from ..compiler.llvm_worker import compile_queue
from ..compiler.numba_api import CompileResult, Environment, compile_result, dumps, register_hash_symbols, rtsys
from . import cache
from .dependencies import Dependencies
from .sources import digest, hash_package, hash_settings


def cache_file_name(base: str, ending: str, *key) -> str:
    """The name of a signature's file of machine code."""
    return f"{base}.{digest(repr(key), hash_package(), hash_settings())}.{ending}"


def read_cached(name: str):
    """Read a file of machine code; None where there is none or it is damaged."""
    content = cache.read_code(name)
    try:
        return None if content is None else pickle.loads(content)
    except Exception:  # of a class that is not there any more: a pickle may raise anything
        return None


class CodeCache:
    """The cache of a function's signatures, in place of numba's."""

    def __init__(self, dispatcher, keep: bool = True):
        self._dispatcher, self._keep = dispatcher, keep

    @property
    def cache_path(self) -> str:
        """For numba's statistics."""
        return str(cache.find_cache_folder())

    def flush(self) -> None:
        """There is no index to empty."""

    def _name(self, sig, codegen) -> str:
        function, compiler = self._dispatcher.py_func, self._dispatcher._compiler
        options = self._dispatcher.targetoptions | {"pipeline": compiler.pipeline_class.__name__}
        dependencies = Dependencies()
        dependencies.strict = False  # what a plan's source binds stands in its name
        dependencies.add(function.__name__, (function.__code__, options))
        base = f"{function.__module__}.{function.__name__}"
        return cache_file_name(base, "nbc", sig, codegen.magic_tuple(), dependencies.text)

    def load_overload(self, sig, target_context):
        """Load the compiled function, or None without an undamaged file.

        Unlike numba's own, this does not load what only compiling needs, which takes longer than all the rest.
        """
        rtsys.initialize(target_context)
        register_hash_symbols()
        if not self._keep or (parts := read_cached(self._name(sig, target_context.codegen()))) is None:
            return None
        apart, constants, entry = parts
        for symbol, values in constants.items():
            load_environment(symbol, values)
        for name, code in apart.items():
            load_machine_code(name, code)
        return CompileResult._rebuild(target_context, *entry)

    def save_overload(self, sig, data) -> None:
        """Store a compiled function and the machine code of all callees, where the folder is writable.

        Code that refers to this process would call into nothing in another, and is not stored.
        """
        library = data.library
        if not self._keep or data.lifted or has_unresolved_calls(library._final_module):
            return
        apart = {name: MACHINE_CODE[name] for name in library.needs}
        cache.write_code(self._name(sig, data.codegen), dumps((apart, library.constants, data._reduce())))


class KernelCache:
    """The cache of one kernel's signatures, for plans that any process compiles later."""

    def __init__(self, function):
        self._base = f"kernel_{function.__module__.rpartition('.')[2]}.{function.__name__}"

    def _name(self, sig, target_context) -> str:
        return cache_file_name(self._base, "nbk", sig, target_context.codegen().magic_tuple())

    def load_overload(self, sig, target_context):
        """Load the compiled kernel, or None without an undamaged file."""
        if (parts := read_cached(self._name(sig, target_context))) is None:
            return None
        code, names, bitcodes, constants, description, signature = parts
        rtsys.initialize(target_context)
        for symbol, values in constants.items():
            load_environment(symbol, values)
        library = CachedLibrary(target_context.codegen(), description.llvm_func_name, names, code, bitcodes, constants)
        environment = Environment(description.lookup_globals())
        return compile_result(
            target_context=target_context,
            typing_context=target_context.typing_context,
            library=library,
            fndesc=description,
            signature=signature,
            entry_point=target_context.get_executable(library, description, environment),
            environment=environment,
            objectmode=False,
            lifted=(),
            reload_init=[],
            referenced_envs=[],
        )

    def save_overload(self, sig, data) -> None:
        """Store a kernel once LLVM has compiled it, where the folder is writable."""
        data.library._ensure_finalized()
        if not data.library.process_bound:
            compile_queue.run_later(partial(self._save, sig, data))

    def _save(self, sig, data) -> None:
        library, description = data.library, data.fndesc
        names = library.names()
        description.typemap = description.calltypes = None  # what numba's own cache leaves out, too
        code = {name: MACHINE_CODE[name] for name in names}
        parts = code, names, library.bitcodes(), library.constants(), description, data.signature
        cache.write_code(self._name(sig, data.target_context), dumps(parts))


def cache_kernels() -> None:
    """Attach the code cache to all kernels that do not have one yet."""
    while KERNELS:
        dispatcher = KERNELS.pop()
        if dispatcher.py_func.__closure__ is None:  # else its code depends on more than its source
            dispatcher._cache = KernelCache(dispatcher.py_func)


def compile_cached(function, **options):
    """Compile a function for Python to call; cache its machine code, if the plan's source is stored."""
    dispatcher = numba.njit(function, **options)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = CodeCache(dispatcher, keep=cache.is_kept(function.__module__))
    return dispatcher
