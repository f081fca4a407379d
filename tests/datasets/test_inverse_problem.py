"""`InverseProblem`: samples of the curve, the same for a seed."""

import re

import numpy as np
import pytest
from bprop.datasets import InverseProblem


def test_samples_lie_around_the_curve():
    ds = InverseProblem(train_size=20_000, seed=3)
    x, t = ds.train[:]
    assert (x.shape, t.shape, x.dtype, t.dtype) == ((20_000, 1), (20_000, 1), np.float32, np.float32)
    noise = (x - (t + 0.3 * np.sin(2 * np.pi * t))) / 0.1
    for uniform in (t, (noise + 1) / 2):  # sixteen equal bins, each within five standard deviations
        counts = np.histogram(uniform, 16, (-1e-4, 1 + 1e-4))[0]
        assert abs(counts - 1250).max() < 5 * np.sqrt(1250)
    assert abs(np.corrcoef(t[:, 0], noise[:, 0])[0, 1]) < 0.03


def test_one_input_has_several_targets():
    x, t = InverseProblem(train_size=5000, noise=0.0).train[:]
    assert np.ptp(t[abs(x - 0.5) < 0.01]) > 0.55


def test_parts():
    ds = InverseProblem(train_size=30, valid_size=20, test_size=10)
    assert [len(part) for part in (ds.train, ds.valid, ds.test)] == [30, 20, 10]
    assert not set(ds.train.x[:, 0]) & set(ds.valid.x[:, 0])
    assert not set(ds.train.x[:, 0]) & set(ds.test.x[:, 0])
    alone = InverseProblem(train_size=50, valid_size=0, test_size=0)
    assert (alone.valid, alone.test) == (None, None)
    np.testing.assert_array_equal(alone.train.x[:30], ds.train.x)
    assert not np.array_equal(InverseProblem(train_size=30, seed=1).train.x, ds.train.x)
    assert (ds.train.input_shape, ds.train.target_shape) == (ds.input_shape, ds.target_shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_size": 0}, "train_size is 0, expected a whole number of at least 1"),
        ({"test_size": 0.5}, "test_size is 0.5, expected a whole number of at least 0"),
        ({"noise": -0.1}, "noise is -0.1, expected a number of at least 0"),
        ({"noise": np.nan}, "noise is nan, expected a number of at least 0"),
        ({"seed": -1}, "seed is -1, expected a whole number"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=f"^InverseProblem: {re.escape(message)}"):
        InverseProblem(**options)
