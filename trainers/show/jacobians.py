"""Derivatives of each module's outputs, so that the page can say what a number is made of, whatever the module is.

Where there is no formula they are rows of Jacobians: bprop of unit vectors, on what fprop has stored in the recorded
step. A small module gets all of them, a large one those that tell most.
"""

from typing import Any

import numpy as np

from ...modules.engine.stateful import plain_python, uncompiled
from .arrays import Arrays
from .forms import complete_form
from .probes import DENSE, Stopwatch, choose_rows, find_blocks, find_diagonal, find_places, keep_largest
from .walk import Walk
from .weight_terms import record_weight_terms

ROWS = 1_000  # outputs of a module all of whose rows are computed, at most
SIZE = 8_000_000  # numbers of such a Jacobian
SECONDS = 0.5  # for rows, of all modules together


def record_jacobians(walk: Walk, arrays: Arrays) -> None:
    """Add to the modules of both recorded passes what their form needs, before the update changes the weights.

    `elementwise` and `binary` get their derivatives; `jacobian` a formula or rows, smallest modules first; it becomes
    `other` where a module is called twice, or reads no array of floats.
    """
    calls = [each for each in walk.forward if find_form(walk, each)["kind"] == "jacobian" and each.method == "fprop"]
    calls.sort(key=lambda each: np.size(walk.values[each.target]))
    gradients, watch = walk.net.flat_gradients.copy(), Stopwatch(SECONDS)
    by_weights: dict[Any, dict[str, np.ndarray]] = {}
    with uncompiled(), plain_python(), np.errstate(all="ignore"):
        for call in walk.forward:
            add_slopes(walk, call, arrays)
        for call in calls:
            form = find_form(walk, call)
            form["kind"] = "other"
            form.update(describe_call(walk, call, watch, arrays, by_weights) or {})
            if form["kind"] == "elementwise":
                arrays.values[form["slope"]]["name"] = f"dy/dx of {walk.modules[walk.places[call.module]]['short']}"
        record_weight_terms(walk, arrays, by_weights)
        walk.net.flat_gradients[:] = gradients


def find_form(walk: Walk, call: Any) -> dict[str, Any]:
    """Find the form of a call's module."""
    return walk.modules[walk.places[call.module]]["form"]


def add_slopes(walk: Walk, call: Any, arrays: Arrays) -> None:
    """Add the derivatives of elementwise functions, of one array or of two."""
    form, values, short = find_form(walk, call), walk.values, walk.modules[walk.places[call.module]]["short"]
    if form["kind"] == "elementwise":
        form["slope"] = arrays.add(f"dy/dx of {short}", call.module.bprop(np.ones_like(values[call.target])))
    if form["kind"] == "binary" and call.method == "fprop":
        ones = np.ones_like(values[call.target])
        form["slopes"] = [arrays.add(f"dy/da of {short}", call.module.bprop(ones.copy()))]
        form["slopes"].append(arrays.add(f"dy/db of {short}", call.module.bprop_other(ones)))


def describe_call(
    walk: Walk, call: Any, watch: Stopwatch, arrays: Arrays, by_weights: dict[Any, dict[str, np.ndarray]]
) -> dict[str, Any] | None:
    """Describe the derivatives of one call: by a formula, else by probing its bprop.

    Of a small module those by its parameters are added to `by_weights`, (outputs, numbers of the parameter) each.
    """
    module: Any = call.module
    x, y = walk.values[call.arguments[0]], walk.values[call.target]
    if is_called_twice(walk, call):
        return None
    form = complete_form(module, x, y, arrays)
    if form is not None or not fits_one_call(walk, call):
        return form
    if x.size * y.size <= DENSE and y.size <= ROWS:
        by_weights[module], form = compute_jacobian(module, x, y, arrays)
        return form
    return (
        find_diagonal(module, x, y, arrays)
        or find_places(module, x, y, arrays)
        or find_blocks(module, x, y, watch, arrays)
        or compute_rows(walk, call, watch, arrays)
    )


def is_called_twice(walk: Walk, call: Any) -> bool:
    """Whether a module's fprop runs more than once, so that what it has stored is of the last call."""
    return sum(each.module is call.module and each.method == "fprop" for each in walk.forward) != 1


def fits_one_call(walk: Walk, call: Any) -> bool:
    """Whether a module reads one array of floats, makes one, and has one backward call."""
    backward = [each for each in walk.backward if each.module is call.module]
    read = [walk.values[name] for name in call.arguments]
    floats = [each for each in read if isinstance(each, np.ndarray) and each.dtype.kind == "f"]
    y = walk.values[call.target]
    is_float = isinstance(y, np.ndarray) and y.dtype.kind == "f"
    return is_float and len(backward) == len(floats) == 1 and floats[0] is read[0] and backward[0].method == "bprop"


def compute_jacobian(
    module: Any, x: np.ndarray, y: np.ndarray, arrays: Arrays
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Compute dy/dw of small parameters w, and dy/dx, of a module that has just run fprop."""
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
    return by_parameter, {"kind": "jacobian", "columns": int(x.size), "dense": arrays.add("dy/dx", matrix)}


def compute_rows(walk: Walk, call: Any, watch: Stopwatch, arrays: Arrays) -> dict[str, Any]:
    """Compute rows of outputs in turn of those with the largest gradients and the largest ones, as long as time allows.

    Of each row the largest derivatives are kept. `rows` are the outputs, without it all of them.
    """
    module: Any = call.module
    x, y = walk.values[call.arguments[0]], walk.values[call.target]
    backward = next(each for each in walk.backward if each.module is module)
    order = choose_rows(walk.values[backward.arguments[0]], y, ROWS)
    if x.size * order.size > SIZE:
        order = order[: max(16, SIZE // x.size)]
    rows: list[tuple[np.ndarray, np.ndarray, bool]] = []
    unit = np.zeros(y.size, y.dtype)
    for k in order:
        if len(rows) >= 16 and watch.is_over():
            break
        unit[k] = 1
        with watch:
            rows.append(keep_largest(np.ravel(module.bprop(unit.reshape(y.shape)))))
        unit[k] = 0
    known = order[: len(rows)].astype(np.int64)
    form = {
        "kind": "jacobian", "columns": int(x.size), "whole": all(each[2] for each in rows),
        "sparse": {"columns": arrays.add("inputs", np.stack([each[0] for each in rows])),
                   "values": arrays.add("dy/dx", np.stack([each[1] for each in rows]))},
    }  # fmt: skip
    if len(known) == y.size:
        ranks = np.argsort(known)
        form["sparse"] = {
            "columns": arrays.add("inputs", np.stack([rows[k][0] for k in ranks])),
            "values": arrays.add("dy/dx", np.stack([rows[k][1] for k in ranks])),
        }
        return form
    return form | {"rows": arrays.add("outputs", known)}
