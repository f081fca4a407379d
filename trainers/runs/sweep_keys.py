"""The settings in which runs differ, and short names for them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["find_varying_keys", "format_key_value", "shorten_keys"]


def format_key_value(value: Any) -> str:
    """Format a value so that equal values, and only these, have equal texts; True is not 1."""
    return json.dumps(value, sort_keys=True, default=str)


def find_varying_keys(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Find the keys whose values differ between runs; of keys with equal values in every run, the first alone."""
    columns: dict[tuple[str, ...], str] = {}
    for key in dict.fromkeys(key for values in runs for key in values):
        column = tuple(format_key_value(values.get(key)) for values in runs)
        if len({*column}) > 1:
            columns.setdefault(column, key)
    return list(columns.values())


def shorten_keys(keys: Iterable[str]) -> dict[str, str]:
    """Shorten each key to its last words: as few as tell it from the others, and none that begins with a number."""
    words = {key: key.split(".") for key in keys}
    return {key: _shorten(key, words) for key in words}


def _shorten(key: str, words: dict[str, list[str]]) -> str:
    own = words[key]
    for count in range(1, len(own)):
        end = own[-count:]
        if not end[0].isdigit() and not any(other[-count:] == end for name, other in words.items() if name != key):
            return ".".join(end)
    return key
