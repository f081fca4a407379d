"""Plans: from a list of operations to compiled functions, by tracing types, generating source, and compiling it.

A plan's source is a small, readable Python file of straight-line calls. Its name in the code cache is a digest of the
modules' structure and settings, of the argument types, and of all sources that the methods depend on.
"""

import contextlib
import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import numba
import numpy as np

from ..compiler.llvm_worker import compile_queue
from ..compiler.numba_api import NumbaError, global_compiler_lock
from . import cache
from .code_cache import cache_kernels
from .code_generator import format_settings, generate_plan
from .compiler import get_inner_dispatcher, get_method_dispatcher
from .dependencies import collect_names
from .errors import explain_index, find_changed_layout, make_compile_error
from .index_check import (
    copy_arrays,
    copy_state,
    has_users_methods,
    make_checked_type,
    register_checked_method,
    run_checked,
    warn_unchecked,
)
from .method_calls import compile_call
from .operations import (
    Function,
    Operation,
    Part,
    Repeat,
    as_contiguous,
    iterate_cleared,
    list_modules,
    run_function,
    run_method,
)
from .sources import digest
from .state import StateType, register_method
from .stateful import Stateful, copy_hierarchy, get_raw_method, plain_python, refuse_modules_in
from .trace import (
    check_precision,
    forget_digests,
    get_numba_type,
    get_owner_name,
    make_attribute_type,
    take_first_samples,
    warn_of_unhashable,
)

VECTORS = ("parameters", "gradients")  # (P,), passed whole in the trial run of a custom optimizer


@dataclass
class PartCall:
    """A call of a part of a function: its name, the gradients to clear before it, whether it computes the loss."""

    part: Part
    name: str
    cleared: tuple[tuple[Stateful, str], ...]
    makes_loss: bool


