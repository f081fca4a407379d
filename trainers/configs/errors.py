"""Errors in configs: problems with their places.

Problems are collected while a config is read, so that all of them are shown at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ..files.suggest import format_suggestion

__all__ = ["ConfigError", "Path", "Place", "Problem", "format_key", "format_path", "format_suggestion"]

Path = tuple[str | int, ...]
"""The way from the top of the config to a value: ("model", 0, "Linear", "bias")."""


@dataclass(frozen=True)
class Place:
    """A position in a file (line and column count from 1), or an override as a whole."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"

    @property
    def order(self) -> tuple[bool, str, int, int]:
        """The sort key: file, line and column; overrides come after the files, in their order."""
        return (self.line is None, self.source if self.line else "", self.line or 0, self.column or 0)


@dataclass(frozen=True)
class Problem:
    """One sentence about one place; `hint` may add a line, such as the arguments that a class accepts."""

    place: Place
    path: Path
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.place}: {format_path(self.path)}: " if self.path else f"{self.place}: "
        message = "\n    ".join(map(format_key, self.message.split("\n")))
        return where + message + (f"\n    {self.hint}" if self.hint else "")


class ConfigError(ValueError):
    """A config that cannot be used; `errors` holds every problem found, in the order of the file."""

    def __init__(self, errors: Iterable[Problem]) -> None:
        self.errors = sorted(errors, key=lambda problem: problem.place.order)
        super().__init__("\n".join(map(str, self.errors)))

    def __reduce__(self) -> tuple[type[Self], tuple[list[Problem]]]:
        return type(self), (self.errors,)

    @classmethod
    def at(cls, place: Place, path: Path, message: str, hint: str = "") -> Self:
        """Make the error of one problem."""
        return cls([Problem(place, path, message, hint)])


def format_path(path: Path) -> str:
    """Format a path as in an override."""
    return ".".join(map(format_key, path))


def format_key(key: object) -> str:
    """Format a key on one line, whatever characters it has."""
    text = str(key)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
