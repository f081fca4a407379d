"""Vocabularies: between text and tokens, which are whole numbers. A vocabulary is plain JSON; reading it executes
nothing."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files.paths import expand_path

FORMAT = "bprop vocabulary"


class Vocabulary(ABC):
    """What the tokens 0 to `size` - 1 mean.

    `end` is the token that begins and ends a word of a list, None for running text.

    Errors: ValueError from `decode` for tokens out of range.
    """

    end: int | None = None

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of tokens."""

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """Encode a text as tokens (n,), int64.

        Errors: ValueError that names the characters which the vocabulary lacks.
        """

    @abstractmethod
    def get_bytes(self, token: int) -> bytes:
        """Get the bytes in UTF-8 that a token stands for; those of several tokens may make up one character."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Describe the vocabulary in what JSON can hold, for `load_vocabulary`."""

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """Decode tokens (n,) as text; bytes that are no character become U+FFFD.

        Errors: ValueError that names the first token out of range.
        """
        if wrong := [token for token in tokens if not 0 <= token < self.size][:1]:
            raise ValueError(f"Vocabulary: token {wrong[0]}, expected 0 to {self.size - 1}")
        return b"".join(self.get_bytes(int(token)) for token in tokens).decode("utf-8", errors="replace")

    @property
    def names(self) -> tuple[str, ...]:
        """A printable name for each token."""
        return tuple(format_token(self.decode([token])) for token in range(self.size))

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON."""
        text = json.dumps({"format": FORMAT, **self.describe()}, ensure_ascii=False)
        expand_path(path).write_text(text + "\n", encoding="utf-8", errors="surrogatepass")


class CharacterVocabulary(Vocabulary):
    """Each character is a token: its place in `characters`.

    Args: characters: all different, at least one; end: the token that begins and ends words, if there is one.
    Errors: ValueError for characters that stand twice, and for an end that is none of them.
    """

    def __init__(self, characters: str, end: int | None = None) -> None:
        if not characters or len(set(characters)) < len(characters):
            raise ValueError(f"CharacterVocabulary: characters is {characters!r}, expected different ones")
        if end is not None and not 0 <= end < len(characters):
            raise ValueError(f"CharacterVocabulary: end is {end}, expected 0 to {len(characters) - 1}")
        self.characters, self.end = characters, end
        points = to_code_points(characters)
        self._tokens = np.full(int(points.max()) + 1, -1)
        self._tokens[points] = np.arange(len(points))

    @property
    def size(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        points = to_code_points(text)
        known = points < len(self._tokens)
        tokens = np.where(known, self._tokens[np.where(known, points, 0)], -1)
        if (tokens < 0).any():
            unknown = "".join(map(chr, np.unique(points[tokens < 0])))
            raise ValueError(f"Vocabulary: the text has {format_characters(unknown)}, which none of its tokens means")
        return tokens

    def get_bytes(self, token: int) -> bytes:
        return self.characters[token].encode("utf-8", errors="surrogatepass")

    def describe(self) -> dict[str, Any]:
        return {"kind": "characters", "characters": self.characters, "end": self.end}


def to_code_points(text: str) -> np.ndarray:
    """Convert a text to the numbers of its characters in Unicode (n,), int64."""
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), "<u4").astype(np.int64)


def format_token(text: str) -> str:
    """Format a token's text so that it can be seen: quoted where it is a space or a line's end."""
    return text if text.isprintable() and text.strip() == text and text else repr(text)


def format_characters(characters: str, limit: int = 10) -> str:
    """Format a list of characters for a message: each quoted, at most `limit` of them."""
    more = f" and {len(characters) - limit} more" if len(characters) > limit else ""
    return ", ".join(map(repr, characters[:limit])) + more


def choose_token_type(size: int) -> np.dtype[Any]:
    """Choose the smallest of uint8, uint16 and int32 for tokens below `size`."""
    return np.dtype(np.uint8 if size <= 2**8 else np.uint16 if size <= 2**16 else np.int32)


def collect_characters(pieces: Iterable[str]) -> str:
    """Collect the characters of a text, sorted."""
    characters: set[str] = set()
    for piece in pieces:
        characters.update(piece)
    return "".join(sorted(characters))
