"""Derivatives by hand, by differences, by formulas and automatically: values, errors, operations, what is refused."""

import math
import re
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from bprop.modules.autodiff import (
    Dual,
    Formula,
    Untraceable,
    compare_derivatives,
    derivative,
    derive,
    hessian_times,
    trace_duals,
)
from bprop.modules.autodiff.counted import count_operations
from bprop.modules.autodiff.rules import RULES
from bprop.modules.autodiff.sympy_forms import FORMS

symbolic = pytest.mark.skipif(find_spec("sympy") is None, reason="SymPy is not installed")
E2, C = math.exp(2), math.cos(2)


def bishop(x1, x2):
    """Bishop and Bishop, Deep Learning, section 8.2."""
    v3 = x1 * x2
    return np.exp(v3) + (v3 - np.sin(x2))


def bishop_by_hand(x1, x2):
    e = np.exp(x1 * x2)
    return x2 * (1 + e), x1 * (1 + e) - np.cos(x2)


def geron(x, y):
    """Géron, Hands-On Machine Learning, appendix D."""
    return x**2 * y + y + 2


def soft_relu(a):
    return np.log(1 + np.exp(a))


def two_layers(x, w1, b1, w2, b2):
    """Bishop and Bishop, Deep Learning, eq. 8.44 to 8.47: two layers of soft ReLU."""
    return soft_relu(w2 * soft_relu(w1 * x + b1) + b2)


LAYERS = (0.5, 0.3, 0.1, 0.7, -0.2)


# -- formulas ----------------------------------------------------------------------------------------------------


@symbolic
def test_gerons_graph_is_pruned():
    """Figure D-1: ∂(5 + x y)/∂x = 0 + (0 x + y 1), which is y."""
    formula = Formula.from_trace(derive(lambda x, y: 5 + x * y, 3.0, 4.0))
    assert str(formula) == "5 + x*y"
    assert str(formula.derivative("x", prune=False)) == "0 + (0*x + y*1)"
    assert str(formula.derivative("x")) == "y"
    assert (formula.derivative("x", prune=False).count(), formula.derivative("x").count()) == (4, 0)
    assert [formula(3.0, 4.0), formula.derivative("x")(3.0, 4.0), formula.derivative("y")(3.0, 4.0)] == [17, 4, 3]


@symbolic
def test_the_graph_in_and_the_graph_out():
    formula = Formula.from_trace(derive(lambda x, y: 5 + x * y, 3.0, 4.0))
    assert formula.graph("mermaid") == (
        "flowchart TD\n"
        '  n0["x<br>input"]\n'
        '  n1["y<br>input"]\n'
        '  n2["×<br>x*y"]\n'
        '  n3["5<br>constant"]\n'
        '  n4["+<br>5 + x*y"]\n'
        "  n0 --> n2\n"
        "  n1 --> n2\n"
        "  n3 --> n4\n"
        "  n2 --> n4\n"
    )
    unpruned = formula.derivative("x", prune=False).graph("dot")
    labels = re.findall(r'^  n\d \[label="(.*?)"\]', unpruned, re.MULTILINE)
    assert sorted(labels) == sorted(
        [
            *("0\\nconstant", "0\\nconstant", "1\\nconstant", "x\\ninput", "y\\ninput"),
            *("×\\n0*x", "×\\ny*1", "+\\n0*x + y*1", "+\\n0 + (0*x + y*1)"),
        ]
    )
    assert formula.derivative("x").graph("mermaid") == 'flowchart TD\n  n0["y<br>input"]\n'
    svg = formula.derivative("x", prune=False).graph()
    assert svg.startswith("<svg")
    assert "backward" not in svg
    constant = Formula.from_trace(derive(lambda x: 3.0, 1.0))
    assert constant.graph("mermaid") == 'flowchart TD\n  n0["3<br>constant"]\n'
    assert constant.derivative("x").graph().count(">0<") == 1


