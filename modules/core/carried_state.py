"""State that modules carry from minibatch to minibatch, such as the last hidden state of a recurrent layer.

A module that carries state has a method `reset_state`, and the state is in its buffers, so checkpoints have it. Its
`stream_axes` say which buffers have a row for each sample, on which axis: what a minibatch that is cut must know.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine.locks import locked
from .module import Module


def find_rows(modules: Iterable[Any]) -> list[tuple[np.ndarray, int]]:
    """Find the states that have a row for each sample of a minibatch: the arrays, and the axis of their rows.

    A module names them in `stream_axes`: {"state": 0}.
    """
    found: dict[int, tuple[np.ndarray, int]] = {}
    for module in modules:
        for name, axis in getattr(module, "stream_axes", {}).items():
            array = module.view(name)
            if array.size:
                found.setdefault(array.__array_interface__["data"][0], (array, axis))
    return list(found.values())


def find_carriers(net: Module) -> list[Any]:
    """Find the modules that carry state."""
    return [module for module in net.all_modules() if callable(getattr(module, "reset_state", None))]


def reset_state(net: Module) -> None:
    """Reset the state of all modules that carry some, at the start of a pass over the data."""
    carriers = find_carriers(net)
    if carriers:
        with locked(net):
            for module in carriers:
                module.reset_state()


def find_streams(net: Module) -> int | None:
    """Find how many streams the modules carry state of: as many samples are to be in each minibatch; None if not told.

    It is the attribute `streams` of such a module.
    """
    numbers = [getattr(module, "streams", None) for module in find_carriers(net)]
    return next((number for number in numbers if isinstance(number, int) and number > 0), None)


@contextmanager
def fresh_state(net: Module) -> Iterator[None]:
    """Context in which the modules begin with state that is reset; afterwards they have their own again.

    The caller has locked the net.
    """
    carriers = find_carriers(net)
    saved = [{name: vars(module)[name].copy() for name in module._buffers} for module in carriers]
    for module in carriers:
        module.reset_state()
    try:
        yield
    finally:
        for module, buffers in zip(carriers, saved, strict=True):
            for name, array in buffers.items():
                vars(module)[name][...] = array
