"""Buffers: arrays that methods write in place, saved and converted with the parameters, but not learnt."""

import numpy as np
import pytest
from bprop.modules import Buffer, Counter, Linear, Module, Sequential, check_gradients

X = np.random.default_rng(0).standard_normal((4, 3))


class Running(Module):
    """y = x - mean, with a running mean that a training step moves after its use."""

    def __init__(self, features):
        super().__init__()
        self.mean = Buffer(np.ones(features))
        self.batches = Buffer(0)
        self.samples = Counter()

    def fprop(self, x):
        y = x - self.mean
        if self.training:
            self.mean += 0.5 * (x.mean(axis=0) - self.mean)
            self.batches[()] += 1
            self.samples += x.shape[0]
        return y

    def bprop(self, grad_y):
        return grad_y


def test_methods_write_buffers_in_place():
    module = Running(3)
    memory = module.mean
    module.fprop(X)
    expected = 0.5 + 0.5 * X.mean(axis=0)
    np.testing.assert_allclose(module.mean, expected, rtol=1e-6)
    assert module.mean is memory
    assert (module.batches, module.samples) == (1, 4)
    module.eval().fprop(X)
    np.testing.assert_allclose(module.mean, expected, rtol=1e-6)
    module.mean = 2 * np.ones(3)
    np.testing.assert_allclose(module.fprop(X), X - 2, rtol=1e-6)
    assert module.mean is memory


def test_buffers_are_saved_beside_the_parameters():
    net = Sequential(Linear(3, 3), Running(3))
    net.fprop(X)
    state = net.state_dict()
    assert list(state) == ["0.weight", "0.bias", "1.mean", "1.batches"]
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert [name for name, _ in net.named_buffers()] == ["1.mean", "1.batches"]
    assert (net.parameter_count, net.flat_parameters.size) == (12, 12)
    assert state["1.batches"].dtype == np.int64
    other = Sequential(Linear(3, 3), Running(3))
    other.fprop(X)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other[1].mean, state["1.mean"])
    np.testing.assert_array_equal(other.fprop(X), net.fprop(X))
    del state["1.mean"]
    with pytest.raises(ValueError, match=r"cannot load the state: missing 1\.mean$"):
        other.load_state_dict(state)


def test_buffers_are_copied_and_converted():
    module = Running(3)
    module.fprop(X)
    copy = module.copy().to("float64")
    assert (copy.mean.dtype, copy.batches.dtype) == (np.float64, np.int64)
    np.testing.assert_allclose(copy.mean, module.mean)
    assert copy.counters() == {"samples": 4}
    copy.fprop(X)
    assert (module.batches, copy.batches) == (1, 2)
    assert (module.samples, copy.samples) == (4, 8)


def test_gradient_checks_hold_buffers_fixed():
    module = Running(3)
    check_gradients(module, X).raise_if_wrong()
    assert module.batches == 0
    np.testing.assert_array_equal(module.mean, np.ones(3))


def test_a_buffer_holds_numbers():
    with pytest.raises(TypeError, match=r"^Buffer: data has dtype <U1, expected real numbers$"):
        Buffer("a")
