"""Compiling spares itself some work; nothing of that stays behind, and the code is the same."""

import gc
import sys

import numba
import numpy as np
import pytest
from bprop.modules import Linear, Module, Tanh
from bprop.modules.engine.stateful import jit_disabled
from bprop.modules.kernels import compiling
from bprop.modules.kernels.buffers import as_rows, flat
from bprop.modules.kernels.compiling import quickly
from bprop.modules.kernels.kernel import kernel
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload

compiled_only = pytest.mark.skipif(jit_disabled(), reason="what is measured is the compiled code")
CONTEXTS = cpu_target.target_context, cpu_target.typing_context


def untouched():
    return gc.isenabled() and not any("refresh" in vars(context) for context in CONTEXTS)


def test_collector_and_registries_are_as_before():
    def inside():
        assert not gc.isenabled()
        assert quickly(gc.isenabled) is False  # within itself
        assert not gc.isenabled()
        return all("refresh" in vars(context) for context in CONTEXTS)

    assert quickly(inside) is True
    assert untouched()
    with pytest.raises(KeyError, match="nothing"):
        quickly({}.__getitem__, "nothing")
    assert untouched()
    gc.disable()
    try:
        quickly(inside)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_frames_of_calls_inside_find_room():
    def depth(frame):
        return 0 if frame is None else 1 + depth(frame.f_back)

    assert quickly(lambda: depth(sys._getframe())) < depth(sys._getframe()) + 10
    assert compiling._with_room.__code__.co_stacksize * 8 > 2**20


@compiled_only
def test_declarations_made_while_compiling_are_found():
    def later(x):
        raise NotImplementedError

    @intrinsic
    def declare(typing_context, x):
        @overload(later)
        def compiled_later(x):
            return lambda x: x + 1

        return x(x), lambda context, builder, signature, args: args[0]

    @kernel
    def last(x):
        return later(x)

    @kernel
    def function(x):
        return last(declare(x))

    @numba.njit
    def call(x):
        return function(x)

    assert call(2.0) == 3.0


@compiled_only
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
        wanted = array.reshape(-1, shape[-1]) if array.size else np.empty((0, shape[-1]), np.float32)
        np.testing.assert_array_equal(matrix, wanted)
        np.testing.assert_array_equal(line, array.ravel())
    matrix, line = call(x)
    assert x.size == 0 or (np.shares_memory(matrix, x) and np.shares_memory(line, x))
    assert matrix.flags.c_contiguous
    assert line.flags.c_contiguous


@compiled_only
def test_views_keep_their_memory():
    @numba.njit
    def call(size):
        x = np.full((3, size), 7.0)
        return rows(x)

    rows = as_rows.compiled_form
    kept = [call(4) for _ in range(100)]
    assert all((each == 7).all() for each in kept)


def test_a_number_is_no_matrix():
    class Wrong(Module):
        def fprop(self, x):
            return as_rows(3.0)

        def bprop(self, grad_y):
            return grad_y

    with pytest.raises((TypeError, AttributeError)):
        Wrong().fprop(np.ones((2, 2)))


def test_nets_compile_with_the_collector_off():
    gc.disable()
    try:
        y = Tanh().fprop(Linear(3, 3).fprop(np.ones((2, 3))))
        assert y.shape == (2, 3)
        assert not gc.isenabled()
    finally:
        gc.enable()
