"""Automatic differentiation: the books' worked examples, every module's fprop, and what is refused."""

import math
import re

import numpy as np
import pytest
from bprop.modules import (
    Dropout,
    Linear,
    Module,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
)
from bprop.modules.autodiff import Dual, Untraceable, derivative, derive, derived, duals, tangents_of
from bprop.modules.autodiff.rules import FLAT, RULES
from bprop.modules.checks.gradient_check import ELEMENTS, check_array
from bprop.modules.checks.gradient_reference import Reference
from bprop.modules.checks.gradient_subject import Subject

from ..cases import LOSSES, MODULES

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((4, 3))
pytestmark = pytest.mark.filterwarnings("ignore:.*jit = False:UserWarning")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Traces run plain Python anyway, and compiling takes its time."""
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)


# -- worked examples ---------------------------------------------------------------------------------------------


def bishop(x1, x2):
    """Bishop and Bishop, Deep Learning, section 8.2: v3 to v7 of its evaluation trace."""
    v3 = x1 * x2
    v4 = np.sin(x2)
    v5 = np.exp(v3)
    v6 = v3 - v4
    return v5 + v6


E2, S, C = math.exp(2), math.sin(2), math.cos(2)
BISHOP = [  # name, operation, value, tangent for x1, adjoint; by hand, at x1 = 1, x2 = 2
    ("x1", "", 1, 1, 2 + 2 * E2),
    ("x2", "", 2, 0, 1 + E2 - C),
    ("v3", "x1 * x2", 2, 2, 1 + E2),
    ("v4", "sin(x2)", S, 0, -1),
    ("v5", "exp(v3)", E2, 2 * E2, 1),
    ("v6", "v3 - v4", 2 - S, 2, 1),
    ("v7", "v5 + v6", E2 + 2 - S, 2 + 2 * E2, 1),
]


def test_bishops_evaluation_trace():
    derived = derive(bishop, 1.0, 2.0)
    assert derived.y == pytest.approx(E2 + 2 - S, rel=1e-15)
    assert derived.bprop() == pytest.approx({"x1": 2 + 2 * E2, "x2": 1 + E2 - C}, rel=1e-15)
    assert derived.tangent(x1=1.0) == pytest.approx(2 + 2 * E2, rel=1e-15)
    head, *lines = str(derived).splitlines()
    assert head.split() == ["operation", "value", "tangent", "adjoint"]
    for line, (name, operation, *numbers) in zip(lines, BISHOP, strict=True):
        cells = re.split(r"\s{2,}", line.strip())
        assert cells == [name, *([operation] if operation else []), *(f"{number:.6g}" for number in numbers)]


def test_bishops_function_by_dual_numbers():
    assert bishop(Dual(1.0, 1.0), Dual(2.0)).tangent == pytest.approx(2 + 2 * E2, rel=1e-15)
    assert bishop(Dual(1.0), Dual(2.0, 1.0)).tangent == pytest.approx(1 + E2 - C, rel=1e-15)


def domke(x):
    """Domke, Automatic Differentiation and Neural Networks, eq. 2.1."""
    return np.exp(np.exp(x) + np.exp(x) ** 2) + np.sin(np.exp(x) + np.exp(x) ** 2)


@pytest.mark.parametrize("x", [-1.3, 0.0, 0.4])
def test_domkes_function(x):
    e = math.exp(x)
    expected = (math.exp(e + e**2) + math.cos(e + e**2)) * (e + 2 * e**2)
    assert derive(domke, x).bprop()["x"] == pytest.approx(expected, rel=1e-14)
    assert domke(Dual(x, 1.0)).tangent == pytest.approx(expected, rel=1e-14)


def geron(x, y):
    """Géron, Hands-On Machine Learning, appendix on automatic differentiation."""
    return x**2 * y + y + 2


def test_gerons_function():
    derived = derive(geron, 3.0, 4.0)
    assert (derived.y, derived.bprop()) == (42, {"x": 24, "y": 10})
    assert repr(geron(Dual(3.0, 1.0), Dual(4.0))) == "Dual(42.0, 24.0)"
    assert derivative(geron, 3.0, 4.0, directions=(0.0, 1.0)) == (42, 10)


def test_duals_of_duals_give_second_derivatives():
    x = Dual(Dual(0.7, 1.0), Dual(1.0))
    for function, second in ((np.exp, np.exp(0.7)), (np.sin, -np.sin(0.7)), (lambda x: x * x * x, 6 * 0.7)):
        assert function(x).tangent.tangent == pytest.approx(second, rel=1e-14)


# -- every operation ---------------------------------------------------------------------------------------------

INSIDE = {np.arccosh: 1.0}  # added to arguments between 0.2 and 0.9, where most operations are smooth


@pytest.mark.parametrize("operation", RULES, ids=lambda operation: operation.__name__)
def test_each_rule_against_the_complex_step_or_differences(operation):
    inputs = [0.31 + INSIDE.get(operation, 0.0), 0.77][: operation.nin]
    gradients = derive(lambda *x: operation(*x), *inputs).bprop().values()
    for k, gradient in enumerate(gradients):
        step = np.zeros(operation.nin)
        step[k] = 1e-6
        difference = (operation(*(inputs + step)) - operation(*(inputs - step))) / 2e-6
        assert gradient == pytest.approx(difference, rel=1e-8, abs=1e-8)
        direction = step * 1e6
        assert derivative(lambda *x: operation(*x), *inputs, directions=direction)[1] == pytest.approx(
            gradient, rel=1e-13
        )


@pytest.mark.parametrize("operation", sorted(FLAT, key=lambda operation: operation.__name__), ids=str)
def test_steps_have_no_derivative(operation):
    inputs = [0.31, 0.77][: operation.nin]
    derived = derive(lambda *x: operation(*x) * x[0], *inputs)
    assert derived.bprop()["x1"] == pytest.approx(float(operation(*inputs)))


ARRAYS = [
    lambda x: x.sum(axis=0),
    lambda x: np.sum(x, axis=(0, 1)),
    lambda x: x.sum(axis=1, keepdims=True) * x,
    lambda x: x.mean(axis=0) + x.mean(),
    lambda x: x.var(axis=1) + np.std(x),
    lambda x: x.max(axis=0) - x.min(),
    lambda x: np.max(x, axis=1, keepdims=True) * x,
    lambda x: x.reshape(2, 6).T @ x.reshape(2, 6),
    lambda x: x[0] @ x[1] * np.dot(x[2], x.T),
    lambda x: np.matmul(x[:, None, :], x[:, :, None]),
    lambda x: np.where(x > 0, x, 0.1 * x) * np.exp(np.where(x > 0, 0, x)),
    lambda x: np.maximum(x, 0.0) + np.minimum(0.5, x) + np.clip(x, -0.5, 0.5),
    lambda x: np.concatenate([x, x[:2] ** 2]).transpose(),
    lambda x: np.stack([x, np.tanh(x)], axis=1)[:, 1, ::-1],
    lambda x: x[[0, 0, 2]] * x[np.arange(3), np.arange(3)],
    lambda x: np.einsum("nk,nj->kj", x, np.cos(x)),
    lambda x: np.linalg.norm(x) * np.abs(x),
    lambda x: np.cumsum(x, axis=0) * np.prod(x, axis=1)[0],
    lambda x: 2.0 / (1 + np.exp(-x)) - x / np.array([1.0, 2.0, 3.0]),
    lambda x: np.logaddexp(x, 0) + np.log1p(np.square(x)),
    lambda x: np.sqrt(np.abs(x) + 1).astype(np.float64),
    lambda x: np.tensordot(x, x, axes=([0], [0])) + np.trace(x @ x.T) * np.outer(x[0], x[1]),
    lambda x: np.pad(x, ((1, 1), (0, 0))) ** 2 * np.repeat(x[:3], 2, axis=0),
    lambda x: np.sort(x, axis=0) * np.flip(x) + np.take_along_axis(x, np.argsort(x, axis=1), axis=1),
    lambda x: np.select([x > 0, x < -1], [x, x**2], 0.5 * x) + x.clip(-0.5, 0.5) + x % 0.7,
    lambda x: np.median(x, axis=0) + np.average(x, axis=0, weights=[1.0, 2, 3, 4]) + np.diff(x, axis=0)[0],
    lambda x: sum(x[0]) + max(x[1]) * x[x > 0].sum() + np.array([row.sum() for row in x]),
    lambda x: 2.0**x + x**-1 + abs(x) ** 1.5,
    lambda x: in_loops(x),
    lambda x: in_place(x),
]


def in_loops(x):
    y, total = np.empty_like(x), x.dtype.type(0)
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            total += x[n, k]
            y[n, k] = total * max(x[n, k], 0) if k else abs(x[n, k])
    return y


def in_place(x):
    y = np.zeros(x.shape, x.dtype)
    y[1:] = x[1:]
    y[0] += x[1] * 2
    y *= x
    np.exp(y, out=y)
    y -= 1.5
    return y.ravel()


@pytest.mark.parametrize("function", ARRAYS)
def test_plain_code_on_arrays(function):
    """Both modes against the complex step's like: a direction by differences, to ten digits at most."""
    grad_y, direction = RANDOM.standard_normal(np.shape(function(X))), RANDOM.standard_normal(X.shape)
    derived, h = derive(function, X), 1e-6
    np.testing.assert_allclose(derived.y, function(X), rtol=1e-6)
    along = (function(X + h * direction) - function(X - h * direction)) / (2 * h)
    np.testing.assert_allclose(derived.tangent(x=direction), along, rtol=1e-5, atol=1e-6)
    gradient = derived.bprop(grad_y)["x"]
    assert np.vdot(gradient, direction) == pytest.approx(np.vdot(grad_y, derived.tangent(x=direction)), rel=1e-12)


