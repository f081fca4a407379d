"""Tables: several arrays that travel together, as a tuple; in a plan, as a tuple of their names, which costs nothing.

What holds for an array here holds for the name of one, or for its shape: a leaf is no tuple of such things.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def is_table(value: Any) -> bool:
    """Whether this is a tuple of arrays or of tables."""
    return (
        type(value) is tuple and bool(value) and all(isinstance(item, np.ndarray) or is_table(item) for item in value)
    )


def is_table_of_shapes(shape: Any) -> bool:
    """Whether this is a tuple of shapes rather than one shape."""
    return isinstance(shape, (tuple, list)) and any(isinstance(item, (tuple, list)) for item in shape)


def flatten_table(value: Any) -> list:
    """List the arrays of a table and of the tables inside it, in order; a value that is no tuple is a single leaf."""
    return [leaf for item in value for leaf in flatten_table(item)] if type(value) is tuple else [value]


def map_table(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply `function` to each leaf of a table; returns a table of the same structure."""
    return tuple(map_table(function, item) for item in value) if type(value) is tuple else function(value)


def unflatten_table(table: Any, values: list) -> Any:
    """Arrange `values` in the structure of `table`; the inverse of `flatten_table`."""
    rest: Iterator = iter(values)
    return map_table(lambda _: next(rest), table)


def shape_of(value: Any) -> tuple:
    """Get the shape of an array, a tuple of shapes for a table, () for other values."""
    if type(value) is tuple:
        return tuple(shape_of(item) for item in value)
    return value.shape if isinstance(value, np.ndarray) else ()


def flatten_shapes(shape: Any) -> list[tuple[int, ...]]:
    """List the shapes in a table of shapes, in order; one shape is a single entry."""
    return [leaf for item in shape for leaf in flatten_shapes(item)] if is_table_of_shapes(shape) else [tuple(shape)]


def name_arrays(name: str, value) -> dict[str, Any]:
    """Name the arrays of a table: `x` for one array; else `x.0`, `x.1`, and `x.1.0` in a table within it."""
    if type(value) is not tuple:
        return {name: value}
    return {place: leaf for k, item in enumerate(value) for place, leaf in name_arrays(f"{name}.{k}", item).items()}
