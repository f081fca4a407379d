"""Entry points from Python into compiled modules: `module.fprop(x)` and `module.bprop(grad_y)`.

Here, once, arguments are converted, shapes are checked and calls are paired, so that compiled code need not.
"""

from threading import get_ident

import numpy as np

from .errors import explain_deepest
from .locks import find_other_training, refuse_during_fit
from .operations import Function, Operations
from .plan import Plan, is_custom, make_shape_error
from .state import State
from .stateful import jit_disabled, reads_later
from .tables import flatten_table, is_table, map_table, shape_of, unflatten_table

INT64 = np.dtype(np.int64)
LARGE = 65535  # bytes: a copy of less costs no more than asking who holds it


def fprop(module, raw, arguments):
    """Run a module forward on the caller's arrays; the result shares no memory with the module."""
    if module._lock.shared.trainings:
        refuse_training_mode(module)
    arguments = convert_inputs(module, arguments)
    check_input(module, arguments)
    if module._readers != ():
        module.check_tokens(arguments[0])
    if not module.jit or jit_disabled():
        y, plan = map_table(copy_array, run_plain(module, raw, arguments)), None
    else:
        plan = find_plan(module, arguments)
        y = plan.fprop(*arguments)
    x = arguments[0]
    y_shape, x_shape = (y.shape, x.shape) if type(x) is type(y) is np.ndarray else (shape_of(y), shape_of(x))
    vars(module)["_pending"] = (plan, y_shape, x_shape, get_ident())
    return y


def run_plain(module, raw, arguments):
    """Run a module's method as Python; an error of an index names the module that uses it."""
    try:
        return raw(module, *arguments)
    except IndexError as error:
        explained = explain_deepest(error)
        if explained is error:
            raise
        raise explained from error


def bprop(module, raw, arguments):
    """Run a module backward; once for each `fprop`, with a gradient of its output's shape."""
    if module._lock.shared.trainings:
        refuse_during_fit(module, "bprop")
    if module._pending is None:
        error = RuntimeError(f"{module.label()}: bprop without a matching fprop; call fprop(x) first")
        module.add_place(error)
        raise error
    plan, shape, input_shape, thread = module._pending
    if thread != get_ident():
        error = RuntimeError(
            f"{module.label()}: bprop in another thread than the last fprop, expected both in one; "
            "module.copy() gives each thread its own model"
        )
        module.add_place(error)
        raise error
    arguments = [convert_input(module, None, argument) for argument in arguments]
    if arguments and shape_of(arguments[0]) != shape:
        error = ValueError(f"{module.label()}: grad_y has shape {shape_of(arguments[0])}, expected {shape}")
        module.add_place(error)
        raise error
    vars(module)["_pending"] = None
    if plan is None:
        grad_x = raw(module, *arguments)
        labels = 0 in module.label_arguments
        if arguments and module.parent is not None and not labels and shape_of(grad_x) != input_shape:
            raise make_shape_error(module, shape_of(grad_x), input_shape)
        return map_table(copy_array, grad_x)
    return plan.bprop(module, *arguments)


def refuse_training_mode(module) -> None:
    """RuntimeError where this fprop would change what another thread's training depends on."""
    changing = [each for each in module.all_modules() if each.changes_in_training()]
    if changing and find_other_training(module) is not None:
        hint = f"which changes {changing[0].label()}; expected Trainer.predict, or a copy in evaluation mode"
        refuse_during_fit(module, "fprop in training mode", hint)


def copy_array(value):
    """Copy an array; other values stay as they are."""
    return value.copy() if isinstance(value, np.ndarray) else value


def convert_inputs(module, arguments) -> list:
    """Convert all arguments of a module's fprop to the types that it takes."""
    first = convert_input(module, 0, arguments[0])
    if len(arguments) == 1:
        return [first]
    ndim = getattr(first, "ndim", None)
    return [first, *[convert_input(module, k, argument, ndim) for k, argument in enumerate(arguments[1:], start=1)]]


def convert_input(module, position, value, ndim=None):
    """Convert an argument to a contiguous array of the module's dtype, labels to int64; likewise each array of a table.

    ndim: how many axes the first argument has, where a label argument may be a distribution with as many.
    """
    labels = module._labels if module._labels is not None else module.label_arguments  # the former without a call
    dtype = INT64 if position in labels else module._dtype
    if type(value) is np.ndarray and value.dtype == dtype and (flags := value.flags).c_contiguous and flags.writeable:
        return value
    if is_table(value):
        places = module.which_are_labels(value) if position == 0 else map_table(lambda _: dtype is INT64, value)
        return convert_table(module, value, places)
    if dtype is INT64 and module.takes_distributions and np.ndim(value) == ndim and np.asarray(value).dtype.kind == "f":
        dtype = module._dtype
    return convert_array(module, position, value, dtype)


def convert_table(module, table, labels) -> tuple:
    """Convert the arrays of a table, some of which may be labels."""
    return tuple(
        convert_table(module, item, label)
        if is_table(item)
        else convert_array(module, 0, item, INT64 if label else module._dtype)
        for item, label in zip(table, labels, strict=True)
    )


