"""Two curves that no line separates, and the model of two hidden units that separates them."""

import numpy as np
import pytest
from bprop.datasets import TwoCurves
from bprop.trainers.configs import load_config
from bprop.trainers.runs.run_folder import train_config


def test_the_curves():
    data = TwoCurves(samples=10, gap=0.5)
    x, y = data.train[:]
    assert (x.shape, y.shape, x.dtype, y.dtype) == ((10, 2), (10, 1), np.float32, np.float32)
    assert y.ravel().tolist() == [0] * 5 + [1] * 5
    np.testing.assert_allclose(x[:5, 0], np.linspace(-1, 1, 5))
    np.testing.assert_allclose(x[5:, 1] - x[:5, 1], 0.5, atol=1e-6)
    np.testing.assert_allclose(x[[5, 7, 9], 1], [-0.35, 0.85, -0.35], atol=1e-6)
    assert data.test is data.train
    assert data.class_names == ("lower", "upper")


def test_no_line_separates_them():
    """The middle of the upper curve's ends lies below the top of the lower one, which lies below the upper one's."""
    x, _ = TwoCurves(samples=202).train[:]
    lower, upper = x[:101], x[101:]
    assert (upper[0, 1] + upper[-1, 1]) / 2 < lower[50, 1] < upper[50, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 2}, "samples is 2, expected an even number of at least 4"),
        ({"samples": 7}, "samples is 7, expected an even number of at least 4"),
        ({"samples": True}, "samples is True, expected an even number of at least 4"),
        ({"gap": 0}, "gap is 0, expected a number above 0"),
        ({"gap": np.inf}, "gap is inf, expected a number above 0"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^TwoCurves: {message}$"):
        TwoCurves(**options)


@pytest.mark.jit
def test_two_hidden_units_separate_them(tmp_path):
    figures = train_config(load_config("two_curves"), tmp_path / "run", quiet=True)
    assert (figures["test_accuracy"], figures["parameters"]) == (1.0, 9)
