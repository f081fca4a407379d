"""Where long vectors lie: in huge pages, of which the system needs few, each beginning at another place of its page.

A pass over vectors in pages of 4 KiB may take 2.6 times as long, for the table of pages alone; a pass over several that
begin at the same place of a page takes 1.4 times as long, as they are rivals for the same lines of the cache.
"""

import itertools
import mmap

import numpy as np

HUGE_PAGE = 1 << 21
STEP, PLACES = 9 * 64, 16  # bytes from one vector's place to the next one's: nine lines of the cache
_turns = itertools.cycle(range(PLACES))


def zeros(size: int, dtype) -> np.ndarray:
    """Zeros, (size,), in huge pages where the vector is long enough and the system gives them."""
    needed = size * np.dtype(dtype).itemsize
    if needed < HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(size, dtype)
    block = mmap.mmap(-1, needed + 2 * HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(mmap.MADV_HUGEPAGE)
    place = np.frombuffer(block, np.uint8)
    start = -place.ctypes.data % HUGE_PAGE + STEP * next(_turns)
    return place[start : start + needed].view(dtype)


def placed(vector: np.ndarray) -> np.ndarray:
    """A copy of the vector (P,) that lies as `zeros` lay it."""
    copy = zeros(vector.size, vector.dtype)
    copy[:] = vector
    return copy
