"""The summary of a model as a table: path, output shape, parameters and memory of each module."""

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.internal_op import InternalOp
from ..core.sharing import iterate_owned
from ..core.text_table import format_table
from ..engine.entry_points import name_results
from ..engine.operations import Operations, prune
from ..engine.stateful import plain_python
from ..engine.tables import (
    flatten_shapes,
    flatten_table,
    is_table_of_shapes,
    map_table,
    shape_of,
    unflatten_table,
)

if TYPE_CHECKING:
    from ..core.module import Module


class Summary(str):
    """A string whose repr is itself, so that a summary prints at a prompt."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def summary(module: "Module", input_shape: tuple[int, ...], optimizer=None) -> Summary:
    """Format the table of `module` and all inside it for an x of shape `input_shape`, which has the batch axis.

    Below it is the memory of a training step, with that of the optimizer, if it is given and serves this model. A shape
    is `-` where a container's own `output_shape` does not ask the modules inside.
    Errors: ValueError that names the module whose input does not fit.
    """
    values = collect_summary(module, input_shape, optimizer)
    rows = [("path", "module", "output shape", "parameters", "kept", "grad_x")]
    for each in values["modules"]:
        sizes = ["" if each[name] is None else format_size(each[name]) for name in ("kept", "grad_x")]
        shape = "-" if each["output_shape"] is None else str(each["output_shape"])
        rows.append((each["path"], each["module"], shape, f"{each['parameters']:,}", *sizes))
    parts, size = values["bytes"], values["bytes"]["parameters"]
    lines = [f"{values['parameters']:,} parameters, {size / 2**20:.2f} MiB in {module.dtype}"]
    if any(each["kept"] is not None or each["grad_x"] is not None for each in values["modules"]):
        lines += [f"memory of a training step {format_size(sum(parts.values()))}:"]
        lines += ["  " + ", ".join(f"{name} {format_size(count)}" for name, count in parts.items())]
    return Summary("\n".join([*format_table(rows), *lines]))


def collect_summary(module: "Module", input_shape: tuple[int, ...], optimizer=None) -> dict[str, Any]:
    """Collect the values of `summary`: sizes in bytes, None where unknown."""
    shapes = record_output_shapes(module, tuple(input_shape))
    stored, grads = measure_memory(module, tuple(input_shape))
    counts: Counter = Counter()  # of shared parameters the first module's alone
    for _, inside, name in iterate_owned(module):
        counts[inside] += getattr(inside, name).size
    modules = [
        {
            "path": inside.path(),
            "module": inside.label(),
            "output_shape": shapes.get(inside.path()),
            "parameters": counts[inside],
            "kept": stored.get(inside.path()),
            "grad_x": grads.get(inside.path()),
        }
        for inside in module.all_modules()
        if not isinstance(inside, InternalOp)  # their arrays count as their container's
    ]
    size = module.parameter_count * module.dtype.itemsize
    parts = {"parameters": size, "gradients": size, "kept": sum(stored.values()), "grad_x": sum(grads.values())}
    parts |= {"optimizer": count_array_bytes(optimizer)} if optimizer is not None else {}
    return {"modules": modules, "parameters": module.parameter_count, "dtype": str(module.dtype), "bytes": parts}


def record_output_shapes(module: "Module", input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Record the shape of the output of each module, by path, as far as `output_shape` asks them."""
    copy = module.copy()
    shapes: dict[str, tuple[int, ...]] = {}
    for inside in copy.all_modules():
        record_shapes(inside, shapes)
    copy.output_shape(input_shape)
    return shapes


