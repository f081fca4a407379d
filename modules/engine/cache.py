"""The folder of plans: one readable source file each, with the compiled code beside it.

A file is written once, whole, under a name that no other content can have; so any number of processes may share the
folder. What is read will be executed, so a folder counts only if nobody else can write it, and a file only if its
checksum is right. Without any folder code is kept in memory. `BPROP_CACHE_DIR` moves the folder: see folders.py.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from importlib import util
from importlib.abc import ExecutionLoader
from pathlib import Path
from types import ModuleType

from .folders import find_cache_folder, list_readable_folders

MARK = "# sha256 "  # the last line of a plan, followed by the checksum of those before
MAGIC = b"bprop code 1\n"  # of a file of machine code, followed by the checksum of the rest

_in_memory: dict[str, str] = {}  # plans that no folder has
_not_kept: set[str] = set()  # those of them that reach what cannot be hashed


def find_file(name: str) -> Path | None:
    """Find a file by name in the readable folders."""
    return next((folder / name for folder in list_readable_folders() if (folder / name).is_file()), None)


def write_file(name: str, content: bytes) -> bool:
    """Write a file atomically; False without a folder, without space, or without permission."""
    folder = find_cache_folder()
    if folder is None:
        return False
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)  # the folder's mode says who may read it
            os.replace(temporary, folder / name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError:
        return False
    return True


# -- machine code ------------------------------------------------------------------------------------------------------


def write_code(name: str, content: bytes) -> None:
    """Store machine code with its checksum."""
    write_file(name, MAGIC + hashlib.sha256(content).digest() + content)


def read_code(name: str) -> bytes | None:
    """Read machine code; None if no folder has an undamaged file."""
    for folder in list_readable_folders():
        with contextlib.suppress(OSError):
            content = (folder / name).read_bytes()
            start = len(MAGIC) + 32
            code = memoryview(content)[start:]
            if content.startswith(MAGIC) and content[len(MAGIC) : start] == hashlib.sha256(code).digest():
                return bytes(code)
    return None


# -- plans -------------------------------------------------------------------------------------------------------------


def plan_path(name: str) -> Path:
    """The file of the plan `name`; for a plan in memory, the name in tracebacks."""
    return find_file(f"{name}.py") or Path(f"<{name}>")


def plan_source(name: str) -> str | None:
    """Read the source of a plan; None if there is no undamaged file."""
    if name in _in_memory:
        return _in_memory[name]
    for folder in list_readable_folders():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            source, mark, checksum = (folder / f"{name}.py").read_bytes().decode("utf-8").rpartition(MARK)
            if mark and checksum == hashlib.sha256(source.encode()).hexdigest() + "\n":
                return source
    return None


def write_plan(name: str, source: str, *, keep: bool = True) -> None:
    """Write a plan's source to a file, or keep it in memory without a folder, or if it must not be stored."""
    content = source.encode()
    line = f"{MARK}{hashlib.sha256(content).hexdigest()}\n"
    if not keep:
        _not_kept.add(name)
    if not (keep and write_file(f"{name}.py", content + line.encode()) and plan_source(name) is not None):
        _in_memory[name] = source


def is_kept(name: str) -> bool:
    """Whether the code of a plan may be stored."""
    return name not in _not_kept


def find_plan(name: str, bindings: dict) -> ModuleType | None:
    """Load a plan by `load_plan`; None if its file is missing or damaged."""
    if name in sys.modules or plan_source(name) is not None:
        return load_plan(name, bindings)
    return None


class PlanLoader(ExecutionLoader):
    """Imports plans, without Python's cached bytecode in `__pycache__`, which has no checksum."""

    def get_source(self, fullname: str) -> str:
        """The source that is executed and shown in tracebacks."""
        source = plan_source(fullname)
        if source is None:
            raise ImportError(f"there is no whole plan {fullname}")
        return source

    def get_filename(self, fullname: str) -> str:
        """The path of the file."""
        return str(plan_path(fullname))


def load_plan(name: str, bindings: dict) -> ModuleType:
    """Import a plan's source, once, with `bindings` (the modules' classes) as its globals."""
    if name in sys.modules:
        return sys.modules[name]
    spec = util.spec_from_loader(name, PlanLoader(), origin=str(plan_path(name)))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    vars(module).update(bindings)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
