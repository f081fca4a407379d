"""Vectors begin at lines of their pages that differ, arrays at any line, and hold what they should."""

import mmap

import numba
import numpy as np
import pytest
from bprop.modules import Linear
from bprop.modules.core.aligned_memory import HUGE_PAGE, PAGE, PLACES, allocate_zeros, copy_aligned
from bprop.modules.engine.compiler import get_dispatcher
from bprop.modules.kernels import buffers


@pytest.mark.parametrize("size", [0, 1, 1000, HUGE_PAGE // 4 - 1, HUGE_PAGE // 4, 1_000_003])
def test_zeros_are_zeros_of_the_dtype_and_can_be_written(size):
    for dtype in (np.float32, np.float64):
        vector = allocate_zeros(size, dtype)
        assert vector.shape == (size,)
        assert vector.dtype == dtype
        assert not vector.any()
        vector[:] = 1
        assert vector.sum() == size


def test_short_vectors_begin_at_lines_of_their_pages_that_differ():
    vectors = [allocate_zeros(100, np.float32) for _ in range(2 * PLACES)]
    starts = {vector.ctypes.data % PAGE for vector in vectors}
    assert len(starts) == PLACES
    assert all(start % 64 == 0 for start in starts)
    for k, vector in enumerate(vectors):
        vector[:] = k
    assert [vector.tolist() for vector in vectors] == [[k] * 100 for k in range(2 * PLACES)]


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="no huge pages here")
def test_long_vectors_begin_at_places_of_their_pages_that_differ():
    starts = {allocate_zeros(HUGE_PAGE // 8, np.float64).ctypes.data % HUGE_PAGE for _ in range(PLACES)}
    assert len(starts) == PLACES
    assert all(start % 64 == 0 for start in starts)


def test_placed_is_a_copy():
    vector = np.arange(1_000_000, dtype=np.float32)
    copy = copy_aligned(vector)
    np.testing.assert_array_equal(copy, vector)
    copy[0] = 7
    assert vector[0] == 0


def test_parameters_of_a_large_net_lie_so():
    net = Linear(1000, 1000)
    before = net.weight.copy()
    assert net.flat_parameters.ctypes.data % 64 == 0
    np.testing.assert_array_equal(net.weight, before)


@pytest.mark.jit
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_compiled_code_makes_begins_at_a_line(dtype):
    @numba.njit
    def call(buffer, x):
        return new(x.shape, x.dtype), of_shape(buffer, (3, 5), x.dtype), like(buffer, x)

    new, of_shape, like = buffers.empty.compiled_form, get_dispatcher(buffers.reuse), get_dispatcher(buffers.reuse_like)
    x, buffer = np.ones((7, 3), dtype), np.ones((2, 2), dtype)
    results = [call(buffer, x) for _ in range(20)]
    for arrays in results:
        assert [array.shape for array in arrays] == [(7, 3), (3, 5), (7, 3)]
        assert all(array.dtype == dtype and array.flags.c_contiguous for array in arrays)
        assert all(array.ctypes.data % buffers.LINE == 0 for array in arrays)
    for k, arrays in enumerate(results):
        for array in arrays:
            array[:] = k
    assert all((array == k).all() for k, arrays in enumerate(results) for array in arrays)
    same = np.ones((3, 5), dtype)
    assert np.shares_memory(call(same, x)[1], same)
