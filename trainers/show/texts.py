"""Texts of a page: what would hide or reorder characters is escaped, since names and sources may be anybody's."""

import re
from typing import Any

HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)


def reveal(text: str) -> str:
    """Replace control characters, and those of the direction of text, by what Python writes for them."""
    return HIDDEN.sub(lambda match: ascii(match[0])[1:-1], text)


def reveal_all(value: Any) -> Any:
    """Apply `reveal` to all strings of a JSON value, keys of dicts, too."""
    if isinstance(value, str):
        return reveal(value)
    if isinstance(value, dict):
        return {reveal_all(key): reveal_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [reveal_all(item) for item in value]
    return value
