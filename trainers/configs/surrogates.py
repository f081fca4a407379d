"""Surrogates in file names that are not UTF-8, hidden from libraries that reject them.

Python has a byte that is no UTF-8 as a surrogate, U+DC80 to U+DCFF. YAML and pydantic refuse those, so they travel as
characters of private use, U+F780 to U+F7FF, as in MirBSD's convention.
"""

import re
from pathlib import PurePath
from typing import Any

__all__ = ["has_surrogates", "hide_surrogates", "restore_surrogates"]

SURROGATES, PRIVATE = re.compile("[\\udc80-\\udcff]"), re.compile("[\\uf780-\\uf7ff]")
DISTANCE = 0xF780 - 0xDC80


def has_surrogates(value: Any) -> bool:
    """Whether a value has surrogates, in a string or in the strings of lists and dicts."""
    if isinstance(value, str):
        return not value.isascii() and SURROGATES.search(value) is not None
    if isinstance(value, dict):
        return any(map(has_surrogates, [*value, *value.values()]))
    return isinstance(value, list | tuple) and any(map(has_surrogates, value))


def hide_surrogates(value: Any) -> Any:
    """Replace surrogates by private characters."""
    return shift_characters(value, SURROGATES, DISTANCE)


def restore_surrogates(value: Any) -> Any:
    """Restore the surrogates of `hide_surrogates`, in paths, too."""
    return shift_characters(value, PRIVATE, -DISTANCE)


def shift_characters(value: Any, pattern: re.Pattern[str], by: int) -> Any:
    """Shift the characters of a pattern by a number of code points."""
    match value:
        case str():
            return pattern.sub(lambda match: chr(ord(match[0]) + by), value)
        case PurePath():
            return type(value)(shift_characters(str(value), pattern, by))
        case dict():
            return {
                shift_characters(key, pattern, by): shift_characters(item, pattern, by) for key, item in value.items()
            }
        case list() | tuple():
            return type(value)(shift_characters(item, pattern, by) for item in value)
        case _:
            return value
