"""Objects whose attributes compiled code shares: modules, losses and optimizers.

Plain Python sees ordinary attributes. Once compiled code has run, the attributes that its methods assign live in the
object's state block and are read from there; settings that Python assigns are passed on to every block at once.
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

from .locks import ObjectLock, locked, root_of
from .state import State


class _Depth(threading.local):
    depth = 0
    uncompiled = 0


_plain = _Depth()


class plain_python:
    """Within this context, methods run as plain Python: no compiled code, no checks of arguments."""

    def __enter__(self):
        _plain.depth += 1

    def __exit__(self, *exception):
        _plain.depth -= 1


class uncompiled:
    """Within this context, modules run as with `NUMBA_DISABLE_JIT=1`: as plain Python, their arguments checked.

    As in compiled code, overflows and their like are no warnings.
    """

    def __enter__(self):
        _plain.uncompiled += 1
        self._quiet = np.errstate(all="ignore")
        self._quiet.__enter__()

    def __exit__(self, *exception):
        self._quiet.__exit__(*exception)
        _plain.uncompiled -= 1


def in_plain_python() -> bool:
    """Whether methods run as plain Python just now."""
    return _plain.depth > 0


def jit_disabled() -> bool:
    """Whether `NUMBA_DISABLE_JIT=1`, or `uncompiled`, asks for plain Python throughout."""
    return bool(numba.config.DISABLE_JIT) or _plain.uncompiled > 0


LATER = {"bprop", "bprop_after", "jvp", "rbprop"}  # what runs after fprop, on what it has stored
LAYOUT = {"shape", "dtype", "size", "ndim"}


class Stateful:
    """Base of everything that the engine compiles: attribute storage, change tracking, the tree of owners."""

    framework_base = True
    jit = True
    entry_points: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()  # settings that each plan chooses for itself

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in cls.entry_points:
            method = vars(cls).get(name)
            if inspect.isfunction(method) and not hasattr(method, "__wrapped__"):
                setattr(cls, name, _door(name, method))

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
        """The floating point type of parameters and data: float32, or float64 after `to("float64")`."""
        return self._dtype

    def __setattr__(self, name: str, value: Any) -> None:
        if "_states" not in vars(self):
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning self.{name}")
        if not name.startswith("_"):
            if isinstance(value, np.ndarray) and not in_plain_python():
                value = self._take_array(name, value)
                if self.jit and not jit_disabled() and not value.flags.c_contiguous:
                    value = value.copy()  # compiled code finds what Python assigns in C's order
            elif type(vars(self).get(name)) is float and isinstance(value, int | np.floating):
                value = float(value)  # a setting that is a float stays one
            if self._states:
                with locked(self):
                    if not self._pass_on(name, value):
                        self.changed()
                    object.__setattr__(self, name, value)
                return
        object.__setattr__(self, name, value)

    def _take_array(self, name: str, value: np.ndarray) -> np.ndarray:
        """An array that Python assigns, in the object's type."""
        array = self._in_type(name, value) if value.dtype.kind == "f" else value
        if name not in stored_names(type(self)):
            self.remember_precise(name, value, array)
        elif not value.size:
            self._scratch.setdefault(name, array)
        return array

    def _in_type(self, name: str, value: np.ndarray) -> np.ndarray:
        """An array in the object's type; ValueError for finite numbers that are infinite there."""
        self.refuse_overflow(name, value, self._dtype)
        return value.astype(self._dtype, copy=False)

    def refuse_overflow(self, name: str, value: np.ndarray, dtype: np.dtype) -> None:
        """ValueError for finite numbers that are infinite in `dtype`."""
        if value.dtype == dtype or value.dtype.kind != "f":
            return
        with np.errstate(over="ignore", invalid="ignore"):
            lost = np.isinf(value.astype(dtype)) & np.isfinite(value)
        if lost.any():
            limit = f"{float(np.finfo(dtype).max):.2g}, the largest {dtype}"
            raise ValueError(f"{type(self).__name__}: {name} has {value[lost][0]}, expected at most {limit}")

    def remember_precise(self, name: str, precise: np.ndarray, array: np.ndarray) -> None:
        """Keep the float64 numbers `precise`, if rounding them to `array` has changed them."""
        self._precise.pop(name, None)
        if precise.dtype == np.float64 and array.dtype == np.float32 and (precise != array).any():
            self._precise[name] = precise.copy()

    def convert_arrays(self, dtype: np.dtype) -> None:
        """Bring all floating arrays to another type; scratch buffers, which may be uninitialised, begin anew."""
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
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{self._hint_of(name)}")

    def _hint_of(self, name: str) -> str:
        """What was probably meant by an attribute that is not there."""
        if name.startswith("_"):  # which Python itself asks for
            return ""
        plain = name.removeprefix("grad_")
        if plain != name and isinstance(vars(self).get(plain), np.ndarray):
            return f": self.{plain} is an array, and only a Parameter has a gradient"
        meant = difflib.get_close_matches(name, [each for each in vars(self) if not each.startswith("_")], 1, 0.8)
        return f", did you mean {meant[0]!r}?" if meant else ""

    def _pass_on(self, name: str, value: Any) -> bool:
        """Hand a new setting to the compiled code; False if it does not fit there."""
        if name in self._initial or name not in vars(self):
            return False
        if type(value) is not type(vars(self)[name]) or not isinstance(value, bool | int | float):
            return value is vars(self)[name]
        self.write_to_states(name, value)
        return True

    def write_to_states(self, name: str, value: bool | float) -> None:
        """Set a number where compiled code finds it."""
        for state in self._states.values():
            if name in state.kind.types:
                state.write(name, value)

    def write_number(self, name: str, value: float) -> None:
        """Set a number that methods assign, in compiled code too; what is compiled stays."""
        with locked(self):
            self.write_to_states(name, value)
            (self._initial if name in self._initial else vars(self))[name] = value

    def changed(self) -> None:
        """Forget compiled plans: the structure or the type of an attribute has changed."""
        with locked(self):
            stored = {name: getattr(self, name) for name in self._initial}
            hidden = vars(self)
            hidden.update(_states={}, _state=None, _initial={})
            for name, value in stored.items():
                hidden[name] = value
            owner: Stateful | None = self
            while owner is not None:
                vars(owner)["_version"] += 1
                owner = owner.parent

    @property
    def parent(self) -> "Stateful | None":
        """The module that this one stands in, or None."""
        reference = vars(self)["_parent"]
        return reference() if reference is not None else None

    def activate(self, state: State) -> None:
        """Make `state` the block that attributes are read from; scalars stored in the last one move along."""
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
        """The state block of type `kind`, made and filled from the attributes if there is none."""
        if kind in self._states:
            return self._states[kind]
        state = State(kind)
        stored = stored_names(type(self))
        hidden = vars(self)
        for name in [name for name in hidden if name in stored and name in kind.types and name not in kind.fixed]:
            self._initial[name] = hidden.pop(name)
        for name in kind.types:
            value = self._initial.get(name, self.setting(name))
            if fits(value, kind.types[name]):
                state.write(name, value)
        self._states[kind] = state
        return state

    def setting(self, name: str) -> Any:
        """The value of an attribute that Python assigns, as this thread sees it; None if there is none."""
        return vars(self).get(name)

    def shares_memory_with(self, other: "Stateful") -> bool:
        """Whether what changes one of the two may change the other."""
        return root_of(self) is root_of(other)

    def compiled_methods(self) -> dict[str, Any]:
        """The plain functions that compiled code finds under `state.name(...)`."""
        return method_names(type(self))

    # -- what a plan asks; modules say more -----------------------------------------------------------------------

    def children_inside(self) -> dict[str, Any]:
        """Children that this object's own methods call."""
        return {}

    def layout(self) -> str:
        """What tells objects of one class apart whose compiled methods differ."""
        inside = len(self.children_inside())
        return f"x{inside}" if inside else ""

    def all_inside(self) -> "Iterator[Any]":
        for child in self.children_inside().values():
            yield child
            yield from child.all_inside()

    def fixed_names(self) -> set[str]:
        """Attributes whose memory never moves."""
        return set()

    def gradient_names(self) -> list[str]:
        return []

    def fuses_with(self, unit: "Stateful") -> bool:
        """Whether `fprop_then(unit, x)` and `bprop_after(unit, grad_y)` do what both do one after the other."""
        return False

    def overwrites_gradients(self) -> bool:
        return True

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr."""
        return ""

    def label(self) -> str:
        """The object in one line, as error messages name it."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def outline(self) -> str:
        """The classes of the object and of what is in it, without sizes: what a plan is made for."""
        return type(self).__name__

    def add_place(self, error: BaseException) -> None:
        """Note on an error where in a net this object stands."""

    def overtaken(self) -> None:
        """Called when a plan starts to use this object: what another one stored is gone."""

    def copied(self) -> None:
        """Called on a copy, whose compiled state is gone."""

    def copy(self):
        """An object like this one with memory of its own, outside any net."""
        with locked(self):
            return copy_tree(self)

    def __repr__(self) -> str:
        return self.label()

    def __deepcopy__(self, memo):
        return self.copy()

    def __getstate__(self):
        raise TypeError(f"{type(self).__name__}: pickling would execute code when loaded; use state_dict()")


