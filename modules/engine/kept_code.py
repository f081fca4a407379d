"""Machine code on disk: numba's cache of compiled functions, made safe for processes that share it.

numba keeps an index beside the code of a function; two processes that write it at once may leave it naming the code of
another signature. Here each signature has a file of its own, its name a digest of all that the code depends on; and a
file that cannot be read is compiled again.
"""

import contextlib

import numba
from numba.core import caching
from numba.core.runtime import rtsys

from .sources import digest, package_digest

UNRESOLVED = ".numba.unresolved$"


class CodeFiles(caching.IndexDataCacheFile):
    """One file for each signature, and no index."""

    def __init__(self, folder: str, base: str):
        super().__init__(folder, base, None)
        self._base = base

    def name(self, key) -> str:
        return f"{self._base}.{digest(repr(key), package_digest())}.nbc"

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

    def save_overload(self, sig, data) -> None:
        """Store a compiled function; without room or leave to write there is no file.

        Where a method calls itself, on a module within its own, numba's code points at the compiled code of this
        process, and another process would call into nothing: that is not stored.
        """
        module = data.library._final_module
        if not any(variable.name.startswith(UNRESOLVED) for variable in module.global_variables):
            with contextlib.suppress(OSError):
                self._save_overload(sig, data)


def kept(function, **options):
    """Compile a function for Python to call, and keep its machine code."""
    dispatcher = numba.njit(function, **options)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = KeptCode(function)
    return dispatcher
