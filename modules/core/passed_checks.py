"""Records of custom modules that have passed a check: an empty file for each in the cache folder.

Its name is a digest of all sources that the module's methods depend on, as in the names of compiled plans.
"""

from ..engine.cache import find_file, write_file
from ..engine.folders import list_readable_folders
from ..engine.sources import examine_class, is_internal
from .module import Module


def find_custom_classes(module: Module) -> list[type[Module]]:
    """Find the custom classes in a model: those that are not of this package, each once."""
    return list(
        dict.fromkeys(type(inside) for inside in module.all_modules() if not is_internal(type(inside).__module__))
    )


def record_passed_check(module: Module) -> None:
    """Record that the custom modules in this one have passed a check, where records can be written."""
    for cls in find_custom_classes(module):
        if (name := get_record_name(cls)) is not None:
            write_file(name, b"")


def find_unchecked_classes(module: Module) -> list[type[Module]]:
    """Find the custom classes in a model that have no record of a passed check."""
    return [
        cls
        for cls in find_custom_classes(module)
        if (note := get_record_name(cls)) is not None and find_file(note) is None
    ]


def get_record_name(cls: type[Module]) -> str | None:
    """Get the name of a class's record; None for a class that cannot be hashed, or without a cache folder."""
    dependencies = examine_class(cls, place=False)
    return None if dependencies.unhashable or not list_readable_folders() else f"checked_{dependencies.digest}"
