"""Bounds checks of indices in user-defined methods, by one run of a checked version before the first real call.

Compiled code checks no index. So where a compiled function calls a user-defined method, its first call runs twice:
with bounds checks, on copies of the modules and of all that it writes to, and then without.
"""

import threading
import warnings
from functools import partial

import numpy as np

from ..compiler.bounds_check import AXIS, FAILED, INDEX, OPERATION, REPORT, SIZE
from ..compiler.numba_api import _helperlib
from .compiler import get_checked_inner_dispatcher, is_users
from .errors import ESCAPES, USER_LINE
from .state import State, StateType, register_method
from .stateful import Stateful, cached, collect_methods, fits_type, get_raw_method

_one_at_a_time = threading.Lock()  # there is one report
_warned: set[tuple[type, str]] = set()  # custom methods without a check of their indices
_checked_owners: set[str] = set()  # owners, in the types of states, that have a user-defined method
CHECKED = "!"  # after the owner's name in the types of states whose methods are checked


def has_users_methods(module: Stateful) -> bool:
    """Whether a module, or one that it calls, has user-defined methods."""
    return any(has_own_users_methods(type(each)) for each in (module, *module.iterate_inside()))


@cached
def has_own_users_methods(cls: type) -> bool:
    """Whether a class has user-defined methods."""
    return any(map(is_users, collect_methods(cls).values()))


def make_checked_type(kind: StateType) -> StateType:
    """Make the state type by which `self.method(...)` finds checked methods; the same where none is user-defined."""
    if kind.owner not in _checked_owners:
        return kind
    fields = [
        (name, make_checked_type(inner) if isinstance(inner, StateType) else inner) for name, inner in kind.fields
    ]
    return StateType(kind.owner + CHECKED, fields, kind.constants, kind.fixed)


def register_checked_method(owner: str, name: str, function) -> None:
    """Let bounds-checked code call `state.name(...)` on states of class `owner`."""
    _checked_owners.add(owner)
    register_method(owner + CHECKED, name, partial(get_checked_inner_dispatcher, name, function))


class preserved_random_state:
    """Context that restores the random states of `np.random` and `random` in compiled code at its end."""

    def __enter__(self):
        pointers = _helperlib.rnd_get_np_state_ptr(), _helperlib.rnd_get_py_state_ptr()
        self._states = [(pointer, _helperlib.rnd_get_state(pointer)) for pointer in pointers]

    def __exit__(self, *exception):
        for pointer, state in self._states:
            _helperlib.rnd_set_state(pointer, state)


def locate_index(operations, error: IndexError) -> IndexError | None:
    """Make the error that names module, line and index, if `error` comes from a bounds check."""
    if not REPORT[FAILED]:
        return None
    operation = operations[REPORT[OPERATION]]
    index, axis, size = (int(REPORT[word]) for word in (INDEX, AXIS, SIZE))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file, line = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ("", 0)
    result = IndexError(
        f"{operation.module.label()}: index {index if index >= 0 else index - size} is out of range for axis {axis} "
        f"of size {size} in {operation.method} ({file}:{line})"
    )
    operation.module.add_place(result)
    return result


def copy_state(module: Stateful, kind: StateType) -> State:
    """Copy a module's current attributes into a new state block of type `kind`."""
    state, children = State(kind), module.children_inside()
    for name, inner in kind.types.items():
        if isinstance(inner, StateType):
            state.write(name, copy_state(children[name], inner))
        elif fits_type(value := copy_arrays(getattr(module, name, None)), inner):
            state.write(name, value)
    return state


def copy_arrays(value):
    """Copy an array, or the arrays in a tuple; other values stay as they are."""
    if isinstance(value, np.ndarray):
        return value.copy(order="K")
    return tuple(copy_arrays(item) for item in value) if type(value) is tuple else value


def warn_unchecked(operations, error: Exception) -> None:
    """Warn, once for each custom method, that its indices are not checked: the checked version does not compile."""
    custom = [each for each in operations if has_users_methods(each.module)]
    places = [(file, int(line)) for file, line in USER_LINE.findall(ESCAPES.sub("", str(error)))]
    named = [each for each in custom if contains_line(get_raw_method(type(each.module), each.method), places)]
    operation = (named or custom)[0]
    key = type(operation.module), operation.method
    if key not in _warned:
        _warned.add(key)
        text = "numba compiles it, but not with a check of its indices, so an index out of range goes unnoticed"
        warnings.warn(f"{operation.module.label()}: {operation.method}: {text}", stacklevel=2)


def contains_line(method, places: list[tuple[str, int]]) -> bool:
    """Whether one of these places, (file, line), is in a method's source."""
    code = method.__code__
    last = max((line for _, _, line in code.co_lines() if line is not None), default=code.co_firstlineno)
    return any(code.co_filename.endswith(file.lstrip(".")) and code.co_firstlineno <= n <= last for file, n in places)


def run_checked(operations, call) -> None:
    """Call a bounds-checked function, on copies of all that it writes to; only an index out of range is an error here.

    Any other exception comes again in the real run.
    """
    with _one_at_a_time, preserved_random_state():
        REPORT[:] = 0
        try:
            call()
        except IndexError as error:
            located = locate_index(operations, error)
            if located is not None:
                raise located from None
        except Exception:
            return
