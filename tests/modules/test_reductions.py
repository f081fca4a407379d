"""Reductions over an axis in a compiled method, against NumPy's."""

import numpy as np
import pytest
from bprop.modules import Module
from bprop.modules.engine.stateful import plain_python


class Columns(Module):
    def fprop(self, x):
        best = np.max(x, axis=0) + x.min(0) + np.sum(x, 0)
        return x + x.sum(axis=0) + x.mean(axis=0) + best + (x > 0.5).sum(axis=0).astype(x.dtype)

    def bprop(self, grad_y):
        return grad_y


class Rows(Module):
    def fprop(self, x):
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / x.std(axis=1, keepdims=True) + x.var(axis=1, keepdims=True)

    def bprop(self, grad_y):
        return grad_y


@pytest.mark.parametrize("module", [Columns, Rows])
def test_compiled_equals_numpy(module):
    x = np.random.default_rng(0).random((5, 4), np.float32)
    with plain_python():
        right = module().fprop(x)
    y = module().fprop(x)
    assert y.dtype == np.float32
    assert np.allclose(y, right, rtol=1e-5)


def test_nan_stays_nan():
    x = np.ones((3, 2), np.float32)
    x[1, 0] = np.nan
    assert np.isnan(Columns().fprop(x)[:, 0]).all()
    assert np.isfinite(Columns().fprop(x)[:, 1]).all()