class Plan:
    """Functions over one set of modules, compiled together with the modules' state blocks."""

    def __init__(self, title: str, functions: Sequence[Function], samples: dict, seeds: dict[str, str] | None = None):
        self.seeds = seeds or {}
        self.functions = {function.name: function for function in functions}
        operations = [o for function in functions for o in (*function.before, *function.operations)]
        self.modules = list_modules([operation for operation in operations if operation.jit])
        self.python_modules = [m for m in list_modules(operations) if m not in self.modules]
        self.flags: dict[tuple[Stateful, str], bool] = {}
        with global_compiler_lock:  # models of one structure share the loaded code
            self.module, self.kinds = self._load(title, operations, samples)
        self.states = [module.bind(kind) for module, kind in self._bound()]
        self.table = np.array([state.address for state in self.states], np.int64)
        self.address = int(self.table.ctypes.data)
        self.roots = tuple(dict.fromkeys(list_ancestors(module)[-1] for module in list_modules(operations)))
        self._hidden_of_roots = [vars(root) for root in self.roots]
        self._entries: dict = {}
        self._callers: dict = {}
        self._pieces: dict[str, list[PartCall]] = {}
        self.checked = {name for name in vars(self.module) if name.startswith("checked_")}

    def _bound(self):
        return zip(self.modules, self.kinds, strict=True)

    def activate(self) -> None:
        """Make the modules read their attributes from this plan's state blocks, with this plan's flags."""
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
            for owner in list_ancestors(module):
                vars(owner)["_running"] = self
        for root in self.roots:
            root.on_plan_change()

    def entry(self, name: str, *arguments):
        """Compile the function `name` for arguments of these types, once; returns it for Python to call."""
        key = (name, *[get_type_key(argument) for argument in arguments])
        if key not in self._entries:
            types = tuple(get_argument_type(argument) for argument in arguments)
            function = getattr(self.module, name)
            try:
                with compile_queue.session(use_worker=True):
                    function.compile(types)
            except NumbaError as error:
                raise make_compile_error(None, name, error) from None
            if name != "steps":  # which may be asked for before there is a minibatch
                self.check_indices(name, arguments)
            self._entries[key] = function.get_overload(types)
        return self._entries[key]

    def forget_entries(self) -> None:
        """Forget the compiled functions, when `module` has been replaced by one without bounds checks."""
        self._entries, self._callers, self._pieces, self.checked = {}, {}, {}, set()

    def check_indices(self, name: str, arguments, written: slice = slice(1, None)) -> None:
        """Run the function `name` with bounds checks, on copies of all state; IndexError if an index is out of range.

        `written` are the arguments that the function may write to.
        """
        if f"checked_{name}" not in self.checked or any(isinstance(each, numba.types.Type) for each in arguments):
            return
        function = getattr(self.module, f"checked_{name}")
        types = tuple(get_argument_type(argument) for argument in arguments)
        try:
            with compile_queue.session(use_worker=True):
                function.compile(types)
        except NumbaError as error:  # say, a function that compiles only as it is decorated
            warn_unchecked(self._find_operations(name), error)
            return
        states = []
        for module, kind in zip(self.modules, self.kinds, strict=True):
            states.append(copy_state(module, make_checked_type(kind) if has_users_methods(module) else kind))
            for flag in module.flags:
                states[-1].write(flag, self.flags.get((module, flag), True))
        table = np.array([state.address for state in states], np.int64)
        own = list(arguments)
        own[written] = [copy_arrays(each) for each in own[written]]
        run_checked(
            self._find_operations(name), partial(function.get_overload(types), int(table.ctypes.data), *own[1:])
        )

    def _find_operations(self, name: str) -> list[Operation]:
        """Find the operations of a function by the name of an entry, which may be a part of it."""
        owner = max((each for each in self.functions if name.startswith(each)), key=len)
        return self.functions[owner].ordered

    def caller(self, function: Function, *arguments):
        """What `call(function, ...)` does for arguments of these types, as a function of the arguments alone."""
        if [part.compiled for part in function.parts] != [True]:
            return partial(self.call, function)
        key = (function.name, *[get_type_key(argument) for argument in arguments])
        if key not in self._callers:
            self._callers[key] = self._compile_method_call(function, arguments) or partial(
                self.entry(function.name, self.address, *arguments), self.address
            )
        return self._callers[key]

    def _compile_method_call(self, function: Function, arguments):
        """Compile a call of the method of the only operation; None where there are more, or where it needs an entry."""
        operation, types = function.ordered[0], tuple(get_argument_type(argument) for argument in arguments)
        modules = operation.modules
        passes_on = operation.arguments == function.inputs and function.results == (operation.target,)
        if function.step or len(function.ordered) > 1 or not passes_on or modules != self.modules[: len(modules)]:
            return None
        method = get_raw_method(type(operation.module), operation.method)
        if list_omitted(method, len(modules) + len(types)):
            return None
        try:
            with compile_queue.session(use_worker=True):
                call = compile_call(
                    f"{self.module.__name__}.{function.name}", method, self.kinds[: len(modules)], types
                )
        except NumbaError as error:
            raise make_compile_error(None, function.name, error) from None
        if call is not None:
            self.check_indices(function.name, (self.address, *arguments))
        return call and partial(call, self.address)

    def call(self, function: Function, *arguments):
        """Run a function: in one call, or part by part where modules run as Python."""
        self.activate()
        parts = function.parts
        if [part.compiled for part in parts] == [True]:
            return self.caller(function, *arguments)(*arguments)
        values = dict(zip(function.inputs, arguments, strict=True))
        if function.repeats_across_parts:
            return run_function(function, values)
        for piece in self._split_function(function):
            inputs = [values[name] for name in piece.part.reads]
            if piece.part.compiled:
                entry = self.entry(piece.name, self.address, *inputs)
                values.update(zip(piece.part.makes, entry(self.address, *inputs), strict=True))
            else:
                operation = piece.part.operations[0]
                for module, gradient in piece.cleared:
                    vars(module)[gradient].fill(0)
                values[operation.target] = run_python(operation, inputs)
            if piece.makes_loss and not math.isfinite(values[function.results[0]]):
                break
        results = tuple(values[name] for name in function.results)
        return results if function.step or len(results) > 1 else results[0]

    def _split_function(self, function: Function) -> list["PartCall"]:
        """Prepare the calls of a function's parts, once."""
        if function.name not in self._pieces:
            self._pieces[function.name] = pieces = []
            for k, part in enumerate(function.parts):
                first = part.operations[0]
                cleared = () if part.compiled else tuple(iterate_cleared(function, first))
                targets = {operation.target for operation in part.operations}
                pieces.append(
                    PartCall(part, f"{function.name}{k}", cleared, function.step and function.results[0] in targets)
                )
        return self._pieces[function.name]

    def _load(self, title, operations, samples) -> tuple[ModuleType, list[StateType]]:
        aliases = name_classes(self.modules)
        bindings = {alias: cls for cls, alias in aliases.items()}
        forget_digests()
        name = "plan_" + digest(title, self._describe(operations, samples))
        for root in self.modules:
            for each in (root, *root.iterate_inside()):
                for method, function in each.list_compiled_methods().items():
                    register_method(get_owner_name(each), method, partial(get_inner_dispatcher, method, function))
                    if has_users_methods(each):
                        register_checked_method(get_owner_name(each), method, function)
        module = cache.find_plan(name, bindings)
        if module is None:
            cache_kernels()
            with compile_queue.session(use_worker=True):
                kinds = self._trace(operations, samples)
            source = generate_plan(title, list(self.functions.values()), self.modules, kinds, aliases)
            cache.write_plan(name, source, keep=not warn_of_unhashable(self.modules))
            module = cache.load_plan(name, bindings)
        return module, module.STATES

    def _describe(self, operations, samples) -> str:
        """Describe, as text, all that the plan's source depends on."""
        index = {module: k for k, module in enumerate(list_modules(operations))}
        repeats = list(dict.fromkeys(o.repeat for o in operations if o.repeat is not None))
        calls = [describe_operation(o, index, repeats) for o in operations]
        shape = [
            (f.name, f.inputs, f.results, f.step, len(f.operations), format_settings(f.scheduled, index), f.cut)
            + (("sharded",) if f.sharded else ())
            for f in self.functions.values()
        ]
        texts = [describe_module(module) for module in index]
        later = [[each in f.later for m in index for each in (m, *m.iterate_inside())] for f in self.functions.values()]
        kinds = {name: str(get_argument_type(value)) for name, value in samples.items()}
        return repr((calls, shape, later, texts, kinds))

    def _trace(self, operations, samples) -> list[StateType]:
        """Find the types of all state: run the operations as plain Python on copies, then compile them."""
        whole = {name for o in operations if is_custom(type(o.module)) for name in o.arguments if name in VECTORS}
        try:
            copies, values = self._run_trial(operations, samples, whole)
        except Exception as error:
            few, many = take_first_samples(samples, whole), take_first_samples(samples, set(samples))
            if all(np.shape(few[name]) == np.shape(many[name]) for name in samples):
                error.add_note("in its trial as plain Python, before it is compiled")
                raise
            copies, values = self._run_whole_trial(operations, samples)
        wider: set[tuple[str, str]] = set()  # classes and attributes whose arrays need not be contiguous
        while True:
            kinds = {m: make_state_type(copies[m], wider) for m in self.modules}
            attribute = self._check(kinds, values)
            if attribute is None:
                return [kinds[module] for module in self.modules]
            wider.add(attribute)

    def _run_whole_trial(self, operations, samples):
        """Repeat a trial run that failed on two samples on the whole minibatch; if it fails, the error notes that."""
        try:
            return self._run_trial(operations, samples, set(samples))
        except Exception as error:
            error.add_note("in its trial as plain Python on the whole minibatch, before it is compiled")
            raise error from None

    def _run_trial(self, operations, samples, whole: set[str]):
        """Run the operations on copies, with two samples (all, for arrays in `whole`); returns copies and values."""
        copies = copy_modules([*self.modules, *self.python_modules])
        values = take_first_samples(samples, whole)
        if any(
            "training" in collect_names(function.__code__)
            for m in copies
            for function in m.list_compiled_methods().values()
        ):
            with contextlib.suppress(Exception):  # what the other mode stores; its errors do not matter here
                self._run(operations, dict(values), copies, other_mode=True)
        self._run(operations, values, copies)
        return copies, values

    def _run(self, operations, values, copies, other_mode=False) -> None:
        """Run the operations as plain Python; adds their results to `values`."""
        shapes: dict[Stateful, tuple] = {}
        flip_modes(copies, other_mode)
        try:
            for operation in operations:
                module = operation.module
                for name in operation.arguments:
                    if name in self.seeds:  # a gradient from the caller: any of the output's shape will do
                        values[name] = np.ones_like(values[self.seeds[name]])
                arguments = [values[name] for name in operation.arguments]
                arguments = arguments if operation.other is None else [copies[operation.other], *arguments]
                values[operation.target] = result = run(operation, copies[module], arguments)
                if operation.other is not None:
                    continue
                if operation.method == "fprop":
                    shapes[module] = np.shape(arguments[0])
                elif (
                    operation.method == "bprop"
                    and module in shapes
                    and arguments
                    and len(self.modules) > 1
                    and 0 not in module.label_arguments
                    and getattr(copies[module], "needs_grad_x", True)
                    and np.shape(result) != shapes[module]
                ):
                    raise make_shape_error(module, np.shape(result), shapes[module])
        finally:
            flip_modes(copies, other_mode)

    def _check(self, kinds, values) -> tuple[str, str] | None:
        """Compile each method by itself, so that an error names its module; returns an attribute of changed layout."""
        types = {name: get_argument_type(value) for name, value in values.items()}
        todo = [o for f in self.functions.values() for o in f.before]
        todo += [o for f in self.functions.values() for part in f.parts if part.compiled for o in part.operations]
        for operation in todo:
            try:
                types[operation.target] = compile_operation(operation, kinds, types)
            except Exception:  # of which of the two, if it is a fused one?
                for single in operation.fused or (operation,):
                    try:
                        types[single.target] = compile_operation(single, kinds, types)
                    except Exception as error:  # numba's own kinds, and what it lets through
                        attribute = find_changed_layout(error)
                        if attribute is not None:
                            return attribute
                        raise make_compile_error(single.module, single.method, error) from None
                raise
        return None


