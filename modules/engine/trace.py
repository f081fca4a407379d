"""What types do a module's attributes have? Run its methods once as plain Python on two samples, and look.

What refuses two samples is tried on the whole minibatch; a custom optimizer is tried on its whole vectors at once.
So a mistake in a method shows first as an ordinary Python traceback at its line. The run works on a copy of the
modules: nothing of the real ones changes.
"""

import sys
import warnings

import numba
import numpy as np

from ..compiler.numba_api import types
from .sources import ClassDigest, examine_class
from .state import StateType
from .stateful import Stateful, method_names, plain_python, raw_method


class PrecisionError(TypeError):
    """A method turns the data into another floating point type."""


def numba_type(value, dtype: np.dtype):
    """The compiled type of an attribute or argument, or None if compiled code cannot hold it.

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
        items = [numba_type(item, dtype) for item in value]
        return None if None in items else types.BaseTuple.from_types(items)
    return None


def owner_key(module: Stateful) -> str:
    """Name of an object's class in its state type; another source or another number of children, another name."""
    return f"{type(module).__qualname__}@{examined(type(module)).digest}{module.layout()}"


def examined(cls: type) -> ClassDigest:
    """What the methods of a class reach, as it was when the present plan was begun."""
    if cls not in _examined:
        _examined[cls] = examine_class(cls)
    return _examined[cls]


def forget_digests() -> None:
    """Begin a plan: values may have changed since the last one."""
    _examined.clear()


def warn_of_unhashable(modules) -> bool:
    """Whether methods reach what no digest covers, so that the code must not be stored; a warning for each class."""
    any_unhashable = False
    for cls in dict.fromkeys(type(each) for module in modules for each in (module, *module.all_inside())):
        if unhashable := examined(cls).unhashable:
            any_unhashable = True
            if cls not in _warned:
                _warned.add(cls)
                what = "; ".join(unhashable)
                message = f"{cls.__name__}: its methods reach {what}, which has no digest: its code is not kept on disk"
                warnings.warn(message, stacklevel=2)
    return any_unhashable


_examined: dict[type, ClassDigest] = {}
_warned: set[type] = set()


def state_type(module: Stateful, children: dict[str, StateType], wider: set[tuple[str, str]]) -> StateType:
    """The state type that holds a module's attributes as they are now (all that compiled code can hold)."""
    fields, constants, owner = [], [], owner_key(module)
    for name, value in sorted(vars(module).items()):
        if name.startswith("_"):
            continue
        if value is None or isinstance(value, str):
            constants.append((name, value))
        elif (kind := numba_type(value, module.dtype)) is not None:
            if (owner, name) in wider and isinstance(kind, types.Array):
                kind = types.Array(kind.dtype, kind.ndim, "A")
            fields.append((name, kind))
    fields += sorted(children.items())
    return StateType(owner, fields, constants, module.fixed_names())


def check_precision(module: Stateful, method: str, result, args) -> None:
    """Refuse a method whose result is not of the net's floating point type, naming the line where that begins."""
    if not isinstance(result, np.ndarray) or result.dtype.kind != "f" or result.dtype == module.dtype:
        return
    place = first_line_of(module, method, args, result.dtype)
    raise PrecisionError(
        f"{module.label()}: {method} returns {result.dtype} in a {module.dtype} net{place}; "
        "take the type from the data (np.zeros_like(x), np.empty(shape, x.dtype), array.astype(x.dtype))"
    )


def first_line_of(module: Stateful, method: str, args, dtype) -> str:
    """`, from FILE:LINE on`: the first line after which a variable or attribute holds an array of type `dtype`."""
    raw = raw_method(type(module), method)
    codes = {function.__code__ for function in method_names(type(module)).values()}
    last: list[tuple[str, int]] = []
    lines: list[tuple[str, int]] = []

    def holds(values) -> bool:
        return any(isinstance(value, np.ndarray | np.generic) and value.dtype == dtype for value in values)

    def look(frame, event, argument):
        if frame.f_code not in codes:
            return None
        values = [*frame.f_locals.values(), *(v for k, v in vars(module).items() if not k.startswith("_"))]
        if event in ("line", "return") and last and not lines and (holds(values) or holds([argument])):
            lines.append(last[0])
        last[:] = [(frame.f_code.co_filename, frame.f_lineno)]
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        with plain_python():
            raw(module, *args)
    finally:
        sys.settrace(before)
    return f", from {lines[0][0]}:{lines[0][1]} on" if lines else ""


def first_samples(samples: dict, whole: set[str]) -> dict:
    """Copies of the arguments of a trial, by name: the first two samples of each, all of those in `whole`."""
    return {name: cut(value, None if name in whole else 2) for name, value in samples.items()}


def cut(value, count: int | None):
    """A copy of the first samples of an argument."""
    return value[:count].copy() if isinstance(value, np.ndarray) and value.ndim else value
