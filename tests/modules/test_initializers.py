"""Initial values against their formulae, and the one stream they come from."""

import re

import numpy as np
import pytest
from bprop.modules import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    Linear,
    PyTorchUniform,
    Sequential,
    manual_seed,
)
from bprop.modules.initializers import fans

SHAPE = (80, 120)  # out, in


@pytest.mark.parametrize(
    ("initializer", "bound"),
    [
        (PyTorchUniform(120), 1 / np.sqrt(120)),
        (GlorotUniform(), np.sqrt(6 / 200)),
        (GlorotUniform(gain=2), 2 * np.sqrt(6 / 200)),
        (HeUniform(), np.sqrt(6 / 120)),
    ],
)
def test_uniform(initializer, bound):
    values = initializer.sample(SHAPE)
    assert values.shape == SHAPE
    assert values.dtype == np.float64
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.999 * bound
    assert values.mean() == pytest.approx(0, abs=0.02 * bound)
    assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        (GlorotNormal(), np.sqrt(2 / 200)),
        (GlorotNormal(gain=3), 3 * np.sqrt(2 / 200)),
        (HeNormal(), np.sqrt(2 / 120)),
    ],
)
def test_normal(initializer, deviation):
    values = initializer.sample(SHAPE)
    assert values.std() == pytest.approx(deviation, rel=0.03)
    assert values.mean() == pytest.approx(0, abs=0.03 * deviation)
    assert np.mean(np.abs(values) < deviation) == pytest.approx(0.6827, abs=0.02)


def test_constant():
    np.testing.assert_array_equal(Constant(2.5).sample((2, 3)), np.full((2, 3), 2.5))
    np.testing.assert_array_equal(Constant().sample((3,)), np.zeros(3))


def test_fans_count_the_area_of_a_filter():
    assert fans((8, 3)) == (3, 8)
    assert fans((8, 3, 5, 5)) == (75, 200)
    message = "a parameter of shape (7,) has no fan-in and fan-out, expected at least two axes"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fans((7,))


def test_an_initializer_without_sample_says_so():
    class Mine(Initializer):
        pass

    with pytest.raises(NotImplementedError, match=r"^Mine has no sample: write `def sample\(self, shape\)`$"):
        Mine().sample((2, 2))


def test_linear_starts_as_in_pytorch():
    layer = Linear(120, 80)
    for values in (layer.weight, layer.bias):
        assert np.abs(values).max() <= 1 / np.sqrt(120)
        assert values.std() == pytest.approx(1 / np.sqrt(3 * 120), rel=0.2)


def test_linear_takes_initializers():
    layer = Linear(3, 2, weight_init=Constant(1.5), bias_init=Constant(-1))
    np.testing.assert_array_equal(layer.weight, np.full((2, 3), 1.5))
    np.testing.assert_array_equal(layer.bias, [-1, -1])
    assert layer.weight.dtype == np.float32


@pytest.mark.parametrize(("sizes", "name"), [((0, 2), "in_features"), ((2, 0), "out_features")])
def test_linear_refuses_sizes_below_one(sizes, name):
    with pytest.raises(ValueError, match=f"^Linear: {name} is 0, expected at least 1$"):
        Linear(*sizes)


def test_the_seed_decides():
    def net(seed):
        manual_seed(seed)
        return Sequential(Linear(4, 3), Linear(3, 2)).flat_parameters.copy()

    np.testing.assert_array_equal(net(1), net(1))
    assert not np.array_equal(net(1), net(2))
    manual_seed(1)
    assert not np.array_equal(Linear(4, 3).weight, Linear(4, 3).weight)


def test_float64_nets_start_with_the_same_numbers():
    manual_seed(5)
    single = Linear(4, 3)
    manual_seed(5)
    np.testing.assert_array_equal(Linear(4, 3).to("float64").weight.astype(np.float32), single.weight)
