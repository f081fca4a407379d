"""From operations to a compiled function: trace, check, print the source, compile, keep.

A plan's source is a small Python file of straight-line calls that anyone can read. It is found again by its name: a
digest of the modules' structure and settings, of the argument types, and of every source that the methods reach.
"""

import contextlib
import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import ModuleType

import numba
import numpy as np

from ..compiler.llvm_worker import compile_queue
from ..compiler.numba_api import NumbaError, global_compiler_lock
from . import cache
from .code_cache import cache_kernels
from .code_generator import format_settings, generate_plan
from .compiler import compiled_method, free
from .dependencies import names
from .errors import cannot_compile, explain_index, pass_on_layout
from .index_check import (
    checked_kind,
    copy_arrays,
    copy_state,
    has_users_methods,
    offer_checked,
    run_checked,
    warn_unchecked,
)
from .operations import Operation, Part, fuse, modules_of, parts
from .sources import digest
from .state import StateType, offer_method
from .stateful import Stateful, copy_tree, plain_python, raw_method, refuse_modules_in
from .trace import (
    check_precision,
    first_samples,
    forget_digests,
    numba_type,
    owner_key,
    state_type,
    warn_of_unhashable,
)

VECTORS = ("parameters", "gradients")  # (P,), not cut in the trial of a custom optimizer


@dataclass
class Function:
    """One function of a plan: operations from the named `inputs` to `results`.

    A `step` is printed as a loop over minibatches, too, in which the `scheduled` settings, (module, name), change, and
    the operations `before` come first.
    """

    name: str
    operations: list[Operation]
    inputs: tuple[str, ...]
    results: tuple[str, ...]
    step: bool = False
    scheduled: tuple[tuple[Stateful, str], ...] = ()
    before: tuple[Operation, ...] = ()
    later: frozenset[Stateful] = frozenset()  # those whose gradients are begun by others

    @cached_property
    def parts(self) -> list[Part]:
        """Its operations, fused where that saves time, and cut where modules in Python stand between."""
        fused = fuse(self.operations, set(self.results))
        return parts(fused, set(self.results), self.results[0] if self.step else "")

    @cached_property
    def ordered(self) -> list[Operation]:
        """All operations that are compiled, by the numbers that a check of indices reports."""
        return [*self.before, *(operation for part in self.parts for operation in part.operations)]


@dataclass
class Piece:
    """A part of a function, as calls run it: its name, the gradients to clear before it, whether it makes the loss.

    `entries` are the compiled functions for arguments of the kinds that came so far.
    """

    part: Part
    name: str
    cleared: tuple[str, ...]
    makes_loss: bool
    entries: dict = field(default_factory=dict)


