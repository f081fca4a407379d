"""Weight tying: modules with shared parameters, and which of them owns the memory.

Tied modules have the same arrays as attributes. The first of them in a model owns them: it alone stands in the flat
vectors, so that an optimizer updates shared weights once.
"""

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..engine.locks import join_locks

if TYPE_CHECKING:
    from .module import Module
    from .parameters_and_buffers import ParametersAndBuffers


class Tie:
    """A set of modules with the same weights; `members` are those still alive."""

    def __init__(self):
        self.members: weakref.WeakSet[ParametersAndBuffers] = weakref.WeakSet()


def tie(own: "ParametersAndBuffers", other: "ParametersAndBuffers") -> None:
    """Tie the weights of `other` to those of `own`: from now on it has the same arrays."""
    if own._tie is None:
        join_tie(own, Tie())
    join_tie(other, own._tie)
    join_locks(own, other)
    alias_arrays(own, other)


def join_tie(module: "ParametersAndBuffers", tie: Tie) -> None:
    """Make a module a member of a tie."""
    vars(module)["_tie"] = tie
    tie.members.add(module)


def separate_ties(copy: "Module") -> None:
    """Tie the modules in a copy to each other, and no longer to those that they are copies of."""
    ties: dict[Tie, Tie] = {}
    for module in copy.all_modules():
        if module._tie is not None:
            join_tie(module, ties.setdefault(module._tie, Tie()))
    retie(copy)


def alias_arrays(own: "ParametersAndBuffers", other: "ParametersAndBuffers") -> None:
    """Make the attributes of `other`, in compiled code too, the arrays of `own`."""
    for name in own.fixed_names() & other.fixed_names():
        vars(other)[name] = vars(own)[name]
        for state in other._states.values():
            state.write(name, vars(own)[name])


def iterate_owners(root: "ParametersAndBuffers") -> Iterator[tuple[str, "Module"]]:
    """Iterate over (name, module) of a model; of modules with tied weights over the first only."""
    ties = set()
    for name, module in root.named_modules():
        if module._tie is None or module._tie not in ties:
            ties.add(module._tie)
            yield name, module


def retie(root: "ParametersAndBuffers") -> None:
    """Alias the arrays of tied modules to those of the first of them in this model, which may have moved."""
    for _, own in iterate_owners(root):
        for other in own._tie.members if own._tie is not None else ():
            if other is not own and other.dtype == own.dtype:
                alias_arrays(own, other)


def find_weight_owner(module: "Module") -> "Module | None":
    """Find the earlier module of the same model whose weights this one shares, or None."""
    for _, own in iterate_owners(module.root()):
        if own._tie is not None and own._tie is module._tie:
            return None if own is module else own
    return None


def refuse_ties_between_nets(root: "Module") -> None:
    """Raise ValueError if a module shares weights with one of another model in use: they lie in one vector only."""
    for _, own in iterate_owners(root):
        for other in own._tie.members if own._tie is not None else ():
            if other.root() is not root and other.root()._flat is not None:
                raise ValueError(
                    f"{own.label()} shares its weights with {other.label()} of another model, "
                    "expected both in one model"
                )
