"""The checker itself: it accuses every wrong bprop, says what is wrong, and accuses no right one."""

import re

import numpy as np
import pytest
from bprop.modules import (
    CMulTable,
    ConcatTable,
    Flatten,
    GradientError,
    Linear,
    MeanSquaredError,
    Module,
    ParallelTable,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
)
from bprop.modules.checks.gradient_report import classify_mismatch

X = np.random.default_rng(0).standard_normal((4, 3))


class Scale(Module):
    """y = x * weight + shift"""

    def __init__(self, features=3):
        super().__init__()
        self.weight = Parameter(np.linspace(0.5, 1.5, features))
        self.shift = Parameter(np.zeros(features))

    def fprop(self, x):
        self.x = x
        return x * self.weight + self.shift

    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        return grad_y * self.weight


def entries(module, x=X, **settings):
    return {entry.name: entry for entry in check_gradients(module, x, **settings).entries}


# -- right ones --------------------------------------------------------------------------------------------------


def test_a_right_module_passes_far_below_the_tolerance():
    report = check_gradients(Scale(), X)
    assert report.ok
    assert max(entry.error for entry in report.entries) < 1e-8
    assert report.raise_if_wrong() is report


def test_the_report_reads_as_a_table():
    lines = str(check_gradients(Scale(), X)).splitlines()
    assert lines[0] == "Gradients of Scale(), (4, 3) in float64"
    assert lines[1].split() == ["gradient", "shape", "worst", "at", "bprop", "expected", "relative", "error"]
    assert [line.split()[0] for line in lines[2:-2]] == ["x", "weight", "shift"]
    assert all(line.endswith("ok") for line in lines[2:-2])
    assert lines[-2] == "  beside the trace of fprop"
    assert lines[-1] == "right: 3 gradients within 1e-06"
    assert repr(check_gradients(Scale(), X)) == "\n".join(lines)


def test_nets_are_checked_parameter_by_parameter():
    net = Sequential(Linear(3, 4), Sequential(Tanh(), Linear(4, 2, bias=False)))
    report = check_gradients(net, X).raise_if_wrong()
    assert [entry.name for entry in report.entries] == ["x", "0.weight", "0.bias", "1.1.weight"]
    assert str(report).startswith("Gradients of Sequential(), 2 modules, (4, 3) in float64")


def test_large_arrays_are_checked():
    check_gradients(Linear(300, 40), np.random.default_rng(1).standard_normal((8, 300))).raise_if_wrong()


def test_a_module_inside_a_net_is_checked_by_itself():
    net = Sequential(Tanh(), Scale())
    assert check_gradients(net[1], X).ok


def test_kinks_are_not_accused():
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal((32, 20))
        assert check_gradients(ReLU(), x, seed=seed).ok


def test_a_kink_nearby_is_stepped_around():
    x = np.full((1, 1), 1e-6)  # the first step reaches over the kink, the second does not
    assert check_gradients(ReLU(), x).ok


def test_the_module_and_the_arguments_are_left_alone():
    module, x = Scale(), X.astype(np.float32)
    module.grad_weight[:] = 7
    module.eval()
    check_gradients(module, x)
    np.testing.assert_array_equal(module.grad_weight, [7, 7, 7])
    np.testing.assert_array_equal(x, X.astype(np.float32))
    assert module.dtype == np.float32
    with pytest.raises(RuntimeError, match="bprop without a matching fprop"):
        module.bprop(x)


def test_the_same_arguments_give_the_same_report():
    assert str(check_gradients(Scale(), X)) == str(check_gradients(Scale(), X))
    assert str(check_gradients(Scale(), X)) != str(check_gradients(Scale(), X, seed=1))


def test_small_and_large_scales_pass():
    for scale in (1e-6, 1e6):
        assert check_gradients(Scale(), scale * X).ok
        assert check_gradients(Linear(3, 2), scale * X).ok
        assert check_gradients(MeanSquaredError(), scale * X, 0.5 * scale * X).ok


def test_training_mode_is_kept():
    class OnlyInTraining(Scale):
        jit = False

        def bprop(self, grad_y):
            self.grad_weight += (grad_y * self.x).sum(axis=0)
            self.grad_shift += grad_y.sum(axis=0)
            return grad_y * self.weight if self.training else 2.0 * grad_y

    module = OnlyInTraining()
    assert check_gradients(module, X).ok
    assert not check_gradients(module.eval(), X).ok


# -- wrong ones --------------------------------------------------------------------------------------------------


class InPython(Scale):
    """The base of wrong modules: what the checker says does not depend on the compiler, which takes its time."""

    jit = False


