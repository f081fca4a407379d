"""Finite differences in place of derivatives that a module does not have: of its fprop or bprop, in float64.

Each element is taken from two estimates: Richardson's, from longer steps, is right to about 1e-12 where the function is
smooth there; the plain central difference of short steps, to about 1e-9, where a kink lies within the longer ones.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.module import FLAGS, Module
from ..engine import plan

SHORT, LONG = 2e-6, 4e-4
AGREE = 1e-7  # of the largest element: up to here the short steps' estimate confirms the long ones'


@dataclass
class DifferencedModule:
    """A module and the copy that is moved along directions; neither is a child."""

    subject: Module
    twin: Module
    start: dict[str, int] = field(default_factory=dict)
    state: dict[str, np.ndarray] = field(default_factory=dict)


class Differences(Module):
    """A stand-in for a module's `jvp`, `rbprop` or `hessian_times` in a plan; runs as Python.

        d/dε f(ε) = (4 D(h) - D(2h)) / 3 or D(h'),   D(h) = (f(h) - f(-h)) / 2h

    Args: subject: the module; it stays as it is, a copy of it in float64 is moved; stretch: how long all steps are.
    Source: Press et al., Numerical Recipes, section 5.7; Bishop and Bishop, Deep Learning, eq. 8.25 (central
        differences) and 8.35 (a Jacobian by them).
    """

    jit = False
    framework_base = True

    def __init__(self, subject: Module, stretch: float = 1.0):
        super().__init__()
        self.stretch = stretch
        vars(self).update(_differenced=DifferencedModule(subject, subject.copy().to("float64")), _dtype=subject.dtype)

    @property
    def subject(self) -> Module:
        """The module whose derivatives these are."""
        return self._differenced.subject

    def gradient_names(self) -> list[str]:
        return [name for module, name in self._differenced.subject._owners()] if "_differenced" in vars(self) else []

    def prepare(self) -> None:
        """Copy the state that the next forward pass will start from."""
        twin, subject = self._differenced.twin, self.subject
        for mine, theirs in zip(twin.all_modules(), subject.all_modules(), strict=True):
            for name, value in vars(theirs).items():
                setting = isinstance(value, bool | int | float | str) and not name.startswith("_")
                if setting and name not in FLAGS and getattr(mine, name, None) != value:
                    setattr(mine, name, value)
        self._differenced.start = subject.counters()
        twin.load_state_dict(subject.state_dict())
        self._differenced.state = twin.state_dict()

    def jvp(self, *arguments):
        """dy/dx v + dy/dw v_w."""
        x, v = split_arguments(arguments)
        change = derivative(lambda h: self.run(x, v, h)[0], self.size(x, v))
        return change.astype(self.dtype)

    def rbprop(self, *arguments):
        """R{grad_x}; adds R{gradient} to the gradients of the parameters."""
        x, v = split_arguments(arguments[:-2])
        grad_y, r_grad_y = arguments[-2:]
        linear = self.run(x, v, 0.0, r_grad_y)[1]  # bprop is linear in its argument
        change = derivative(lambda h: self.run(x, v, h, grad_y)[1], self.size(x, v)) + linear
        count = change.size - x[0].size
        self.subject.flat_gradients[...] += change[:count]
        return change[count:].reshape(x[0].shape).astype(self.dtype)

    def hessian_times(self, y, target, v):
        """Compute the change of a loss's gradient along v."""
        twin = self._differenced.twin

        def gradient(h):
            return evaluate(twin, (y + h * v, target), True)[1]

        size = max_abs(v) / (1 + max_abs(y))
        return derivative(gradient, size).reshape(y.shape).astype(self.dtype)

    def size(self, x, v) -> float:
        """Compute the size of the direction relative to that of the arguments."""
        pairs = [*zip(x, v, strict=True), (self._differenced.twin.flat_parameters, gather_direction(self.subject))]
        return max(max_abs(step) / (1 + max_abs(start)) for start, step in pairs) / self.stretch

    def run(self, x, v, h: float, grad_y=None):
        """y and, for a grad_y, the gradients of parameters and x as one vector, at x + h v and w + h v_w."""
        twin = self._differenced.twin
        twin.load_state_dict(self._differenced.state)
        twin.load_counters(self._differenced.start)
        twin.flat_parameters[...] += h * gather_direction(self.subject)
        return evaluate(twin, [a + h * b for a, b in zip(x, v, strict=True)], grad_y)


plan._warned_classes.add(Differences)


def evaluate(module: Any, arguments, grad_y=None):
    """Compute y, and the gradients of parameters and the first argument as one vector."""
    module.zero_grad()
    arguments = [np.asarray(a, np.float64) if np.asarray(a).dtype.kind == "f" else a for a in arguments]
    if not module.takes_gradient:
        value = module.fprop(*arguments)
        return value, np.array(module.bprop()).ravel()
    y = np.array(module.fprop(*arguments))
    if grad_y is None:
        return y, None
    grad_x = np.array(module.bprop(np.asarray(grad_y, np.float64)))
    return y, np.concatenate([module.flat_gradients, grad_x.ravel()])


def derivative(function, size: float) -> np.ndarray:
    """Compute df/dε at 0 of an array-valued function, along a direction of relative size `size`."""
    if size == 0:
        return np.zeros_like(function(0.0))
    short, long = SHORT / size, LONG / size
    near, far, farther = (difference_centrally(function, h) for h in (short, long, 2 * long))
    smooth = (4 * far - farther) / 3
    return np.where(np.abs(smooth - near) <= AGREE * max(max_abs(near), 1e-300), smooth, near)


def difference_centrally(function, h: float) -> np.ndarray:
    """Compute the central difference (f(h) - f(-h)) / 2h."""
    return (function(h) - function(-h)) / (2 * h)


def split_arguments(arguments):
    """Split arguments from their directions."""
    count = len(arguments) // 2
    return arguments[:count], arguments[count:]


def max_abs(array) -> float:
    """Compute the largest absolute value."""
    return float(np.abs(array).max(initial=0.0))


def gather_direction(module: Module) -> np.ndarray:
    """Gather a module's part of the direction in the parameters into one vector (P,)."""
    parts = [np.ravel(vars(each)[get_direction_name(each, name)]) for each, name in module._owners()]
    return np.concatenate(parts) if parts else np.empty(0)


def get_direction_name(module: Module, name: str) -> str:
    """Get the name of a parameter's direction: where compiled code finds it, for a module with a jvp."""
    return f"v_{name}" if f"v_{name}" in vars(module) else f"_v_{name}"
