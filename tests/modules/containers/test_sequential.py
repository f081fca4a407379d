"""The container: a list of modules that behaves like one, and shows itself."""

import re

import numpy as np
import pytest
from bprop.modules import Linear, ReLU, Sequential, Tanh


def net():
    return Sequential(Linear(3, 4), Tanh(), Linear(4, 2))


def test_it_is_a_list():
    chain = net()
    assert len(chain) == 3
    assert [type(module) for module in chain] == [Linear, Tanh, Linear]
    assert chain[0] is next(iter(chain))
    assert chain[-1] is chain[2]
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"^Sequential: index {index} of 3 modules$"):
            chain[index]


def test_slices_are_copies():
    chain = net()
    head = chain[:2]
    assert isinstance(head, Sequential)
    assert [type(module) for module in head] == [Linear, Tanh]
    x = np.ones((2, 3))
    np.testing.assert_array_equal(chain[2:].fprop(head.fprop(x)), chain.fprop(x))
    head[0].weight[...] = 0
    assert chain[0].weight.any()
    assert [type(module) for module in chain[::-2]] == [Linear, Linear]


def test_append_returns_self_and_takes_part():
    chain = net()
    x = np.ones((2, 3))
    before = chain.fprop(x)
    assert chain.append(ReLU()) is chain
    np.testing.assert_array_equal(chain.fprop(x), np.maximum(before, 0))


def test_appending_while_iterating_ends():
    chain = Sequential(Tanh())
    for _ in chain:
        chain.append(ReLU())
    assert len(chain) == 2


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Tanh,
            "Sequential: element 1 is the class Tanh, expected a Module; write Tanh(...)",
        ),
        (np.tanh, "Sequential: element 1 is <ufunc 'tanh'>, expected a Module"),
        ([Tanh()], "Sequential: element 1 is [Tanh()], expected a Module"),
        (None, "Sequential: element 1 is None, expected a Module"),
    ],
)
def test_only_modules_stand_in_it(module, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        Sequential(Tanh(), module)


def test_a_module_stands_in_one_net_once():
    tanh = Tanh()
    message = (
        "Tanh() stands in a model already, at model[0]: its stored input would be overwritten; "
        "use module.copy() for one like it, module.share() for one with the same weights"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Sequential(tanh, Linear(3, 3), tanh)
    chain = Sequential(tanh.copy(), tanh.copy())
    with pytest.raises(ValueError, match="stands in a model already"):
        Sequential(chain[0])
    with pytest.raises(ValueError, match=r"^Sequential\(\): a module cannot contain itself$"):
        chain.append(chain)


def test_a_failed_append_changes_nothing():
    tanh, chain = Tanh(), net()
    other = Sequential(tanh)
    with pytest.raises(ValueError, match="stands in a model"):
        chain.append(tanh)
    assert (len(chain), len(other)) == (3, 1)


def test_it_shows_itself():
    chain = Sequential(Linear(3, 4), Sequential(Linear(4, 2, bias=False), Tanh()))
    assert repr(chain) == (
        "Sequential(\n"
        "  (0): Linear(3 -> 4)  # 16 parameters\n"
        "  (1): Sequential(\n"
        "    (0): Linear(4 -> 2, bias=False)  # 8 parameters\n"
        "    (1): Tanh()\n"
        "  )  # 8 parameters\n"
        ")  # 24 parameters"
    )
    assert chain.parameter_count == 24
    assert [name for name, _ in chain.named_parameters()] == ["0.weight", "0.bias", "1.0.weight"]
    assert [name for name, _ in chain.named_modules()] == ["", "0", "1", "1.0", "1.1"]


def test_paths_name_the_place():
    chain = Sequential(Tanh(), Sequential(Tanh(), Linear(3, 2)))
    assert chain.path() == "model"
    assert chain[1][1].path() == "model[1][1]"
    with pytest.raises(ValueError, match="expected") as caught:
        chain.output_shape((5, 4))
    assert str(caught.value) == "Linear(3 -> 2): x has shape (5, 4), expected (N, 3)"
    assert caught.value.__notes__ == ["in model[1][1]"]


def test_the_empty_net_is_the_identity():
    chain, x = Sequential(), np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(chain.fprop(x), x)
    np.testing.assert_array_equal(chain.bprop(2 * x), 2 * x)
    assert chain.parameter_count == 0
    assert chain.flat_parameters.shape == (0,)


def test_nesting_does_not_change_the_numbers():
    flat = net()
    nested = Sequential(flat[:1], Sequential(Sequential(flat[1].copy()), flat[2].copy()))
    x = np.random.default_rng(0).standard_normal((4, 3))
    y = flat.fprop(x)
    np.testing.assert_array_equal(nested.fprop(x), y)
    np.testing.assert_array_equal(nested.bprop(y), flat.bprop(y))
    np.testing.assert_array_equal(nested.flat_gradients, flat.flat_gradients)
