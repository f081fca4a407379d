"""A class decorator for modules without a bprop: the trace of fprop serves in its place."""

from typing import Any, TypeVar

import numpy as np

from ..core.module import Module
from ..engine.stateful import get_raw_method
from ..engine.tables import flatten_table, map_table, name_arrays, unflatten_table
from .derive import Derivation, run_traced
from .trace import Trace

M = TypeVar("M", bound=type[Module])


def derived(cls: M) -> M:
    """Class decorator: gives a module whose author wrote fprop alone a bprop, from the evaluation trace of each fprop.

        @derived
        class Swish(Module):
            def fprop(self, x):
                return x / (1 + np.exp(-self.slope * x))

    It trains, saves and is checked as any module, as plain Python in float64 between compiled parts, which is slow.
    Once a bprop is written, take the decorator away: nothing else changes.

    Errors: TypeError for a class with a bprop; Untraceable, with the line, for an operation of unknown derivative.
    Source: Bishop and Bishop, Deep Learning, section 8.2.
    """
    if get_raw_method(cls, "bprop") is not get_raw_method(Module, "bprop"):
        raise TypeError(f"derived: {cls.__name__} has its own bprop, expected none")
    author = get_raw_method(cls, "fprop")

    def fprop(self, *arguments):
        if flatten_table(arguments[0])[0].dtype == object:  # it stands in a model that is traced as a whole
            return author(self, *arguments)
        trace = Trace()
        y = run_traced(trace, self, lambda *inputs: author(self, *inputs), arguments)
        derivation = Derivation(trace, y)
        vars(self).update(_derivation=derivation, _form=map_table(lambda _: None, arguments[0]))
        return map_table(lambda each: np.array(each, self.dtype)[()], derivation.y)

    def bprop(self, *grad_y):
        gradients = self._derivation.bprop(*grad_y)
        for name, gradient in self.named_gradients():
            gradient += gradients[name].astype(self.dtype)
        inputs = name_arrays("x" if self.takes_gradient else "y", self._form)
        grads = [gradients.get(name) for name in inputs]  # labels have none
        return unflatten_table(self._form, [None if g is None else g.astype(self.dtype) for g in grads])

    members: dict[str, Any] = {"__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    members |= {"jit": False, "fprop": fprop, "bprop": bprop, "fprop_of_author": author}
    return type(cls.__name__, (cls,), members)  # type: ignore[return-value]


def is_derived(module: Module) -> bool:
    """Whether a module's bprop is the trace of its fprop."""
    return hasattr(type(module), "fprop_of_author")
