"""Weight tying: modules with shared parameters, and which of them owns the memory.

Tied modules have the same arrays as attributes. The first of them in a model owns them: it alone stands in the flat
vectors with them, so that an optimizer updates shared weights once. A module and its twin share all that they have; an
embedding and the layer of scores after it share `weight` alone.
"""

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..engine.locks import join_locks

if TYPE_CHECKING:
    from .module import Module
    from .parameters_and_buffers import ParametersAndBuffers


class Tie:
    """A set of modules with the same weights; `members` are those still alive.

    Args: names: the parameters that they share; None: all parameters and buffers.
    """

    def __init__(self, names: frozenset[str] | None = None):
        self.names = names
        self.members: weakref.WeakSet[ParametersAndBuffers] = weakref.WeakSet()

    def shares(self, name: str) -> bool:
        """Whether a parameter or buffer is a shared one."""
        return self.names is None or name in self.names


def tie(own: "ParametersAndBuffers", other: "ParametersAndBuffers") -> None:
    """Tie the weights of `other` to those of `own`: from now on it has the same arrays."""
    if own._tie is None:
        join_tie(own, Tie())
    join_tie(other, own._tie)
    join_locks(own, other)
    alias_arrays(own, other)


def tie_weights(own: "Module", other: "Module") -> None:
    """Tie those parameters of a module of another kind that have the same names and shapes as `own`'s.

    Errors: ValueError where there are none, where a name has another shape, and where `other` shares weights already.
    """
    names = [name for name in own._parameters if name in other._parameters]
    if not names:
        raise ValueError(f"{other.label()} has no parameter of the name of one of {own.label()}, expected one to share")
    for name in names:
        shapes = vars(own)[name].shape, vars(other)[name].shape
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{other.label()}: {name} has shape {shapes[1]}, expected {shapes[0]}, that of {own.label()}"
            )
    shared = frozenset(names)
    refused = [module for module in (own, other) if module._tie is not None and module._tie.names != shared]
    if refused or other._tie is not None:
        raise ValueError(f"{(refused or [other])[0].label()} shares its weights already, expected one that shares none")
    if own.dtype != other.dtype:
        other.to(own.dtype)
    if own._tie is None:
        join_tie(own, Tie(shared))
    join_tie(other, own._tie)
    join_locks(own, other)
    alias_arrays(own, other)
    other.forget_plans()


def join_tie(module: "ParametersAndBuffers", tie: Tie) -> None:
    """Make a module a member of a tie."""
    vars(module)["_tie"] = tie
    tie.members.add(module)


def separate_ties(copy: "Module") -> None:
    """Tie the modules in a copy to each other, and no longer to those that they are copies of."""
    ties: dict[Tie, Tie] = {}
    for module in copy.all_modules():
        if module._tie is not None:
            join_tie(module, ties.setdefault(module._tie, Tie(module._tie.names)))
    retie(copy)


def alias_arrays(own: "ParametersAndBuffers", other: "ParametersAndBuffers") -> None:
    """Make the attributes of `other` that the two share, in compiled code too, the arrays of `own`."""
    for name in list_shared_names(own) & list_shared_names(other):
        vars(other)[name] = vars(own)[name]
        for state in other._states.values():
            state.write(name, vars(own)[name])


def list_shared_names(module: "ParametersAndBuffers") -> set[str]:
    """List the attributes of a tied module that it shares: parameters, their gradients and directions, buffers."""
    fixed, names = module.fixed_names(), module._tie.names
    if names is None:
        return fixed
    return fixed & {f"{prefix}{name}" for name in names for prefix in ("", "grad_", "v_")}


def iterate_owned(root: "ParametersAndBuffers", kind: str = "_parameters") -> Iterator[tuple[str, "Module", str]]:
    """Iterate over (full name, module, name) of a model's parameters, or `_buffers`; of shared ones over the first."""
    ties: set[Tie] = set()
    for prefix, module in root.named_modules():
        tied = module._tie is not None and module._tie in ties
        for name in getattr(module, kind):
            if not (tied and module._tie.shares(name)):
                yield f"{prefix}.{name}" if prefix else name, module, name
        if module._tie is not None:
            ties.add(module._tie)


def iterate_owners(root: "ParametersAndBuffers") -> Iterator["Module"]:
    """Iterate over the tied modules of a model that own what they share."""
    ties = set()
    for module in root.all_modules():
        if module._tie is not None and module._tie not in ties:
            ties.add(module._tie)
            yield module


def retie(root: "ParametersAndBuffers") -> None:
    """Alias the arrays of tied modules to those of the first of them in this model, which may have moved."""
    for own in iterate_owners(root):
        for other in own._tie.members:
            if other is not own and other.dtype == own.dtype:
                alias_arrays(own, other)


def find_weight_owner(module: "Module") -> "Module | None":
    """Find the earlier module of the same model whose weights this one shares, or None."""
    if module._tie is not None:
        for own in iterate_owners(module.root()):
            if own._tie is module._tie:
                return None if own is module else own
    return None


def refuse_ties_between_nets(root: "Module") -> None:
    """Raise ValueError if a module shares weights with one of another model in use: they lie in one vector only."""
    for own in iterate_owners(root):
        for other in own._tie.members:
            if other.root() is not root and other.root()._flat is not None:
                raise ValueError(
                    f"{own.label()} shares its weights with {other.label()} of another model, "
                    "expected both in one model"
                )


def list_unshared_gradients(module: "ParametersAndBuffers") -> list[str]:
    """List the gradients of a tied module that are its own."""
    tie = module._tie
    return [f"grad_{name}" for name in module._parameters if tie is None or not tie.shares(name)]


def fill_in_shared(module: "Module", state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add shared arrays that a state has under their first name only, under the others, too."""
    first: dict[tuple[Tie, str], str] = {}
    filled = dict(state)
    for prefix, each in module.named_modules():
        for name in (*each._parameters, *each._buffers) if each._tie is not None else ():
            if each._tie.shares(name):
                full = f"{prefix}.{name}" if prefix else name
                own = first.setdefault((each._tie, name), full)
                if full not in filled and own in filled:
                    filled[full] = filled[own]
    return filled
