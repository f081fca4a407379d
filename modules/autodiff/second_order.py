"""Reverse mode over forward mode: products of a Hessian and a vector, for plain functions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .derive import argument_names, derive
from .dual import Dual, duals, tangents_of


def hessian_times(function: Callable[..., Any], *arguments, directions) -> dict[str, Any]:
    """The product of a function's Hessian and a vector, by one trace of one run on dual numbers.

        g(x) = ∇f(x)ᵀ v      forward mode: the tangent of f along v
        H v  = ∇g(x)         reverse mode, of that run

    It costs a small multiple of f, whatever the number of inputs: H itself is never made.

        hessian_times(lambda x, y: x**2 * y + y + 2, 3.0, 4.0, directions=(1.0, 0.0))     {"x": 8.0, "y": 6.0}

    Args: function: of numbers or arrays, with a number as its value; arguments: where; directions: v, one for each
        argument, of its shape.
    Returns: H v by the names of the inputs.
    Errors: Untraceable for an operation whose derivative is not known, at both orders; ValueError for directions of
        another number or shape, and for a function of several values.
    Source: Goodfellow et al., Deep Learning, section 6.5.10, where H v = ∇[(∇f)ᵀ v]; Bishop and Bishop, Deep Learning,
        section 8.2.2; Pearlmutter, Fast exact multiplication by the Hessian (1994).
    """
    if len(directions) != len(arguments):
        raise ValueError(f"hessian_times: there are {len(directions)} directions, expected {len(arguments)}")
    names = argument_names(function, len(arguments))
    for name, argument, direction in zip(names, arguments, directions, strict=True):
        if np.shape(argument) != np.shape(direction):
            expected = np.shape(argument)
            raise ValueError(
                f"hessian_times: {name} has a direction of shape {np.shape(direction)}, expected {expected}"
            )

    def slope(*inputs):
        moved = [duals(x, v) if np.ndim(x) else Dual(x, v) for x, v in zip(inputs, directions, strict=True)]
        y = function(*moved)
        if np.ndim(y) or type(y) is tuple:
            raise ValueError(f"hessian_times: the value has shape {np.shape(y)}, expected a number")
        return tangents_of(y)

    slope.__name__ = getattr(function, "__name__", "the function")
    return dict(zip(names, derive(slope, *arguments).bprop().values(), strict=True))
