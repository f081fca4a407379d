"""Compiling without the garbage collector and with room for deep calls: a sixth less time.

- Python takes memory for the frames of its calls in pieces of 16 KB; where a loop calls across the end of a piece, each
  call asks the system for a piece and gives it back. numba's calls are deep: that happens 80,000 times for a small net.
- Drafts of code pile up by the hundred thousand, hardly one of them garbage, and the collector looks through them all.
"""

import gc


def call_without_gc(function, *arguments):
    """Call `function`, which compiles, with the garbage collector off and memory for the frames of deep calls."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _with_room(function, *arguments)
    finally:
        if collects:
            gc.enable()


def _with_room(function, *arguments):
    """A call whose frame asks for 1 MB; Python then takes 2 MB, and the rest is there for the calls inside."""
    return function(*arguments)


_with_room.__code__ = _with_room.__code__.replace(co_stacksize=2**17 + 1)  # in pointers
