"""The elementary operations in SymPy's words, and its words for a reader."""

from collections.abc import Callable
from types import ModuleType
from typing import Any


def import_sympy() -> ModuleType:
    """Import SymPy; ImportError with how to install it."""
    try:
        import sympy
    except ImportError as error:
        raise ImportError("symbolic differentiation needs SymPy: pip install 'bprop[symbolic]'") from error
    return sympy


def function(name: str) -> Callable[..., Any]:
    """The form of a function that SymPy has."""
    return lambda sympy, *inputs: getattr(sympy, name)(*inputs)


# By NumPy's names, as functions of SymPy and the operands. They are called without SymPy's evaluation.
FORMS: dict[str, Callable[..., Any]] = {
    "add": function("Add"),
    "subtract": lambda s, a, b: s.Add(a, s.Mul(s.Integer(-1), b)),
    "multiply": function("Mul"),
    "divide": lambda s, a, b: s.Mul(a, s.Pow(b, s.Integer(-1))),
    "power": function("Pow"),
    "maximum": function("Max"),
    "minimum": function("Min"),
    "fmax": function("Max"),
    "fmin": function("Min"),
    "hypot": lambda s, a, b: s.sqrt(s.Add(s.Pow(a, s.Integer(2)), s.Pow(b, s.Integer(2)))),
    "arctan2": function("atan2"),
    "logaddexp": lambda s, a, b: s.log(s.Add(s.exp(a), s.exp(b))),
    "positive": lambda s, x: x,
    "conjugate": lambda s, x: x,
    "negative": lambda s, x: s.Mul(s.Integer(-1), x),
    "absolute": function("Abs"),
    "fabs": function("Abs"),
    "square": lambda s, x: s.Pow(x, s.Integer(2)),
    "reciprocal": lambda s, x: s.Pow(x, s.Integer(-1)),
    "sqrt": lambda s, x: s.Pow(x, s.Rational(1, 2)),
    "exp": function("exp"),
    "exp2": lambda s, x: s.Pow(s.Integer(2), x),
    "expm1": lambda s, x: s.Add(s.exp(x), s.Integer(-1)),
    "log": function("log"),
    "log2": lambda s, x: s.Mul(s.log(x), s.Pow(s.log(s.Integer(2)), s.Integer(-1))),
    "log10": lambda s, x: s.Mul(s.log(x), s.Pow(s.log(s.Integer(10)), s.Integer(-1))),
    "log1p": lambda s, x: s.log(s.Add(s.Integer(1), x)),
    "sin": function("sin"),
    "cos": function("cos"),
    "tan": function("tan"),
    "arcsin": function("asin"),
    "arccos": function("acos"),
    "arctan": function("atan"),
    "sinh": function("sinh"),
    "cosh": function("cosh"),
    "tanh": function("tanh"),
    "arcsinh": function("asinh"),
    "arccosh": function("acosh"),
    "arctanh": function("atanh"),
    "expit": lambda s, x: s.Pow(s.Add(s.Integer(1), s.exp(s.Mul(s.Integer(-1), x))), s.Integer(-1)),
    "erf": function("erf"),
}


def find_part_symbol(expression) -> str:
    """Find the symbol that stands for the outermost operation of an expression, or the name of a variable."""
    if not expression.args:
        return str(expression)
    symbols = {"Add": "+", "Mul": "×", "Pow": "^"}
    return symbols.get(type(expression).__name__, type(expression).__name__)


def written_out(expression) -> str:
    """Write an expression in one line, its terms in their order."""
    sympy = import_sympy()
    return sympy.sstr(expression, order="none")
