"""Machine code on disk: numba's cache of compiled functions, made safe for processes that share it.

numba keeps an index beside the code of a function; two processes that write it at once may leave it naming the code of
another signature. Here each signature has a file of its own, its name a digest of all that the code depends on; and a
file that cannot be read is compiled again.
"""

import contextlib
from functools import partial

import numba
from numba._dynfunc import Environment
from numba.core import caching
from numba.core.compiler import compile_result
from numba.core.runtime import rtsys

from ..kernels.environments import load_environment
from ..kernels.kernel import KERNELS
from ..kernels.libraries import MACHINE_CODE, KeptLibrary, load_machine_code, refers_to_this_process
from ..kernels.translation import translation
from . import cache
from .sources import digest, package_digest


class CodeFiles(caching.IndexDataCacheFile):
    """One file for each signature, and no index."""

    def __init__(self, folder: str, base: str, ending: str = "nbc"):
        super().__init__(folder, base, None)
        self._base, self._ending = base, ending

    def name(self, key) -> str:
        return f"{self._base}.{digest(repr(key), package_digest())}.{self._ending}"

    def save(self, key, data) -> None:
        self._save_data(self.name(key), data)  # whole, under another name, then renamed

    def load(self, key):
        return self._load_data(self.name(key))

    def flush(self) -> None:
        """There is no index to empty."""


class KeptCode(caching.FunctionCache):
    """numba's cache of one function's signatures, in `CodeFiles`."""

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = CodeFiles(self._cache_path, self._impl.filename_base)

    def load_overload(self, sig, target_context):
        """The compiled function, or None where there is no sound file.

        Unlike numba's own, this does not load what only compiling needs, which takes longer than all the rest.
        """
        rtsys.initialize(target_context)
        import numba.cpython.hashing  # noqa: F401 - gives the linker its symbols

        try:
            return self._load_overload(sig, target_context)
        except Exception:  # missing, cut off, garbage, of another Python: numba's reader may raise anything
            return None

    def _load_overload(self, sig, target_context):
        key = self._index_key(sig, target_context.codegen())
        apart, constants, entry = self._cache_file.load(key)
        for symbol, values in constants.items():
            load_environment(symbol, values)
        for name, code in apart.items():
            load_machine_code(name, code)
        return self._impl.rebuild(target_context, entry)

    def save_overload(self, sig, data) -> None:
        """Store a compiled function and the machine code of all that it calls; without room or leave there is no file.

        Code that refers to this process would call into nothing in another, and is not stored.
        """
        library = data.library
        if refers_to_this_process(library._final_module) or not self._impl.check_cachable(data):
            return
        apart = {name: MACHINE_CODE[name] for name in library.needs}
        with contextlib.suppress(OSError):
            self._impl.locator.ensure_cache_path()
            self._cache_file.save(
                self._index_key(sig, data.codegen), (apart, library.constants, self._impl.reduce(data))
            )


class KeptKernel:
    """The machine code of a kernel, for plans that are compiled later in whatever process."""

    def __init__(self, function):
        self._base = f"kernel_{function.__module__.rpartition('.')[2]}.{function.__name__}"

    def _place(self, sig, target_context) -> tuple[CodeFiles, tuple]:
        return CodeFiles(str(cache.cache_folder()), self._base, "nbk"), (sig, target_context.codegen().magic_tuple())

    def load_overload(self, sig, target_context):
        """The compiled kernel, or None where there is no sound file."""
        files, key = self._place(sig, target_context)
        try:
            code, names, bitcodes, constants, description, signature = files.load(key)
        except Exception:  # as above
            return None
        rtsys.initialize(target_context)
        for symbol, values in constants.items():
            load_environment(symbol, values)
        library = KeptLibrary(target_context.codegen(), description.llvm_func_name, names, code, bitcodes, constants)
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
        """Store a compiled kernel when it is translated; without room or leave to write there is no file."""
        data.library._ensure_finalized()
        if not data.library.personal:
            translation.afterwards(partial(self._save, sig, data))

    def _save(self, sig, data) -> None:
        library, description = data.library, data.fndesc
        names = library.names()
        description.typemap = description.calltypes = None  # what numba's own cache leaves out, too
        code = {name: MACHINE_CODE[name] for name in names}
        files, key = self._place(sig, data.target_context)
        with contextlib.suppress(OSError):
            files.save(key, (code, names, library.bitcodes(), library.constants(), description, data.signature))


def keep_kernels() -> None:
    """From now on, kernels are looked for in the cache before they are compiled."""
    while KERNELS:
        dispatcher = KERNELS.pop()
        if dispatcher.py_func.__closure__ is None:  # else its code depends on more than its source
            dispatcher._cache = KeptKernel(dispatcher.py_func)


def kept(function, **options):
    """Compile a function for Python to call, and keep its machine code."""
    dispatcher = numba.njit(function, **options)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = KeptCode(function)
    return dispatcher
