"""Calls without the garbage collector and with a large frame stack, for compiling: a sixth less time.

- Python allocates the frames of its calls in chunks of 16 KB. A loop whose calls cross the end of a chunk allocates and
  frees a chunk at each call. numba's calls are deep: that happens 80,000 times for a small model.
- Compiling makes objects by the hundred thousand, hardly any of them garbage, and the collector traverses them all.
"""

import gc


def call_without_gc(function, *arguments):
    """Call `function` with the garbage collector disabled and a frame stack large enough for deep calls."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _call_with_large_frame(function, *arguments)
    finally:
        if collects:
            gc.enable()


def _call_with_large_frame(function, *arguments):
    """Call `function` from a frame of 1 MB: Python then allocates 2 MB, of which 1 MB is left for calls."""
    return function(*arguments)


_call_with_large_frame.__code__ = _call_with_large_frame.__code__.replace(co_stacksize=2**17 + 1)  # in pointers