@symbolic
def test_bishops_derivative_of_two_layers():
    """Eq. 8.48: w2 x exp(a + b2 + w2 ln(1 + e^a)) / ((1 + e^a) (1 + exp(b2 + w2 ln(1 + e^a)))), a = w1 x + b1."""
    formula = Formula.from_trace(derive(two_layers, *LAYERS)).derivative("w1")
    x, w1, b1, w2, b2 = LAYERS
    a = w1 * x + b1
    inner = b2 + w2 * math.log(1 + math.exp(a))
    expected = w2 * x * math.exp(a + inner) / ((1 + math.exp(a)) * (1 + math.exp(inner)))
    assert formula(*LAYERS) == pytest.approx(expected, rel=1e-15)
    import sympy

    names = {name: sympy.Symbol(name, real=True) for name in formula.names}
    text = "w2*x*exp(w1*x+b1+b2+w2*log(1+exp(w1*x+b1))) / ((1+exp(w1*x+b1)) * (1+exp(b2+w2*log(1+exp(w1*x+b1)))))"
    assert sympy.simplify(formula.expression - sympy.sympify(text, locals=names)) == 0


@symbolic
def test_expressions_swell():
    """Eq. 8.42 to 8.48: the formula of a derivative is longer than the function, its trace is not."""
    formula = Formula.from_trace(derive(two_layers, *LAYERS))
    assert formula.swell("w1") == {"function": 10, "by the rules": 38, "pruned": 29, "shared": 14}
    product = Formula.from_trace(derive(lambda x: np.sin(x) * np.cos(x), 0.5))
    assert product.swell("x")["function"] == 3
    assert product.derivative("x", prune=False)(0.5) == pytest.approx(math.cos(1.0), rel=1e-15)
    assert product.swell("x") == {"function": 3, "by the rules": 10, "pruned": 5, "shared": 5}

    def layers(count):
        def function(w1):
            z = soft_relu(w1 * 0.5 + 0.1)
            for k in range(1, count):
                z = soft_relu((k + 1) / 2 * z + 0.1 * k)
            return z

        return derive(function, 0.3)

    grown = [Formula.from_trace(layers(count)).swell("w1") for count in (2, 4, 8)]
    lengths = [len(layers(count).trace.operations) - 1 for count in (2, 4, 8)]
    assert [swell["function"] for swell in grown] == lengths == [10, 20, 40]
    growth = [swell["by the rules"] / swell["function"] for swell in grown]
    assert growth[2] > 1.5 * growth[1] > 1.5 * growth[0] > 4.5  # as the square of the layers
    assert all(swell["shared"] < 1.3 * swell["function"] for swell in grown)


@symbolic
@pytest.mark.parametrize("operation", RULES, ids=lambda operation: operation.__name__)
def test_each_formula_beside_its_trace(operation):
    inputs = [0.31 + (1.0 if operation is np.arccosh else 0.0), 0.77][: operation.nin]

    def function(*x):
        return operation(*x) * x[0]

    derivation = derive(function, *inputs)
    if operation.__name__ not in FORMS:
        assert operation in (np.remainder, np.cbrt)
        with pytest.raises(Untraceable, match=rf"^symbolic: no formula is known for {operation.__name__}\(a"):
            Formula.from_trace(derivation)
        return
    formula, gradient = Formula.from_trace(derivation), derivation.bprop()
    assert formula(*inputs) == pytest.approx(derivation.y, rel=1e-14)
    for name in formula.names:
        for prune in (False, True):
            derived = formula.derivative(name, prune)
            assert derived(*inputs) == pytest.approx(gradient[name], rel=1e-13, abs=1e-13)
            assert derived.exact(*inputs) == pytest.approx(gradient[name], rel=1e-14, abs=1e-14)


