"""Four ways to a derivative side by side: by hand, numerical, symbolic, and automatic in both modes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.text_table import format_table
from .counted import count_adjoints, count_operations
from .derive import argument_names, derive
from .differences import central_difference, forward_difference
from .dual import Dual, tangents_of
from .symbolic import OPERATIONS, Formula


class Method(NamedTuple):
    """A way to the gradient: its name, what it gives, the error |gradient - exact| / |exact|, its operations."""

    name: str
    gradient: tuple[float, ...]
    error: float
    operations: int


class DerivativeComparison:
    """The gradient of a function by each method, with errors and operations; `print` shows the table.

    methods: by name; exact: the gradient that errors are measured against; operations: of one run of the function.
    """

    def __init__(self, names: list[str], exact: tuple[float, ...], reference: str, operations: int):
        self.names, self.exact, self.reference, self.operations = names, exact, reference, operations
        self.methods: dict[str, Method] = {}

    def add(self, name: str, gradient, operations: int) -> None:
        """Add a method."""
        gradient, exact = np.array(gradient, np.float64), np.array(self.exact)
        scale = np.abs(exact).max()
        error = float(np.abs(gradient - exact).max() / (scale if scale > 0 else 1.0))
        self.methods[name] = Method(name, tuple(gradient.tolist()), error, operations)

    def run(self, name: str, gradient: Callable[..., Any], at: tuple[float, ...]) -> None:
        """Add a method that is a function of the inputs, run there."""
        self.add(name, gradient(*at), count_operations(gradient, *at))

    def __str__(self) -> str:
        rows = [("", *(f"d/d{name}" for name in self.names), "error", "operations")]
        for name, gradient, error, operations in self.methods.values():
            rows.append((name, *(f"{value:.12g}" for value in gradient), f"{error:.1e}", f"{operations}"))
        end = f"errors against {self.reference}; the function itself takes {self.operations} operations"
        return "\n".join([*format_table(rows), end])

    __repr__ = __str__


def compare_derivatives(
    function: Callable[..., Any], *arguments: float, by_hand: Callable[..., Any] | None = None, symbolic: bool = True
) -> DerivativeComparison:
    """The gradient of a function of numbers by hand, by differences, symbolically, and automatically in both modes.

        print(compare_derivatives(lambda x, y: x**2 * y + y + 2, 3.0, 4.0, by_hand=lambda x, y: (2 * x * y, x**2 + 1)))

    | method                     | what is run                                                                  |
    |----------------------------|------------------------------------------------------------------------------|
    | by hand                    | the formula that is given                                                    |
    | forward, central difference| W + 1 and 2 W values of the function, for W inputs                           |
    | symbolic                   | SymPy's pruned formulas, one for each input, written out                     |
    | symbolic, shared           | the same, each subexpression computed once for each formula                  |
    | forward mode               | W runs on dual numbers                                                       |
    | reverse mode               | one run, then its trace backward                                             |

    Operations are those that are executed for all inputs: each sum, product, exp... of a number that depends on an
    input counts as one, products with 1 and sums with 0 that a general rule makes, too. By hand and symbolically they
    are without the value of the function, which the other methods compute along.

    Args: function: plain Python and NumPy, of numbers, with a number as its value; arguments: where;
        by_hand: the gradient as a function of the same arguments (a number for one), if it is known;
        symbolic: use SymPy (pip install 'bprop[symbolic]'): errors are then against its formula in 50 digits, else
        against by_hand, or without that against reverse mode.
    Errors: ValueError for arrays, for places where something is not finite, and for a by_hand of another number of
        derivatives; Untraceable for what cannot be traced, or not be a formula: a branch on an input, for instance;
        with symbolic=False branches are followed.
    Source: Bishop and Bishop, Deep Learning, sections 8.1.4 and 8.2; Géron, Hands-On Machine Learning, appendix D.
    """
    at, count = check_numbers(arguments), len(arguments)
    derivation, names = derive(function, *at), argument_names(function, count)
    if np.ndim(derivation.y) or type(derivation.y) is tuple:
        raise ValueError(f"compare_derivatives: the value has shape {np.shape(derivation.y)}, expected a number")
    reverse = tuple(derivation.bprop().values())
    if not np.isfinite([derivation.y, *reverse]).all():
        raise ValueError(f"compare_derivatives: the function or its gradient is not finite at {at}")
    formula = Formula.from_trace(derivation) if symbolic else None
    manual = run_by_hand(by_hand, at) if by_hand is not None else None
    value_operations = count_operations(function, *at)

    result = DerivativeComparison(names, *find_exact(formula, manual, reverse, at), value_operations)
    if manual is not None:
        result.add("by hand", manual, count_operations(by_hand, *at))
    result.run("forward difference", make_difference(function, forward_difference, count), at)
    result.run("central difference", make_difference(function, central_difference, count), at)
    if formula is not None:
        result.run("symbolic", make_symbolic(formula, shared=False), at)
        result.run("symbolic, shared", make_symbolic(formula, shared=True), at)
    result.run("forward mode", make_forward_mode(function, count), at)
    result.add("reverse mode", reverse, value_operations + count_adjoints(derivation.trace, OPERATIONS))
    return result


def check_numbers(arguments) -> tuple[float, ...]:
    """Check that the arguments are numbers; returns them as floats."""
    for argument in arguments:
        if np.ndim(argument):
            raise ValueError(f"compare_derivatives: an argument has shape {np.shape(argument)}, expected numbers")
    return tuple(float(x) for x in arguments)


def find_exact(formula: Formula | None, manual, reverse, at: tuple[float, ...]) -> tuple[tuple[float, ...], str]:
    """Find the gradient that errors are measured against, and what it is."""
    if formula is None:
        return (reverse, "reverse mode") if manual is None else (manual, "by hand")
    by_rules = [formula.derivative(name, prune=False) for name in formula.names]  # pruning may round constants
    return tuple(each.exact(*at) for each in by_rules), "SymPy's formula in 50 digits"


def run_by_hand(by_hand: Callable[..., Any], at: tuple[float, ...]) -> tuple[float, ...]:
    """Run a gradient by hand; ValueError unless it has a number for each input."""
    manual = np.atleast_1d(np.array(by_hand(*at), np.float64))
    if manual.shape != (len(at),):
        raise ValueError(f"compare_derivatives: by_hand gives shape {manual.shape}, expected {(len(at),)}")
    return tuple(manual.tolist())


def make_difference(function, difference, count: int):
    """Make the gradient by a difference for each input; the value at the place itself is computed once."""

    def gradient(*at):
        first: list[Any] = []

        def along(k: int):
            def moved(x):
                if x is not at[k]:
                    return function(*at[:k], x, *at[k + 1 :])
                first[:] = first or [function(*at)]
                return first[0]

            return moved

        return [difference(along(k), at[k]) for k in range(count)]

    return gradient


def make_symbolic(formula: Formula, shared: bool):
    """Make the gradient by a pruned formula for each input."""
    compiled = [formula.derivative(name).compile(shared) for name in formula.names]
    return lambda *at: [each(*at) for each in compiled]


def make_forward_mode(function, count: int):
    """Make the gradient by a run on dual numbers for each input."""

    def gradient(*at):
        runs = [[Dual(x, float(j == k)) for j, x in enumerate(at)] for k in range(count)]
        return [tangents_of(function(*run)) for run in runs]

    return gradient
