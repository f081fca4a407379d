"""The doctor of modules: it says what is wrong with each broken module (that it accuses no right one: test_laws)."""

import re

import numpy as np
import pytest
from bprop.modules import (
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Buffer,
    Conv2d,
    ConvTranspose2d,
    GradientError,
    GroupNorm,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    JoinTable,
    LayerNorm,
    Linear,
    LinearWeightNorm,
    Module,
    ParallelTable,
    Parameter,
    ReLU,
    ReLU6,
    Sequential,
    Softmax,
    Tanh,
    Threshold,
    check_gradients,
    check_module,
    manual_seed,
)
from bprop.modules.checks.gradient_subject import Subject
from bprop.modules.core.passed_checks import find_unchecked_classes
from bprop.modules.engine import entry_points
from bprop.modules.engine.stateful import uncompiled

from .broken import BROKEN, BROKEN_LOSSES, TARGET, Affine, Doubled, Kink, Squares, Weighted, WrongKink, X
from .broken_habits import BROKEN_HABITS, RIGHT_HABITS
from .broken_layers import BROKEN_LAYERS, IMAGES, ROWS, Convolved, Normalised

pytestmark = pytest.mark.filterwarnings("ignore:.*jit = False:UserWarning")


@pytest.mark.parametrize(("module", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_is_named(module, message):
    report = check_module(module(), X)
    assert not report.ok
    assert any(message in problem for problem in report.problems), report
    with pytest.raises(GradientError, match=re.escape(message)):
        report.raise_if_wrong()


@pytest.mark.parametrize(("module", "x", "message"), BROKEN_LAYERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_in_a_layer_is_named(module, x, message):
    report = check_module(module(), x)
    assert any(problem.startswith(message) for problem in report.problems), report


@pytest.mark.parametrize(("module", "x", "message"), BROKEN_HABITS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_of_habit_is_named(module, x, message):
    report = check_module(module(), x)
    assert any(message in problem for problem in report.problems), report


def test_all_planted_mistakes_are_found_and_named():
    planted = [(module(), (X,), message) for module, message in BROKEN]
    planted += [(module(), (x,), message) for module, x, message in [*BROKEN_LAYERS, *BROKEN_HABITS]]
    planted += [(loss(), (X, TARGET), message) for loss, message in BROKEN_LOSSES]
    reports = [(check_module(module, *arguments), message) for module, arguments, message in planted]
    count = sum(not report.ok for report, _ in reports)
    named = sum(any(message in problem for problem in report.problems) for report, message in reports)
    print(f"{count} of {len(planted)} planted mistakes found, {named} named")
    assert count == named == len(planted) >= 64


@pytest.mark.parametrize("module", RIGHT_HABITS)
def test_right_habits_are_not_accused(module):
    check_module(module(), X).raise_if_wrong()


@pytest.mark.parametrize(("module", "x"), [(Convolved, IMAGES), (Normalised, ROWS)])
def test_right_layers_are_not_accused(module, x):
    check_module(module(), x).raise_if_wrong()


@pytest.mark.parametrize(("loss", "message"), BROKEN_LOSSES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_of_a_loss_is_named(loss, message):
    (problem,) = check_module(loss(), X, TARGET).problems
    assert message in problem


def test_a_right_module_of_ones_own():
    report = check_module(module := Affine(), X)
    assert report.raise_if_wrong() is report
    for loss in (Squares(), Weighted()):
        check_module(loss, X, TARGET).raise_if_wrong()
    assert not module.grad_weight.any()
    with pytest.raises(RuntimeError, match="bprop without a matching fprop"):
        module.bprop(X)


def test_the_report_reads_as_a_list_of_laws():
    lines = str(check_module(Affine(), X)).splitlines()
    assert lines[0] == "Contract of Affine(), (5, 4)"
    assert all(re.match(r"  \w.*  ok$", line) for line in lines[1:-1])
    assert lines[1].startswith("  gradients in training")
    assert lines[-1] == "right: 17 checks"
    lines = repr(check_module(WrongKink(), X)).splitlines()
    assert lines[1:2] == ["  gradients in training  WRONG"]
    assert lines[2].startswith("  problem: grad_x differs")
    assert lines[-1] == "wrong: 1 check; 13 checks not tried (every_law=True tries them)"
    report = check_module(Doubled(), X, every_law=True)
    assert str(report).splitlines()[-1] == "wrong: 1 check"
    assert [bool(finding.problems) for finding in report.findings] == [True] + 13 * [False]


class OtherSide(ReLU):
    """At 0 it takes the derivative on the right, where the code of fprop takes that on the left."""

    def derivative(self, x, y):
        return 1 if x >= 0 else 0


def test_a_kink_is_a_note_and_no_mistake():
    x = X.copy()
    x[0, :2] = 0
    for module in (ReLU(), Kink(), Sequential(ReLU(), Linear(4, 2))):
        check_module(module, x).raise_if_wrong()
    assert not check_module(ReLU(), x).notes
    report = check_module(OtherSide(), x)
    assert "  note: no derivative exists at this x; beside it all is right" in str(report)
    assert not check_module(WrongKink(), x).ok


def test_kinks_in_a_parameter_are_notes_too():
    net = Sequential(Linear(4, 3), OtherSide())
    net[0].bias = np.zeros(3)
    x = X.copy()
    x[1] = 0
    report = check_module(net, x)
    assert report.ok
    assert "note: no derivative" in str(report)


def test_a_net_at_many_kinks_is_not_searched_one_by_one(monkeypatch, random):
    x = np.maximum(random.standard_normal((4, 200)), 0)
    runs, y = [], Subject.y
    monkeypatch.setattr(Subject, "y", lambda self: runs.append(1) or y(self))
    report = check_module(Sequential(OtherSide(), Linear(200, 2)), x)
    assert "note: no derivative" in str(report.raise_if_wrong())
    assert len(runs) < 400, "a search looks at each of 800 numbers from both sides"
    assert not check_module(Sequential(WrongKink(), Linear(200, 2)), x + 1).ok


def test_nets_are_checked():
    check_module(Sequential(Linear(4, 3), Tanh(), Affine(3, 2)), X).raise_if_wrong()
    (problem,) = check_module(Sequential(Linear(4, 4), WrongKink()), X).problems[:1]
    assert "WrongKink" not in problem
    assert "grad_" in problem


def test_an_exception_is_a_finding():
    class Failing(Module):
        jit = False

        def fprop(self, x):
            raise KeyError("nothing here")

    report = check_module(Failing(), X)
    (problem,) = report.problems
    assert re.fullmatch(r"raises KeyError: 'nothing here' \(test_module_check\.py, line \d+\)", problem)


@pytest.mark.jit
def test_a_leak_of_float64_in_compiled_code_is_named():
    class Leak(Module):
        def __init__(self):
            super().__init__()
            self.table = np.linspace(0, 1, 4)

        def fprop(self, x):
            return x * self.table.astype(np.float64)

        def bprop(self, grad_y):
            return grad_y * self.table.astype(np.float64)

    report = check_module(Leak(), X)
    assert any("in float64 for an x in float32" in problem for problem in report.problems), report
    report = check_module(Leak(), X, every_law=True)
    assert any("float64 leaks into a float32 step" in problem for problem in report.problems), report


class Centred(Module):
    """Numbers less their mean over the batch, after a matrix and a bias, whose gradient is zero but for rounding."""

    def __init__(self):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(1).standard_normal((4, 3)))
        self.bias = Parameter(np.linspace(-1, 1, 3))

    def fprop(self, x):
        self.x = x
        y = np.dot(x, self.weight) + self.bias
        self.y = np.tanh(y - y.sum(axis=0) / len(x))
        return self.y

    def inner(self, grad_y):
        grad = grad_y * (1 - self.y * self.y)
        return grad - grad.sum(axis=0) / len(grad)

    def bprop(self, grad_y):
        grad = self.inner(grad_y)
        self.grad_weight += np.dot(self.x.T, grad)
        for row in grad:
            self.grad_bias += row
        return np.dot(grad, self.weight.T)


class Overwritten(Centred):
    def bprop(self, grad_y):
        grad = self.inner(grad_y)
        self.grad_weight += np.dot(self.x.T, grad)
        self.grad_bias[:] = grad.sum(axis=0)
        return np.dot(grad, self.weight.T)


class Uncentred(Centred):
    def bprop(self, grad_y):
        grad = self.inner(grad_y)
        self.grad_weight += np.dot(self.x.T, grad)
        self.grad_bias += grad.sum(axis=0) + 1e-6 * grad_y.sum(axis=0)
        return np.dot(grad, self.weight.T)


IMAGE = np.random.default_rng(5).standard_normal((3, 2, 3, 3))
CANCELLING = {
    "Linear, BatchNorm1d": (lambda: Sequential(Linear(4, 8), BatchNorm1d(8), Tanh(), Linear(8, 3)), X),
    "Conv2d, BatchNorm2d": (lambda: Sequential(Conv2d(2, 3, 3), BatchNorm2d(3), Tanh()), IMAGE),
    "ConvTranspose2d, BatchNorm2d": (lambda: Sequential(ConvTranspose2d(2, 3, 2), BatchNorm2d(3), Tanh()), IMAGE),
    "Add, BatchNorm1d": (lambda: Sequential(Add(4), BatchNorm1d(4)), X),
    "LinearWeightNorm, BatchNorm1d": (lambda: Sequential(LinearWeightNorm(4, 5), BatchNorm1d(5), Tanh()), X),
    "BatchNorm1d, BatchNorm1d": (lambda: Sequential(BatchNorm1d(4), BatchNorm1d(4)), X),
    "Conv2d, GroupNorm": (lambda: Sequential(Conv2d(2, 4, 2), GroupNorm(4, 4)), IMAGE),
    "Linear, Softmax": (lambda: Sequential(Linear(4, 1), Softmax()), X),
    "Linear, LayerNorm": (lambda: Sequential(Linear(4, 1), LayerNorm(1)), X),
    "GroupNorm, GlobalAvgPool2d": (lambda: Sequential(GroupNorm(2, 2), AvgPool2d(3)), IMAGE),
    "custom": (Centred, X),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_gradients_that_are_zero_but_for_rounding_are_right(name):
    make, x = CANCELLING[name]
    for seed, scale in enumerate((1, 30, 0.03, 1)):
        manual_seed(seed)
        with uncompiled():  # what is compiled is compared with this in the next test
            assert check_gradients(make(), scale * x, seed=seed).raise_if_wrong()
            assert check_module(make(), scale * x, seed=seed).raise_if_wrong()


def test_compiled_gradients_that_are_zero_but_for_rounding_are_right():
    for name in ("Add, BatchNorm1d", "custom"):
        make, x = CANCELLING[name]
        check_gradients(make(), x).raise_if_wrong()
        check_module(make(), x).raise_if_wrong()


def test_a_gradient_that_should_be_zero_is_checked_all_the_same():
    for make in (Overwritten, lambda: Sequential(Linear(4, 4), Overwritten())):
        with uncompiled():
            report = check_gradients(make(), X)
            (problem,) = check_module(make(), X).problems
        assert (problem,) == report.problems
        assert re.fullmatch(r"bprop overwrites the gradient of (1\.)?bias, expected \+=", problem)
    with uncompiled():
        assert not check_gradients(Uncentred(), X).ok
        (problem,) = check_module(Uncentred(), X).problems
    assert problem.startswith("grad_bias ")


@pytest.mark.parametrize(
    ("unit", "kinks"),
    [(Hardtanh, (-1, 1)), (ReLU6, (0, 6)), (Hardsigmoid, (-3, 3)), (Hardswish, (-3, 3)),
     (lambda: Threshold(0.1, 0.1), (0.1,)), (Hardshrink, (-0.5, 0.5)), (ReLU, (0,)), (OtherSide, (0,))],
)  # fmt: skip
def test_both_checks_agree_at_kinks(unit, kinks):
    for kink in kinks:
        x = X.copy()
        x[0, 0] = x[3, 1] = kink
        for make in (unit, lambda: Sequential(unit(), Linear(4, 2))):
            with uncompiled():
                gradients, whole = check_gradients(make(), x), check_module(make(), x)
            assert gradients.ok, gradients
            assert whole.ok, whole
            assert gradients.notes == whole.notes
    with uncompiled():
        report = check_gradients(OtherSide(), np.where(X > 1, 0, X))
        assert "  note: no derivative exists at this x; beside it all is right" in str(report).splitlines()
        assert any(line.endswith("ok (at a kink)") for line in str(report).splitlines())
        wrong = check_gradients(WrongKink(), np.where(X > 1, 0, X))
    assert not wrong.ok
    assert not wrong.notes


def test_nothing_is_compiled_for_a_wrong_module(monkeypatch):
    def compiled(*_):
        raise AssertionError("compiled before plain Python has found what is wrong")

    class Halved(Centred):
        def bprop(self, grad_y):
            return 0.5 * np.dot(self.inner(grad_y), self.weight.T)

    class OtherShape(Centred):
        def output_shape(self, input_shape):
            return (input_shape[0], 5)

    monkeypatch.setattr(entry_points, "ModulePlan", compiled)
    assert check_module(Halved(), X).problems[0].startswith("grad_x is 0.5 times the right one")
    assert check_module(OtherShape(), X).problems == ("output_shape((5, 4)) is (5, 5), fprop gives (5, 3)",)


@pytest.mark.jit
def test_what_only_compiled_code_does_is_found():
    class Refused(Module):
        def fprop(self, x):
            return x * len({"a": {}})

        def bprop(self, grad_y):
            return grad_y

    report = check_module(Refused(), X)
    assert [finding.law for finding in report.findings if finding.problems] == [report.findings[-1].law]
    assert report.findings[-1].law == "compiled equals plain Python, in float64 and in float32"


class StraightThrough(Module):
    """y = sign(x), with the gradient of y = x."""

    jit = False

    def fprop(self, x):
        return np.sign(x)

    def bprop(self, grad_y):
        return grad_y


class Feedback(Affine):
    """Feedback alignment: a fixed matrix in the place of the weight's transpose."""

    def __init__(self):
        super().__init__()
        self.matrix = Buffer(np.random.default_rng(8).standard_normal((3, 4)))

    def bprop(self, grad_y):
        self.grad_weight += self.weight_gradient(grad_y)
        self.grad_bias += self.bias_gradient(grad_y)
        return np.dot(grad_y, self.matrix)


def test_an_estimator_is_told_how_to_say_so(monkeypatch):
    message = "if bprop estimates by design, as straight-through does, set estimates = True on the class"
    for cls, text in (
        (StraightThrough, f"grad_x is not zero where fprop does not depend on x: {message}"),
        (Feedback, message),
    ):
        assert text in check_module(cls(), X).problems[0]
        assert f"  hint: {message}" in str(check_gradients(cls(), X)).splitlines()
        monkeypatch.setattr(cls, "estimates", True)
        assert check_module(cls(), X).raise_if_wrong()
        assert check_gradients(cls(), X).raise_if_wrong()


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"^check_module: got 3, expected a Module$"):
        check_module(3, X)
    with pytest.raises(TypeError, match=r"^check_module: Squares\(\) with target=None: a loss needs a target$"):
        check_module(Squares(), X)
    with pytest.raises(TypeError, match=r"^check_module: Affine\(\) with target=.*: only a loss takes a target$"):
        check_module(Affine(), X, X)


def test_what_passed_is_remembered_until_it_is_edited(tmp_path, monkeypatch):
    monkeypatch.setenv("BPROP_CACHE_DIR", str(tmp_path))

    def written(slope):
        class Steep(Module):
            jit = False

            def fprop(self, x):
                return slope * x

            def bprop(self, grad_y):
                return 3.0 * grad_y

        return Sequential(Tanh(), Steep())

    right, wrong = written(3.0), written(2.0)
    for check in (check_gradients, check_module):
        assert not check(wrong, X).ok
        assert find_unchecked_classes(right) == [type(right[1])]
        assert check(right, X).ok
        assert find_unchecked_classes(right) == []
        assert find_unchecked_classes(wrong) == [type(wrong[1])]
        for note in tmp_path.glob("checked_*"):
            note.unlink()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError("no memory")])
def test_what_the_machine_lacks_is_no_verdict(error):
    """A disk that is full, or read-only, says nothing of a gradient."""

    class Unlucky(Affine):
        def fprop(self, x):
            raise error

    with pytest.raises(type(error), match=r"No space left|no memory"):
        check_module(Unlucky(), X)


class Tripled(Module):
    """y = 2 x, with the gradient of y = 3 x."""

    def fprop(self, x):
        return 2 * x

    def bprop(self, grad_y):
        return 3 * grad_y


def test_a_wrong_gradient_of_a_table_is_named():
    random = np.random.default_rng(0)
    net = Sequential(ParallelTable(Tripled(), Identity()), JoinTable(1))
    table = random.standard_normal((4, 2)), random.standard_normal((4, 3))
    assert "problem: grad_x.0 is 1.5 times the right one" in str(check_module(net, table))