@symbolic
def test_powers_and_constants():
    def function(x, y):
        return x**y + 2.5**x + x**-1 + 3.0

    formula, gradient = Formula.from_trace(derive(function, 1.3, 0.7)), derive(function, 1.3, 0.7).bprop()
    for name in ("x", "y"):
        assert formula.derivative(name)(1.3, 0.7) == pytest.approx(gradient[name], rel=1e-14)
    assert str(Formula.from_trace(derive(lambda x: x**2, 3.0)).derivative("x")) == "2*x"
    sines = Formula.from_trace(derive(lambda x: np.sin(x) ** 2 + np.cos(x) ** 2, 0.3))
    assert str(sines.simplify()) == "1"


@symbolic
def test_exact_values_are_not_those_of_rounded_constants():
    from fractions import Fraction

    formula = Formula.from_trace(derive(lambda x: 0.1 * x * 0.7 * x * 0.3, 1.1))
    expected = float(2 * Fraction(0.1) * Fraction(0.7) * Fraction(0.3) * Fraction(1.1))
    assert formula.derivative("x", prune=False).exact(1.1) == expected


def test_without_sympy_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(ImportError, match=r"^symbolic differentiation needs SymPy: pip install 'bprop\[symbolic\]'$"):
        compare_derivatives(geron, 3.0, 4.0)
    assert compare_derivatives(geron, 3.0, 4.0, symbolic=False).exact == (24, 10)


# -- side by side ------------------------------------------------------------------------------------------------


@symbolic
def test_four_ways_beside_each_other():
    found = compare_derivatives(bishop, 1.0, 2.0, by_hand=bishop_by_hand)
    assert found.exact == pytest.approx((2 + 2 * E2, 1 + E2 - C), rel=1e-15)
    operations = {name: method.operations for name, method in found.methods.items()}
    assert operations == {  # counted by hand, too: f takes 5, and a rule multiplies and adds whatever it has
        "by hand": 8,
        "forward difference": 3 * 5 + 6,
        "central difference": 4 * 5 + 8,
        "symbolic": 10,
        "symbolic, shared": 10,
        "forward mode": 2 * 22,
        "reverse mode": 22,
    }
    errors = {name: method.error for name, method in found.methods.items()}
    assert 1e-10 < errors.pop("forward difference") < 1e-7
    assert 1e-13 < errors.pop("central difference") < 1e-9
    assert max(errors.values()) < 3e-16
    head, *rows, end = str(found).splitlines()
    assert head.split() == ["d/dx1", "d/dx2", "error", "operations"]
    assert rows[-1].split() == ["reverse", "mode", "16.7781121979", "8.80520293548", "0.0e+00", "22"]
    assert end == "errors against SymPy's formula in 50 digits; the function itself takes 5 operations"


@symbolic
def test_reverse_mode_needs_one_run_for_all_inputs():
    found = compare_derivatives(two_layers, *LAYERS)
    operations = {name: method.operations for name, method in found.methods.items()}
    assert found.operations == 10
    assert operations["reverse mode"] <= 4 * found.operations < operations["forward difference"]
    assert operations["symbolic, shared"] < operations["symbolic"]
    assert operations["forward mode"] > 5 * 2 * found.operations


def test_without_formulas():
    found = compare_derivatives(geron, 3.0, 4.0, by_hand=lambda x, y: (2 * x * y, x**2 + 1), symbolic=False)
    assert (found.reference, found.exact) == ("by hand", (24, 10))
    assert list(found.methods) == [
        *("by hand", "forward difference", "central difference", "forward mode", "reverse mode"),
    ]
    assert found.methods["forward mode"].gradient == (24, 10)
    assert compare_derivatives(lambda x: x**3, 2.0, by_hand=lambda x: 3 * x**2, symbolic=False).exact == (12,)
    wrong = compare_derivatives(geron, 3.0, 4.0, by_hand=lambda x, y: (2 * x * y, x**2), symbolic=False)
    assert wrong.methods["reverse mode"].error == pytest.approx(1 / 24)


