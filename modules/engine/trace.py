"""Tracing the types of a module's attributes, by one run of its methods as plain Python on two samples.

A module that refuses two samples is run on the whole minibatch; a custom optimizer on its whole vectors. So a mistake
in a method shows first as an ordinary Python traceback at its line. The run works on a copy of the modules, and changes
nothing of the real ones.
"""

import linecache
import re
import sys
import warnings

import numba
import numpy as np

from ..compiler.numba_api import types
from .sources import ClassDigest, examine_class
from .state import StateType
from .stateful import Stateful, collect_methods, get_raw_method, plain_python

OF_NUMBERS = re.compile(r"\bnp\.((?:sqrt|exp|log|log2|log10|tanh|sin|cos)\([\w.\[\]\- /*]*)(?=\))")


class PrecisionError(TypeError):
    """A method converts the data to another floating-point dtype."""


def get_numba_type(value, dtype: np.dtype):
    """Get the numba type of an attribute or argument; None if compiled code cannot store it.

    A Python float has the data's type, as in NumPy; arrays their own type and layout.
    """
    if isinstance(value, bool | np.bool_):
        return types.boolean
    if isinstance(value, int | np.integer):
        return types.int64
    if isinstance(value, float) and not isinstance(value, np.floating):
        return numba.from_dtype(dtype)
    if isinstance(value, np.floating):
        return numba.from_dtype(dtype if value.dtype == np.float64 else value.dtype)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.dtype.isnative:
        layout = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else "A"
        return types.Array(numba.from_dtype(value.dtype), value.ndim, layout)
    if isinstance(value, tuple) and value:
        items = [get_numba_type(item, dtype) for item in value]
        return None if None in items else types.BaseTuple.from_types(items)
    return None


def get_owner_name(module: Stateful) -> str:
    """Get the name of an object's class in its state type, with a digest of its sources and its number of children."""
    return f"{type(module).__qualname__}@{get_class_digest(type(module)).digest}{module.describe_layout()}"


def get_class_digest(cls: type) -> ClassDigest:
    """Get the digest of a class, computed once for each plan."""
    if cls not in _examined:
        _examined[cls] = examine_class(cls)
    return _examined[cls]


PACKAGE = __name__.partition(".")[0]


def forget_digests() -> None:
    """Forget the digests of user-defined classes, before a new plan: values may have changed since the last one."""
    for cls in [cls for cls in _examined if cls.__module__.partition(".")[0] != PACKAGE]:
        del _examined[cls]


def warn_of_unhashable(modules) -> bool:
    """Warn, once for each class, of dependencies that cannot be hashed; returns whether there are any."""
    any_unhashable = False
    for cls in dict.fromkeys(type(each) for module in modules for each in (module, *module.iterate_inside())):
        if unhashable := get_class_digest(cls).unhashable:
            any_unhashable = True
            if cls not in _warned:
                _warned.add(cls)
                what = "; ".join(unhashable)
                message = f"{cls.__name__}: its methods reach {what}, which has no digest: its code is not kept on disk"
                warnings.warn(message, stacklevel=2)
    return any_unhashable


_examined: dict[type, ClassDigest] = {}
_warned: set[type] = set()


def make_attribute_type(module: Stateful, children: dict[str, StateType], wider: set[tuple[str, str]]) -> StateType:
    """Make the state type of a module's attributes as they are now, those that compiled code can store."""
    fields, constants, owner = [], [], get_owner_name(module)
    for name, value in sorted(vars(module).items()):
        if name.startswith("_"):
            continue
        if value is None or isinstance(value, str):
            constants.append((name, value))
        elif (kind := get_numba_type(value, module.dtype)) is not None:
            if (owner, name) in wider and isinstance(kind, types.Array):
                kind = types.Array(kind.dtype, kind.ndim, "A")
            fields.append((name, kind))
    fields += sorted(children.items())
    return StateType(owner, fields, constants, module.fixed_names())


def check_precision(module: Stateful, method: str, result, args) -> None:
    """Raise PrecisionError if a method's result is not of the model's dtype; it names the line where that begins."""
    if not isinstance(result, np.ndarray) or result.dtype.kind != "f" or result.dtype == module.dtype:
        return
    place = find_first_line(module, method, args, result.dtype)
    hint = "take the type from the data (np.zeros_like(x), np.empty(shape, x.dtype), array.astype(x.dtype))"
    if place and (function := OF_NUMBERS.search(linecache.getline(*place))):
        hint = (
            f"where {function[0]}) is of a Python number, write math.{function[1]}), which keeps the type of the data"
        )
    where = f", from {place[0]}:{place[1]} on" if place else ""
    raise PrecisionError(f"{module.label()}: {method} returns {result.dtype} in a {module.dtype} model{where}; {hint}")


def find_first_line(module: Stateful, method: str, args, dtype) -> tuple[str, int] | None:
    """Find file and line of the first line after which a variable or attribute holds an array of type `dtype`."""
    raw = get_raw_method(type(module), method)
    codes = {function.__code__ for function in collect_methods(type(module)).values()}
    last: list[tuple[str, int]] = []
    lines: list[tuple[str, int]] = []

    def contains_dtype(values) -> bool:
        return any(isinstance(value, np.ndarray | np.generic) and value.dtype == dtype for value in values)

    def trace_line(frame, event, argument):
        if frame.f_code not in codes:
            return None
        values = [*frame.f_locals.values(), *(v for k, v in vars(module).items() if not k.startswith("_"))]
        if (
            event in ("line", "return")
            and last
            and not lines
            and (contains_dtype(values) or contains_dtype([argument]))
        ):
            lines.append(last[0])
        last[:] = [(frame.f_code.co_filename, frame.f_lineno)]
        return trace_line

    before = sys.gettrace()
    sys.settrace(trace_line)
    try:
        with plain_python():
            raw(module, *args)
    finally:
        sys.settrace(before)
    return lines[0] if lines else None


def take_first_samples(samples: dict, whole: set[str]) -> dict:
    """Copy the arguments of a trial run, by name: the first two samples of each, all of those in `whole`."""
    return {name: take_samples(value, None if name in whole else 2) for name, value in samples.items()}


def take_samples(value, count: int | None):
    """Copy the first samples of an argument."""
    return value[:count].copy() if isinstance(value, np.ndarray) and value.ndim else value
