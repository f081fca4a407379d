"""Objects whose attributes Python and compiled code share: modules, losses and optimizers.

For Python they are ordinary attributes. Once compiled code has run, the attributes that methods assign are stored in
the object's state block and read from there; settings that Python assigns are written to every block at once.
"""

import difflib
import dis
import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numba
import numpy as np

from .locks import ObjectLock, find_root, locked
from .state import State


class _Depth(threading.local):
    depth = 0
    uncompiled = 0


_plain = _Depth()


class plain_python:
    """Context in which methods run as plain Python: no compiled code, no checks of arguments."""

    def __enter__(self):
        _plain.depth += 1

    def __exit__(self, *exception):
        _plain.depth -= 1


class uncompiled:
    """Context in which modules run as with `NUMBA_DISABLE_JIT=1`: as plain Python, with checks of arguments.

    As in compiled code, floating-point errors such as overflow give no warnings.
    """

    def __enter__(self):
        _plain.uncompiled += 1
        self._quiet = np.errstate(all="ignore")
        self._quiet.__enter__()

    def __exit__(self, *exception):
        self._quiet.__exit__(*exception)
        _plain.uncompiled -= 1


def in_plain_python() -> bool:
    """Whether this thread is in the context `plain_python`."""
    return _plain.depth > 0


def jit_disabled() -> bool:
    """Whether compilation is off, by `NUMBA_DISABLE_JIT=1` or the context `uncompiled`."""
    return bool(numba.config.DISABLE_JIT) or _plain.uncompiled > 0


LATER = {"bprop", "bprop_after", "jvp", "rbprop"}  # what runs after fprop, on what it has stored
LAYOUT = {"shape", "dtype", "size", "ndim"}