def is_custom(cls: type) -> bool:
    """Whether a class is user-defined: nothing is known of how its methods use their arrays."""
    return not cls.__module__.startswith(__name__.partition(".")[0] + ".")


def compile_operation(operation: Operation, kinds, types):
    """Compile an operation's method; returns the type of its result."""
    function = get_method_dispatcher(get_raw_method(type(operation.module), operation.method))
    signature = (*(kinds[module] for module in operation.modules), *(types[name] for name in operation.arguments))
    signature += list_omitted(function.py_func, len(signature))
    function.compile(signature)
    result = function.overloads[signature].signature.return_type
    expected = types.get(operation.target)
    if isinstance(result, numba.types.Array) and str(result.dtype) != str(getattr(expected, "dtype", result)):
        raise WrongResult(f"it returns {result.dtype} where plain Python returns {expected.dtype}")
    return result


def get_type_key(value):
    """Get what the numba type of an argument depends on: quicker to find, and to hash, than the type itself."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        return value.dtype.str, value.ndim, flags.c_contiguous, flags.f_contiguous
    if isinstance(value, tuple):
        return tuple([get_type_key(item) for item in value])
    return value if isinstance(value, numba.types.Type) else type(value)


class WrongResult(Exception):
    """A compiled method returns another type than as plain Python."""


def get_argument_type(value):
    """Get the numba type of an entry's argument: numbers by their Python type, arrays as contiguous."""
    if isinstance(value, numba.types.Type):
        return value
    if value is None:
        return numba.types.none
    return get_numba_type(value, np.dtype(np.float64))


