"""An index out of range in a user's compiled method is an IndexError that names module, line and index."""

import inspect
import re

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Module, Parameter, Sequential, check_module, manual_seed
from bprop.modules.engine.plan import Plan
from bprop.trainers import SGD, Trainer, compile_step

from .. import index_modules
from ..index_modules import (
    Holding,
    Picking,
    Reads,
    ReadsByCast,
    ReadsByHelper,
    ReadsInTable,
    ReadsRows,
    Spoils,
    Writes,
)

pytestmark = pytest.mark.jit

FAR = 1000
FIT = {"epochs": 1, "batch_size": 8, "shuffle": False}


def batch(index=1, row=5):
    """Eight samples; the first two, on which types are found, are in range."""
    x = np.ones((8, 3), np.float32)
    x[row, 0] = index
    return x


def line_of(text):
    lines, _ = inspect.findsource(index_modules)
    return next(k + 1 for k, line in enumerate(lines) if text in line)


def expect(index, axis, size, method, line):
    text = f"index {index} is out of range for axis {axis} of size {size} in {method} ({index_modules.__file__}:{line})"
    return pytest.raises(IndexError, match=re.escape(text))


def step_of(*modules):
    return compile_step(Sequential(Linear(3, 3), *modules, Linear(3, 3)), MeanSquaredError(), SGD(lr=0.1))


READS = [
    (Reads, 0, 3, "return self.w[k]"),
    (ReadsByHelper, 0, 3, "return w[k]"),
    (ReadsInTable, 1, 4, "return self.table[1, k + 1]"),
    (ReadsRows, 0, 3, "return self.w[rows].sum()"),
]


@pytest.mark.parametrize(("cls", "axis", "size", "text"), READS)
def test_reading_out_of_range_in_fprop(cls, axis, size, text):
    module = Sequential(cls())
    module.fprop(batch())
    with expect(FAR + axis, axis, size, "fprop", line_of(text)) as caught:
        Sequential(cls()).fprop(batch(FAR))
    assert str(caught.value).startswith(f"{cls.__name__}(")
    assert caught.value.__notes__ == ["in model[0]"]


def test_negative_indices_wrap_once():
    Reads().fprop(batch(-3))
    with expect(-4, 0, 3, "fprop", line_of("return self.w[k]")):
        Reads().fprop(batch(-4))


def test_writing_out_of_range_in_bprop_changes_nothing():
    module = Writes()
    y = module.fprop(batch(FAR))
    with expect(FAR, 0, 3, "bprop", line_of("self.grad_w[k] += value")):
        module.bprop(np.ones_like(y))
    assert not module.grad_w.any()


def test_a_module_inside_another_of_the_users():
    with expect(FAR, 0, 3, "fprop", line_of("return self.w[k]")) as caught:
        Holding().fprop(batch(FAR))
    assert str(caught.value).startswith("Holding(")


class Chosen(Module):
    """y = x times a number in a row of w that x[0, 0] names, in a net behind a layer of identity."""

    def __init__(self):
        super().__init__()
        self.w = Parameter(np.ones(3))

    def output_shape(self, shape):
        return shape

    def fprop(self, x):
        self.k = int(x[-1, 0])
        return x * self.w[min(self.k, 2)] * np.random.rand()

    def bprop(self, grad_y):
        self.grad_w[self.k] += grad_y.sum()
        return grad_y.copy()


def test_the_first_step_of_a_compiled_step_and_of_a_trainer():
    x = np.ones((8, 1), np.float32)
    x[-1] = 50
    for train in (
        lambda net: compile_step(net, MeanSquaredError(), SGD(lr=0.1))(x, x),
        lambda net: Trainer(net, MeanSquaredError(), SGD(lr=0.1), quiet=True).fit((x, x), **FIT),
    ):
        net = Sequential(Linear(1, 1), Chosen(), Linear(1, 1))
        net[0].weight[:], net[0].bias[:] = 1, 0
        start = net.flat_parameters.copy()
        with pytest.raises(IndexError, match=r"Chosen\(\): index 50 is out of range for axis 0 of size 3 in bprop"):
            train(net)
        np.testing.assert_array_equal(net.flat_parameters, start)


def test_the_first_step_has_the_same_bits_as_without_the_check(monkeypatch):
    def trained():
        manual_seed(0)
        seed_compiled(0)
        module = Chosen()
        step = compile_step(Sequential(module, Linear(1, 1)), MeanSquaredError(), SGD(lr=0.1, momentum=0.9))
        x = np.ones((8, 1), np.float32)
        losses = [step(x, 2 * x), step(x, 2 * x)]
        return [*losses, *step.net.flat_parameters, module.k]

    checked = trained()
    monkeypatch.setattr(Plan, "check_indices", lambda *arguments: None)
    assert trained() == checked


def test_a_method_whose_checked_form_does_not_compile_says_so_once():
    with pytest.warns(UserWarning, match=r"^ReadsByCast\(\): fprop: numba compiles it, but not with a check of its"):
        ReadsByCast().fprop(batch())
    ReadsByCast().fprop(batch())  # a second warning would be an error


def seed_compiled(seed):
    import numba

    numba.njit(lambda seed: np.random.seed(seed))(seed)


def test_a_step_whose_loss_is_not_finite_is_run_again_with_checks():
    step = compile_step(Sequential(Spoils()), MeanSquaredError(), SGD(lr=0.1))
    assert np.isfinite(step(batch(), batch()))
    with expect(4, 0, 3, "fprop", line_of("value = self.w[k]")):
        step(batch(4), batch())


def test_a_minibatch_of_an_epoch_whose_loss_is_not_finite_is_run_again_with_checks():
    x = np.concatenate([batch(), batch(), batch(4), batch()])
    trainer = Trainer(Sequential(Spoils()), MeanSquaredError(), SGD(lr=0.1), quiet=True)
    with expect(4, 0, 3, "fprop", line_of("value = self.w[k]")):
        trainer.fit((x, np.ones_like(x)), **FIT)


def test_check_module_names_the_index():
    report = check_module(Picking(), batch(FAR))
    assert not report.ok
    assert f"index {FAR} is out of" in report.problems[0]


def test_what_a_first_run_prints_and_raises_comes_once(capfd):
    class Printing(Module):
        def fprop(self, x):
            print("values", x[-1, 0])
            if x[-1, 0] > 5:
                raise IndexError("of its own")
            return 2 * x

        def bprop(self, grad_y):
            return 2 * grad_y

    module = Printing()
    module.output_shape = lambda shape: shape
    with pytest.raises(IndexError, match="of its own"):
        module.fprop(batch(6, row=-1))
    assert capfd.readouterr().out.count("values 6.0") == 1
