"""Training and evaluation mode: of a module for all threads, and of an evaluation for its own thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..engine.locks import locked
from ..engine.stateful import Stateful, collect_methods

if TYPE_CHECKING:
    from .module import Module


class _EvaluatedModules(threading.local):
    modules: frozenset = frozenset()


_evaluated = _EvaluatedModules()


class Mode:
    """The attribute `training`: the module's own, but False in a thread that is within its `evaluation_mode`."""

    def __get__(self, module, cls=None):
        if module is None:
            return self
        return vars(module)["training"] and module not in _evaluated.modules

    def __set__(self, module, value: bool) -> None:
        vars(module)["training"] = value


def reads_training(module: Stateful) -> bool:
    """Whether a method of the module reads the mode."""
    return any("training" in function.__code__.co_names for function in collect_methods(type(module)).values())


@contextmanager
def evaluation_mode(net: "Module") -> Iterator[None]:
    """Context in which this thread alone uses `net`, in evaluation mode; other threads see its modes unchanged."""
    with locked(net):
        switched = [module for module in net.all_modules() if module.training]
        before = _evaluated.modules
        _evaluated.modules = before.union(switched)
        try:
            for module in switched:
                module.write_to_states("training", False)
            yield
        finally:
            _evaluated.modules = before
            for module in switched:
                module.write_to_states("training", module.training)