def list_omitted(function, count: int) -> tuple:
    """List the types of the arguments that a call with `count` arguments leaves to their defaults."""
    parameters = list(inspect.signature(function).parameters.values())[count:]
    return tuple(numba.types.Omitted(each.default) for each in parameters if each.default is not each.empty)


def run(operation: Operation, module: Stateful, arguments):
    """Run an operation as plain Python: notes the module's path on errors, checks the dtype of the result."""
    try:
        with plain_python(), np.errstate(all="ignore"):  # compiled code warns of nothing
            result = getattr(module, operation.method)(*arguments)
        result = result if module.jit else as_contiguous(result)
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
    """Switch the copies and all their children between training and evaluation, if `flip`."""
    for copy in copies.values():
        for each in (copy, *copy.iterate_inside()):
            if flip and "training" in vars(each):
                vars(each)["training"] = not vars(each)["training"]


def make_shape_error(module: Stateful, shape, expected) -> ValueError:
    """Make the error for a bprop whose result has not the shape of x."""
    error = ValueError(f"{module.label()}: bprop returns a grad_x of shape {shape}, expected {expected}, that of x")
    module.add_place(error)
    return error


def list_ancestors(module: Stateful) -> list[Stateful]:
    """List a module and its ancestors, up to the root of the hierarchy."""
    line = [module]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    return line


