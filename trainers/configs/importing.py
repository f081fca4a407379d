"""Imports a module that a config names, first of all from the folder of the config.

The folder leads `sys.path` only while the import runs; the module is an ordinary one with a name and a file.
"""

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType

__all__ = ["import_from", "imports_allowed", "no_imports", "own_file"]

_allowed = ContextVar("imports_allowed", default=True)


def imports_allowed() -> bool:
    """Whether a config may name code that is to be imported."""
    return _allowed.get()


@contextmanager
def no_imports() -> Iterator[None]:
    """Within this context configs that name code of one's own are refused: reading them runs nothing of others."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def import_from(folder: Path | None, name: str) -> ModuleType:
    """The module: the file of that name in `folder`, or else an installed one.

    Errors: ImportError if there is none, if it fails (with the line), or if another module has the name.
    """
    with _leading_path(folder):
        importlib.invalidate_caches()
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise ImportError(_reason(name, error)) from error
            beside = "" if folder is None else f", neither beside the config (in '{folder}') nor installed"
            raise ImportError(f"there is no module {error.name!r}{beside}") from error
        except Exception as error:
            raise ImportError(_reason(name, error)) from error
    own, found = own_file(folder, name), getattr(module, "__file__", None)
    if own is not None and (found is None or not own.samefile(found)):
        taken = f"the name {name!r} is taken by {found or 'a built-in module'}"
        raise ImportError(f"{taken}, so {own} cannot be imported; rename it")
    return module


def own_file(folder: Path | None, name: str) -> Path | None:
    """The file in `folder` that the module `name` should come from, None if there is none."""
    if folder is None:
        return None
    stem = folder.joinpath(*name.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


@contextmanager
def _leading_path(folder: Path | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with suppress(ValueError):  # the module may have removed it
            sys.path.remove(entry)


def _reason(name: str, error: Exception) -> str:
    """What went wrong inside the module, and on which line."""
    frames = traceback.extract_tb(error.__traceback__)
    at = "" if isinstance(error, SyntaxError) else f" ({frames[-1].filename}, line {frames[-1].lineno})"
    return f"importing {name!r} failed with {type(error).__name__}: {error}{at}"
