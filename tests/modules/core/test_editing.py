"""find, replace and apply."""

import re

import numpy as np
import pytest
from bprop.modules import (
    CAddTable,
    Graph,
    Linear,
    MapTable,
    PReLU,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    SplitTable,
    StackTable,
    Tanh,
)
from bprop.trainers import SGD, compile_step


def net():
    return Sequential(Linear(3, 4), ReLU(), Residual(Linear(4, 4), ReLU(), shortcut=Linear(4, 4)), Linear(4, 2))


def test_find_by_name_and_by_class():
    modules = net().find(Linear)
    assert list(modules) == ["0", "2.0", "2.shortcut", "3"]
    assert modules["2.shortcut"].label() == "Linear(4 -> 4)"
    assert list(net().find("2.*")) == ["2.0", "2.1", "2.shortcut"]
    assert list(net().find("*.?")) == ["2.0", "2.1"]
    assert net().find("none") == {}
    with pytest.raises(TypeError, match=r"^Sequential\(\): find got 3, expected a pattern of names or a class of mod"):
        net().find(3)


def test_replace_one_and_each(random):
    made = net()
    old, first = made[1], made.flat_parameters
    assert made.replace("1", Tanh()) is made
    assert old.parent is None
    assert [child.label() for child in made] == ["Linear(3 -> 4)", "Tanh()", "Residual()", "Linear(4 -> 2)"]
    made.replace(ReLU, lambda old: PReLU())
    assert list(made.find(PReLU)) == ["2.1"]
    assert made.flat_parameters.size == first.size + 1
    made.replace("2.shortcut", lambda old: Sequential(old.copy(), Tanh()))
    assert made.output_shape((5, 3)) == (5, 2)


def test_a_net_that_was_compiled_is_compiled_anew(random):
    made, x, labels = Sequential(Linear(3, 4), ReLU(), Linear(4, 2)), random.standard_normal((5, 3)), np.arange(5) % 2
    step = compile_step(made, SoftmaxCrossEntropy(), SGD(lr=0.1))
    step(x, labels)
    made.replace("1", Tanh())
    other = made.copy()
    value = step(x, labels)
    assert value == pytest.approx(float(SoftmaxCrossEntropy().fprop(other.fprop(x), labels)), rel=1e-5)


def test_nodes_of_a_graph():
    made = Graph({"a": (Linear(3, 3), "x"), "b": (ReLU(), "a"), "s": (CAddTable(), ["a", "b"])}, "s")
    made.replace("b", Tanh())
    assert repr(made["b"]) == "Tanh()"
    assert list(made.find("*")) == ["a", "b", "s"]


def test_what_shares_weights_goes_on_sharing():
    made = Sequential(SplitTable(2), MapTable(2, Linear(3, 4), ReLU()), StackTable())
    made.replace(ReLU, lambda old: PReLU())
    made.replace(Linear, lambda old: Linear(3, 5))
    assert made.flat_parameters.size == 15 + 5 + 1
    assert np.shares_memory(made[1][0][0].weight, made[1][1][0].weight)
    assert np.shares_memory(made[1][0][1].weight, made[1][1][1].weight)


def test_apply_goes_from_the_inside_out():
    visited = []
    made = net()
    assert made.apply(lambda module: visited.append(type(module).__name__)) is made
    assert visited == ["Linear", "ReLU", "Linear", "ReLU", "Linear", "Residual", "Linear", "Sequential"]


@pytest.mark.parametrize(
    ("what", "new", "error", "message"),
    [
        ("2.shortcat", Tanh(), ValueError, "there is no '2.shortcat' to replace; did you mean '2.shortcut'?"),
        (Tanh, Tanh(), ValueError, "there is no Tanh to replace; known: 0, 1, 2, 2.0, 2.1, 2.shortcut, 3"),
        (ReLU, Tanh(), ValueError, "ReLU is 1, 2.1, expected one, or a function that makes a module for each"),
        ("1", lambda old: None, TypeError, "replace got None for 1, expected a Module"),
    ],
)
def test_mistakes_are_refused(what, new, error, message):
    with pytest.raises(error, match=f"^{re.escape('Sequential(): ' + message)}$"):
        net().replace(what, new)


def test_a_module_of_another_net_is_refused_and_nothing_changes():
    made, other = net(), Sequential(Tanh())
    with pytest.raises(ValueError, match=r"^Tanh\(\) stands in a model already, at model\[0\]"):
        made.replace("1", other[0])
    same = Tanh()
    with pytest.raises(ValueError, match=r"^Tanh\(\) stands in a model already, at model; use module.copy\(\)$"):
        made.replace(ReLU, lambda old: same)
    assert repr(made) == repr(net())
