"""The doctor of modules: it says what is wrong with each broken module (that it accuses no right one: test_laws)."""

import re

import numpy as np
import pytest
from bprop.modules import GradientError, Linear, Module, ReLU, Sequential, Tanh, check_gradients, check_module
from bprop.modules.checked import unchecked
from bprop.modules.gradient_subject import Subject

from .broken import BROKEN, BROKEN_LOSSES, TARGET, Affine, Kink, Squares, Weighted, WrongKink, X
from .broken_layers import BROKEN_LAYERS, IMAGES, ROWS, Convolved, Normalised

pytestmark = pytest.mark.filterwarnings("ignore:.*jit = False:UserWarning")


@pytest.mark.parametrize(("module", "said"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_is_named(module, said):
    report = check_module(module(), X)
    assert not report.ok
    assert any(said in problem for problem in report.problems), report
    with pytest.raises(GradientError, match=re.escape(said)):
        report.raise_if_wrong()


@pytest.mark.parametrize(("module", "x", "said"), BROKEN_LAYERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_in_a_layer_is_named(module, x, said):
    report = check_module(module(), x)
    assert any(problem.startswith(said) for problem in report.problems), report


@pytest.mark.parametrize(("module", "x"), [(Convolved, IMAGES), (Normalised, ROWS)])
def test_right_layers_are_not_accused(module, x):
    check_module(module(), x).raise_if_wrong()


@pytest.mark.parametrize(("loss", "said"), BROKEN_LOSSES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_of_a_loss_is_named(loss, said):
    (problem,) = check_module(loss(), X, TARGET).problems
    assert said in problem


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
    assert lines[0] == "Laws of Affine(), (5, 4)"
    assert all(re.match(r"  \w.*  ok$", line) for line in lines[1:-1])
    assert lines[1].startswith("  gradients in training")
    assert lines[-1] == "right: 13 laws"
    lines = repr(check_module(WrongKink(), X)).splitlines()
    assert lines[1:2] == ["  gradients in training  WRONG"]
    assert lines[2].startswith("  problem: grad_x differs")
    assert lines[-1] == "wrong: 1 law"


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
    assert any("float64 leaks into a float32 step" in problem for problem in report.problems), report


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
        assert unchecked(right) == [type(right[1])]
        assert check(right, X).ok
        assert unchecked(right) == []
        assert unchecked(wrong) == [type(wrong[1])]
        for note in tmp_path.glob("checked_*"):
            note.unlink()