class Stateful:
    """Base of all classes that the engine compiles: attribute storage, change tracking, parents."""

    framework_base = True
    jit = True
    entry_points: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()  # settings that each plan chooses for itself
    not_copied = frozenset({"_lock", "_states", "_state", "_version", "_parent", "_initial", "_running"})

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in cls.entry_points:
            method = vars(cls).get(name)
            if inspect.isfunction(method) and not hasattr(method, "__wrapped__"):
                setattr(cls, name, make_entry_point(name, method))

    def __init__(self):
        hidden = vars(self)
        hidden["_dtype"] = np.dtype(np.float32)
        hidden["_states"] = {}  # StateType -> State: the blocks of compiled code
        hidden["_state"] = None  # the block that ran last
        hidden["_initial"] = {}  # first values of the attributes that compiled code stores
        hidden["_scratch"] = {}  # attributes that begin as empty arrays and that methods assign: memory used again
        hidden["_precise"] = {}  # float64 arrays as they were given, of which the object keeps float32
        hidden["_version"] = 0  # counts changes that outdate a plan
        hidden["_parent"] = None
        hidden["_running"] = None  # the plan that touched this object, or a part of it, last
        hidden["_lock"] = ObjectLock()  # for one thread at a time

    @property
    def dtype(self) -> np.dtype:
        """The floating-point dtype of parameters and data: float32, or float64 after `to("float64")`."""
        return self._dtype

    def __setattr__(self, name: str, value: Any) -> None:
        if "_states" not in vars(self):
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning self.{name}")
        if not name.startswith("_"):
            if isinstance(value, np.ndarray) and not in_plain_python():
                value = self._convert_assigned(name, value)
                if self.jit and not jit_disabled() and not value.flags.c_contiguous:
                    value = value.copy()  # compiled code finds what Python assigns in C's order
            elif type(vars(self).get(name)) is float and isinstance(value, int | np.floating):
                value = float(value)  # a setting that is a float stays one
            if self._states:
                with locked(self):
                    if not self._update_states(name, value):
                        self.forget_plans()
                    object.__setattr__(self, name, value)
                return
        object.__setattr__(self, name, value)

    def _convert_assigned(self, name: str, value: np.ndarray) -> np.ndarray:
        """Convert an array that Python assigns to the object's dtype."""
        array = self._cast_array(name, value) if value.dtype.kind == "f" else value
        if name not in find_stored_names(type(self)):
            self.remember_precise(name, value, array)
        elif not value.size:
            self._scratch.setdefault(name, array)
        return array

    def _cast_array(self, name: str, value: np.ndarray) -> np.ndarray:
        """Cast an array to the object's dtype; ValueError for finite numbers that would become infinite."""
        self.refuse_overflow(name, value, self._dtype)
        return value.astype(self._dtype, copy=False)

    def refuse_overflow(self, name: str, value: np.ndarray, dtype: np.dtype) -> None:
        """Raise ValueError for finite numbers that are infinite in `dtype`."""
        if value.dtype == dtype or value.dtype.kind != "f" or not value.size:
            return
        if np.abs(value).max() <= np.finfo(dtype).max:  # false for NaN, too
            return
        with np.errstate(over="ignore", invalid="ignore"):
            overflows = np.isinf(value.astype(dtype)) & np.isfinite(value)
        if overflows.any():
            limit = f"{float(np.finfo(dtype).max):.2g}, the largest {dtype}"
            raise ValueError(f"{type(self).__name__}: {name} has {value[overflows][0]}, expected at most {limit}")

    def remember_precise(self, name: str, precise: np.ndarray, array: np.ndarray) -> None:
        """Keep the float64 numbers `precise`, if rounding them to `array` has changed them."""
        self._precise.pop(name, None)
        if precise.dtype == np.float64 and array.dtype == np.float32 and (precise != array).any():
            self._precise[name] = precise.copy()

    def convert_arrays(self, dtype: np.dtype) -> None:
        """Convert all floating-point arrays to another dtype; scratch buffers are reset to empty arrays."""
        hidden = vars(self)
        hidden["_dtype"] = dtype
        for name, value in hidden.items():
            if name in self._scratch:
                first = self._scratch[name]
                hidden[name] = first.astype(dtype) if first.dtype.kind == "f" else first
            elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and not name.startswith("_"):
                hidden[name] = self._convert_array(name, value, dtype)

    def _convert_array(self, name: str, value: np.ndarray, dtype: np.dtype) -> np.ndarray:
        precise = self._precise.get(name)
        if precise is not None and dtype == np.float64 and (precise.astype(value.dtype) == value).all():
            return np.broadcast_to(precise, value.shape).copy()
        with np.errstate(over="ignore", invalid="ignore"):  # a user's module may begin with np.empty((3, 4))
            return value.astype(dtype)

    def __getattr__(self, name: str):
        state = vars(self).get("_state")
        if state is not None and name in state.kind.types:
            with locked(self):  # no thread may be writing it
                value = state.read(name)
                return self._initial.get(name) if value is None else value
        initial = vars(self).get("_initial", {})
        if name in initial:
            return initial[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{self._suggest_name(name)}")

    def _suggest_name(self, name: str) -> str:
        """Suggest which attribute was meant by one that does not exist."""
        if name.startswith("_"):  # which Python itself asks for
            return ""
        plain = name.removeprefix("grad_")
        if plain != name and isinstance(vars(self).get(plain), np.ndarray):
            return f": self.{plain} is an array, and only a Parameter has a gradient"
        matches = difflib.get_close_matches(name, [each for each in vars(self) if not each.startswith("_")], 1, 0.8)
        return f", did you mean {matches[0]!r}?" if matches else ""

    def _update_states(self, name: str, value: Any) -> bool:
        """Write a new setting to the state blocks; False if its type differs, so that plans must be compiled anew."""
        if name in self._initial or name not in vars(self):
            return False
        if type(value) is not type(vars(self)[name]) or not isinstance(value, bool | int | float):
            return value is vars(self)[name]
        self.write_to_states(name, value)
        return True

    def write_to_states(self, name: str, value: bool | float) -> None:
        """Write a number to all state blocks that have it."""
        for state in self._states.values():
            if name in state.kind.types:
                state.write(name, value)

    def write_number(self, name: str, value: float) -> None:
        """Set a number that methods assign, in Python and in the state blocks; compiled plans stay valid."""
        with locked(self):
            self.write_to_states(name, value)
            (self._initial if name in self._initial else vars(self))[name] = value

    def view(self, name: str) -> Any:
        """The value of attribute `name`; an array itself, where reading the attribute gives a copy."""
        state = vars(self)["_state"]
        array = state.view(name) if state is not None and name in state.kind.types else None
        return getattr(self, name) if array is None else array

    def forget_plans(self) -> None:
        """Forget compiled plans, when the structure or the type of an attribute has changed."""
        hidden = vars(self)
        if hidden["_states"] or hidden["_initial"]:  # it has been compiled, by itself or in a model
            with locked(self):
                stored = {name: getattr(self, name) for name in self._initial}
                hidden.update(_states={}, _state=None, _initial={})
                hidden.update(stored)
        owner: Stateful | None = self
        while owner is not None:
            vars(owner)["_version"] += 1
            owner = owner.parent

    @property
    def parent(self) -> "Stateful | None":
        """The parent module, or None."""
        reference = vars(self)["_parent"]
        return reference() if reference is not None else None

    def activate(self, state: State) -> None:
        """Make `state` the block that attributes are read from; copies the scalars that the last one stored."""
        last = self._state
        if last is state:
            return
        if last is not None:
            for name in self._initial:
                value = last.read(name) if name in last.kind.types else None
                if isinstance(value, bool | int | float) and name in state.kind.types:
                    state.write(name, value)
        vars(self)["_state"] = state

    def bind(self, kind) -> State:
        """The state block of type `kind`; at the first call, made and filled from the attributes."""
        if kind in self._states:
            return self._states[kind]
        state = State(kind)
        stored = find_stored_names(type(self))
        hidden = vars(self)
        for name in [name for name in hidden if name in stored and name in kind.types and name not in kind.fixed]:
            self._initial[name] = hidden.pop(name)
        for name in kind.types:
            value = self._initial.get(name, self.get_setting(name))
            if fits_type(value, kind.types[name]):
                state.write(name, value)
        self._states[kind] = state
        return state

    def get_setting(self, name: str) -> Any:
        """Get the value of an attribute that Python assigns, for this thread; None if there is none."""
        return vars(self).get(name)

    def shares_memory_with(self, other: "Stateful") -> bool:
        """Whether two objects share memory: whether they are in one model."""
        return find_root(self) is find_root(other)

    def list_compiled_methods(self) -> dict[str, Any]:
        """The plain functions that compiled code may call as `state.name(...)`, by name."""
        return collect_methods(type(self))

    # -- what a plan asks; modules say more -----------------------------------------------------------------------

    def children_inside(self) -> dict[str, Any]:
        """Children that this object's own methods call."""
        return {}

    def describe_layout(self) -> str:
        """Describe what distinguishes objects of one class whose compiled methods differ."""
        inside = len(self.children_inside())
        return f"x{inside}" if inside else ""

    def iterate_inside(self) -> "Iterator[Any]":
        for child in self.children_inside().values():
            yield child
            yield from child.iterate_inside()

    def fixed_names(self) -> set[str]:
        """Attributes whose memory never moves."""
        return set()

    def gradient_names(self) -> list[str]:
        return []

    def unshared_gradient_names(self) -> list[str]:
        """The gradients that are no other module's, too."""
        return []

    def fuses_with(self, unit: "Stateful") -> bool:
        """Whether `fprop_then(unit, x)` and `bprop_after(unit, grad_y)` are this module and `unit`, fused."""
        return False

    def overwrites_gradients(self) -> bool:
        return True

    def extra_repr(self) -> str:
        """The text between the parentheses of the repr."""
        return ""

    def label(self) -> str:
        """The object in one line, as error messages name it."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def outline(self) -> str:
        """The classes of the object and of its children, without sizes."""
        return type(self).__name__

    def add_place(self, error: BaseException) -> None:
        """Note on an error the path of this object in its model."""

    def on_plan_change(self) -> None:
        """Called when another plan starts to use this object: values that the last one stored are gone."""

    def on_copy(self) -> None:
        """Called on a copy, which has no compiled state."""

    def copy(self):
        """A deep copy, with its own memory and without a parent."""
        with locked(self):
            return copy_hierarchy(self)

    def __repr__(self) -> str:
        return self.label()

    def __deepcopy__(self, memo):
        return self.copy()

    def __getstate__(self):
        raise TypeError(f"{type(self).__name__}: pickling would execute code when loaded; use state_dict()")


COLLECTIONS = (list, tuple, dict, set, frozenset)


def refuse_modules_in(owner: Stateful, name: str, value) -> None:
    """Raise TypeError for modules in a list or dict, however deep: their parameters would be unknown."""
    if isinstance(value, COLLECTIONS) and _holds_modules(value):
        kind = type(value).__name__
        expected = "a Sequential of them" if isinstance(value, list | tuple) else "each in its own attribute"
        raise TypeError(f"{owner.label()}: self.{name} is a {kind} of modules, expected {expected}")


def _holds_modules(value) -> bool:
    if isinstance(value, COLLECTIONS):
        return any(_holds_modules(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, Stateful)


F = TypeVar("F", bound=Callable[..., Any])


def cached(function: F) -> F:
    """`functools.cache` with the function's type annotations."""
    return cast(F, functools.cache(function))


def fits_type(value, kind) -> bool:
    """Whether `value` may be written into a state field of type `kind` (an array must have its type and layout)."""
    if isinstance(kind, numba.types.Array):
        if not isinstance(value, np.ndarray) or value.ndim != kind.ndim or str(value.dtype) != str(kind.dtype):
            return False
        flags = value.flags
        return kind.layout == "A" or (flags.c_contiguous if kind.layout == "C" else flags.f_contiguous)
    if isinstance(kind, numba.types.BaseTuple):
        if not isinstance(value, tuple) or len(value) != len(kind.types):
            return False
        return all(fits_type(item, inner) for item, inner in zip(value, kind.types, strict=True))
    if isinstance(kind, numba.types.Number | numba.types.Boolean):
        return isinstance(value, bool | int | float | np.generic)
    return False


def make_entry_point(name: str, raw):
    """Wrap a public method: in plain Python it is called directly, otherwise through `self._enter_<name>`."""
    enter = f"_enter_{name}"

    @functools.wraps(raw)
    def method(self, *args):
        if _plain.depth:
            return raw(self, *args)
        shared = self._lock.shared
        shared.was_requested = True
        with shared.lock:
            if shared is self._lock.shared:
                return getattr(self, enter)(raw, *args)
        return method(self, *args)  # it has joined others while this thread waited

    return method


def get_raw_method(cls: type, name: str):
    """Get a method as its author wrote it, without wrappers."""
    return inspect.unwrap(getattr(cls, name))


def is_written_by(module, cls: type) -> bool:
    """Whether a module's fprop and bprop are those of the class `cls`."""
    return isinstance(module, cls) and all(
        get_raw_method(type(module), name) is get_raw_method(cls, name) for name in ("fprop", "bprop")
    )


@cached
def collect_methods(cls: type) -> dict[str, Any]:
    """Collect the methods of a class by name, without those of the framework's base classes and Python's own."""
    methods: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is object or vars(base).get("framework_base", False):
            continue
        for name, value in vars(base).items():
            function = inspect.unwrap(value) if callable(value) else value
            if inspect.isfunction(function) and not name.startswith("__"):
                methods[name] = function
    return methods


@cached
def reads_attribute(cls: type, name: str) -> bool:
    """Whether a method of a class (not of the framework's base classes) reads an attribute of this name."""
    return any(name in function.__code__.co_names for function in collect_methods(cls).values())


@cached
def find_stored_names(cls: type) -> frozenset[str]:
    """Find the attributes that a class's methods (not its `__init__`) assign."""
    return frozenset(
        instruction.argval
        for function in collect_methods(cls).values()
        for instruction in dis.get_instructions(function)
        if instruction.opname == "STORE_ATTR"
    )


@cached
def reads_later(cls: type, name: str) -> bool:
    """Whether methods other than `fprop`, or those that they call, may read the numbers in `self.<name>`."""
    methods = collect_methods(cls)
    visited, to_visit = {"fprop", "fprop_then"}, set(LATER & methods.keys())
    while to_visit:
        visited.add(method := to_visit.pop())
        code = [step for step in dis.get_instructions(methods[method]) if step.opname not in ("CACHE", "PUSH_NULL")]
        for first, second, third in zip(code, code[1:], [*code[2:], code[-1]], strict=False):
            loaded = first.argval if isinstance(first.argval, tuple) else (first.argval,)
            if not first.opname.startswith("LOAD_FAST") or "self" not in loaded:
                continue
            if "self" in loaded[:-1] or second.opname not in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
                return True  # `self` is passed on as a whole
            if second.argval == name and second.opname != "STORE_ATTR" and third.argval not in LAYOUT:
                return True
            to_visit |= {second.argval} & methods.keys() - visited
    return False


def copy_hierarchy(root, lock: ObjectLock | None = None):
    """Copy a module with all its children: new arrays, one new lock, no compiled state."""
    copy = object.__new__(type(root))
    hidden = vars(copy)
    hidden["_lock"] = lock or ObjectLock()
    for name in [name for name in vars(root) if name not in root.not_copied]:
        hidden[name] = _copy_value(root.get_setting(name), copy)
    hidden.update(_states={}, _state=None, _version=0, _parent=None, _initial={}, _running=None)
    for name, value in root._initial.items():
        current = getattr(root, name)
        hidden[name] = _copy_value(value if current is None else current, copy)
    copy.on_copy()
    return copy


def _copy_value(value, owner):
    if isinstance(value, Stateful):
        child = copy_hierarchy(value, owner._lock)
        vars(child)["_parent"] = weakref.ref(owner)
        return child
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(_copy_value(item, owner) for item in value)
    if type(value) is dict:
        return {key: _copy_value(item, owner) for key, item in value.items()}
    return value
