"""Which modules of one's own have passed a check in their present form: an empty file for each in the cache folder.

Its name is a digest of all sources that the module's methods depend on, as it names compiled plans.
"""

from ..engine.cache import find_file, write_file
from ..engine.folders import readable_folders
from ..engine.sources import examine_class, is_ours
from .module import Module


def own_classes(module: Module) -> list[type[Module]]:
    """The classes in a net that do not come with this package, each once."""
    return list(dict.fromkeys(type(inside) for inside in module.all_modules() if not is_ours(type(inside).__module__)))


def remember(module: Module) -> None:
    """Note that the modules of one's own in this one have passed a check, where notes can be kept."""
    for cls in own_classes(module):
        if (note := note_of(cls)) is not None:
            write_file(note, b"")


def unchecked(module: Module) -> list[type[Module]]:
    """The classes of one's own in a net that have passed no check as they are now, as far as can be known."""
    return [cls for cls in own_classes(module) if (note := note_of(cls)) is not None and find_file(note) is None]


def note_of(cls: type[Module]) -> str | None:
    """The file that says so; None for a class that reaches what no digest covers, or without a folder for notes."""
    found = examine_class(cls, place=False)
    return None if found.unhashable or not readable_folders() else f"checked_{found.digest}"