def test_branches_are_followed_where_no_formula_is_asked_for():
    def leaky(x):
        return x * x if x > 0 else 0.1 * x

    for x, slope in ((1.5, 3.0), (-1.5, 0.1)):
        found = compare_derivatives(leaky, x, symbolic=False)
        assert (found.reference, found.exact) == ("reverse mode", pytest.approx((slope,)))
        assert found.methods["forward mode"].gradient == pytest.approx((slope,))
    assert compare_derivatives(lambda x: 3.0, 1.0, symbolic=False).methods["central difference"].error == 0


def test_operations_are_counted_as_they_run():
    assert count_operations(geron, 3.0, 4.0) == 4
    assert count_operations(bishop, 1.0, 2.0) == 5
    assert count_operations(lambda x: max(x, 0.0) + 2.0 * 3.0, 1.0) == 1


# -- reverse over forward ----------------------------------------------------------------------------------------


def test_hessian_times_a_vector():
    """Bishop's function: H = [[x2² e, 1 + e + x1 x2 e], [.., x1² e + sin(x2)]], e = exp(x1 x2)."""
    hessian = np.array([[4 * E2, 1 + 3 * E2], [1 + 3 * E2, E2 + math.sin(2)]])
    for v in ((1.0, 0.0), (0.0, 1.0), (0.3, -1.7)):
        found = hessian_times(bishop, 1.0, 2.0, directions=v)
        np.testing.assert_allclose([found["x1"], found["x2"]], hessian @ v, rtol=1e-14)
    assert hessian_times(geron, 3.0, 4.0, directions=(1.0, 0.0)) == {"x": 8.0, "y": 6.0}
    assert hessian_times(lambda x: 3 * x, 1.0, directions=(1.0,)) == {"x": 0.0}


@pytest.mark.parametrize(
    "function",
    [
        lambda w, b: np.sum(np.tanh(w @ np.array([0.3, -0.7, 1.1]) + b) ** 2),
        lambda w, b: np.log(np.exp(w).sum()) * b[0] - (b**3).mean(),
        lambda w, b: sum(max(w[i, j], 0) ** 2 * b[j % 2] for i in range(2) for j in range(3)),
    ],
)
def test_hessian_times_of_arrays_beside_differences_of_the_gradient(function):
    random = np.random.default_rng(3)
    w, b, v, u = (random.standard_normal(shape) for shape in ((2, 3), (2,), (2, 3), (2,)))
    found, h = hessian_times(function, w, b, directions=(v, u)), 1e-5
    above = derive(function, w + h * v, b + h * u).bprop()
    below = derive(function, w - h * v, b - h * u).bprop()
    for name in ("w", "b"):
        np.testing.assert_allclose(found[name], (above[name] - below[name]) / (2 * h), rtol=1e-7, atol=1e-8)


def test_hessian_times_is_symmetric_and_beside_duals_of_duals():
    def function(x):
        return np.exp(np.sin(x) * x)

    second = function(Dual(Dual(0.7, 1.0), Dual(1.0))).tangent.tangent
    assert hessian_times(function, 0.7, directions=(1.0,))["x"] == pytest.approx(second, rel=1e-14)


# -- what is refused ---------------------------------------------------------------------------------------------


def with_branch(x):
    return x if x > 0 else -x


def with_truth(x):
    return x * 2 if x else x


def with_rounding(x):
    return x - np.floor(x)


REFUSED = [
    (
        with_branch,
        1.0,
        "compares or rounds its numbers (np.greater, in test_four_ways.py line",
        "return x if x > 0 else -x",
    ),
    (with_truth, 1.0, "(np.not_equal, in test_four_ways.py line", "return x * 2 if x else x"),
    (with_rounding, 1.5, "(np.floor, in test_four_ways.py line", "return x - np.floor(x)"),
    (lambda x: np.where(x > 0, x, 0.0), np.ones(2), "(np.greater, in", "np.where"),
    (lambda x: x.sum(), np.ones(2), "symbolic: x has shape (2,), expected a number: formulas have no arrays", ""),
    (lambda x: (x, x * x), 1.0, "symbolic: the function has several values, expected a number", ""),
    (lambda x: np.array([x, x]), 1.0, "symbolic: the function has several values, expected a number", ""),
    (lambda x: x % 2.0, 1.0, "symbolic: no formula is known for remainder(a, b)", ""),
]


