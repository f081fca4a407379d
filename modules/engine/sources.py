"""Digests of all that a compiled plan depends on: sources, values, and numba's settings.

numba's own on-disk cache notices edits in one file only. So a plan's name carries this digest: it covers the files of
the modules' classes, of their base classes, and of each helper function and value that their methods name, wherever
they stand, and this package itself.
"""

import functools
import hashlib
import secrets
import sys
import types
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from ..compiler.instruction_set import VECTOR_BYTES
from ..compiler.numba_api import llvmlite
from .dependencies import Dependencies, collect_names, is_dunder, unwrap_function

PACKAGE = Path(__file__).resolve().parents[1]
SETTINGS = (
    "BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "CPU_NAME", "CPU_FEATURES",
    "DISABLE_INTEL_SVML", "USING_SVML", "LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS", "DEBUGINFO_DEFAULT",
    "ENABLE_PROFILING", "EXTEND_VARIABLE_LIFETIMES", "DEBUG_NRT", "DEBUG_ARRAY_OPT", "DEBUG_ARRAY_OPT_RUNTIME",
    "NRT_STATS", "JIT_COVERAGE", "DISABLE_TYPEINFER_FAIL_CACHE",
)  # fmt: skip
COMPILED = {
    "fprop", "bprop", "fprop_then", "bprop_after", "jvp", "rbprop", "hessian_times", "apply", "update", "remember",
    "shrink", "adjust", "rescale", "shorten", "average",
}  # fmt: skip
THIS_PROCESS = secrets.token_hex(16)  # in the digest of what cannot be hashed, so that no other process has the same


class ClassDigest(NamedTuple):
    """A digest of a class, and its dependencies that cannot be hashed: then the code is not stored."""

    digest: str
    unhashable: tuple[str, ...]


def digest(*parts: str) -> str:
    """Hash texts to a short name."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@functools.cache
def hash_package() -> str:
    """Hash the sources of `bprop.modules`, and the versions of Python, numba, LLVM and NumPy."""
    files = sorted(PACKAGE.rglob("*.py"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    versions = sys.version, sys.implementation.name, numba.__version__, llvmlite.__version__, np.__version__
    return digest(*versions, *texts)


def hash_settings() -> str:
    """Hash the settings of numba and the kernels: bounds checks, optimisation, instruction set."""
    values = [str(getattr(numba.config, name, None)) for name in SETTINGS]
    return digest(str(VECTOR_BYTES), str(getattr(numba.config.OPT, "_raw_value", "")), *values)


def hash_class(cls: type, *, place: bool = True) -> str:
    """Hash a class: its methods, and all their dependencies, direct and indirect.

    Without `place` it is the same for a class of a script and for that class imported.
    """
    return examine_class(cls, place=place).digest


def examine_class(cls: type, *, place: bool = True) -> ClassDigest:
    """Hash a class, and list what cannot be hashed; in methods that are never compiled that is allowed."""
    dependencies = Dependencies()
    values = list_attributes(cls)
    compiled = find_compiled_names({name for _, name in values}, values)
    try:
        for strict in (True, False):
            dependencies.strict = strict
            for (owner, name), value in values.items():
                if strict == (name in compiled):
                    dependencies.add(f"{owner}.{name}", unwrap_function(value))
    except RecursionError:
        dependencies.unhashable.append("values in values, too deep to follow")
    parts = [hash_package(), cls.__qualname__, cls.__module__ if place else "", dependencies.text]
    unhashable = tuple(dict.fromkeys(dependencies.unhashable))
    return ClassDigest(digest(*parts, *([THIS_PROCESS] if unhashable else [])), unhashable)


def list_attributes(cls: type) -> dict[tuple[int, str], object]:
    """List the attributes of a class and its bases, by base and name, without this package's own bases."""
    return {
        (position, name): value
        for position, base in enumerate(cls.__mro__[:-1])
        if not is_internal(base.__module__)
        for name, value in sorted(vars(base).items())
        if not is_dunder(name) or isinstance(value, types.FunctionType)
    }


def find_compiled_names(methods: set[str], values: dict) -> set[str]:
    """Find the methods that may get compiled: those that the engine calls, and those that these use."""
    reached: set[str] = set()
    new = COMPILED & methods
    while new:
        reached |= new
        codes = [getattr(unwrap_function(v), "__code__", None) for (_, name), v in values.items() if name in new]
        new = {name for code in codes if code is not None for name in collect_names(code)} & methods - reached
    return reached


def is_internal(name: str) -> bool:
    """Whether a Python module belongs to `bprop.modules`, or to Python itself."""
    return name.startswith(__name__.rsplit(".", 2)[0] + ".") or name == "builtins"