def test_dual_numbers_in_arrays():
    y = in_place(duals(X, 1.0))
    np.testing.assert_allclose(tangents_of(y), derive(in_place, X).tangent(x=np.ones_like(X)), rtol=1e-13)
    y, dy = derivative(in_loops, X, directions=[np.ones_like(X)])
    np.testing.assert_array_equal(y, in_loops(X))
    np.testing.assert_allclose(dy, derive(in_loops, X).tangent(x=np.ones_like(X)), rtol=1e-13)


def test_a_derivative_may_be_infinite():
    assert derive(lambda x: np.sqrt(x), 0.0).bprop() == {"x": math.inf}
    derived = derive(lambda x, y: x / y, 2.0, 0.0)
    assert (derived.y, derived.bprop()) == (math.inf, {"x": math.inf, "y": -math.inf})


def test_a_constant_has_no_derivative():
    derived = derive(lambda x: np.ones(2), 3.0)
    assert (derived.bprop(np.ones(2)), derived.tangent(x=1.0).tolist()) == ({"x": 0.0}, [0, 0])


# -- modules -----------------------------------------------------------------------------------------------------

UNTRACED = {  # why differences must do
    "Normalize by the inf-norm": "not finite",  # 0 to the power of infinity
}


def subject(case):
    arguments = (case.x(),) if case in MODULES else case.arguments()
    result = Subject(case.make(), arguments, np.random.default_rng(7919))
    problems, _ = result.run()
    assert not problems
    return result


