"""Tables: several arrays that travel together, as a tuple; in a plan, as a tuple of their names, which costs nothing.

What holds for an array here holds for the name of one, or for its shape: `leaves` are no tuples of such things.
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
    return isinstance(shape, tuple | list) and any(isinstance(item, tuple | list) for item in shape)


def leaves(value: Any) -> list:
    """All that is in a table, and in tables within it, in order; what is no tuple stands alone."""
    return [leaf for item in value for leaf in leaves(item)] if type(value) is tuple else [value]


def changed(function: Callable[[Any], Any], value: Any) -> Any:
    """The table with `function` of each leaf in its place."""
    return tuple(changed(function, item) for item in value) if type(value) is tuple else function(value)


def like(table: Any, values: list) -> Any:
    """`values` arranged as the leaves of `table`."""
    rest: Iterator = iter(values)
    return changed(lambda _: next(rest), table)


def shape_of(value: Any) -> tuple:
    """The shape of an array, a tuple of shapes for a table, () for what has none."""
    if type(value) is tuple:
        return tuple(shape_of(item) for item in value)
    return value.shape if isinstance(value, np.ndarray) else ()


def shapes_in(shape: Any) -> list[tuple[int, ...]]:
    """The shapes of all arrays in a table of them, or the one shape that this is."""
    return [leaf for item in shape for leaf in shapes_in(item)] if is_table_of_shapes(shape) else [tuple(shape)]


def named(name: str, value) -> dict[str, Any]:
    """An array under a name; those of a table as `x.0`, `x.1`, and `x.1.0` in a table within it."""
    if type(value) is not tuple:
        return {name: value}
    return {place: leaf for k, item in enumerate(value) for place, leaf in named(f"{name}.{k}", item).items()}
