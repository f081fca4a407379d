"""Forward mode by dual numbers, which carry a derivative along with each value.

With ε² = 0, f(a + b ε) = f(a) + f'(a) b ε: it is enough to know that for each elementary operation.
"""

import numpy as np

from .rules import get_rules
from .scalar import Scalar, get_value


class Dual(Scalar):
    """A number a + b ε, where ε² = 0.

        x + y = (a + c) + (b + d) ε
        x y   = a c + (a d + b c) ε
        f(x)  = f(a) + f'(a) b ε

    Put in for a float, with tangent 1 for the argument to differentiate and 0 for the others, it makes plain NumPy code
    compute a directional derivative. One run gives the derivative of every output in one direction.

    Args: value: a, a number, which may be a Dual for second derivatives; tangent: b.
    Errors: Untraceable for an operation whose derivative is not known.
    Source: Bishop and Bishop, Deep Learning, section 8.2.1; Géron, Hands-On Machine Learning, appendix on autodiff.
    """

    __slots__ = ("tangent",)

    def __init__(self, value, tangent=0.0):
        self.value, self.tangent = value, tangent

    def combine(self, operation, inputs):
        rules, values = get_rules(operation), [get_value(each) for each in inputs]
        y, tangent = operation(*values), 0.0
        for rule, each in zip(rules, inputs, strict=True):
            if isinstance(each, Dual):
                tangent = tangent + rule(*values, y) * each.tangent
        return Dual(y, tangent)

    def __repr__(self) -> str:
        return f"Dual({self.value}, {self.tangent})"


def duals(values, tangents) -> np.ndarray:
    """Make an array of dual numbers from an array of values and one of tangents (or one tangent for all)."""
    values, tangents = np.broadcast_arrays(np.asarray(values), np.asarray(tangents))
    array = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        value, tangent = values[place], tangents[place]
        array[place] = Dual(
            value if isinstance(value, Scalar) else value.item(),
            tangent if isinstance(tangent, Scalar) else tangent.item(),
        )
    return array


def tangents_of(array):
    """Get the tangents of a dual number or of an array of them; plain numbers have none."""
    if isinstance(array, np.ndarray):
        return np.array([getattr(each, "tangent", 0.0) for each in array.flat]).reshape(array.shape)
    return getattr(array, "tangent", 0.0)


def derivative(function, *arguments, directions) -> tuple:
    """Compute (y, dy), the value of a function and its derivative along a direction, by dual numbers.

    Args: function: of arrays or numbers; arguments: where; directions: one for each argument, of its shape.
    """
    inputs = [
        duals(a, v) if np.ndim(a) else Dual(float(a), float(v)) for a, v in zip(arguments, directions, strict=True)
    ]
    y = function(*inputs)
    if not isinstance(y, np.ndarray):
        return get_value(y), tangents_of(y)
    return np.array([get_value(each) for each in y.flat]).reshape(y.shape), tangents_of(y)
