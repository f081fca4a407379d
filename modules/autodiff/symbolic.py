"""Symbolic differentiation with SymPy: an evaluation trace becomes a formula, and the formula another one.

pip install 'bprop[symbolic]'
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .derive import Derivation
from .graph import Graphed
from .rules import RULES, Untraceable
from .sympy_forms import FORMS, find_part_symbol, import_sympy, written_out
from .trace import Operation, get_symbol

if TYPE_CHECKING:
    import sympy

OPERATIONS = {get_symbol(operation): operation for operation in RULES}


@dataclass(frozen=True)
class Part:
    """A subexpression of a formula: its symbol, the text beside it, and what it is made of."""

    expression: Any
    symbol: str
    text: str
    operands: tuple[Any, ...]


class Formula(Graphed):
    """A function as an expression of SymPy, made from an evaluation trace; `derivative` gives another formula.

        f = Formula.from_trace(derive(lambda x, y: 5 + x * y, 2.0, 3.0))
        f.derivative("x", prune=False)     0 + (0*x + y*1), as the rules say
        f.derivative("x")                  y
        f.derivative("x").graph().save("derivative.svg")

    expression: SymPy's, with the operations as the function made them; names: of the inputs.
    Source: Géron, Hands-On Machine Learning, appendix D, figure D-1; Bishop and Bishop, Deep Learning, section 8.2.
    """

    def __init__(self, expression: "sympy.Expr", names: tuple[str, ...]):
        self.expression, self.names = expression, names

    @classmethod
    def from_trace(cls, derivation: Derivation) -> "Formula":
        """Make the formula of a traced function of numbers, the graph in.

        Errors: Untraceable for a function that compares its numbers (its formula would be that of one branch), for
            arrays and for operations that have no formula; ImportError without SymPy.
        """
        sympy, trace = import_sympy(), derivation.trace
        if trace.step:
            raise Untraceable(
                f"symbolic: the function compares or rounds its numbers ({trace.step}): a formula would hold for one "
                "branch alone; derive and Dual follow the branch that is taken"
            )
        made: dict[int, Any] = {}
        with sympy.evaluate(False):
            for operation in trace.operations:
                if np.ndim(operation.target):
                    shape = np.shape(operation.target)
                    raise Untraceable(
                        f"symbolic: {operation.symbol} has shape {shape}, expected a number: formulas have no arrays"
                    )
                made[operation.target] = convert(operation, made, sympy)
        if type(derivation.result) is tuple or np.ndim(derivation.result):
            raise Untraceable("symbolic: the function has several values, expected a number")
        place = getattr(derivation.result, "place", None)
        expression = to_number(derivation.result, sympy) if place is None else made[place]
        return cls(expression, tuple(trace.inputs))

    def derivative(self, name: str, prune: bool = True) -> "Formula":
        """The partial derivative as a formula, the graph out.

        Args: name: of an input; prune: whether SymPy drops what is 0 or a factor 1 and sorts terms; without it, the
            expression is what the rules of sums, products and chains give, word for word.
        """
        if name not in self.names:
            raise ValueError(f"symbolic: there is no input {name}, only {', '.join(self.names)}")
        sympy = import_sympy()
        with sympy.evaluate(False):
            result = differentiate(self.expression, sympy.Symbol(name, real=True), sympy)
        return Formula(result.doit() if prune else result, self.names)

    def swell(self, name: str) -> dict[str, int]:
        """Count what a derivative takes beside the function: expression swell.

        Returns: the operations of the function and of its derivative: as the rules give it, pruned, and pruned with
            each subexpression counted once.
        Source: Bishop and Bishop, Deep Learning, section 8.2 (8.42 to 8.48): a product, and two layers of soft ReLU.
            The numbers are the published book's, not compared with a copy; the formulas and counts are made here.
        """
        by_rules, pruned = self.derivative(name, prune=False), self.derivative(name)
        counts = {"function": self.count(), "by the rules": by_rules.count(), "pruned": pruned.count()}
        return counts | {"shared": pruned.count(shared=True)}

    def simplify(self) -> "Formula":
        """The formula that SymPy finds simplest, which may take a while."""
        return Formula(import_sympy().simplify(self.expression.doit()), self.names)

    def count(self, shared: bool = False) -> int:
        """The operations of the formula, written out, or with each subexpression counted once."""
        if not shared:
            return count_tree(self.expression)
        return sum(count_tree(part.expression) - sum(map(count_tree, part.operands)) for part in self.parts())

    def parts(self) -> list[Part]:
        """The different subexpressions, each after what it is made of."""
        found: dict[Any, Part] = {}
        for each in import_sympy().postorder_traversal(self.expression):
            if each not in found and (each.args or not each.is_number):
                found[each] = Part(each, find_part_symbol(each), written_out(each) if each.args else "input", each.args)
        return list(found.values())

    @cached_property
    def compiled(self):
        """The formula as a NumPy function of the inputs in order, each subexpression written out."""
        return self.compile(shared=False)

    def compile(self, shared: bool):
        """Make a NumPy function of the inputs in order, with common subexpressions computed once or each time anew."""
        sympy = import_sympy()
        symbols = [sympy.Symbol(name, real=True) for name in self.names]
        return sympy.lambdify(symbols, self.expression, modules=["scipy", "numpy"], cse=shared)

    def __call__(self, *arguments):
        """The value at a place, in float64."""
        return self.compiled(*arguments)

    def exact(self, *arguments: float) -> float:
        """The value at a place, computed in 50 digits and rounded once."""
        sympy = import_sympy()
        symbols = [sympy.Symbol(name, real=True) for name in self.names]
        places = {symbol: sympy.Float(x, 50) for symbol, x in zip(symbols, arguments, strict=True)}
        return float(sympy.N(self.expression, 50, subs=places))

    def __str__(self) -> str:
        return written_out(self.expression)

    __repr__ = __str__


def convert(operation: Operation, made: dict[int, Any], sympy) -> Any:
    """Convert a line of a trace."""
    if not operation.inputs:
        return sympy.Symbol(operation.symbol, real=True)
    form = FORMS.get(getattr(OPERATIONS.get(operation.symbol), "__name__", ""))
    if form is None:
        raise Untraceable(f"symbolic: no formula is known for {operation.symbol.format(*'abc')}")
    return form(sympy, *[made[each] if isinstance(each, int) else to_number(each, sympy) for each in operation.inputs])


def to_number(value: float, sympy) -> Any:
    """Convert a constant: a whole number stays one."""
    return sympy.Integer(int(value)) if float(value).is_integer() else sympy.Float(float(value))


def differentiate(each, x, sympy) -> Any:
    """Differentiate an expression by the rules alone, nothing pruned: to be called without SymPy's evaluation."""
    if not each.args:
        return sympy.Integer(1 if each == x else 0)
    inner = [differentiate(argument, x, sympy) for argument in each.args]
    if each.is_Add:
        return sympy.Add(*inner)
    if each.is_Mul and each.args[0].is_number:
        return sympy.Mul(each.args[0], differentiate(join(sympy.Mul, each.args[1:]), x, sympy))
    if each.is_Mul:
        u, v = each.args[0], join(sympy.Mul, each.args[1:])
        du, dv = inner[0], differentiate(v, x, sympy)
        return sympy.Add(sympy.Mul(dv, u), sympy.Mul(v, du))
    if each.is_Pow:
        base, power = each.args
        of_base = sympy.Mul(sympy.Mul(power, sympy.Pow(base, to_power(power, sympy))), inner[0])
        return of_base if power.is_number else sympy.Add(of_base, sympy.Mul(each, sympy.log(base), inner[1]))
    terms = [sympy.Mul(each.fdiff(k + 1), du) for k, du in enumerate(inner)]
    return join(sympy.Add, terms)


def to_power(power, sympy) -> Any:
    """The power less one, as a number if it is one."""
    with sympy.evaluate(bool(power.is_number)):
        return sympy.Add(power, sympy.Integer(-1))


def count_tree(expression) -> int:
    """Count the operations of an expression; a number takes none."""
    return 0 if expression.is_number and not expression.args else int(import_sympy().count_ops(expression))


def join(operation, terms):
    """Apply Add or Mul, or nothing to a single term."""
    return terms[0] if len(terms) == 1 else operation(*terms)
