"""Permissions of configs: to import modules, include files, and name folders to write to.

By default all of it, as a config is a program of its author's. `no_imports` forbids it within a context; for the run
folders of others `trainers.trust` has a rule of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

__all__ = ["Action", "Rule", "allow_imports", "enforce_rule", "forbids", "has_rule", "is_inside", "no_imports"]

Action = Literal["import", "include", "write"]


class Rule:
    """Base of rules, which allows everything."""

    def forbids(self, deed: Action, what: str, folder: Path) -> str:
        """Why a config in `folder` may not import a module, include a file or write to a folder; empty if it may."""
        return ""


class NoImports(Rule):
    """A rule: no imports, and included files and written folders only in the folder of the config."""

    def forbids(self, deed: Action, what: str, folder: Path) -> str:
        return "" if deed != "import" and is_inside(Path(what), folder) else "which --no-imports forbids"


_rule: ContextVar[Rule | None] = ContextVar("rule", default=None)


def forbids(deed: Action, what: str, folder: Path | None) -> str:
    """What the rule in force says, as the end of a sentence; empty if it allows that, or if there is none."""
    rule = _rule.get()
    return "" if rule is None else rule.forbids(deed, what, Path() if folder is None else folder)


def has_rule() -> bool:
    """Whether a rule is in force."""
    return _rule.get() is not None


@contextmanager
def enforce_rule(rule: Rule) -> Iterator[None]:
    """Context in which configs obey the rule."""
    token = _rule.set(rule)
    try:
        yield
    finally:
        _rule.reset(token)


def no_imports():
    """Context in which configs that name custom code are refused: reading them runs no code."""
    return enforce_rule(NoImports())


def allow_imports():
    """Context in which configs may do everything, even those of other people's run folders."""
    return enforce_rule(Rule())


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path is in a folder, after links are resolved."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a circle of links, or no name that a system has
        return False
