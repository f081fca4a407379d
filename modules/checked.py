"""Which modules of one's own have passed a check in their present form: an empty file for each in the cache folder.

Its name is a digest of all sources that the module's methods depend on, as it names compiled plans.
"""

from pathlib import Path

from .engine.cache import cache_folder
from .engine.sources import class_digest, is_ours
from .module import Module


def own_classes(module: Module) -> list[type[Module]]:
    """The classes in a net that do not come with this package, each once."""
    return list(dict.fromkeys(type(inside) for inside in module.all_modules() if not is_ours(type(inside).__module__)))


def remember(module: Module) -> None:
    """Note that the modules of one's own in this one have passed a check."""
    for cls in own_classes(module):
        note_of(cls).touch()


def unchecked(module: Module) -> list[type[Module]]:
    """The classes of one's own in a net that have passed no check as they are now."""
    return [cls for cls in own_classes(module) if not note_of(cls).exists()]


def note_of(cls: type[Module]) -> Path:
    """The file that says so."""
    return cache_folder() / f"checked_{class_digest(cls, place=False)}"
