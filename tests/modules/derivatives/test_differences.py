"""Numerical derivatives: their orders, their best steps, and what they refuse."""

import numpy as np
import pytest
from bprop.modules.autodiff import central_difference, complex_step, derive, difference_errors, forward_difference

METHODS = {"forward_difference": forward_difference, "central_difference": central_difference}


def f(x):
    return np.sin(x) * np.exp(x)


EXACT = (np.sin(0.8) + np.cos(0.8)) * np.exp(0.8)


def test_default_steps():
    assert forward_difference(f, 0.8) == pytest.approx(EXACT, rel=1e-7)
    assert central_difference(f, 0.8) == pytest.approx(EXACT, rel=1e-9)
    assert complex_step(f, 0.8) == pytest.approx(EXACT, rel=1e-15)


@pytest.mark.parametrize(("method", "order"), [(forward_difference, 1), (central_difference, 2), (complex_step, 2)])
def test_the_error_falls_with_a_power_of_the_step(method, order):
    errors = [abs(method(f, 0.8, step=h) - EXACT) for h in (1e-2, 1e-3)]
    assert np.log10(errors[0] / errors[1]) == pytest.approx(order, abs=0.02)


def test_the_curves_have_their_valleys():
    """Bishop's figure 8.2: near √ε and ∛ε; the complex step has none."""
    steps = 10.0 ** np.arange(0, -15, -1)
    errors = difference_errors(f, 0.8, EXACT, steps)
    assert 1e-9 < steps[errors["forward"].argmin()] < 1e-6
    assert 1e-7 < steps[errors["central"].argmin()] < 1e-3
    assert errors["complex"][8:].max() < 1e-15
    assert difference_errors(f, 0.8, EXACT, steps, methods=["central"]).keys() == {"central"}


def test_directions_of_arrays():
    x, v = np.random.default_rng(0).standard_normal((2, 4, 3))
    expected = np.vdot(derive(lambda x: (f(x) ** 2).sum(), x).bprop()["x"], v)
    for method in (forward_difference, central_difference, complex_step):
        assert method(lambda x: (f(x) ** 2).sum(), x, v) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("method", [forward_difference, central_difference, complex_step])
@pytest.mark.parametrize("step", [0.0, -1e-3, np.inf])
def test_steps_that_are_none_are_refused(method, step):
    with pytest.raises(ValueError, match=rf"^{method.__name__}: step is {step}, expected a positive number$"):
        method(f, 0.8, step=step)
