"""Numerical derivatives by finite differences, and their errors by step size.

Truncation falls with the step and rounding grows as it shrinks, so that a step between both is best.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

EPS = float(np.finfo(np.float64).eps)


def forward_difference(function: Callable[[Any], Any], x, direction=1.0, step: float = EPS ** (1 / 2)):
    """The derivative of a function along a direction, by one value beside x.

        f'(x) v = (f(x + h v) - f(x)) / h + O(h)

    Args: function: of a number or array; direction: v, of x's shape; step: h, by default √ε.
    Errors: ValueError for a step that is not positive.
    Source: Bishop and Bishop, Deep Learning, section 8.1.4 (eq. 8.24); Goodfellow et al., Deep Learning, section 11.5.
    """
    h = check_positive("forward_difference", step)
    return (function(x + h * np.asarray(direction)) - function(x)) / h


def central_difference(function: Callable[[Any], Any], x, direction=1.0, step: float = EPS ** (1 / 3)):
    """The derivative of a function along a direction, by two values around x: the terms in h cancel.

        f'(x) v = (f(x + h v) - f(x - h v)) / 2h + O(h²)

    Args: function: of a number or array; direction: v, of x's shape; step: h, by default ∛ε.
    Errors: ValueError for a step that is not positive.
    Source: Bishop and Bishop, Deep Learning, section 8.1.4 (eq. 8.25); Goodfellow et al., Deep Learning, section 11.5.
    """
    h = check_positive("central_difference", step)
    move = h * np.asarray(direction)
    return (function(x + move) - function(x - move)) / (2 * h)


def complex_step(function: Callable[[Any], Any], x, direction=1.0, step: float = 1e-20):
    """The derivative of a real function along a direction, by one value at a complex x: nothing is subtracted.

        f'(x) v = Im f(x + i h v) / h + O(h²)

    It is right to the last digits for any small h. The function must be one of complex numbers, too, made of +, *, exp,
    sin...: np.abs and comparisons are not differentiable there and give another derivative.

    Args: function: of a number or array; direction: v, of x's shape; step: h.
    Errors: ValueError for a step that is not positive.
    Source: Squire and Trapp, Using complex variables to estimate derivatives (1998); Goodfellow et al., section 11.5.
    """
    h = check_positive("complex_step", step)
    return np.imag(function(x + 1j * h * np.asarray(direction))) / h


METHODS = {"forward": forward_difference, "central": central_difference, "complex": complex_step}


def difference_errors(
    function: Callable[[Any], Any], x, exact: float, steps: Iterable[float], direction=1.0, methods=tuple(METHODS)
) -> dict[str, np.ndarray]:
    """|difference - exact| / |exact| for each step, by method: the curves of Bishop's figure 8.2.

    Args: function: with a number as its value; exact: its derivative along the direction, not 0; steps: positive.
        methods: of forward, central and complex.
    """
    with np.errstate(all="ignore"):
        return {
            name: np.array([abs(METHODS[name](function, x, direction, h) - exact) / abs(exact) for h in steps])
            for name in methods
        }


def check_positive(who: str, step: float) -> float:
    """Check a step; ValueError unless it is positive and finite."""
    if not 0 < step < np.inf:
        raise ValueError(f"{who}: step is {step}, expected a positive number")
    return step
