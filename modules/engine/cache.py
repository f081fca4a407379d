"""Where plans live on disk: one readable source file each, and numba's compiled code beside it.

A plan is written once, whole, under a name that no other content can have; so any number of processes may share the
folder, and a read-only installation never matters. `BPROP_CACHE_DIR` moves the folder.
"""

import contextlib
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
    """Store a plan's source; a plan that is there already is left alone."""
    path = plan_path(name)
    if path.exists():
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(source)
    with contextlib.suppress(FileExistsError, OSError):
        os.link(temporary, path)  # unlike a rename, never replaces the file that another process just wrote
    if not path.exists():
        os.replace(temporary, path)
        return
    os.unlink(temporary)


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
    spec.loader.exec_module(module)
    return module
