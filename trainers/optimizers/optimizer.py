"""The base class of optimizers: like modules, they are methods that the engine compiles into the step."""

import weakref

import numpy as np

from ...modules.engine.operations import Operations
from ...modules.engine.plan import Function, Plan
from ...modules.engine.stateful import Stateful, jit_disabled
from ...modules.module import Module


class Optimizer(Stateful):
    """A rule that changes parameters by their gradients.

    A subclass writes two methods: `start(self, parameters)` makes its arrays, as attributes; and
    `update(self, parameters, gradients)`, compiled, changes the flat vectors (P,) in place. From outside,
    `optimizer.update(net)` applies it to a net by hand.

    An optimizer serves one net at a time; given another, or one with more or fewer parameters, it starts anew.
    """

    framework_base = True
    entry_points = ("update",)

    def __init__(self):
        super().__init__()
        vars(self)["_vector"] = None
        vars(self)["_plan"] = None

    def start(self, parameters: np.ndarray) -> None:
        """Make the arrays that `update` keeps between steps."""

    def update(self, parameters, gradients):
        """Change `parameters` in place."""
        raise NotImplementedError(
            f"{type(self).__name__} has no update: write `def update(self, parameters, gradients)`"
        )

    def attach(self, net: Module) -> None:
        """Serve `net`: start anew unless this is the net, with the parameters, of last time."""
        vector = net.flat_parameters
        if self._vector is not None and self._vector() is vector:
            return
        vars(self).update(_dtype=net.dtype, _vector=weakref.ref(vector), _plan=None)
        self.changed()
        self.start(vector)

    def _enter_update(self, raw, net: Module):
        if not isinstance(net, Module):
            raise TypeError(f"{type(self).__name__}: update got {type(net).__name__}, expected a Module")
        self.attach(net)
        vectors = net.flat_parameters, net.flat_gradients
        if not self.jit or jit_disabled():
            raw(self, *vectors)
            return
        if self._plan is None or self._plan[0] != self._version:
            operations = Operations()
            target = operations.call(self, "update", "parameters", "gradients")
            function = Function("update", operations.items, ("parameters", "gradients"), (target,))
            plan = Plan(f"Update by {self.outline()}.", [function], dict(zip(function.inputs, vectors, strict=True)))
            vars(self)["_plan"] = (self._version, plan, function)
        _, plan, function = self._plan
        plan.call(function, *vectors)


def not_negative(owner: str, **settings: float) -> None:
    """ValueError unless each setting is a number of at least zero."""
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{owner}: {name} is {value}, expected at least 0")
