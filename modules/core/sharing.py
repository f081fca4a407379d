"""Modules that share their weights: ties between them, and whose memory holds the weights.

Tied modules have the same arrays as attributes. The first of them in a net owns them: it alone stands in the flat
vectors, so that an optimizer updates shared weights once.
"""

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..engine.locks import join_locks

if TYPE_CHECKING:
    from .module import Module
    from .parameters import Holder


class Tie:
    """What binds modules with the same weights; `members` are those that are still in use."""

    def __init__(self):
        self.members: weakref.WeakSet[Holder] = weakref.WeakSet()


def tie(own: "Holder", other: "Holder") -> None:
    """Give `other` the arrays of `own`, from now on."""
    if own._tie is None:
        bind(own, Tie())
    bind(other, own._tie)
    join_locks(own, other)
    point_at(own, other)


def bind(module: "Holder", tie: Tie) -> None:
    """Make a module a member of a tie."""
    vars(module)["_tie"] = tie
    tie.members.add(module)


def part(copy: "Module") -> None:
    """Tie the modules in a copy with each other, and no more with those that they are copies of."""
    ties: dict[Tie, Tie] = {}
    for module in copy.all_modules():
        if module._tie is not None:
            bind(module, ties.setdefault(module._tie, Tie()))
    retie(copy)


def point_at(own: "Holder", other: "Holder") -> None:
    """Let the attributes of `other`, in compiled code too, be the arrays of `own`."""
    for name in own.fixed_names() & other.fixed_names():
        vars(other)[name] = vars(own)[name]
        for state in other._states.values():
            state.write(name, vars(own)[name])


def untied(root: "Holder") -> Iterator[tuple[str, "Module"]]:
    """(name, module) for all in a net, of those that share weights the first only."""
    seen = set()
    for name, module in root.named_modules():
        if module._tie is None or module._tie not in seen:
            seen.add(module._tie)
            yield name, module


def retie(root: "Holder") -> None:
    """Let tied modules have the arrays of the first of them in this net, which may have moved."""
    for _, own in untied(root):
        for other in own._tie.members if own._tie is not None else ():
            if other is not own and other.dtype == own.dtype:
                point_at(own, other)


def first_of(module: "Module") -> "Module | None":
    """The module before this one in its net whose weights it has, or None."""
    for _, own in untied(module.root()):
        if own._tie is not None and own._tie is module._tie:
            return None if own is module else own
    return None


def refuse_ties_between_nets(root: "Module") -> None:
    """ValueError if a module shares weights with one of another net that is in use: they lie in one vector only."""
    for _, own in untied(root):
        for other in own._tie.members if own._tie is not None else ():
            if other.root() is not root and other.root()._flat is not None:
                raise ValueError(
                    f"{own.label()} shares its weights with {other.label()} of another net, expected both in one net"
                )
