"""The derivatives of the elementary operations, for both modes of automatic differentiation.

Dual numbers and traces look an operation up here; neither contains a derivative of its own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special


def with_respect_to_base(a, b, y):
    """∂(aᵇ)/∂a, which is 0 for b = 0."""
    return np.where(np.equal(b, 0), 0.0, b * np.power(a, np.where(np.equal(b, 0), 1.0, b - 1)))


def derivative_one(*_):
    """The derivative of x itself."""
    return 1.0


# For each operation the derivatives with respect to its arguments, as functions of the arguments and the result y.
RULES: dict[Any, tuple[Callable[..., Any], ...]] = {
    np.add: (derivative_one, derivative_one),
    np.subtract: (derivative_one, lambda a, b, y: -1.0),
    np.multiply: (lambda a, b, y: b, lambda a, b, y: a),
    np.divide: (lambda a, b, y: 1.0 / b, lambda a, b, y: -y / b),
    np.power: (with_respect_to_base, lambda a, b, y: y * np.log(a)),
    np.remainder: (derivative_one, lambda a, b, y: -np.floor(a / b)),
    np.maximum: (lambda a, b, y: 1.0 * (a >= b), lambda a, b, y: 1.0 * (a < b)),
    np.minimum: (lambda a, b, y: 1.0 * (a <= b), lambda a, b, y: 1.0 * (a > b)),
    np.fmax: (lambda a, b, y: 1.0 * (a >= b), lambda a, b, y: 1.0 * (a < b)),
    np.fmin: (lambda a, b, y: 1.0 * (a <= b), lambda a, b, y: 1.0 * (a > b)),
    np.hypot: (lambda a, b, y: a / y, lambda a, b, y: b / y),
    np.arctan2: (lambda a, b, y: b / (a * a + b * b), lambda a, b, y: -a / (a * a + b * b)),
    np.logaddexp: (lambda a, b, y: np.exp(a - y), lambda a, b, y: np.exp(b - y)),
    np.positive: (derivative_one,),
    np.conjugate: (derivative_one,),
    np.negative: (lambda x, y: -1.0,),
    np.absolute: (lambda x, y: np.sign(x),),
    np.fabs: (lambda x, y: np.sign(x),),
    np.square: (lambda x, y: 2.0 * x,),
    np.reciprocal: (lambda x, y: -y * y,),
    np.sqrt: (lambda x, y: 0.5 / y,),
    np.cbrt: (lambda x, y: y / (3.0 * x),),
    np.exp: (lambda x, y: y,),
    np.exp2: (lambda x, y: y * np.log(2.0),),
    np.expm1: (lambda x, y: y + 1.0,),
    np.log: (lambda x, y: 1.0 / x,),
    np.log2: (lambda x, y: 1.0 / (x * np.log(2.0)),),
    np.log10: (lambda x, y: 1.0 / (x * np.log(10.0)),),
    np.log1p: (lambda x, y: 1.0 / (1.0 + x),),
    np.sin: (lambda x, y: np.cos(x),),
    np.cos: (lambda x, y: -np.sin(x),),
    np.tan: (lambda x, y: 1.0 + y * y,),
    np.arcsin: (lambda x, y: 1.0 / np.sqrt(1.0 - x * x),),
    np.arccos: (lambda x, y: -1.0 / np.sqrt(1.0 - x * x),),
    np.arctan: (lambda x, y: 1.0 / (1.0 + x * x),),
    np.sinh: (lambda x, y: np.cosh(x),),
    np.cosh: (lambda x, y: np.sinh(x),),
    np.tanh: (lambda x, y: 1.0 - y * y,),
    np.arcsinh: (lambda x, y: 1.0 / np.sqrt(x * x + 1.0),),
    np.arccosh: (lambda x, y: 1.0 / np.sqrt(x * x - 1.0),),
    np.arctanh: (lambda x, y: 1.0 / (1.0 - x * x),),
    special.expit: (lambda x, y: y * (1.0 - y),),
    special.erf: (lambda x, y: 2.0 / np.sqrt(np.pi) * np.exp(-x * x),),
}

# Operations whose value jumps or stays: their derivative is zero wherever there is one.
FLAT = {
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.isnan, np.isfinite, np.isinf, np.signbit, np.sign, np.floor, np.ceil, np.rint, np.trunc),
    *(np.floor_divide, np.logical_not, np.logical_and, np.logical_or, np.logical_xor, np.heaviside),
}

BY_NAME = {operation.__name__: operation for operation in (*RULES, *FLAT)}
SYMBOLS = {
    np.add: "{} + {}",
    np.subtract: "{} - {}",
    np.multiply: "{} * {}",
    np.divide: "{} / {}",
    np.power: "{} ** {}",
    np.negative: "-{}",
    np.matmul: "{} @ {}",
}


class Untraceable(TypeError):
    """An operation without a rule, or a function that cannot be traced for another reason."""


def get_rules(operation) -> tuple[Callable[..., Any], ...]:
    """Get the derivatives of an operation; Untraceable, which names it, if there are none."""
    if operation not in RULES:
        raise Untraceable(f"the derivative of {get_full_name(operation)} is not known")
    return RULES[operation]


def get_full_name(operation) -> str:
    """Get a function's name as a program writes it: `np.sinc`, `scipy.special.gammaln`."""
    home = "scipy.special" if getattr(special, operation.__name__, None) is operation else "np"
    return f"{home}.{operation.__name__}"