COLLECTIONS = (list, tuple, dict, set, frozenset)


def refuse_modules_in(owner: Stateful, name: str, value) -> None:
    """TypeError for modules in a list, a dict or the like, however deep: nobody would find their parameters."""
    if isinstance(value, COLLECTIONS) and _holds_modules(value):
        kind = type(value).__name__
        expected = "a Sequential of them" if isinstance(value, list | tuple) else "each in an attribute of its own"
        raise TypeError(f"{owner.label()}: self.{name} is a {kind} of modules, expected {expected}")


def _holds_modules(value) -> bool:
    if isinstance(value, COLLECTIONS):
        return any(_holds_modules(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, Stateful)


F = TypeVar("F", bound=Callable[..., Any])


def remembered(function: F) -> F:
    """`functools.cache`, with the function's own types."""
    return cast(F, functools.cache(function))


def fits(value, kind) -> bool:
    """Whether `value` may be written into a state field of type `kind` (an array must have its type and layout)."""
    if isinstance(kind, numba.types.Array):
        if not isinstance(value, np.ndarray) or value.ndim != kind.ndim or str(value.dtype) != str(kind.dtype):
            return False
        flags = value.flags
        return kind.layout == "A" or (flags.c_contiguous if kind.layout == "C" else flags.f_contiguous)
    if isinstance(kind, numba.types.BaseTuple):
        if not isinstance(value, tuple) or len(value) != len(kind.types):
            return False
        return all(fits(item, inner) for item, inner in zip(value, kind.types, strict=True))
    if isinstance(kind, numba.types.Number | numba.types.Boolean):
        return isinstance(value, bool | int | float | np.generic)
    return False


def _door(name: str, raw):
    """The public method: in plain Python the raw one, otherwise through `self._enter_<name>`."""
    enter = f"_enter_{name}"

    @functools.wraps(raw)
    def method(self, *args):
        if _plain.depth:
            return raw(self, *args)
        shared = self._lock.shared
        shared.wanted = True
        with shared.lock:
            if shared is self._lock.shared:
                return getattr(self, enter)(raw, *args)
        return method(self, *args)  # it has joined others while this thread waited

    return method


def raw_method(cls: type, name: str):
    """The method as its author wrote it."""
    return inspect.unwrap(getattr(cls, name))


def written_by(module, cls: type) -> bool:
    """Whether a module's fprop and bprop are those of the class `cls`."""
    return isinstance(module, cls) and all(
        raw_method(type(module), name) is raw_method(cls, name) for name in ("fprop", "bprop")
    )


@remembered
def method_names(cls: type) -> dict[str, Any]:
    """The author's methods of a class: all but those of the framework's bases and Python's own."""
    methods: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base is object or vars(base).get("framework_base", False):
            continue
        for name, value in vars(base).items():
            function = inspect.unwrap(value) if callable(value) else value
            if inspect.isfunction(function) and not name.startswith("__"):
                methods[name] = function
    return methods


@remembered
def stored_names(cls: type) -> frozenset[str]:
    """Attributes that a class's methods (not its `__init__`) assign."""
    return frozenset(
        instruction.argval
        for function in method_names(cls).values()
        for instruction in dis.get_instructions(function)
        if instruction.opname == "STORE_ATTR"
    )


@remembered
def reads_later(cls: type, name: str) -> bool:
    """Whether methods other than `fprop`, or those that they call, may read the numbers in `self.<name>`."""
    methods = method_names(cls)
    visited, to_visit = {"fprop", "fprop_then"}, set(LATER & methods.keys())
    while to_visit:
        visited.add(method := to_visit.pop())
        code = [step for step in dis.get_instructions(methods[method]) if step.opname not in ("CACHE", "PUSH_NULL")]
        for first, second, third in zip(code, code[1:], [*code[2:], code[-1]], strict=False):
            loaded = first.argval if isinstance(first.argval, tuple) else (first.argval,)
            if not first.opname.startswith("LOAD_FAST") or "self" not in loaded:
                continue
            if "self" in loaded[:-1] or second.opname not in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
                return True  # it is handed on as a whole
            if second.argval == name and second.opname != "STORE_ATTR" and third.argval not in LAYOUT:
                return True
            to_visit |= {second.argval} & methods.keys() - visited
    return False


def copy_tree(root, lock: ObjectLock | None = None):
    """A copy of a module tree: own arrays, own children, one lock, no compiled state."""
    copy = object.__new__(type(root))
    hidden = vars(copy)
    hidden["_lock"] = lock or ObjectLock()
    for name in [name for name in vars(root) if name != "_lock"]:
        hidden[name] = _copy_value(root.setting(name), copy)
    hidden.update(_states={}, _state=None, _version=0, _parent=None, _initial={}, _running=None)
    for name, value in root._initial.items():
        current = getattr(root, name)
        hidden[name] = _copy_value(value if current is None else current, copy)
    copy.copied()
    return copy


def _copy_value(value, owner):
    if isinstance(value, Stateful):
        child = copy_tree(value, owner._lock)
        vars(child)["_parent"] = weakref.ref(owner)
        return child
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(_copy_value(item, owner) for item in value)
    if type(value) is dict:
        return {key: _copy_value(item, owner) for key, item in value.items()}
    return value
