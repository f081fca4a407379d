"""Where plans live on disk: one readable source file each, and numba's compiled code beside it.

A plan is written once, whole, under a name that no other content can have; so any number of processes may share the
folder, and a read-only installation never matters. `BPROP_CACHE_DIR` moves the folder.
"""

import os
import sys
import tempfile
from importlib import util
from pathlib import Path
from types import ModuleType


def cache_folder() -> Path:
    """`$BPROP_CACHE_DIR`, else `bprop` in the user's cache folder, else in the temporary folder; made if missing."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    wanted = Path(os.environ.get("BPROP_CACHE_DIR") or os.path.join(home, "bprop"))
    for folder in (
        wanted,
        Path(tempfile.gettempdir()) / f"bprop-{os.getuid() if hasattr(os, 'getuid') else 'user'}",
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise OSError(f"no writable folder for compiled plans: set BPROP_CACHE_DIR ({wanted} cannot be written)")


def plan_path(name: str) -> Path:
    """The file of the plan called `name`."""
    return cache_folder() / f"{name}.py"


def write_plan(name: str, source: str) -> None:
    """Store a plan's source."""
    write_whole(plan_path(name), source)


def write_whole(path: Path, text: str) -> None:
    """Write a file that nobody ever reads a part of."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def find_plan(name: str, bindings: dict) -> ModuleType | None:
    """A plan as `load_plan` gives it; None if its file is missing or damaged."""
    path = plan_path(name)
    try:
        if name in sys.modules or is_whole(path.read_text(encoding="utf-8")):
            return load_plan(name, bindings)
    except Exception:  # garbage may be any kind of Python
        Path(util.cache_from_source(str(path))).unlink(missing_ok=True)  # it may be Python's own copy that is damaged
    return None


def load_plan(name: str, bindings: dict) -> ModuleType:
    """Import a plan's source, once, with `bindings` (the modules' classes) as its globals."""
    if name in sys.modules:
        return sys.modules[name]
    spec = util.spec_from_file_location(name, plan_path(name))
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


def is_whole(source: str) -> bool:
    """Whether a plan's source goes to its end, which is the return of its last function."""
    return source.endswith("\n") and source.splitlines()[-1].startswith("    return ")
