"""Checks of sizes and shapes, shared by several layers."""

from .module import Module

Sizes = int | list[int] | tuple[int, ...]


def check_sizes(owner: Module, **sizes: int) -> None:
    """Raise ValueError that names the first argument below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{type(owner).__name__}: {name} is {size}, expected at least 1")


def replace_features(module: Module, shape: tuple[int, ...], in_features: int, out_features: int) -> tuple[int, ...]:
    """Infer the shape of y (N, ..., out_features) for an x (N, ..., in_features); ValueError for another one."""
    if len(shape) < 2 or shape[-1] != in_features:
        raise ValueError(f"{module.label()}: x has shape {shape}, expected (N, {in_features})")
    return (*shape[:-1], out_features)


def as_sizes(owner: Module, name: str, shape: int | list[int] | tuple[int, ...]) -> tuple[int, ...]:
    """Convert a shape, or a single size, to a tuple; ValueError unless all are at least 1."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{type(owner).__name__}: {name} is {shape}, expected sizes of at least 1")
    return sizes


def check_ending_shape(module: Module, shape: tuple[int, ...], ending: tuple[int, ...]) -> tuple[int, ...]:
    """Check that `shape` is (N, ..., *ending), and return it; ValueError if not."""
    if len(shape) <= len(ending) or tuple(shape[-len(ending) :]) != ending:
        expected = ", ".join(map(str, ("N", "...", *ending)))
        raise ValueError(f"{module.label()}: x has shape {shape}, expected ({expected})")
    return tuple(shape)


def check_matrix_shape(module: Module, shape: tuple[int, ...], features: int) -> int:
    """Check that `shape` is (N, features), and return N; ValueError if not."""
    if len(shape) != 2 or shape[1] != features:
        raise ValueError(f"{module.label()}: x has shape {shape}, expected (N, {features})")
    return shape[0]


def as_image_sizes(owner: Module, name: str, value: Sizes, axes: int = 2) -> tuple[int, ...]:
    """Convert a setting to one number for each axis of an image, or of a volume; a signal is an image of one row.

    Errors: ValueError unless each is at least 1; a padding at least 0.
    """
    numbers = (value,) * axes if isinstance(value, int) else tuple(value)
    missing = 0 if "padding" in name else 1
    if len(numbers) != axes or not all(isinstance(n, int) and n >= missing for n in numbers):
        expected = "one size" if axes == 1 else f"one size or {axes}"
        raise ValueError(f"{type(owner).__name__}: {name} is {value}, expected {expected} of at least {missing}")
    return numbers if axes > 1 else (missing, *numbers)


def collapse_sizes(sizes: tuple[float | None, ...], axes: int = 2):
    """Collapse the sizes of the last axes to one number where all have the same."""
    sizes = sizes[-axes:]
    return sizes[0] if len(set(sizes)) == 1 else sizes


def as_image_shape(
    module: Module, shape: tuple[int, ...], channels: int | None = None, axes: int = 2
) -> tuple[int, ...]:
    """Convert a shape of x to (N, C, H, W), or (N, C, D, H, W); a signal is an image of one row.

    Errors: ValueError unless it has so many channels (None: any number), and is not empty.
    """
    if len(shape) != 2 + axes or (channels is not None and shape[1] != channels) or min(shape[1:]) < 1:
        places = {1: "L", 2: "H, W", 3: "D, H, W"}[axes]
        raise ValueError(f"{module.label()}: x has shape {tuple(shape)}, expected (N, {channels or 'C'}, {places})")
    return tuple(shape) if axes > 1 else (*shape[:2], 1, shape[2])