class Flipped(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        return -grad_y * self.weight


class Averaged(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0) / len(grad_y)
        self.grad_shift += grad_y.sum(axis=0)
        return grad_y * self.weight


class Forgotten(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        return grad_y * self.weight


class Broadcast(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum()
        return grad_y * self.weight


class OneElement(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_weight[1] += 1e-3
        self.grad_shift += grad_y.sum(axis=0)
        return grad_y * self.weight


class NotFinite(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        return grad_y * self.weight * np.nan


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (Flipped, "x", "(the sign is flipped)"),
        (Averaged, "weight", "(0.25 times the right one)"),
        (Forgotten, "shift", "(bprop leaves it at zero)"),
        (Broadcast, "shift", "(one number throughout: was a smaller array broadcast into it?)"),
        (OneElement, "weight", "(1 of 3 elements differ)"),
        (NotFinite, "x", "(not finite)"),
    ],
)
def test_a_wrong_gradient_is_accused_alone(module, name, message):
    report = check_gradients(module(), X)
    assert not report.ok
    assert [entry.name for entry in report.entries if not entry.ok] == [name]
    assert entries(module())[name].hint == message
    assert str(report).splitlines()[-1] == f"wrong: {name}"
    with pytest.raises(GradientError, match=re.escape(f"WRONG {message}")):
        report.raise_if_wrong()


def test_compiled_modules_are_accused_too():
    class Compiled(Module):
        def __init__(self):
            super().__init__()
            self.weight = Parameter(np.ones(1))

        def fprop(self, x):
            self.x = x
            return x * self.weight[0]

        def bprop(self, grad_y):
            self.grad_weight[0] = 2 * (grad_y * self.x).sum()
            return -grad_y

    report = check_gradients(Compiled(), X)
    assert report.problems == ("bprop overwrites the gradient of weight, expected +=",)
    assert [entry.ok for entry in report.entries] == [False, False]


def test_the_worst_element_is_named():
    entry = entries(OneElement())["weight"]
    assert entry.index == (1,)
    assert entry.analytic - entry.numeric == pytest.approx(1e-3)
    assert entry.error == pytest.approx(1e-3 / max(abs(entry.analytic), abs(entry.numeric)), rel=1e-4)


class Product(Module):
    """y = x weight"""

    jit = False

    def __init__(self, size, wrong):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(2).standard_normal((size, size)))
        self.wrong = wrong

    def fprop(self, x):
        self.x = x
        return np.dot(x, self.weight)

    def bprop(self, grad_y):
        if self.wrong == "transposed":
            self.grad_weight += np.dot(grad_y.T, self.x)
        else:
            self.grad_weight += np.dot(self.x.T, grad_y)
            self.grad_weight[17 % len(self.weight), -1] += 0.01
        return np.dot(grad_y, self.weight.T)


def test_a_transposed_gradient_is_recognised():
    assert entries(Product(3, "transposed"))["weight"].hint == "(transposed)"


def test_one_wrong_element_of_many_is_found():
    x = np.random.default_rng(3).standard_normal((4, 60))
    entry = entries(Product(60, "element"), x)["weight"]
    assert not entry.ok
    assert entry.index == (17, 59)


class Summed(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        return (grad_y * self.weight).sum(axis=0)


class Nothing(Module):
    def fprop(self, x):
        return x + 1

    def bprop(self, grad_y):
        pass


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Summed, "(grad_x has shape (3,), expected (4, 3))"),
        (Nothing, "(grad_x is None, expected (4, 3))"),
    ],
)
def test_a_gradient_of_another_shape_is_accused_as_such(module, message):
    entry = entries(module())["x"]
    assert not entry.ok
    assert entry.hint == message


def test_assigning_a_gradient_of_another_shape_is_an_error():
    class Misshapen(Scale):
        def bprop(self, grad_y):
            self.grad_weight = grad_y * self.x
            return grad_y * self.weight

    with pytest.raises(ValueError, match=r"grad_weight has shape \(3,\), got"):
        check_gradients(Misshapen(), X)


class Overwriting(InPython):
    def bprop(self, grad_y):
        self.grad_weight[:] = (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        return grad_y * self.weight


class Damping(InPython):
    def bprop(self, grad_y):
        self.grad_weight[:] = 0.5 * self.grad_weight + (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        return grad_y * self.weight


class ChangingX(InPython):
    def fprop(self, x):
        x *= 2
        self.x = x
        return x * self.weight + self.shift


class ChangingGradY(InPython):
    def bprop(self, grad_y):
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        grad_y *= self.weight
        return grad_y


class Learning(InPython):
    def bprop(self, grad_y):
        grad_x = grad_y * self.weight
        self.grad_weight += (grad_y * self.x).sum(axis=0)
        self.grad_shift += grad_y.sum(axis=0)
        self.weight -= 0.1 * self.grad_weight
        return grad_x


class Remembering(InPython):
    def __init__(self):
        super().__init__()
        self.total = np.zeros(3)

    def fprop(self, x):
        self.x = x
        self.total += 1
        return x * self.weight + self.shift + self.total


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (Overwriting, "bprop overwrites the gradient of weight, expected +="),
        (Damping, "bprop does not just add to the gradient of weight, expected +="),
        (ChangingX, "fprop changes x"),
        (ChangingGradY, "bprop changes grad_y"),
        (Learning, "bprop changes weight"),
        (Remembering, "fprop(x) gives another y in a second run"),
    ],
)
def test_breaches_of_the_contract_are_problems(module, problem):
    report = check_gradients(module(), X)
    assert not report.ok
    assert problem in report.problems
    assert f"  problem: {problem}\n" in str(report)
    with pytest.raises(GradientError, match=re.escape(problem)):
        report.raise_if_wrong()


