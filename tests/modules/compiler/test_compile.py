"""Compiling spares itself some work; nothing of that stays behind, and the code is the same."""

import gc
import sys

import numba
import numpy as np
import pytest
from bprop.modules import Linear, Tanh
from bprop.modules.compiler import gc_free_call
from bprop.modules.compiler.gc_free_call import call_without_gc
from bprop.modules.kernels.buffers import as_rows, flat


def test_the_collector_is_as_before():
    def inside():
        assert not gc.isenabled()
        assert call_without_gc(gc.isenabled) is False  # within itself
        return not gc.isenabled()

    assert call_without_gc(inside)
    assert gc.isenabled()
    with pytest.raises(KeyError, match="nothing"):
        call_without_gc({}.__getitem__, "nothing")
    assert gc.isenabled()
    gc.disable()
    try:
        assert call_without_gc(inside)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_frames_of_calls_inside_find_room():
    def depth(frame):
        return 0 if frame is None else 1 + depth(frame.f_back)

    assert call_without_gc(lambda: depth(sys._getframe())) < depth(sys._getframe()) + 10
    assert gc_free_call._call_with_large_frame.__code__.co_stacksize * 8 > 2**20


@pytest.mark.jit
@pytest.mark.parametrize("shape", [(2, 3, 4), (5, 3), (4,), (0, 3), (2, 0, 4), (3, 0)])
def test_rows_are_views(shape):
    @numba.njit
    def call(x):
        return rows(x), vector(x)

    rows, vector = as_rows.compiled_form, flat.compiled_form
    wide = np.arange(2 * np.prod(shape), dtype=np.float32).reshape(*shape[:-1], 2 * shape[-1])
    x = np.ascontiguousarray(wide[..., ::2])
    for array in (x, np.asfortranarray(x), wide[..., ::2], x[::-1]):
        matrix, line = call(array)
        expected = array.reshape(-1, shape[-1]) if array.size else np.empty((0, shape[-1]), np.float32)
        np.testing.assert_array_equal(matrix, expected)
        np.testing.assert_array_equal(line, array.ravel())
    matrix, line = call(x)
    assert x.size == 0 or (np.shares_memory(matrix, x) and np.shares_memory(line, x))
    assert matrix.flags.c_contiguous
    assert line.flags.c_contiguous


@pytest.mark.jit
def test_views_keep_their_memory():
    @numba.njit
    def call(size):
        x = np.full((3, size), 7.0)
        return rows(x)

    rows = as_rows.compiled_form
    views = [call(4) for _ in range(100)]
    assert all((each == 7).all() for each in views)


def test_nets_compile_with_the_collector_off():
    gc.disable()
    try:
        y = Tanh().fprop(Linear(3, 3).fprop(np.ones((2, 3))))
        assert y.shape == (2, 3)
        assert not gc.isenabled()
    finally:
        gc.enable()
