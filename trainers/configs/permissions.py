"""What configs may do beside describing objects: import modules, include files, and name folders to write to.

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
    """Base of rules, which forbids nothing."""

    def forbids(self, deed: Action, what: str, folder: Path) -> str:
        """Why a config in `folder` may not import a module, include a file or write to a folder; empty if it may."""
        return ""


class NoImports(Rule):
    """Nothing is imported, and what is included or written lies in the folder of the config."""

    def forbids(self, deed: Action, what: str, folder: Path) -> str:
        return "" if deed != "import" and is_inside(Path(what), folder) else "which --no-imports forbids"


_rule: ContextVar[Rule | None] = ContextVar("rule", default=None)


def forbids(deed: Action, what: str, folder: Path | None) -> str:
    """What the rule in force says, as the end of a sentence; empty if it allows that, or if there is none."""
    rule = _rule.get()
    return "" if rule is None else rule.forbids(deed, what, Path() if folder is None else folder)


def has_rule() -> bool:
    """Whether somebody has said already what configs may do."""
    return _rule.get() is not None


@contextmanager
def enforce_rule(rule: Rule) -> Iterator[None]:
    """Within this context, configs obey the rule."""
    token = _rule.set(rule)
    try:
        yield
    finally:
        _rule.reset(token)


def no_imports():
    """Within this context configs that name custom code are refused: reading them runs nothing of others."""
    return enforce_rule(NoImports())


def allow_imports():
    """Within this context configs may do everything, those of other people's run folders, too."""
    return enforce_rule(Rule())


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, wherever links lead."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a circle of links, or no name that a system has
        return False