def test_a_breach_alone_accuses_no_gradient():
    report = check_gradients(Overwriting(), X)
    assert [entry.ok for entry in report.entries] == [True, True, True]
    assert report.verdict() == "1 other problem"


def test_an_accumulated_input_gradient_is_a_problem():
    class Accumulating(Module):
        def __init__(self):
            super().__init__()
            self.grad_x = np.zeros((1, 3))

        def fprop(self, x):
            return 2.0 * x

        def bprop(self, grad_y):
            self.grad_x = self.grad_x + 2.0 * grad_y
            return self.grad_x

    assert check_gradients(Accumulating(), X).problems == ("bprop gives another grad_x in a second run",)


def test_an_output_that_is_not_finite_is_a_problem():
    report = check_gradients(Tanh(), np.array([[np.nan, 1.0]]))
    assert report.problems == ("y is not finite at this x",)


def test_counters_of_random_numbers_are_rewound():
    class Noisy(Module):
        def __init__(self):
            super().__init__()
            self.step = 0

        def fprop(self, x):
            self.step += 1
            self.scale = 1.0 + 0.5 * (self.step % 7)
            return x * self.scale

        def bprop(self, grad_y):
            return grad_y * self.scale

    module = Noisy()
    assert check_gradients(module, X).ok
    assert module.step == 0


# -- tables ------------------------------------------------------------------------------------------------------


class Swapped(CMulTable):
    """Gives each of two factors the gradient of the other."""

    def call_bprop(self, call, grad_y):
        return super().call_bprop(call, grad_y)[::-1]


def test_tables_are_checked_array_by_array():
    report = check_gradients(CMulTable(), (X, X[::-1])).raise_if_wrong()
    assert [entry.name for entry in report.entries] == ["x.0", "x.1"]
    assert str(report).startswith("Gradients of CMulTable(), ((4, 3), (4, 3)) in float64")
    assert not any(entry.ok for entry in check_gradients(Swapped(), (X, X[::-1])).entries)
    net = ParallelTable(Linear(3, 2), ConcatTable(Tanh(), Linear(3, 4)))
    report = check_gradients(net, (X, 2 * X)).raise_if_wrong()
    assert [entry.name for entry in report.entries] == ["x.0", "x.1", "0.weight", "0.bias", "1.1.weight", "1.1.bias"]
    assert report.reference == "the trace of fprop"


# -- losses ------------------------------------------------------------------------------------------------------


def test_losses():
    report = check_gradients(SoftmaxCrossEntropy(), X, [0, 2, 1, 1]).raise_if_wrong()
    assert [entry.name for entry in report.entries] == ["y"]
    assert str(report).startswith("Gradients of SoftmaxCrossEntropy(), (4, 3) and (4,) in float64")


def test_a_wrong_loss_is_accused():
    class Doubled(MeanSquaredError):
        def bprop(self):
            return 2 * self.grad_y

    assert entries(Doubled(), target=2 * X)["y"].hint == "(2 times the right one)"


def test_targets_belong_to_losses():
    with pytest.raises(
        TypeError, match=r"^check_gradients: MeanSquaredError\(\) with target=None: a loss needs a target$"
    ):
        check_gradients(MeanSquaredError(), X)
    with pytest.raises(TypeError, match=r"^check_gradients: Tanh\(\) with target=.*: only a loss takes a target$"):
        check_gradients(Tanh(), X, X)
    with pytest.raises(TypeError, match=r"^check_gradients: got the class Tanh, expected a Module; write Tanh\("):
        check_gradients(Tanh, X)


def test_nothing_to_check():
    class Chosen(Module):
        label_arguments = (0,)

        def fprop(self, x):
            return 0.5 * x

        def bprop(self, grad_y):
            return grad_y

    report = check_gradients(Chosen(), np.arange(6).reshape(2, 3))
    assert report.ok
    assert report.verdict() == "nothing to check: no floating input, no parameters"


def test_whole_numbers_are_an_input_like_any():
    assert check_gradients(Flatten(), np.arange(24).reshape(2, 3, 4)).entries[0].name == "x"


def test_hints_of_odd_cases():
    one = np.array([1.0])
    assert str(classify_mismatch(2 * one, one)) == "(1 of 1 elements differ)"
    assert classify_mismatch(one, one) is None
