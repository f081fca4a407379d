"""Finding modules of a model by name or by class, and replacing them."""

import difflib
from collections.abc import Callable
from fnmatch import fnmatchcase

from .internal_op import InternalOp
from .module import Module

What = str | type[Module]
New = Module | Callable[[Module], Module]


def find(net: Module, what: What) -> dict[str, Module]:
    """Find the modules inside a model, by name, that are of a class or whose names match a pattern."""
    inside = {name: module for name, module in net.named_modules() if name and not isinstance(module, InternalOp)}
    if isinstance(what, str):
        return {name: module for name, module in inside.items() if fnmatchcase(name, what)}
    if not (isinstance(what, type) and issubclass(what, Module)):
        raise TypeError(f"{net.label()}: find got {what!r}, expected a pattern of names or a class of modules")
    return {name: module for name, module in inside.items() if isinstance(module, what)}


def replace(net: Module, what: What, new: New) -> None:
    """Replace each module that `find` finds by `new` or by `new(old)`; all at once or none."""
    old_modules = find(net, what)
    if not old_modules:
        raise ValueError(f"{net.label()}: there is no {describe_target(what)} to replace{suggest_names(net, what)}")
    if isinstance(new, Module) and len(old_modules) > 1:
        expected = "expected one, or a function that makes a module for each"
        raise ValueError(f"{net.label()}: {describe_target(what)} is {', '.join(old_modules)}, {expected}")
    new_modules: dict[str, Module] = {}
    of_tie: dict = {}
    for name, old in old_modules.items():
        if any(name.startswith(f"{other}.") for other in new_modules):
            continue  # it has gone with what it stood in
        if old._tie in of_tie:  # so it stays one with the same weights
            first = of_tie[old._tie]
            new_modules[name] = first.share() if old._tie.names is None else first.share(new(old))  # type: ignore
            continue
        new_modules[name] = new if isinstance(new, Module) else new(old)
        if not isinstance(new_modules[name], Module):
            raise TypeError(f"{net.label()}: replace got {new_modules[name]!r} for {name}, expected a Module")
        if old._tie is not None:
            of_tie[old._tie] = new_modules[name]
    for k, module in enumerate(new_modules.values()):
        if module.parent is not None or any(module is other for other in list(new_modules.values())[:k]):
            raise ValueError(f"{module.label()} stands in a model already, at {module.path()}; use module.copy()")
    for name, module in new_modules.items():
        swap_child(old_modules[name], module)


def swap_child(old: Module, new: Module) -> None:
    """Replace a child of its parent by another module; the old one then has no parent."""
    owner = old.parent
    assert isinstance(owner, Module)
    names = list(owner._modules)
    name = next(name for name in names if owner._modules[name] is old)
    del owner._modules[name]
    try:
        owner._add_module(name, new)
        vars(old)["_parent"] = None
    except ValueError:
        owner._modules[name] = old
        raise
    finally:
        vars(owner)["_modules"] = {name: owner._modules[name] for name in [*names, *owner._modules]}


def describe_target(what: What) -> str:
    """Describe the pattern or class that is searched for, for an error."""
    return repr(what) if isinstance(what, str) else what.__name__


def suggest_names(net: Module, what: What) -> str:
    """Suggest names for an error: the most similar one, or all."""
    names = [name for name, module in net.named_modules() if name and not isinstance(module, InternalOp)]
    close = difflib.get_close_matches(what, names, n=1) if isinstance(what, str) else []
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names[:20])}"
