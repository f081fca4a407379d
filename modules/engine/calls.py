"""The doors between Python and compiled modules: `module.fprop(x)` and `module.bprop(grad_y)`.

Here, once, arguments are converted, shapes are checked and calls are paired, so that compiled code need not.
"""

import numpy as np

from .operations import Operations
from .plan import Function, Plan, wrong_shape
from .stateful import jit_disabled

INT64 = np.dtype(np.int64)


def fprop(module, raw, arguments):
    """Run a module forward on the caller's arrays; the result is the caller's own."""
    arguments = [as_input(module, k, argument) for k, argument in enumerate(arguments)]
    check_input(module, arguments)
    if not module.jit or jit_disabled():
        y, plan = raw(module, *arguments), None
        if isinstance(y, np.ndarray):
            y = y.copy()
    else:
        plan = module_plan(module, arguments)
        y = plan.fprop(*arguments)
    vars(module)["_pending"] = (plan, y.shape if isinstance(y, np.ndarray) else (), arguments[0].shape)
    return y


def bprop(module, raw, arguments):
    """Run a module backward; once for each `fprop`, with a gradient of its output's shape."""
    if module._pending is None:
        error = RuntimeError(f"{module.label()}: bprop without a matching fprop; call fprop(x) first")
        module.add_place(error)
        raise error
    plan, shape, input_shape = module._pending
    arguments = [as_input(module, None, argument) for argument in arguments]
    if arguments and arguments[0].shape != shape:
        error = ValueError(f"{module.label()}: grad_y has shape {arguments[0].shape}, expected {shape}")
        module.add_place(error)
        raise error
    vars(module)["_pending"] = None
    if plan is None:
        grad_x = raw(module, *arguments)
        if arguments and module.parent is not None and np.shape(grad_x) != input_shape:
            raise wrong_shape(module, np.shape(grad_x), input_shape)
        return grad_x.copy() if isinstance(grad_x, np.ndarray) else grad_x
    return plan.bprop(module, *arguments)


def as_input(module, position, value) -> np.ndarray:
    """An array of numbers in the module's floating type, contiguous; labels stay whole numbers."""
    wanted = INT64 if position in module.label_arguments else module._dtype
    if type(value) is np.ndarray and value.dtype == wanted and value.flags.c_contiguous:
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{module.label()}: got an array of dtype {array.dtype}, expected numbers")
    dtype = module._dtype if array.dtype.kind == "f" else wanted
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def check_input(module, arguments) -> None:
    """Refuse a shape that does not fit, once for each new shape."""
    shapes = tuple([argument.shape for argument in arguments])
    if shapes not in module._checked:
        if not shapes[0] or shapes[0][0] == 0:
            raise ValueError(f"{module.label()}: x has shape {shapes[0]}, expected at least one sample")
        module._checked[shapes] = module.check_arguments(*shapes)


class ModulePlan:
    """A module's compiled forward and backward pass for arguments of given types."""

    def __init__(self, module, arguments):
        forward, backward = Operations(), Operations()
        inputs = tuple(f"x_{k}" if k else "x" for k in range(len(arguments)))
        y = forward.fprop(module, *inputs)
        backward.items += forward.items
        seeds = ("grad_y",) if module.takes_gradient else ()
        grad_x = backward.bprop(module, *seeds)
        self.forward = Function("fprop", forward.items, inputs, (y,))
        self.backward = Function("bprop", backward.items[len(forward.items) :], seeds, (grad_x,))
        self.samples, self.seeds = dict(zip(inputs, arguments, strict=True)), dict.fromkeys(seeds, y)
        self.broken, self._entries = False, {}
        try:
            self.plan = self._plan(module, [self.forward, self.backward])
        except Exception:  # is it fprop that fails, or only bprop? Then fprop shall work all the same.
            self.plan = self._plan(module, [self.forward])
            self.broken = True

    def _plan(self, module, functions) -> Plan:
        return Plan(f"Forward and backward pass of {module.outline()}.", functions, self.samples, self.seeds)

    def fprop(self, *arguments):
        return self._call(self.forward, arguments)

    def bprop(self, module, *arguments):
        if self.broken:
            self._plan(module, [self.forward, self.backward])  # raises what is wrong
        return self._call(self.backward, arguments)

    def _call(self, function, arguments):
        entry = self._entries.get(function.name)
        if entry is None:
            entry = self._entries[function.name] = self.plan.caller(function, *arguments)
        self.plan.activate()
        result = entry(*arguments)
        return result.copy() if isinstance(result, np.ndarray) else result


def module_plan(module, arguments) -> ModulePlan:
    """The plan of a module for arguments of these types."""
    key = tuple([(argument.dtype.char, argument.ndim) for argument in arguments])
    plan = module._plans.get(key)
    if plan is None:
        plan = module._plans[key] = ModulePlan(module, arguments)
    return plan
