"""Compiling, spared what Python and numba would do over and over meanwhile: a fifth of the time it takes.

- Python takes memory for the frames of its calls in pieces of 16 KB; where a loop calls across the end of a piece, each
  call asks the system for a piece and gives it back. numba's calls are deep: that happens 80,000 times for a small net.
- Drafts of code pile up by the hundred thousand, hardly one of them garbage, and the collector looks through them all.
- For almost each call that it types, numba looks for new declarations in all its registries, two thousand times.
"""

import gc
import threading
from functools import partial

from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

_inside = threading.local()


def quickly(function, *arguments):
    """function(*arguments), which compiles."""
    with global_compiler_lock:
        if getattr(_inside, "quickly", False):
            return function(*arguments)
        contexts = cpu_target.target_context, cpu_target.typing_context
        collects = gc.isenabled()
        gc.disable()
        _inside.quickly = True
        try:
            return _with_room(_with_registries, contexts, function, *arguments)
        finally:
            for context in contexts:
                vars(context).pop("refresh", None)
            _inside.quickly = False
            if collects:
                gc.enable()


def _with_room(function, *arguments):
    """A call whose frame asks for 1 MB; Python then takes 2 MB, and the rest is there for the calls inside."""
    return function(*arguments)


_with_room.__code__ = _with_room.__code__.replace(co_stacksize=2**17 + 1)  # in pointers


def _with_registries(contexts, function, *arguments):
    """A call meanwhile numba reads declarations only from registries that have grown."""
    for context in contexts:
        context.refresh = _nothing
        type(context).refresh(context)
    counts: dict = {}
    for context in contexts:
        context.refresh = partial(_read_more, contexts, counts)
    context.refresh()
    return function(*arguments)


def _nothing() -> None:
    """What stands in for numba's `refresh` inside numba's `refresh`, which else calls itself some hundred times."""


def _read_more(contexts, counts: dict) -> None:
    """Read the registries of the contexts that have grown since they were counted."""
    for context in contexts:
        for registry, loader in context._registries.items():
            count = sum([len(getattr(registry, kind)) for kind in loader.registry_items])
            if counts.get(registry) != count:
                counts[registry] = count
                context.install_registry(registry)