CASES = [case for case in (*MODULES, *LOSSES) if not case.make().estimates]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_module_beside_its_trace_and_beside_differences(case):
    tried = subject(case)
    tried.rewind()
    try:
        derived = derive(tried.module, *tried.arguments)
        gradients, why = derived.bprop(tried.grad_y), ""
        if not all(np.isfinite(gradient).all() for gradient in gradients.values()):
            why = "not finite"
    except Untraceable as error:
        why = str(error)
    assert UNTRACED.get(case.name, "") in why
    assert bool(why) == (case.name in UNTRACED)
    for name, array, gradient in tried.pairs:
        if not why:
            scale = max(np.abs(gradient).max(initial=0), 1e-4 * tried.size)
            assert np.abs(gradient - gradients[name]).max(initial=0) <= 1e-11 * scale
        assert check_array(tried, Reference({}, "differences"), name, array, gradient, 2, 1e-6, ELEMENTS).ok


def test_a_module_is_left_alone_and_its_next_random_numbers_are_used():
    module = Dropout(0.5).to("float64")
    step, x = module.step, np.ones((4, 8))
    derived = derive(module, x)
    assert module.step == step
    np.testing.assert_array_equal(derived.y, module.fprop(x))
    assert set(derived.bprop(np.ones_like(x))["x"].ravel()) == {0, 2}