@symbolic
@pytest.mark.parametrize(("function", "x", "message", "line"), REFUSED)
def test_what_has_no_formula_is_refused_and_says_why(function, x, message, line):
    derivation = derive(function, x)  # which follows it
    with pytest.raises(Untraceable) as caught:
        Formula.from_trace(derivation)
    assert message in str(caught.value)
    assert line in str(caught.value)
    if line:
        assert str(caught.value).endswith(
            "a formula would hold for one branch alone; derive and Dual follow the branch that is taken"
        )


@symbolic
def test_a_comparison_of_branches_and_formulas_says_why():
    with pytest.raises(Untraceable, match=r"^symbolic: the function compares or rounds its numbers \(np\.greater"):
        compare_derivatives(with_branch, 1.0)
    with pytest.raises(ValueError, match=r"^symbolic: there is no input z, only x, y$"):
        Formula.from_trace(derive(geron, 3.0, 4.0)).derivative("z")


def with_math(x):
    return math.exp(x)


@pytest.mark.parametrize(
    "run",
    [
        lambda: derive(with_math, 1.0),
        lambda: trace_duals(with_math, 1.0, directions=(1.0,)),
        lambda: hessian_times(with_math, 1.0, directions=(1.0,)),
        lambda: compare_derivatives(with_math, 1.0),
    ],
)
def test_functions_of_plain_floats_are_refused_by_all(run):
    with pytest.raises(Untraceable, match=r"^with_math cannot be traced: a float is asked for, which forgets"):
        run()


def test_an_unknown_operation_is_refused_at_both_orders():
    with pytest.raises(Untraceable, match=r"the derivative of np\.spacing is not known, in test_four_ways\.py line"):
        hessian_times(lambda x: np.spacing(x), 1.0, directions=(1.0,))
    with pytest.raises(Untraceable, match=r"the derivative of np\.spacing is not known"):
        derivative(lambda x: np.spacing(x), 1.0, directions=(1.0,))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^compare_derivatives: an argument has shape \(2,\), expected numbers$"):
        compare_derivatives(geron, np.ones(2), 4.0)
    with pytest.raises(ValueError, match=r"^compare_derivatives: the value has shape \(2,\), expected a number$"):
        compare_derivatives(lambda x: np.array([x, x]), 1.0)
    for function, x in ((lambda x: 1 / x, 0.0), (lambda x: np.sqrt(x), 0.0), (lambda x: np.log(x), -1.0)):
        with pytest.raises(ValueError, match=r"^compare_derivatives: the function or its gradient is not finite at \("):
            compare_derivatives(function, x)
    with pytest.raises(ValueError, match=r"^compare_derivatives: by_hand gives shape \(1,\), expected \(2,\)$"):
        compare_derivatives(geron, 3.0, 4.0, by_hand=lambda x, y: (2 * x * y,), symbolic=False)
    with pytest.raises(ValueError, match=r"^hessian_times: there are 1 directions, expected 2$"):
        hessian_times(geron, 3.0, 4.0, directions=(1.0,))
    with pytest.raises(ValueError, match=r"^hessian_times: x has a direction of shape \(2,\), expected \(3,\)$"):
        hessian_times(lambda x: x.sum(), np.ones(3), directions=(np.ones(2),))
    with pytest.raises(ValueError, match=r"^hessian_times: the value has shape \(3,\), expected a number$"):
        hessian_times(lambda x: x * x, np.ones(3), directions=(np.ones(3),))
