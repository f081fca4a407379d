"""Detection of random numbers that do not depend on a config's seed, by building a model twice."""

import warnings
from typing import Any

import numpy as np

from ...modules.core.module import Module
from ..configs import Config

HINT = "draw from np.random, random or bprop.modules.get_generator(), which the config's seed starts"


def warn_of_unseeded_randomness(config: Config, model: Module, loss: Module) -> None:
    """Warn if the config's model or loss differs when it is built again.

    It costs a second building, so it is for configs with custom modules: those of bprop draw from the seed alone.
    """
    if not config.imported:
        return
    again = config.build_net()
    for name, own, other in (("model", model, again[0]), ("loss", loss, again[1])):
        if difference := find_differing_attribute(own, other):
            path, attribute, kind = difference
            where = f"{name}.{path}" if path else name
            warnings.warn(
                f"{where} ({kind}): {attribute} differs between two builds from seed {config.seed}; {HINT}",
                stacklevel=3,
            )


def find_differing_attribute(own: Module, other: Module) -> tuple[str, str, str] | None:
    """Find (path, name, class) of the first number or array in which two models differ."""
    for (path, part), twin in zip(own.named_modules(), other.all_modules(), strict=False):
        for name in vars(part):
            if not name.startswith("_") and not is_equal(getattr(part, name), getattr(twin, name, None)):
                return path, name, type(part).__name__
    return None


def is_equal(value: Any, other: Any) -> bool:
    """Whether two numbers or arrays are equal; other values count as equal."""
    if not isinstance(value, np.ndarray | int | float):
        return True
    return np.array_equal(value, other, equal_nan=getattr(value, "dtype", np.dtype(float)).kind in "fc")