def convert_array(module, position, value, dtype) -> np.ndarray:
    """Convert to a contiguous array of this dtype; refuse labels that are no whole numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{module.label()}: got an array of dtype {array.dtype}, expected numbers")
    if dtype is INT64 and (array.dtype.kind == "f" or array.dtype == np.uint64):
        check_whole(module, position, array)
    return make_writable(module, np.ascontiguousarray(array, dtype).reshape(array.shape))


def make_writable(module, array: np.ndarray) -> np.ndarray:
    """Copy an array that is read-only, as compiled code might write into it; others stay.

    The modules of this package write into none of their arguments; what a custom one does, nobody knows.
    """
    if array.flags.writeable or not any(is_custom(type(each)) for each in module.all_modules()):
        return array
    return array.copy()


def check_whole(module, position: int, array: np.ndarray) -> None:
    """Raise ValueError that names the first row of labels that are no whole numbers, or too large for int64."""
    wide = array.astype(np.float64)
    whole = (np.floor(wide) == wide) & (np.abs(wide) < 2.0**63)
    if not whole.all():
        place = tuple(np.argwhere(~whole)[0]) if array.ndim else ()
        what, row = ("x has" if position == 0 else "label"), place[0] if place else 0
        error = ValueError(f"{module.label()}: {what} {array[place]:g} in row {row}, expected whole numbers")
        module.add_place(error)
        raise error


def check_input(module, arguments) -> None:
    """Check the shapes of the arguments, once for each new combination."""
    shapes = tuple([a.shape if type(a) is np.ndarray else shape_of(a) for a in arguments])
    if shapes not in module._checked:
        if any(not leaf.ndim or not len(leaf) for leaf in flatten_table(arguments[0])):
            raise ValueError(f"{module.label()}: x has shape {shapes[0]}, expected at least one sample")
        if any(not leaf.size for leaf in flatten_table(arguments[0])):
            raise ValueError(f"{module.label()}: x has shape {shapes[0]}, expected no axis of size 0")
        module._checked[shapes] = module.check_arguments(*shapes)


class ModulePlan:
    """A module's compiled forward and backward pass for arguments of given types."""

    def __init__(self, module, arguments):
        forward, backward = Operations(), Operations()
        inputs = name_results("x", arguments := tuple(arguments))
        self.y = forward.fprop(module, *inputs)
        backward.items += forward.items
        seeds = (name_results("grad_y", self.y),) if module.takes_gradient else ()
        self.grad_x = backward.bprop(module, *seeds)
        self.forward = Function("fprop", forward.items, tuple(flatten_table(inputs)), tuple(flatten_table(self.y)))
        later = backward.items[len(forward.items) :]
        self.backward = Function("bprop", later, tuple(flatten_table(seeds)), tuple(flatten_table(self.grad_x)))
        self.samples = dict(zip(flatten_table(inputs), flatten_table(arguments), strict=True))
        self.seeds = dict(zip(flatten_table(seeds), flatten_table(self.y), strict=True)) if seeds else {}
        self.broken, self._entries = False, {}
        self._homes: dict[str, State] = {}  # of the last "y" and "grad_x" that were handed out
        self.tables = any(type(each) is tuple for each in (*inputs, self.y))
        try:
            self.plan = self._plan(module, [self.forward, self.backward])
        except Exception:  # is it fprop that fails, or only bprop? Then fprop shall work all the same.
            self.plan = self._plan(module, [self.forward])
            self.broken = True

    def _plan(self, module, functions) -> Plan:
        return Plan(f"Forward and backward pass of {module.outline()}.", functions, self.samples, self.seeds)

    def fprop(self, *arguments):
        return self._call(self.forward, self.y, arguments)

    def bprop(self, module, *arguments):
        if self.broken:
            self._plan(module, [self.forward, self.backward])  # raises what is wrong
        return self._call(self.backward, self.grad_x, arguments)

    def _call(self, function, like_names, arguments):
        if self.tables:
            arguments = flatten_table(arguments)
        entry = self._entries.get(function.name)
        if entry is None:
            entry = self._entries[function.name] = self.plan.caller(function, *arguments)
        self.plan.activate()
        for name, home in self._homes.items():
            if name == "grad_x" or function is self.forward:
                home.copy_if_shared(name)
        result = entry(*arguments)
        if type(like_names) is tuple:
            result = unflatten_table(like_names, list(result) if len(function.results) > 1 else [result])
            return map_table(copy_array, result)
        if isinstance(result, np.ndarray) and result.nbytes > LARGE:
            return self._return_without_copy("y" if function is self.forward else "grad_x", result)
        return copy_array(result)

    def _return_without_copy(self, name: str, result: np.ndarray) -> np.ndarray:
        """Return a large `self.grad_x`, or `self.y` where no `bprop` reads it, without a copy; else a copy.

        Of this package's modules only: what a user's module does with its arrays, nobody knows. If the caller still
        holds it at the next call, the module goes on with memory of its own.
        """
        home = self._homes.get(name)
        if home is None or not home.owns(name, result):
            self._homes.pop(name, None)
            for module, state in zip(self.plan.modules, self.plan.states, strict=True):
                is_owned = name in state.kind.types and state.owns(name, result)
                if is_owned and can_hand_out(type(module), name):
                    self._homes[name] = state
        return result if name in self._homes else result.copy()


def can_hand_out(cls, name: str) -> bool:
    """Whether the caller may get the memory of `self.<name>`: in this package's classes, if it is not read later."""
    return not is_custom(cls) and (name == "grad_x" or not (cls.needs_y and reads_later(cls, name)))


def name_results(name: str, values):
    """Name each leaf of a table: `x`, `x_1`, `x_2`."""
    return unflatten_table(values, [f"{name}_{k}" if k else name for k in range(len(flatten_table(values)))])


def get_array_key(array: np.ndarray) -> tuple[str, int]:
    """Get the dtype and number of axes of an array, which determine a plan."""
    return array.dtype.char, array.ndim


def find_plan(module, arguments) -> ModulePlan:
    """Find the plan of a module for arguments of these types; make it at the first call."""
    key = tuple([(a.dtype.char, a.ndim) if type(a) is np.ndarray else map_table(get_array_key, a) for a in arguments])
    plan = module._plans.get(key)
    if plan is None:
        plan = module._plans[key] = ModulePlan(module, arguments)
    return plan
