"""Derivatives of each module's outputs, so that the page can say what a number is made of, whatever the module is.

They are rows of Jacobians: bprop of unit vectors, on what fprop has stored in the recorded step.
"""

from typing import Any

import numpy as np

from ...modules.engine.stateful import is_written_by, plain_python, uncompiled
from ...modules.layers.pooling.max_pool import MaxPool2d
from .arrays import Arrays
from .walk import Walk

ROWS = 1_000  # outputs of a module, at most
ALL_ROWS = 3_000  # of all modules together
SIZE = 8_000_000  # numbers of a Jacobian that is looked at
DENSE = 20_000  # numbers of one that is kept whole
LARGEST = 12  # derivatives that are kept of each row of a larger one


def record_jacobians(walk: Walk, arrays: Arrays) -> None:
    """Add to the modules of both recorded passes what their form needs, before the update changes the weights.

    `elementwise` gets its derivatives; `jacobian` its rows, smallest modules first, as far as the limits allow, else
    it becomes `other`.
    """
    calls = [each for each in walk.forward if walk.modules[walk.places[each.module]]["form"]["kind"] == "jacobian"]
    calls.sort(key=lambda each: np.size(walk.values[each.target]))
    rows, gradients = 0, walk.net.flat_gradients.copy()
    with uncompiled(), plain_python(), np.errstate(all="ignore"):
        for call in walk.forward:
            form = walk.modules[walk.places[call.module]]["form"]
            if form["kind"] == "elementwise":
                ones = np.ones_like(walk.values[call.target])
                form["slope"] = arrays.add("dy/dx", call.module.bprop(ones))  # type: ignore[attr-defined]
        for call in calls:
            x, y = walk.values[call.arguments[0]], walk.values[call.target]
            form = walk.modules[walk.places[call.module]]["form"]
            form["kind"] = "other"
            if is_written_by(call.module, MaxPool2d):
                form.update(find_largest(call.module, x, y, arrays))
            elif is_small(x, y) and rows + y.size <= ALL_ROWS and fits_one_call(walk, call):
                rows += y.size
                form.update(compute_jacobian(call.module, x, y, arrays))
        walk.net.flat_gradients[:] = gradients


def find_largest(module: Any, x: np.ndarray, y: np.ndarray, arrays: Arrays) -> dict[str, Any]:
    """The Jacobian of max pooling: a one where the largest number of each window stands."""
    places, size = module.largest.reshape(len(module.largest), -1), int(np.prod(x.shape[2:]))
    columns = (places + size * np.arange(len(places))[:, None]).reshape(-1, 1)
    values = arrays.add("dy/dx", np.ones((y.size, 1), y.dtype))
    sparse = {"columns": arrays.add("inputs", columns.astype(np.int64)), "values": values}
    return {"kind": "jacobian", "columns": int(x.size), "weights": {}, "sparse": sparse, "whole": True}


def is_small(x: Any, y: Any) -> bool:
    """Whether both are arrays of floats, small enough for a Jacobian."""
    if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.dtype.kind == y.dtype.kind == "f"):
        return False
    return y.size <= ROWS and x.size * y.size <= SIZE


def fits_one_call(walk: Walk, call: Any) -> bool:
    """Whether a module is called once, reads one array of floats and has one backward call."""
    forward = [each for each in walk.forward if each.module is call.module]
    backward = [each for each in walk.backward if each.module is call.module]
    floats = [name for name in call.arguments if getattr(walk.values[name], "dtype", np.dtype(int)).kind == "f"]
    return len(forward) == len(backward) == len(floats) == 1 and backward[0].method == "bprop"


def compute_jacobian(module: Any, x: np.ndarray, y: np.ndarray, arrays: Arrays) -> dict[str, Any]:
    """Compute dy/dx, and dy/dw of small parameters w, of a module that has just run fprop."""
    small = [name for name in module._parameters if vars(module)[name].size * y.size <= DENSE]
    by_parameter = {name: np.empty((y.size, vars(module)[name].size), y.dtype) for name in small}
    matrix = np.empty((y.size, x.size), y.dtype)
    unit = np.zeros(y.size, y.dtype)
    for k in range(y.size):
        unit[k] = 1
        for name in module._parameters:
            vars(module)[f"grad_{name}"].fill(0)
        matrix[k] = np.ravel(module.bprop(unit.reshape(y.shape)))
        for name, rows in by_parameter.items():
            rows[k] = vars(module)[f"grad_{name}"].ravel()
        unit[k] = 0
    form: dict[str, Any] = {"kind": "jacobian", "columns": int(x.size)}
    form["weights"] = {name: arrays.add(f"dy/d{name}", rows) for name, rows in by_parameter.items()}
    if matrix.size <= DENSE:
        return form | {"dense": arrays.add("dy/dx", matrix)}
    kept = min(LARGEST, int((matrix != 0).sum(axis=1).max()), x.size)
    columns = np.sort(np.argpartition(-np.abs(matrix), kept - 1, axis=1)[:, :kept], axis=1) if kept else matrix[:, :0]
    values = np.take_along_axis(matrix, columns.astype(np.int64), axis=1)
    whole = bool(((matrix != 0).sum(axis=1) <= kept).all())
    return form | {
        "sparse": {"columns": arrays.add("inputs", columns.astype(np.int64)), "values": arrays.add("dy/dx", values)},
        "whole": whole,
    }
