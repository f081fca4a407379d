"""Names of a package that are imported when they are first used, so that `bprop --help` answers at once."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_names(package: str, places: dict[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` (PEP 562) that imports a name from its place, a module of `package`."""

    def import_name(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{places[name]}", package), name)

    return import_name