class Plan:
    """Functions over one set of modules, compiled together with the modules' state blocks."""

    def __init__(self, title: str, functions: Sequence[Function], samples: dict, seeds: dict[str, str] | None = None):
        self.seeds = seeds or {}
        self.functions = {function.name: function for function in functions}
        operations = [o for function in functions for o in (*function.before, *function.operations)]
        self.modules = modules_of([operation for operation in operations if operation.module.jit])
        self.python_modules = [m for m in modules_of(operations) if not m.jit]
        self.flags: dict[tuple[Stateful, str], bool] = {}
        with global_compiler_lock:  # nets of one structure share what is loaded and compiled
            self.module, self.kinds = self._load(title, operations, samples)
        self.states = [module.bind(kind) for module, kind in self._bound()]
        self.table = np.array([state.address for state in self.states], np.int64)
        self.address = int(self.table.ctypes.data)
        self.roots = tuple(dict.fromkeys(lineage(module)[-1] for module in modules_of(operations)))
        self._hidden_of_roots = [vars(root) for root in self.roots]
        self._entries: dict = {}
        self._pieces: dict[str, list[Piece]] = {}
        self.checked = {name for name in vars(self.module) if name.startswith("checked_")}

    def _bound(self):
        return zip(self.modules, self.kinds, strict=True)

    def activate(self) -> None:
        """Make this plan's blocks the ones that attributes are read from, with this plan's flags."""
        for hidden in self._hidden_of_roots:
            if hidden["_running"] is not self:
                break
        else:
            return
        for module, state in zip(self.modules, self.states, strict=True):
            module.activate(state)
            for flag in module.flags:
                state.write(flag, self.flags.get((module, flag), True))
            bind_children(module, state)
        for module in (*self.modules, *self.python_modules):
            for owner in lineage(module):
                vars(owner)["_running"] = self
        for root in self.roots:
            root.overtaken()

    def entry(self, name: str, *arguments):
        """The compiled function `name` for arguments of these types, as something to call."""
        types = tuple(argument_type(argument) for argument in arguments)
        key = (name, types)
        if key not in self._entries:
            function = getattr(self.module, name)
            try:
                with compile_queue.session(use_worker=True):
                    function.compile(types)
            except NumbaError as error:
                raise cannot_compile(None, name, error) from None
            if name != "steps":  # which may be asked for before there is a minibatch
                self.check_indices(name, arguments)
            self._entries[key] = function.get_overload(types)
        return self._entries[key]

    def forget_entries(self) -> None:
        """Let the functions be looked for again in `module`, which has been exchanged for one without checks."""
        self._entries, self._pieces, self.checked = {}, {}, set()

    def check_indices(self, name: str, arguments, written: slice = slice(1, None)) -> None:
        """Run the function `name` with its indices checked, on copies: IndexError, or nothing at all has happened.

        `written` are the arguments that the function may write to.
        """
        if f"checked_{name}" not in self.checked or any(isinstance(each, numba.types.Type) for each in arguments):
            return
        function = getattr(self.module, f"checked_{name}")
        types = tuple(argument_type(argument) for argument in arguments)
        try:
            with compile_queue.session(use_worker=True):
                function.compile(types)
        except NumbaError as error:  # say, a function that compiles only as it is decorated
            warn_unchecked(self._ordered_of(name), error)
            return
        states = []
        for module, kind in zip(self.modules, self.kinds, strict=True):
            states.append(copy_state(module, checked_kind(kind) if has_users_methods(module) else kind))
            for flag in module.flags:
                states[-1].write(flag, self.flags.get((module, flag), True))
        table = np.array([state.address for state in states], np.int64)
        own = list(arguments)
        own[written] = [copy_arrays(each) for each in own[written]]
        run_checked(self._ordered_of(name), partial(function.get_overload(types), int(table.ctypes.data), *own[1:]))

    def _ordered_of(self, name: str) -> list[Operation]:
        """The operations of the function that an entry is, or is a part of."""
        owner = max((each for each in self.functions if name.startswith(each)), key=len)
        return self.functions[owner].ordered

    def caller(self, function: Function, *arguments):
        """What `call(function, ...)` does for arguments of these types, as a function of the arguments alone."""
        if [part.compiled for part in function.parts] != [True]:
            return partial(self.call, function)
        return partial(self.entry(function.name, self.address, *arguments), self.address)

    def call(self, function: Function, *arguments):
        """Run a function: in one go, or part by part where modules in Python stand between."""
        self.activate()
        cut = function.parts
        if [part.compiled for part in cut] == [True]:
            return self.caller(function, *arguments)(*arguments)
        values = dict(zip(function.inputs, arguments, strict=True))
        for piece in self._pieces_of(function):
            inputs = [values[name] for name in piece.part.reads]
            if piece.part.compiled:
                kinds = tuple([kind_of(value) for value in inputs])
                entry = piece.entries.get(kinds)
                if entry is None:
                    entry = piece.entries[kinds] = self.entry(piece.name, self.address, *inputs)
                values.update(zip(piece.part.makes, entry(self.address, *inputs), strict=True))
            else:
                operation = piece.part.operations[0]
                for gradient in piece.cleared:
                    vars(operation.module)[gradient].fill(0)
                values[operation.target] = run_python(operation, inputs)
            if piece.makes_loss and not math.isfinite(values[function.results[0]]):
                break
        results = tuple(values[name] for name in function.results)
        return results if function.step or len(results) > 1 else results[0]

    def _pieces_of(self, function: Function) -> list["Piece"]:
        """A function's parts, with what a call need not find out again."""
        if function.name not in self._pieces:
            self._pieces[function.name] = pieces = []
            for k, part in enumerate(function.parts):
                first, later = part.operations[0], function.later
                clears = function.step and not part.compiled and first.method == "bprop" and first.module not in later
                cleared = tuple(first.module.gradient_names()) if clears else ()
                targets = {operation.target for operation in part.operations}
                pieces.append(
                    Piece(part, f"{function.name}{k}", cleared, function.step and function.results[0] in targets)
                )
        return self._pieces[function.name]

    def _load(self, title, operations, samples) -> tuple[ModuleType, list[StateType]]:
        aliases = class_names(self.modules)
        bindings = {alias: cls for cls, alias in aliases.items()}
        forget_digests()
        name = "plan_" + digest(title, self._signature(operations, samples))
        for root in self.modules:
            for each in (root, *root.all_inside()):
                for method, function in each.compiled_methods().items():
                    offer_method(owner_key(each), method, partial(free, function))
                    if has_users_methods(root):
                        offer_checked(owner_key(each), method, function)
        module = cache.find_plan(name, bindings)
        if module is None:
            cache_kernels()
            with compile_queue.session(use_worker=True):
                kinds = self._trace(operations, samples)
            source = generate_plan(title, list(self.functions.values()), self.modules, kinds, aliases)
            cache.write_plan(name, source, keep=not warn_of_unhashable(self.modules))
            module = cache.load_plan(name, bindings)
        return module, module.STATES

    def _signature(self, operations, samples) -> str:
        """All that the plan's source is made from, as text."""
        index = {module: k for k, module in enumerate(modules_of(operations))}
        calls = [(o.target, index[o.module], o.method, o.arguments) for o in operations]
        shape = [
            (f.name, f.inputs, f.results, f.step, len(f.operations), format_settings(f.scheduled, index))
            for f in self.functions.values()
        ]
        texts = [description(module) for module in index]
        later = [[each in f.later for m in index for each in (m, *m.all_inside())] for f in self.functions.values()]
        kinds = {name: str(argument_type(value)) for name, value in samples.items()}
        return repr((calls, shape, later, texts, kinds))

    def _trace(self, operations, samples) -> list[StateType]:
        """Run the operations once as plain Python, on copies of the modules, then check that numba compiles them."""
        whole = {name for o in operations if is_custom(type(o.module)) for name in o.arguments if name in VECTORS}
        try:
            copies, values = self._try(operations, samples, whole)
        except Exception as error:
            few, many = first_samples(samples, whole), first_samples(samples, set(samples))
            if all(np.shape(few[name]) == np.shape(many[name]) for name in samples):
                error.add_note("in its trial as plain Python, before it is compiled")
                raise
            copies, values = self._try_all(operations, samples)
        wider: set[tuple[str, str]] = set()  # classes and attributes whose arrays need not be contiguous
        while True:
            kinds = {m: tree_type(copies[m], wider) for m in self.modules}
            attribute = self._check(kinds, values)
            if attribute is None:
                return [kinds[module] for module in self.modules]
            wider.add(attribute)

    def _try_all(self, operations, samples):
        """The trial on the whole minibatch, of what fails on two samples; if it fails too, the error says so."""
        try:
            return self._try(operations, samples, set(samples))
        except Exception as error:
            error.add_note("in its trial as plain Python on the whole minibatch, before it is compiled")
            raise error from None

    def _try(self, operations, samples, whole: set[str]):
        """Run the operations on copies, the arrays in `whole` uncut; returns the copies, and all values by name."""
        copies = copy_modules([*self.modules, *self.python_modules])
        values = first_samples(samples, whole)
        if any("training" in names(function.__code__) for m in copies for function in m.compiled_methods().values()):
            with contextlib.suppress(Exception):  # what the other mode stores; its errors are for another day
                self._run(operations, dict(values), copies, other_mode=True)
        self._run(operations, values, copies)
        return copies, values

    def _run(self, operations, values, copies, other_mode=False) -> None:
        """Run the operations as plain Python; `values` takes their results."""
        shapes: dict[Stateful, tuple] = {}
        flip_modes(copies, other_mode)
        try:
            for operation in operations:
                module = operation.module
                for name in operation.arguments:
                    if name in self.seeds:  # a gradient from outside: ones like its output will do
                        values[name] = np.ones_like(values[self.seeds[name]])
                arguments = [values[name] for name in operation.arguments]
                values[operation.target] = result = run(operation, copies[module], arguments)
                if operation.method == "fprop":
                    shapes[module] = np.shape(arguments[0])
                elif (
                    operation.method == "bprop"
                    and module in shapes
                    and arguments
                    and len(self.modules) > 1
                    and 0 not in module.label_arguments
                    and np.shape(result) != shapes[module]
                ):
                    raise wrong_shape(module, np.shape(result), shapes[module])
        finally:
            flip_modes(copies, other_mode)

    def _check(self, kinds, values) -> tuple[str, str] | None:
        """Compile each method by itself, so that a refusal names its module; a changed layout is given back."""
        types = {name: argument_type(value) for name, value in values.items()}
        todo = [o for f in self.functions.values() for o in f.before]
        todo += [o for f in self.functions.values() for part in f.parts if part.compiled for o in part.operations]
        for operation in todo:
            try:
                types[operation.target] = compiled_result(operation, kinds, types)
            except Exception:  # of which of the two, if it is a fused one?
                for single in operation.fused or (operation,):
                    try:
                        types[single.target] = compiled_result(single, kinds, types)
                    except Exception as error:  # numba's own kinds, and what it lets through
                        attribute = pass_on_layout(error)
                        if attribute is not None:
                            return attribute
                        raise cannot_compile(single.module, single.method, error) from None
                raise
        return None