def format_size(count: int) -> str:
    """Format a number of bytes: `1.5 MiB`."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def count_array_bytes(owner) -> int:
    """Count the bytes of the arrays among an object's attributes."""
    names = [*vars(owner), *vars(owner)["_initial"]]
    arrays = [getattr(owner, name) for name in names if not name.startswith("_")]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def measure_memory(module: "Module", input_shape: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Measure the bytes that each module stores after fprop for bprop, and that bprop adds; shared memory counts once.

    Found by running copies as plain Python on 3 and on 5 samples: an axis that grows between them grows with the batch.
    Both are empty for a module that does not run on zeros.
    """
    try:
        small, large = (record_stored_arrays(module, replace_samples(input_shape, samples)) for samples in (3, 5))
    except Exception:  # a module without bprop, or one that wants other data than zeros
        return {}, {}
    sizes: tuple[dict[str, int], dict[str, int]] = ({}, {})
    samples = flatten_shapes(input_shape)[0][0]
    for (path, name, late), array in small.items():
        other = large.get((path, name, late), array)
        shape = [a + (b - a) * (samples - 3) // 2 for a, b in zip(array.shape, other.shape, strict=True)]
        sizes[late][path] = sizes[late].get(path, 0) + prod(shape) * array.itemsize
    return sizes


def replace_samples(shape: tuple[Any, ...], samples: int) -> tuple[Any, ...]:
    """Replace the size of the batch axis in a shape, or in each shape of a table."""
    if is_table_of_shapes(shape):
        return tuple(replace_samples(item, samples) for item in shape)
    return (samples, *shape[1:])


def make_zeros(module: "Module", shape: tuple[Any, ...]) -> Any:
    """Make an input of zeros of this shape; of a table of sequences and whole numbers (N,), these are whole lengths."""
    if not is_table_of_shapes(shape):
        return np.zeros(shape, np.int64 if 0 in module.label_arguments else module.dtype)
    labels = module.which_are_labels(outline_table(shape))
    kinds = [np.int64 if label else module.dtype for label in flatten_table(labels)]
    arrays = [np.zeros(each, kind) for each, kind in zip(flatten_shapes(shape), kinds, strict=True)]
    for array in arrays[1:]:
        if array.dtype == np.int64 and array.ndim == 1 and arrays[0].ndim > 1:
            array[:] = arrays[0].shape[1]
    return unflatten_table(labels, arrays)


def outline_table(shape: tuple[Any, ...]) -> Any:
    """The structure of a table of shapes, with None in place of each shape."""
    return tuple(map(outline_table, shape)) if is_table_of_shapes(shape) else None


def record_stored_arrays(module: "Module", shape: tuple[int, ...]) -> dict[tuple[str, str, int], np.ndarray]:
    """Record the arrays that a copy stores, by path, attribute and 0 or 1: made by fprop or by bprop."""
    copy = module.copy()
    arrays: dict[tuple[str, str, int], np.ndarray] = {}
    counted: list[np.ndarray] = []
    operations = Operations()
    x = make_zeros(copy, shape)
    inputs = name_results("x", x)
    y = operations.fprop(copy, inputs)
    grad_y = map_table("grad_{}".format, y)
    operations.bprop(copy, grad_y)
    needed, unread = prune(operations.items, {*flatten_table(y)})  # of the first modules nobody wants grad_x
    for each in unread:
        vars(each)["needs_grad_x"] = False
    earlier = {id(value): value for inside in copy.all_modules() for value in vars(inside).values()}
    values = dict(zip(flatten_table(inputs), flatten_table(x), strict=True))
    with plain_python(), np.errstate(all="ignore"):
        for late in (0, 1):
            for operation in needed:
                if operation.backward == late:
                    arguments = [values[name] for name in operation.arguments]
                    values[operation.target] = getattr(operation.module, operation.method)(*arguments)
            values |= {
                grad: np.zeros_like(values[name])
                for grad, name in zip(flatten_table(grad_y), flatten_table(y), strict=True)
            }
            record_new_arrays(copy, flatten_table(x), earlier, counted, arrays, late)
    return arrays


def record_new_arrays(copy, inputs, earlier, counted, arrays, late: int) -> None:
    """Record the arrays that this run made; the input is the caller's, and parameters are counted elsewhere."""
    for inside in copy.all_modules():
        for name, value in vars(inside).items():
            if isinstance(value, np.ndarray) and value.size and id(value) not in earlier and not name.startswith("_"):
                is_counted = name in inside.fixed_names() or any(
                    np.shares_memory(value, other) for other in (*inputs, *counted)
                )
                if not is_counted:
                    counted.append(value)
                    arrays[inside.path().partition("._")[0], f"{inside.path()} {name}", late] = value


def record_shapes(module: "Module", shapes: dict[str, tuple[int, ...]]) -> None:
    """Wrap the methods of a module, on a copy, so that they record the shapes of its results under its path."""
    path, output_shape, fprop = module.path(), module.output_shape, module.fprop

    def noted_shape(input_shape):
        shapes[path] = output_shape(input_shape)
        return shapes[path]

    def noted_fprop(x, *others):
        y = fprop(x, *others)
        shapes[path] = shape_of(y)
        return y

    vars(module).update(output_shape=noted_shape, fprop=noted_fprop)
