"""Importing the modules that a config names, first from the config's folder.

The folder leads `sys.path` only while the import runs; the module is an ordinary one with a name and a file. Beside it
goes what it imports from there, so that a run folder can hold all of it.
"""

import ast
import importlib
import importlib.machinery
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

__all__ = ["find_own_file", "import_from", "list_own_files"]


def import_from(folder: Path | None, name: str) -> tuple[ModuleType, dict[Path, Path]]:
    """Import the module of that name in `folder`, or else an installed one; also returns its `own_files`.

    Errors: ImportError if there is none, if it fails (with the line), or if another module has the name.
    """
    modules, path = set(sys.modules), list(sys.path)
    with _put_folder_first(folder):
        importlib.invalidate_caches()
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise ImportError(_describe_reason(name, error)) from error
            beside = "" if folder is None else f", neither beside the config (in '{folder}') nor installed"
            raise ImportError(f"there is no module {error.name!r}{beside}") from error
        except Exception as error:
            raise ImportError(_describe_reason(name, error)) from error
    if folder is None:
        return module, {}
    own, imported_path = find_own_file(folder, name), getattr(module, "__file__", None)
    if own is not None and (imported_path is None or not has_same_content(own, Path(imported_path))):
        reason = f"the name {name!r} is taken by {imported_path or 'a built-in module'}"
        raise ImportError(f"{reason}, so {own} cannot be imported; rename it")
    added = [Path(entry) for entry in sys.path if entry not in path]  # by the module, for what it imports
    new = [module for key, module in list(sys.modules.items()) if key not in modules]
    return module, list_own_files(folder, name) | list_imported_files([folder, *added], new)


def has_same_content(own: Path, other: Path) -> bool:
    """Whether an imported module is that of a file, or of a copy of it."""
    try:
        return own.samefile(other) or own.read_bytes() == other.read_bytes()
    except OSError:
        return False


def find_own_file(folder: Path | None, name: str) -> Path | None:
    """Find the file in `folder` that the module `name` comes from, None if there is none."""
    if folder is None:
        return None
    stem, suffixes = folder.joinpath(*name.split(".")), importlib.machinery.all_suffixes()
    candidates = [stem / f"__init__{suffix}" for suffix in suffixes]
    candidates += [stem.with_name(stem.name + suffix) for suffix in suffixes]
    return next((file for file in candidates if file.is_file()), None)


def list_own_files(folder: Path, name: str) -> dict[Path, Path]:
    """List the files in `folder` that a module consists of: its own, and those that it imports."""
    files: dict[Path, Path] = {}
    waiting, visited = [name], set()
    while waiting:
        module = waiting.pop()
        if module in visited or not module:
            continue
        visited.add(module)
        waiting.append(module.rpartition(".")[0])
        file = find_own_file(folder, module)
        if file is not None:
            files[file] = file.relative_to(folder)
            package = module if file.stem.partition(".")[0] == "__init__" else module.rpartition(".")[0]
            waiting += list_imported_names(file, package)
    return files


def list_imported_names(file: Path, package: str) -> Iterator[str]:
    """List the modules that a file imports; `package`: where relative imports begin."""
    if file.suffix != ".py":
        return
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*filter(None, above), *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)


def list_imported_files(folders: list[Path], modules: list[ModuleType]) -> dict[Path, Path]:
    """List the files of modules that were imported from one of these folders."""
    files = {}
    for module in modules:
        path = getattr(module, "__file__", None) or ""
        for folder in folders:
            own = find_own_file(folder, module.__name__)
            if own is not None and os.path.exists(path) and own.samefile(path):
                files[own] = own.relative_to(folder)
                break
    return files


@contextmanager
def _put_folder_first(folder: Path | None) -> Iterator[None]:
    """Context in which modules come from `folder` first, and from their sources, not from cached bytecode."""
    if folder is None:
        yield
        return
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    before, sys.pycache_prefix = sys.pycache_prefix, os.devnull
    quietly, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.pycache_prefix, sys.dont_write_bytecode = before, quietly
        with suppress(ValueError):  # the module may have removed it
            sys.path.remove(entry)


def _describe_reason(name: str, error: Exception) -> str:
    """Describe an error inside the module, with its line."""
    frames = traceback.extract_tb(error.__traceback__)
    at = "" if isinstance(error, SyntaxError) else f" ({frames[-1].filename}, line {frames[-1].lineno})"
    return f"importing {name!r} failed with {type(error).__name__}: {error}{at}"