def test_a_net_is_traced_with_its_paths():
    net = Sequential(Linear(3, 2), Tanh())
    derived = derive(net, X)
    assert set(derived.bprop(np.ones((4, 2)))) == {"x", "0.weight", "0.bias"}
    line = str(derived).splitlines()[4]
    assert line.startswith("v4        x @ 0.weightᵀ  (4, 2)")


def test_a_loss_is_traced_from_its_y():
    derived = derive(SoftmaxCrossEntropy(), X, np.array([0, 1, 2, 0]))
    np.testing.assert_allclose(derived.bprop()["y"].sum(axis=1), 0, atol=1e-15)


def test_a_long_trace_is_cut():
    text = str(derive(lambda x: sum(x * k for k in range(40)), 1.0))
    assert text.splitlines()[-1] == "... and 21 operations more"


# -- what is refused ---------------------------------------------------------------------------------------------


def with_math(x):
    return math.exp(x)


def with_floats(x):
    y = np.zeros(3)
    y[0] = x[0]
    return y


REFUSED = [
    (with_math, 1.0, "with_math cannot be traced: a float is asked for", "return math.exp(x)"),
    (with_floats, np.ones(3), "np.zeros(shape, x.dtype) as buffers", "y[0] = x[0]"),
    (lambda x: np.spacing(x), 1.0, "the derivative of np.spacing is not known", "np.spacing"),
    (lambda x: np.spacing(x), np.ones(2), "the derivative of np.spacing is not known", "np.spacing"),
    (lambda x: np.fft.fft(x), np.ones(2), "np.fft.fft of traced numbers is not known", "np.fft.fft"),
    (lambda x: x.astype(int), np.ones(2), "astype(int64) forgets the derivative", "x.astype"),
    (lambda x: np.add(x, 1, out=np.empty(2)), np.ones(2), "written into an array of float64", "np.add"),
    (lambda x: np.add.at(x, [0], 1.0) or np.add.outer(x[0], 1.0), np.ones(2), "of a single number", "np.add.outer"),
]


@pytest.mark.parametrize(("function", "x", "message", "line"), REFUSED)
def test_an_unknown_operation_is_refused_with_its_line(function, x, message, line):
    with pytest.raises(Untraceable) as caught:
        derive(function, x)
    assert message in str(caught.value)
    assert re.search(rf", in test_autodiff.py line \d+: .*{re.escape(line)}", str(caught.value))


def test_dual_numbers_refuse_the_same():
    with pytest.raises(Untraceable, match=r"the derivative of np\.spacing is not known"):
        np.spacing(Dual(1.0, 1.0))
    with pytest.raises(Untraceable, match="a float is asked for"):
        math.exp(Dual(1.0, 1.0))


def test_too_long_a_run_is_refused():
    def long(x):
        while True:
            x = x * 1.0

    with pytest.raises(
        Untraceable, match="it takes more than 50,000 operations, 500,000 numbers in arrays or 5,000,000"
    ):
        derive(long, 1.0)
    with pytest.raises(Untraceable, match="it takes more than 50,000 operations"):
        derive(lambda x: x[:, None] * x, np.ones(800))
    with pytest.raises(Untraceable, match="it takes more than 50,000 operations"):
        derive(Linear(1000, 600), np.ones((2, 1000)))


def test_wrong_shapes_are_refused():
    derived = derive(in_loops, X)
    with pytest.raises(ValueError, match=r"^derive: grad_y has shape \(3,\), expected \(4, 3\)$"):
        derived.bprop(np.ones(3))
    with pytest.raises(ValueError, match=r"^derive: x has a direction of shape \(3,\), expected \(4, 3\)$"):
        derived.tangent(x=np.ones(3))
    with pytest.raises(ValueError, match=r"^derive: there is no input w, only x$"):
        derived.tangent(w=1.0)


# -- the checker ----------------------------------------------------------------------------------------------------


class Own(Module):
    """y = tanh(x slope), with an fprop that can be traced, or not."""

    jit = False

    def __init__(self, traceable=True, slip=0.0):
        super().__init__()
        self.slope, self.traceable, self.slip = Parameter(np.full(3, 0.7)), traceable, slip

    def fprop(self, x):
        self.x = x
        self.y = np.tanh(x * self.slope)
        return self.y if self.traceable else np.array(self.y, np.float64)

    def bprop(self, grad_y):
        inner = grad_y * (1 - self.y**2) * (1 + self.slip)
        self.grad_slope += (inner * self.x).sum(axis=0)
        return inner * self.slope