def is_custom(cls: type) -> bool:
    """Whether a class is none of this package's: how its methods read and write their arrays, nobody knows."""
    return not cls.__module__.startswith(__name__.partition(".")[0] + ".")


def compiled_result(operation: Operation, kinds, types):
    """Compile an operation's method; the type of its result."""
    function = compiled_method(raw_method(type(operation.module), operation.method))
    modules = [operation.module] if operation.partner is None else [operation.module, operation.partner]
    signature = (*(kinds[module] for module in modules), *(types[name] for name in operation.arguments))
    signature += omitted(function.py_func, len(signature))
    function.compile(signature)
    result = function.overloads[signature].signature.return_type
    expected = types.get(operation.target)
    if isinstance(result, numba.types.Array) and str(result.dtype) != str(getattr(expected, "dtype", result)):
        raise WrongResult(f"it returns {result.dtype} where plain Python returns {expected.dtype}")
    return result


def kind_of(value):
    """What tells apart values for which an entry is compiled anew; quicker to find than numba's type."""
    return (value.dtype.str, value.ndim) if isinstance(value, np.ndarray) else type(value)


class WrongResult(Exception):
    """A compiled method returns another type than the same method as plain Python."""


def argument_type(value):
    """The numba type of an entry's argument: numbers by their Python type, arrays as contiguous."""
    if isinstance(value, numba.types.Type):
        return value
    if value is None:
        return numba.types.none
    return numba_type(value, np.dtype(np.float64))


