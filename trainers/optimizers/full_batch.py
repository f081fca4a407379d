"""The base of full-batch optimizers, which use the whole training set for each step, with a line search."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ...modules.engine.locks import join_locks, locked, refuse_during_fit
from .checks import check_count, check_not_negative
from .line_search import LineSearch, Point
from .optimizer import Optimizer
from .vectors import dot

Product = Callable[[str, np.ndarray], np.ndarray]


class FullBatch(Optimizer):
    """A descent along directions of its own choice, on the loss of all samples.

        parameter += a direction      a: a step that satisfies the strong Wolfe conditions

    In a Trainer an epoch is `max_iter` such iterations, and the batch size is how many samples are in memory at a
    time; by hand, `minimize(net, closure)` does them. A subclass writes `direction`, and the rest if it needs it.

    Cut into shards, such as on several ranks of MPI, the loss and the gradient are sums over shards, and each rank
    computes the same directions and steps: see docs/parallel.md. A `direction` adds up numbers by `dot` of
    optimizers/vectors.py to have the same bits on all of them; those of np.dot depend on the threads of a BLAS.

    Args: max_iter: iterations of one `minimize`; tolerance_grad: largest gradient, and tolerance_change: largest change
        of a parameter, at which it has converged.
    Errors: ValueError for settings out of range.
    """

    framework_base = True
    keeps_gradients = False  # `objective` writes the sum over all minibatches there
    c2 = 0.9

    def __init__(self, max_iter: int, tolerance_grad: float, tolerance_change: float):
        super().__init__()
        owner = type(self).__name__
        check_count(owner, 1, max_iter=max_iter)
        check_not_negative(owner, tolerance_grad=tolerance_grad, tolerance_change=tolerance_change)
        self.max_iter, self.tolerance_grad, self.tolerance_change = max_iter, tolerance_grad, tolerance_change
        self.share = 1.0
        vars(self).update(_memory={}, _converged=False, _gathering=False, _product=None)

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Compute the next direction; it may use and change `self._memory`."""
        raise NotImplementedError(f"{type(self).__name__} has no direction: write `def direction(self, gradient)`")

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Update the memory by the last step and the change of the gradient."""

    def first_step(self, gradient: np.ndarray, slope: float) -> float:
        """The first step of the line search."""
        return 1.0 if self._memory else min(1.0, 1 / float(np.abs(gradient).sum()))

    @property
    def converged(self) -> bool:
        """Whether the last `minimize` ended by convergence."""
        return self._converged

    # -- adding up the gradients of all minibatches, compiled ----------------------------------------------------------

    def start(self, parameters: np.ndarray) -> None:
        self.total = np.zeros_like(parameters)
        vars(self)["_memory"] = {}

    def update(self, parameters, gradients):
        for i in range(parameters.size):
            self.total[i] += self.share * gradients[i]

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Context in which `update` sums gradients; elsewhere it is refused."""
        vars(self)["_gathering"] = True
        try:
            yield
        finally:
            vars(self)["_gathering"] = False

    def _enter_update(self, raw, *arguments):
        if not self._gathering:
            raise RuntimeError(f"{self.label()}: update needs all samples; use a Trainer, or minimize(net, closure)")
        return super()._enter_update(raw, *arguments)

    # -- the iterations -----------------------------------------------------------------------------------------------

    def minimize(self, net: Module, closure: Callable[[], float], product: Product | None = None) -> float:
        """Lower the loss by up to max_iter iterations; returns it.

        Args: closure: gives the loss of the model as it is, and leaves its gradient in `net.flat_gradients`; product:
            gives a matrix of curvature, "hvp" or "gauss_newton", times a vector, to directions that ask for it.
        """
        join_locks(net, self)
        with locked(net):  # the points that a line search tries are no other thread's weights
            for each in (net, self):
                refuse_during_fit(each, "minimize")
            return self._minimize(net, closure, product)

    def _minimize(self, net: Module, closure: Callable[[], float], product: Product | None) -> float:
        vars(self)["_product"] = product
        self.attach(net)
        x, gradients = net.flat_parameters, net.flat_gradients
        vars(self)["_converged"] = False
        with self.gathering():
            value, gradient = float(closure()), gradients.copy()
            for _ in range(self.max_iter):
                if self._converged or not np.isfinite(value):
                    break
                value, gradient = self._iterate(x, gradients, closure, value, gradient)
        gradients[:] = gradient
        return value

    def _iterate(self, x, gradients, closure, value: float, gradient: np.ndarray) -> tuple[float, np.ndarray]:
        """Run one iteration from x; returns the loss and the gradient at the new x."""
        if np.abs(gradient).max(initial=0) <= self.tolerance_grad:
            vars(self)["_converged"] = True
            return value, gradient
        fresh = not self._memory
        direction = self.direction(gradient)
        if not dot(gradient, direction) < 0:
            fresh, vars(self)["_memory"] = True, {}
            direction = self.direction(gradient)
        slope, before, gradient_at = float(dot(gradient, direction)), x.copy(), {0.0: gradient}

        def evaluate(a: float) -> Point:
            x[:] = before + x.dtype.type(a) * direction
            value = float(closure())
            gradient_at[a] = gradients.copy()
            return Point(a, value, float(dot(gradient_at[a], direction)))

        search = LineSearch(evaluate, Point(0.0, value, slope), self.c2, 10 * float(np.finfo(x.dtype).eps))
        point = search.run(self.first_step(gradient, slope))
        x[:] = before + x.dtype.type(point.a) * direction
        step = x - before
        if point.a > 0:
            self.learn(step, gradient_at[point.a] - gradient)
        else:
            vars(self)["_memory"] = {}
        if np.abs(step).max(initial=0) <= self.tolerance_change and (fresh or point.a > 0):
            vars(self)["_converged"] = True
        return point.value, gradient_at[point.a]

    # -- state --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Copies of the memory of directions by name; empty before the first iteration."""
        state = self._memory if self._loaded is None else self._loaded
        return {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in state.items()}

    def put_state(self, state: dict[str, Any]) -> None:
        size = self.total.size
        for name, value in state.items():
            if isinstance(value, np.ndarray) and value.shape[-1] != size:
                message = f"{name} has shape {value.shape}, expected {size} numbers"
                raise ValueError(f"{type(self).__name__}: cannot load the state: {message}")
        vars(self)["_memory"] = {
            name: np.array(value, self.dtype) if isinstance(value, np.ndarray) else value
            for name, value in state.items()
        }
