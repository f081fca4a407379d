"""Where a net's vectors lie: each at the beginning of a cache line, and at another line of its page than the last one.

A vector register holds a whole line: numbers that lie across two are read and written as two. A pass over several
vectors that begin at the same place of a page takes 1.4 times as long, as they are rivals for the same lines. Long ones
lie in huge pages, of which the system needs few: a pass in pages of 4 KiB may take 2.6 times as long.
"""

import itertools
import mmap

import numpy as np

PAGE, HUGE_PAGE = 1 << 12, 1 << 21
STEP, PLACES = 9 * 64, 16  # bytes from one vector's place to the next one's: nine lines of the cache
_turns = itertools.cycle(range(PLACES))


def zeros(size: int, dtype) -> np.ndarray:
    """Zeros, (size,), at a line's beginning; in huge pages where it is long enough and the system gives them."""
    needed, place = size * np.dtype(dtype).itemsize, STEP * next(_turns)
    if needed < HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        page, memory = PAGE, np.zeros(needed + 2 * PAGE, np.uint8)
    else:
        block = mmap.mmap(-1, needed + 2 * HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.madvise(mmap.MADV_HUGEPAGE)
        page, memory = HUGE_PAGE, np.frombuffer(block, np.uint8)
    start = -memory.ctypes.data % page + place % page
    return memory[start : start + needed].view(dtype)


def placed(vector: np.ndarray) -> np.ndarray:
    """A copy of the vector (P,) that lies as `zeros` lay it."""
    copy = zeros(vector.size, vector.dtype)
    copy[:] = vector
    return copy
