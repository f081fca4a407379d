"""What a compiled plan depends on: a digest over every source file and constant that its methods can reach.

numba's own on-disk cache notices edits in one file only. So a plan's name carries this digest: it covers the files of
the modules' classes, of their base classes, and of each helper function and constant that their methods name, wherever
they stand, and this package itself.
"""

import functools
import hashlib
import inspect
import linecache
import types
from pathlib import Path

import numba
import numpy as np

PACKAGE = Path(__file__).resolve().parents[1]
SIMPLE = (int, float, bool, str, bytes, tuple, type(None), np.generic)


def digest(*parts: str) -> str:
    """A short name for some text."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@functools.cache
def package_digest() -> str:
    """Digest of the sources of `bprop.modules` and of the versions of numba and NumPy."""
    files = sorted(PACKAGE.rglob("*.py"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    return digest(numba.__version__, np.__version__, *texts)


def class_digest(cls: type, *, place: bool = True) -> str:
    """Digest of a class: its methods, and all that they name, directly or through helper functions.

    Without `place` it is the same for a class of a script and for that class imported.
    """
    seen: dict[int, str] = {}
    for base in cls.__mro__[:-1]:
        if is_ours(base.__module__):
            continue
        for name, value in vars(base).items():
            if name == "__module__" and not place:
                continue
            function = inspect.unwrap(value) if callable(value) else value
            if isinstance(function, types.FunctionType):
                _visit_function(function, seen)
            elif isinstance(function, SIMPLE):
                seen[id(function)] = repr(function)
    return digest(package_digest(), cls.__qualname__, *sorted(set(seen.values())))


def is_ours(name: str) -> bool:
    """Whether a Python module belongs to `bprop.modules`, or to Python itself."""
    return name.startswith(__name__.rsplit(".", 2)[0] + ".") or name == "builtins"


def _visit_function(function, seen: dict[int, str]) -> None:
    if id(function) in seen or is_ours(function.__module__ or "builtins"):
        return
    seen[id(function)] = function_text(function)
    for value in _reached(function):
        _visit(value, seen)


def _visit(value, seen: dict[int, str]) -> None:
    value = getattr(value, "py_func", value)
    if isinstance(value, types.FunctionType):
        _visit_function(value, seen)
    elif isinstance(value, SIMPLE):
        seen[id(value)] = repr(value)
    elif isinstance(value, np.ndarray):
        seen[id(value)] = digest(str(value.dtype), str(value.shape), value.tobytes().hex())


def function_text(function) -> str:
    """The text that stands for a function: its whole source file, if there is one, and its bytecode."""
    return "".join(linecache.getlines(function.__code__.co_filename)) + code_text(function.__code__)


def code_text(code) -> str:
    """A code object as text: two functions of one name in one file are two."""
    constants = [code_text(item) if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_firstlineno, constants))


def names(code) -> set[str]:
    """The global and attribute names that a code object uses, nested functions included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= names(constant)
    return found


def _reached(function):
    """Values of the globals, closure cells and module attributes that a function names."""
    used = names(function.__code__)
    for name in sorted(used):
        value = function.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            if not value.__name__.startswith(("numpy", "numba", "math")):
                yield from (getattr(value, attribute) for attribute in sorted(used) if hasattr(value, attribute))
        elif name in function.__globals__:
            yield value
    for cell in function.__closure__ or ():
        if cell.cell_contents is not None:
            yield cell.cell_contents
