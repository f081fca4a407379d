"""A method that is called by itself needs no entry: all of the same types share a caller, which passes on errors."""

import numpy as np
import pytest
from bprop.modules import BinaryCrossEntropy, Linear, Module, ReLU, Sequential, Tanh
from bprop.modules.compiler.kernel import EntryCompiler
from bprop.modules.engine import method_calls

pytestmark = pytest.mark.jit


@pytest.fixture
def entries(monkeypatch):
    """The functions that are compiled for Python to call, by name."""
    names, compile_extra = [], EntryCompiler.compile_extra

    def note(self, function):
        names.append(function.__name__)
        return compile_extra(self, function)

    monkeypatch.setattr(EntryCompiler, "compile_extra", note)
    monkeypatch.setattr(method_calls, "_callers", {})
    return names


class Half(Module):
    """y = x / 2; refuses negative numbers."""

    def fprop(self, x):
        for i in range(x.shape[0]):
            if x[i, 0] < 0:
                raise ValueError("a number is negative")
        return x / 2

    def bprop(self, grad_y):
        return grad_y / 2


class Third(Half):
    def fprop(self, x):
        return x / 3

    def bprop(self, grad_y):
        return grad_y / 3


def test_methods_of_the_same_types_share_a_caller(entries, tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))
    x = np.ones((2, 3), np.float32)
    for module, value in ((Half(), 0.5), (Third(), 1 / 3), (Half(), 0.5)):
        np.testing.assert_allclose(module.fprop(x), value)
        np.testing.assert_allclose(module.bprop(x), value)
    assert entries.count("<lambda>") == 1
    assert "fprop" not in entries
    assert "bprop" not in entries
    Half().to("float64").fprop(x)
    assert entries.count("<lambda>") == 2, "other types"


def test_several_operations_have_an_entry(entries, tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))
    net, x = Sequential(Linear(3, 3), Half()), np.ones((2, 3), np.float32)
    net[0].weight[:], net[0].bias[:] = 1, 0
    np.testing.assert_allclose(net.fprop(x), 1.5)
    assert "fprop" in entries


def test_a_layer_fused_with_its_unit_gets_both_states():
    net, x = Sequential(Linear(3, 2), ReLU()), np.ones((2, 3), np.float32)
    net[0].weight[:], net[0].bias[:] = [[1, 1, 1], [-1, -1, -1]], 0
    np.testing.assert_allclose(net.fprop(x), [[3, 0], [3, 0]])
    np.testing.assert_allclose(net.bprop(np.ones((2, 2), np.float32)), np.ones((2, 3)))


def test_arguments_none_and_two():
    loss, y = BinaryCrossEntropy(), np.array([[0.25], [0.5]], np.float32)
    assert loss.fprop(y, np.array([[0], [1]])) == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    np.testing.assert_allclose(loss.bprop(), [[2 / 3], [-1]], rtol=1e-6)


def test_an_error_arrives_as_it_was_raised():
    module = Half()
    with pytest.raises(ValueError, match="a number is negative"):
        module.fprop(np.array([[-1]], np.float32))
    np.testing.assert_allclose(module.fprop(np.array([[2]], np.float32)), 1)


def test_results_of_earlier_calls_stay():
    module, x = Tanh(), np.full((2, 3), 0.5, np.float32)
    first = module.fprop(x)
    module.fprop(2 * x)
    np.testing.assert_allclose(first, np.tanh(0.5), rtol=1e-6)