def omitted(function, count: int) -> tuple:
    """The types of the arguments that a call with `count` ones leaves to their defaults."""
    left = list(inspect.signature(function).parameters.values())[count:]
    return tuple(numba.types.Omitted(each.default) for each in left if each.default is not each.empty)


def run(operation: Operation, module: Stateful, arguments):
    """One operation as plain Python, its errors marked with the module's place, its result checked."""
    try:
        with plain_python(), np.errstate(all="ignore"):  # compiled code warns of nothing
            result = getattr(module, operation.method)(*arguments)
        result = result if module.jit else in_row_order(result)
        check_precision(module, operation.method, result, arguments)
    except IndexError as error:
        explained = explain_index(operation.module, error, *arguments)
        operation.module.add_place(explained)
        raise explained from error
    except Exception as error:
        operation.module.add_place(error)
        raise
    return result


def flip_modes(copies, flip: bool) -> None:
    """Switch the copies, and what is in them, between training and evaluation, if `flip`."""
    for copy in copies.values():
        for each in (copy, *copy.all_inside()):
            if flip and "training" in vars(each):
                vars(each)["training"] = not vars(each)["training"]


def wrong_shape(module: Stateful, shape, expected) -> ValueError:
    """The error for a bprop whose result has not the shape of x."""
    error = ValueError(f"{module.label()}: bprop returns a grad_x of shape {shape}, expected {expected}, that of x")
    module.add_place(error)
    return error


def lineage(module: Stateful) -> list[Stateful]:
    """A module and those it stands in, up to the whole net."""
    line = [module]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    return line


def run_python(operation: Operation, arguments):
    """An operation of a module with `jit = False`, between compiled parts."""
    module = operation.module
    if type(module) not in _told:
        _told.add(type(module))
        warnings.warn(f"{module.label()} has jit = False: it runs as Python between compiled parts", stacklevel=2)
    return in_row_order(getattr(module, operation.method)(*arguments))


def in_row_order(value):
    """An array as compiled code expects it from Python; what is none as it is."""
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) and value.ndim else value


_told: set[type] = set()


def copy_modules(modules) -> dict[Stateful, Stateful]:
    """Copies that know their place in the net but share nothing with it."""
    return {module: copy_tree(module) for module in modules}


def tree_type(module: Stateful, wider: set[tuple[str, str]]) -> StateType:
    """The state type of a module and of the modules inside it."""
    children = {name: tree_type(child, wider) for name, child in module.children_inside().items()}
    return state_type(module, children, wider)


def bind_children(module: Stateful, state) -> None:
    """Point a block at the blocks of the modules inside its module."""
    for name, child in module.children_inside().items():
        inner = child.bind(state.kind.types[name])
        child.activate(inner)
        state.write(name, inner)
        bind_children(child, inner)


def class_names(modules) -> dict[type, str]:
    """A name for each class in the plan's source; two classes of one name are numbered."""
    names: dict[type, str] = {}
    for module in modules:
        for cls in (type(module), *(type(inner) for inner in module.all_inside())):
            if cls not in names:
                taken = sum(name.rstrip("0123456789") == cls.__name__ for name in names.values())
                names[cls] = cls.__name__ + (str(taken + 1) if taken else "")
    return names


def description(module: Stateful) -> str:
    """A module's class and the types of its settings, as text."""
    lines = [owner_key(module), str(module.dtype), str(module.jit)]
    for name, value in sorted({**vars(module), **module._initial}.items()):
        if not name.startswith("_"):
            refuse_modules_in(module, name, value)  # that were put there after it was assigned
            literal = value is None or isinstance(value, str)
            lines.append(f"{name}={value!r}" if literal else f"{name}: {numba_type(value, module.dtype)}")
    lines += [f"{name}=({description(child)})" for name, child in module.children_inside().items()]
    return "; ".join(lines)
