"""Jacobian-vector and vector-Jacobian products of models, at the cost of a few passes."""

from functools import cached_property

import numpy as np

from ..core.module import FLAGS, Module
from ..core.sharing import retie
from ..engine.entry_points import check_input, convert_input, get_array_key, make_writable
from ..engine.locks import exclusive
from ..engine.operations import Function, Operation, list_modules, prune
from ..engine.plan import Plan
from ..engine.stateful import in_plain_python, jit_disabled, plain_python
from .differences import Differences, get_direction_name
from .passes import Passes


class Program:
    """Operations that run as one function: compiled, or as plain Python where numba is disabled."""

    def __init__(self, title: str, items: list[Operation], samples: dict, result: str):
        self.title, self.samples, self.result = title, samples, result
        self.items, self.unread = prune(items, {result})
        self.differences = [o.module for o in self.items if isinstance(o.module, Differences)]
        self.function = Function("run", self.items, tuple(samples), (result,))

    @cached_property
    def plan(self) -> Plan:
        """The compiled form."""
        plan = Plan(self.title, [self.function], self.samples)
        plan.flags = {(module, "needs_grad_x"): False for module in self.unread}
        return plan

    def __call__(self, *arguments):
        """The result; gradients are added to those of the model."""
        for each in self.differences:
            each.prepare()
        plain = jit_disabled() or in_plain_python()
        result = self.in_python(*arguments) if plain else self.plan.call(self.function, *arguments)
        return np.array(result) if isinstance(result, np.ndarray) else result

    def in_python(self, *arguments):
        """Run operation by operation, as plain Python."""
        values = dict(zip(self.function.inputs, arguments, strict=True))
        modules = [vars(module) for module in list_modules(self.items)]
        before = [{flag: hidden[flag] for flag in FLAGS} for hidden in modules]
        for module, hidden in zip(list_modules(self.items), modules, strict=True):
            hidden.update(accumulate=True, needs_grad_x=module not in self.unread)
        try:
            with plain_python():
                for o in self.items:
                    values[o.target] = getattr(o.module, o.method)(*(values[name] for name in o.arguments))
        finally:
            for hidden, flags in zip(modules, before, strict=True):
                hidden.update(flags)
        return values[self.result]


@exclusive
def jvp(net: Module, x, v=None, direction=None) -> np.ndarray:
    """What y changes by along v in x, and along `direction` in the parameters: J v in forward mode.

        R{y} = dy/dx v + dy/dw direction

    Exact to rounding where each module has a `jvp` (all of this package have); a custom one without has its own part
    from differences, right to about 1e-9. It costs a forward pass and as many products again, or twice as many with
    parameters. The model's random numbers and running statistics move on as by `fprop`.

    Shapes: v as x; direction (P,) as `net.flat_parameters`; None stands for zeros. The result is as y.
    Errors: ValueError for another shape of v or direction, and for an x that the model refuses.
    Source: Goodfellow et al., Deep Learning, section 6.5.9, in the draft 6.4.4; Pearlmutter (1994), as of Curvature.
    """
    x = prepare_input(net, x)
    v = np.zeros_like(x) if v is None else check_direction(net, "v", v, x.shape)
    place_direction(net, direction)
    return get_program(net, "jvp", (x, v), tangent_program)(x, v)


@exclusive
def vjp(net: Module, x, grad_y) -> tuple[np.ndarray, np.ndarray]:
    """Jᵀ grad_y: the gradients of x, and of the parameters (P,), which are the model's gradients afterwards, too.

    Shapes: grad_y as y.
    Errors: ValueError for another shape of grad_y, and for an x that the model refuses.
    """
    x = prepare_input(net, x)
    y = net.fprop(x)
    if not isinstance(y, np.ndarray):
        raise TypeError(f"{net.label()}: its output is a table, expected one array")
    grad_y = check_direction(net, "grad_y", grad_y, y.shape)
    net.zero_grad()
    grad_x = net.bprop(grad_y)
    return grad_x, net.flat_gradients.copy()


def tangent_program(net: Module, x, v) -> Program:
    """Make the program of jvp: fprop, and each module's jvp after it."""
    passes = Passes(net)
    items, result = passes.tangents()
    title = f"Directional derivative of {net.outline()}."
    return Program(title, [*passes.fprop, *items], {"x": x, "v": v}, result)


def get_program(net: Module, name, arguments, make):
    """Get the program `make(net, *arguments)`, made once for arguments of these types, until the model changes."""
    key = (name, *map(get_array_key, arguments))
    if key not in net._plans:
        net._plans[key] = make(net, *arguments)
    return net._plans[key]


def prepare_input(net: Module, x) -> np.ndarray:
    """Convert x for the model; ValueError if it does not fit."""
    x = convert_input(net, 0, x)
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{net.label()}: x is a table of {len(x)} arrays, expected one array")
    check_input(net, [x])
    net.check_tokens(x)
    return x


def check_direction(net: Module, name: str, value, shape: tuple[int, ...]) -> np.ndarray:
    """Convert an array to the model's dtype; ValueError if it has another shape."""
    if np.shape(value) != tuple(shape):
        raise ValueError(f"{net.label()}: {name} has shape {np.shape(value)}, expected {tuple(shape)}")
    return make_writable(net, np.ascontiguousarray(value, net.dtype).reshape(shape))


def place_direction(net: Module, direction) -> None:
    """Give each parameter its part of the direction: `v_weight` beside `weight`."""
    if direction is not None:
        direction = check_direction(net, "direction", direction, (net.flat_parameters.size,))
    start, moved = 0, False
    for module, name in net._owners():
        hidden, place = vars(module), get_direction_name(module, name)
        shape, size = hidden[name].shape, hidden[name].size
        if place not in hidden or hidden[place].shape != shape or hidden[place].dtype != net.dtype:
            hidden[place], moved = np.empty(shape, net.dtype), True
        hidden[place][...] = 0 if direction is None else direction[start : start + size].reshape(shape)
        start += size
    if moved:
        retie(net)  # modules that share weights share their direction
        net.renew_states()