def run_python(operation: Operation, arguments):
    """Run an operation of a module with `jit = False`, between compiled parts."""
    module = next(each for each in operation.modules if not each.jit)
    if type(module) not in _warned_classes:
        _warned_classes.add(type(module))
        warnings.warn(f"{module.label()} has jit = False: it runs as Python between compiled parts", stacklevel=2)
    return run_method(operation, arguments)


_warned_classes: set[type] = set()


def copy_modules(modules) -> dict[Stateful, Stateful]:
    """Copy modules; the copies share no memory with the model."""
    return {module: copy_hierarchy(module) for module in modules}


def make_state_type(module: Stateful, wider: set[tuple[str, str]]) -> StateType:
    """Make the state type of a module and its children."""
    children = {name: make_state_type(child, wider) for name, child in module.children_inside().items()}
    return make_attribute_type(module, children, wider)


def bind_children(module: Stateful, state) -> None:
    """Write the addresses of the children's state blocks into a module's block."""
    for name, child in module.children_inside().items():
        inner = child.bind(state.kind.types[name])
        child.activate(inner)
        state.write(name, inner)
        bind_children(child, inner)


def name_classes(modules) -> dict[type, str]:
    """Name each class in the plan's source; two classes of one name are numbered."""
    names: dict[type, str] = {}
    for module in modules:
        for cls in (type(module), *(type(inner) for inner in module.iterate_inside())):
            if cls not in names:
                count = sum(name.rstrip("0123456789") == cls.__name__ for name in names.values())
                names[cls] = cls.__name__ + (str(count + 1) if count else "")
    return names


def describe_operation(operation: Operation, index: dict[Stateful, int], repeats: list[Repeat]) -> tuple:
    """Describe an operation for a plan's digest."""
    described: tuple = (operation.target, index[operation.module], operation.method, operation.arguments)
    if operation.other is not None:
        described += ("other", index[operation.other])
    if operation.repeat is not None:
        described += (
            "repeat",
            repeats.index(operation.repeat),
            index[operation.repeat.owner],
            operation.repeat.setting,
        )
    return described


def describe_module(module: Stateful) -> str:
    """Describe a module's class and the types of its settings, as text."""
    lines = [get_owner_name(module), str(module.dtype), str(module.jit)]
    for name, value in sorted({**vars(module), **module._initial}.items()):
        if not name.startswith("_"):
            refuse_modules_in(module, name, value)  # that were put there after it was assigned
            literal = value is None or isinstance(value, str)
            lines.append(f"{name}={value!r}" if literal else f"{name}: {get_numba_type(value, module.dtype)}")
    lines += [f"{name}=({describe_module(child)})" for name, child in module.children_inside().items()]
    return "; ".join(lines)
