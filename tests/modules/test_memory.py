"""Long vectors begin at places of their pages that differ, and hold what they should."""

import mmap

import numpy as np
import pytest
from bprop.modules import Linear
from bprop.modules.memory import HUGE_PAGE, PLACES, placed, zeros


@pytest.mark.parametrize("size", [0, 1, 1000, HUGE_PAGE // 4 - 1, HUGE_PAGE // 4, 1_000_003])
def test_zeros_are_zeros_of_the_dtype_and_can_be_written(size):
    for dtype in (np.float32, np.float64):
        vector = zeros(size, dtype)
        assert vector.shape == (size,)
        assert vector.dtype == dtype
        assert not vector.any()
        vector[:] = 1
        assert vector.sum() == size


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="no huge pages here")
def test_long_vectors_begin_at_places_of_their_pages_that_differ():
    starts = {zeros(HUGE_PAGE // 8, np.float64).ctypes.data % HUGE_PAGE for _ in range(PLACES)}
    assert len(starts) == PLACES
    assert all(start % 64 == 0 for start in starts)


def test_placed_is_a_copy():
    vector = np.arange(1_000_000, dtype=np.float32)
    copy = placed(vector)
    np.testing.assert_array_equal(copy, vector)
    copy[0] = 7
    assert vector[0] == 0


def test_parameters_of_a_large_net_lie_so():
    net = Linear(1000, 1000)
    before = net.weight.copy()
    assert net.flat_parameters.ctypes.data % 64 == 0
    np.testing.assert_array_equal(net.weight, before)
