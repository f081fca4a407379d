"""Sizes and shapes that the layers check in the same words."""

from .module import Module


def check_sizes(owner: Module, **sizes: int) -> None:
    """ValueError that names the first argument below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{type(owner).__name__}: {name} is {size}, expected at least 1")


def mapped_shape(module: Module, shape: tuple[int, ...], wanted: int, given: int) -> tuple[int, ...]:
    """The shape of y (N, ..., given) for an x (N, ..., wanted); ValueError for another one."""
    if len(shape) < 2 or shape[-1] != wanted:
        raise ValueError(f"{module.label()}: x has shape {shape}, expected (N, {wanted})")
    return (*shape[:-1], given)


def element_sizes(owner: Module, name: str, shape: int | list[int] | tuple[int, ...]) -> tuple[int, ...]:
    """A shape, or a single size, as a tuple; ValueError unless all are at least 1."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{type(owner).__name__}: {name} is {shape}, expected sizes of at least 1")
    return sizes


def ending_shape(module: Module, shape: tuple[int, ...], ending: tuple[int, ...]) -> tuple[int, ...]:
    """`shape`; ValueError unless it is (N, ..., *ending)."""
    if len(shape) <= len(ending) or tuple(shape[-len(ending) :]) != ending:
        wanted = ", ".join(map(str, ("N", "...", *ending)))
        raise ValueError(f"{module.label()}: x has shape {shape}, expected ({wanted})")
    return tuple(shape)