def test_the_checker_says_what_it_compared_with():
    report = check_gradients(Own(), X)
    assert report.ok
    assert report.reference == "the trace of fprop"
    assert max(entry.error for entry in report.entries) < 1e-14
    report = check_gradients(Own(traceable=False), X)
    assert report.ok
    assert report.reference.startswith("differences: Own() cannot be traced: a float is asked for")
    assert f"  beside {report.reference}\n" in str(report)


def test_what_lies_between_is_right_but_said():
    report = check_gradients(Own(slip=1e-8), X)
    assert report.ok
    assert all(re.fullmatch(r"\(by differences; 1\.0e-08 from the trace\)", entry.hint) for entry in report.entries)
    assert not check_gradients(Own(slip=1e-5), X).ok


def test_another_y_in_plain_python_leaves_it_to_differences():
    class Rounding(Own):
        def fprop(self, x):
            return super().fprop(x) if x.dtype == float else x

    assert check_gradients(Rounding(), X).reference == "differences: fprop in plain Python gives another y"


def test_at_a_kink_the_branch_of_fprop_is_right():
    report = check_gradients(ReLU(), np.array([[0.0, 1.0, -1.0]]))
    assert report.ok
    assert report.reference == "the trace of fprop"


# -- without bprop -----------------------------------------------------------------------------------------------------


@derived
class Swish(Module):
    """y = x / (1 + exp(-slope x)), no bprop yet."""

    def __init__(self, features: int):
        super().__init__()
        self.slope, self.runs = Parameter(np.ones(features)), 0

    def fprop(self, x):
        self.x = x
        self.runs += 1
        return x / (1 + np.exp(-self.slope * x))


def test_a_module_without_bprop():
    assert (Swish.__name__, Swish.__doc__) == ("Swish", "y = x / (1 + exp(-slope x)), no bprop yet.")
    net = Sequential(Linear(3, 4), Swish(4), Linear(4, 2))
    check_gradients(net, X).raise_if_wrong()
    report = check_gradients(Swish(3), X).raise_if_wrong()
    assert report.reference == "differences: the trace is what Swish() has for a bprop"
    y = net.fprop(X)
    assert (y.dtype, net.bprop(np.ones((4, 2))).dtype) == (np.float32, np.float32)
    assert net[1].runs == 1
    assert net[1].x.dtype == net[1].slope.dtype == np.float32


def test_tables_go_in_and_come_out():
    @derived
    class Both(Module):
        def fprop(self, x):
            return x[0] * x[1], x[0].sum(axis=1)

        def check_arguments(self, *shapes):
            return shapes

    module, (a, b) = Both().to("float64"), (X, X + 1)
    y = module.fprop((a, b))
    grad_a, grad_b = module.bprop((np.ones_like(a), np.full(4, 2.0)))
    np.testing.assert_allclose(y[1], a.sum(axis=1))
    np.testing.assert_allclose(grad_a, b + 2)
    np.testing.assert_allclose(grad_b, a)
    derivation = derive(module, (a, b))
    np.testing.assert_array_equal(derivation.bprop((np.ones_like(a), np.full(4, 2.0)))["x.0"], grad_a)
    with pytest.raises(ValueError, match=r"^derive: grad_y has shape \(4, 3\), expected \(\(4, 3\), \(4,\)\)$"):
        derivation.bprop(a)


def test_a_module_with_bprop_needs_none():
    with pytest.raises(TypeError, match=r"^derived: Linear has its own bprop, expected none$"):
        derived(Linear)


@pytest.mark.parametrize(
    ("function", "argument"), [(lambda x: x * x, Dual(2.0, 1.0)), (Tanh(), np.array([[Dual(2.0, 1.0)]]))]
)
def test_derive_of_a_dual_says_where_duals_go(function, argument):
    with pytest.raises(Untraceable, match=r"is a Dual, expected numbers .* of a plain function: f\(Dual\(value, tang"):
        derive(function, argument)
