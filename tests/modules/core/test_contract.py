"""What a module promises to the Python around it: flat vectors, paired calls, arrays of the caller's own."""

import pickle
import re

import numpy as np
import pytest
from bprop.modules import (
    Constant,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    Loss,
    MeanSquaredError,
    Module,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)

from ..cases import MODULES
from ..custom import Residual, Scale, net, x


class Trace(Module):
    """A user's module, whose author does not say `self`: y = x, and grad_x = y grad_y."""

    def __init__(self):
        super().__init__()
        self.y = np.zeros((0, 0))

    def fprop(self, x):
        if self.y.shape != x.shape:
            self.y = np.zeros_like(x)
        for n in range(x.shape[0]):
            for k in range(x.shape[1]):
                self.y[n, k] = x[n, k]
        return self.y

    def bprop(this, grad_y):
        grad_x = np.empty_like(grad_y)
        for n in range(grad_y.shape[0]):
            for k in range(grad_y.shape[1]):
                grad_x[n, k] = this.y[n, k] * grad_y[n, k]
        return grad_x


# -- flat vectors ------------------------------------------------------------------------------------------------


def test_asking_twice_gives_the_same_memory():
    chain = net()
    values, gradients = chain.flat_parameters, chain.flat_gradients
    chain.fprop(x())
    assert chain.flat_parameters is values
    assert chain.flat_gradients is gradients
    assert values.shape == gradients.shape == (chain.parameter_count,) == (26,)


def test_parameters_are_views_of_the_flat_vectors():
    chain = net()
    for vector, arrays in (
        (chain.flat_parameters, chain.named_parameters()),
        (chain.flat_gradients, chain.named_gradients()),
    ):
        vector[:] = np.arange(26)
        np.testing.assert_array_equal(np.concatenate([array.ravel() for _, array in arrays]), vector)


def test_a_childs_vectors_are_slices_of_its_nets():
    chain = Sequential(Linear(3, 4), Sequential(Tanh(), Linear(4, 2)))
    whole = chain.flat_parameters
    part = chain[1].flat_parameters
    assert part.shape == (10,)
    assert np.shares_memory(part, whole)
    part[:] = 7
    np.testing.assert_array_equal(whole[-10:], np.full(10, 7))
    assert chain[1][0].flat_parameters.shape == (0,)
    chain[1].zero_grad()
    assert chain[1].flat_gradients is chain[1].flat_gradients


def test_views_from_before_a_run_still_hold():
    chain = net()
    weight, flat = chain[0].weight, chain.flat_parameters
    y = chain.fprop(x())
    chain[0].weight[...] *= 2
    assert np.shares_memory(chain[0].weight, flat)
    assert not np.array_equal(chain.fprop(x()), y)
    assert weight.shape == (4, 3)


def test_an_update_of_the_flat_vector_is_seen_by_the_next_run():
    chain = net()
    chain.fprop(x())
    chain.flat_parameters[:] = 0
    np.testing.assert_array_equal(chain.fprop(x()), np.zeros((5, 2)))


def test_growing_a_net_keeps_the_values():
    chain = Sequential(Linear(3, 4))
    before = chain.flat_parameters.copy()
    chain.append(Linear(4, 2))
    np.testing.assert_array_equal(chain.flat_parameters[:16], before)
    assert chain.fprop(x()).shape == (5, 2)


def test_zero_grad_clears_and_bprop_adds():
    chain = net()
    for _ in range(3):
        chain.fprop(x())
        chain.bprop(np.ones((5, 2)))
    three = chain.flat_gradients.copy()
    chain.zero_grad()
    assert not chain.flat_gradients.any()
    chain.fprop(x())
    chain.bprop(np.ones((5, 2)))
    np.testing.assert_allclose(three, 3 * chain.flat_gradients, rtol=1e-5)


# -- paired calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: Linear(3, 2), lambda: Sequential(Linear(3, 2)), lambda: Residual(3)])
def test_bprop_needs_an_fprop_each_time(make):
    module = make()
    message = f"^{re.escape(module.label())}: bprop without a matching fprop; call fprop\\(x\\) first$"
    with pytest.raises(RuntimeError, match=message):
        module.bprop(np.ones((5, 2)))
    y = module.fprop(x())
    module.bprop(y)
    with pytest.raises(RuntimeError, match=message):
        module.bprop(y)


def test_bprop_of_a_loss_needs_an_fprop():
    with pytest.raises(RuntimeError, match=r"^MeanSquaredError\(\): bprop without a matching fprop"):
        MeanSquaredError().bprop()


def test_grad_y_must_have_the_shape_of_y():
    layer = Linear(3, 2)
    layer.fprop(x())
    for shape in ((5, 3), (4, 2), (2,), (5, 2, 1), ()):
        message = re.escape(f"Linear(3 -> 2): grad_y has shape {shape}, expected (5, 2)")
        with pytest.raises(ValueError, match=f"^{message}$"):
            layer.bprop(np.ones(shape))
    assert layer.bprop(np.ones((5, 2))).shape == (5, 3), "a refused gradient leaves the pair open"


def test_the_message_names_the_place_in_the_net():
    chain = Sequential(Tanh(), Sequential(Linear(3, 2)))
    with pytest.raises(RuntimeError, match="bprop without a matching fprop") as caught:
        chain[1][0].bprop(np.ones((5, 2)))
    assert caught.value.__notes__ == ["in model[1][0]"]


def test_running_a_part_by_hand_ends_the_nets_pair():
    chain = net()
    chain.fprop(x())
    chain[0].fprop(x(seed=1))  # overwrites what the net's bprop would need
    with pytest.raises(RuntimeError, match="bprop without a matching fprop"):
        chain.bprop(np.ones((5, 2)))


def test_a_net_run_part_by_part_gives_the_same():
    chain, parts = net(), net()
    parts.load_state_dict(chain.state_dict())
    y, h = chain.fprop(x()), x()
    for part in parts:
        h = part.fprop(h)
    np.testing.assert_allclose(h, y, rtol=1e-6)
    grad = np.ones_like(y)
    for part in reversed(list(parts)):
        grad = part.bprop(grad)
    np.testing.assert_allclose(grad, chain.bprop(np.ones_like(y)), rtol=1e-6)
    np.testing.assert_allclose(parts.flat_gradients, chain.flat_gradients, rtol=1e-6)


def test_a_net_by_hand_gives_grad_x():
    chain = net()
    y = chain.fprop(x())
    grad_x = chain.bprop(np.ones_like(y))
    assert grad_x.shape == (5, 3)
    assert grad_x.any()
    assert chain[0].needs_grad_x


# -- arrays ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [net, Identity, Tanh, lambda: Residual(3), lambda: Scale(3)])
def test_arrays_handed_out_are_the_callers_own(make):
    module, data = make(), x()
    y = module.fprop(data)
    y_copy = y.copy()
    grad_x = module.bprop(np.ones_like(y))
    kept_grad = grad_x.copy()
    other = module.fprop(x(seed=1))
    np.testing.assert_array_equal(y, y_copy)
    y[...], grad_x[...] = 99, 99
    module.bprop(np.ones_like(other))
    again = module.fprop(data)
    np.testing.assert_array_equal(again, y_copy)
    again[...] = 99
    np.testing.assert_array_equal(module.bprop(np.ones_like(y_copy)), kept_grad)
    np.testing.assert_array_equal(data, x())


def test_numbers_that_the_type_does_not_hold_are_refused():
    large, most = np.full((2, 2), 1e300), "has 1e\\+300, expected at most 3.4e\\+38, the largest float32$"
    layer = Linear(2, 2)
    with pytest.raises(ValueError, match=f"^SoftmaxCrossEntropy: class_weights {most}"):
        SoftmaxCrossEntropy(class_weights=[1, 1e300])
    with pytest.raises(ValueError, match=f"^Linear: weight {most}"):
        Linear(2, 2, weight_init=Constant(1e300))
    with pytest.raises(ValueError, match=f"^Linear: weight {most}"):
        layer.weight = large
    with pytest.raises(ValueError, match=f"^Sequential: 0.weight {most}"):
        Sequential(layer).load_state_dict({"0.weight": large, "0.bias": np.ones(2)})
    assert not (layer.bias == 1).all()
    layer.weight = np.full((2, 2), np.inf)  # said on purpose
    layer.to("float64").weight = large
    assert (layer.weight == 1e300).all()


class Weighted(Module):
    """y[n, k] = table[n, k] x[n, k], with whatever array is given."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def fprop(self, x):
        y = np.empty_like(x)
        for n in range(x.shape[0]):
            for k in range(x.shape[1]):
                y[n, k] = self.table[n % 2, k] * x[n, k]
        return y

    def bprop(self, grad_y):
        return self.fprop(grad_y)


@pytest.mark.parametrize("order", ["rows", "columns", "strided", "whole numbers"])
def test_arrays_of_any_layout_may_be_attributes(order):
    large = np.arange(12, dtype=np.int64 if order == "whole numbers" else np.float32).reshape(2, 6)
    table = {"rows": large[:, :3].copy(), "columns": np.asfortranarray(large[:, :3])}.get(order, large[:, ::2])
    module = Weighted(table)
    for _ in range(2):
        np.testing.assert_array_equal(module.fprop(np.ones((4, 3))), np.tile(table, (2, 1)))
        module.table = table = -table


@pytest.mark.jit
def test_a_large_grad_x_is_handed_out_without_a_copy_and_stays_the_callers():
    """The module goes on with other memory where the caller still holds the last one, or a part of it."""
    unit, data = Tanh(), np.random.default_rng(0).normal(size=(128, 256)).astype(np.float32)

    def grad_x(scale):
        unit.fprop(data)
        return unit.bprop(np.full_like(data, scale))

    place = grad_x(1).ctypes.data
    first = grad_x(1)
    assert first.ctypes.data == place  # nobody held it: the same memory
    part, first_copy = first[3:5], first.copy()
    second = grad_x(2)
    assert second.ctypes.data != place
    np.testing.assert_array_equal(first, first_copy)
    np.testing.assert_allclose(second, 2 * first_copy, rtol=1e-6)
    np.testing.assert_array_equal(unit.grad_x, second)
    del first, second
    grad_x(3)
    np.testing.assert_array_equal(part, first_copy[3:5])
    np.testing.assert_allclose(unit.grad_x, 3 * first_copy, rtol=1e-6)


@pytest.mark.jit
@pytest.mark.parametrize("layer", [lambda: Linear(256, 160), lambda: Conv2d(1, 2, 3)])
def test_a_large_y_that_no_bprop_reads_is_handed_out_without_a_copy(layer):
    module, data = layer(), np.random.default_rng(0).normal(size=(128, 256)).astype(np.float32)
    data = data if isinstance(module, Linear) else data.reshape((8, 1, 64, 64))
    place = module.fprop(data).ctypes.data
    y = module.fprop(data)
    assert y.ctypes.data == place
    y_copy = y.copy()
    assert module.fprop(2 * data).ctypes.data != place
    np.testing.assert_array_equal(y, y_copy)
    y[...] = 99
    np.testing.assert_array_equal(module.fprop(data), y_copy)


@pytest.mark.jit
@pytest.mark.parametrize("unit", [Tanh, Trace])
def test_a_large_y_that_is_read_later_is_a_copy(unit):
    module, data = unit(), np.random.default_rng(0).normal(size=(128, 256)).astype(np.float32)
    y = module.fprop(data)
    expected = module.bprop(np.ones_like(y)).copy()
    y = module.fprop(data)
    y[...] = 99
    np.testing.assert_array_equal(module.bprop(np.ones_like(y)), expected)


def test_a_large_grad_x_that_is_a_view_is_copied():
    flatten, data = Flatten(), np.ones((8, 64, 64), np.float32)
    flatten.fprop(data)
    grad_y = np.ones((8, 4096), np.float32)
    grad_x = flatten.bprop(grad_y)
    grad_x[...] = 5
    assert (grad_y == 1).all()


def test_gradients_of_a_loss_are_the_callers_own():
    loss, target = MeanSquaredError(), x(seed=1)
    loss.fprop(x(), target)
    grad_y = loss.bprop()
    grad_y_copy = grad_y.copy()
    loss.fprop(2 * x(), target)
    np.testing.assert_array_equal(grad_y, grad_y_copy)
    grad_y[...] = 99
    assert not (loss.bprop() == 99).any()


def test_read_only_input_is_taken():
    data = x()
    data.flags.writeable = False
    assert net().fprop(data).shape == (5, 2)


@pytest.mark.parametrize("data", [[[1, 2, 3]], ((1.0, 2.0, 3.0),), np.ones((1, 3), np.uint8), np.ones((1, 3), bool)])
def test_numbers_of_any_kind_are_taken(data):
    y = net().fprop(data)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.shape, (1, 2))


@pytest.mark.parametrize("data", [np.array([["a", "b", "c"]]), np.ones((1, 3), complex), np.array([[None] * 3])])
def test_anything_else_is_refused(data):
    message = re.escape(f"Linear(3 -> 2): got an array of dtype {data.dtype}, expected numbers")
    with pytest.raises(TypeError, match=f"^{message}$"):
        Linear(3, 2).fprop(data)


@pytest.mark.parametrize("shape", [(0, 3), ()])
def test_an_empty_batch_is_refused(shape):
    message = re.escape(f"Linear(3 -> 2): x has shape {shape}, expected at least one sample")
    with pytest.raises(ValueError, match=f"^{message}$"):
        Linear(3, 2).fprop(np.zeros(shape))


def test_call_is_fprop():
    chain, loss = net(), SoftmaxCrossEntropy()
    np.testing.assert_array_equal(chain(x()), chain.fprop(x()))
    target = [0, 1, 0, 1, 1]
    assert loss(chain(x()), target) == loss.fprop(chain.fprop(x()), target)


# -- attributes --------------------------------------------------------------------------------------------------


def test_assigning_to_a_parameter_copies_into_place():
    chain = net()
    flat, weight, new = chain.flat_parameters, chain[0].weight, np.full((4, 3), 2.5)
    chain[0].weight = new
    assert chain[0].weight is weight
    np.testing.assert_array_equal(flat[:12], np.full(12, 2.5))
    new[...] = 0
    np.testing.assert_array_equal(weight, np.full((4, 3), 2.5))
    chain[0].grad_weight = np.ones((4, 3))
    np.testing.assert_array_equal(chain.flat_gradients[:12], np.ones(12))
    chain[0].weight *= 2
    np.testing.assert_array_equal(flat[:12], np.full(12, 5))
    assert chain[0].weight is weight


def test_assigning_another_shape_to_a_parameter_is_refused():
    layer = Linear(3, 4)
    for value, got in ((np.ones((3, 4)), (3, 4)), (1.0, ())):
        with pytest.raises(ValueError, match=re.escape(f"Linear(3 -> 4): weight has shape (4, 3), got {got}")):
            layer.weight = value


def test_a_parameter_brings_its_gradient():
    scale = Scale(3)
    assert scale.weight.dtype == scale.grad_weight.dtype == np.float32
    np.testing.assert_array_equal(scale.grad_weight, np.zeros(3))
    with pytest.raises(TypeError, match=r"^Parameter: data has dtype <U1, expected real numbers$"):
        Parameter(["a"])
    with pytest.raises(TypeError, match=r"^Parameter: data has dtype complex128, expected real numbers$"):
        Parameter(np.ones(3) * 1j)


def test_a_parameter_does_not_share_memory_with_its_data():
    data = np.ones(3, np.float32)

    class Own(Scale):
        def __init__(self):
            super().__init__(3)
            self.weight = Parameter(data)

    module = Own()
    module.weight[0] = 5
    assert data[0] == 1
    assert [name for name, _ in module.named_parameters()] == ["weight"]


def test_forgotten_super_init_says_so():
    class Forgetful(Module):
        def __init__(self):
            self.scale = 2.0

    message = r"^Forgetful: call super\(\)\.__init__\(\) before assigning self\.scale$"
    with pytest.raises(AttributeError, match=message):
        Forgetful()


def test_a_list_of_modules_is_refused():
    class Listing(Module):
        def __init__(self):
            super().__init__()
            self.parts = [Tanh(), Tanh()]

    with pytest.raises(
        TypeError, match=r"^Listing\(\): self\.parts is a list of modules, expected a Sequential of them$"
    ):
        Listing()


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^Linear has no attribute 'weights', did you mean 'weight'\?$"):
        Linear(3, 2).weights  # noqa: B018
    assert not hasattr(Tanh(), "weight")


def test_a_missing_method_says_what_to_write():
    class Empty(Module):
        pass

    class Forward(Module):
        def fprop(self, x):
            return x

    with pytest.raises(NotImplementedError, match=r"^Empty has no fprop: write `def fprop\(self, x\)`"):
        Empty().fprop(x())
    module = Forward()
    y = module.fprop(x())
    with pytest.raises(NotImplementedError, match=r"^Forward has no bprop: write `def bprop\(self, grad_y\)`"):
        module.bprop(y)


# -- modes, types, states ----------------------------------------------------------------------------------------


def test_train_and_eval_reach_every_module():
    chain = Sequential(Tanh(), Residual(3), Sequential(ReLU()))
    assert all(module.training for module in chain.all_modules())
    assert chain.eval() is chain
    assert not any(module.training for module in chain.all_modules())
    chain.train()
    assert all(module.training for module in chain.all_modules())
    assert chain.train(False)[0].training is False


def test_to_converts_everything_and_back():
    chain = Sequential(Linear(3, 4), Residual(4))
    single = chain.fprop(x())
    assert chain.to("float64") is chain
    assert {module.dtype for module in chain.all_modules()} == {np.dtype(np.float64)}
    assert {array.dtype for _, array in chain.named_parameters()} == {np.dtype(np.float64)}
    double = chain.fprop(x())
    assert double.dtype == chain.flat_parameters.dtype == chain.flat_gradients.dtype == np.float64
    np.testing.assert_allclose(double, single, rtol=1e-5)
    np.testing.assert_array_equal(chain.to(np.float32).fprop(x()), single)
    for dtype in ("float16", "int32"):
        with pytest.raises(TypeError, match=f"^Sequential: dtype {dtype}, expected float32 or float64$"):
            chain.to(dtype)


def test_a_module_takes_the_type_of_the_net_it_joins():
    chain = Sequential(Linear(3, 4)).to("float64")
    chain.append(Linear(4, 2))
    assert chain[1].dtype == np.float64
    assert chain.fprop(x()).dtype == np.float64


def test_state_dict_is_a_copy_under_pytorchs_names():
    chain = Sequential(Linear(3, 4), Residual(4))
    state = chain.state_dict()
    assert list(state) == ["0.weight", "0.bias", "1.gate", "1.inner.weight", "1.inner.bias"]
    state["0.weight"][...] = 0
    assert chain[0].weight.any()


def test_a_state_that_does_not_fit_is_refused_whole():
    chain = net()
    before = chain.flat_parameters.copy()
    state = {"0.weight": np.zeros((3, 4)), "0.bias": np.zeros(4), "2.weight": np.zeros((2, 4)), "3.bias": np.zeros(2)}
    message = (
        "Sequential: cannot load the state: missing 2.bias; unexpected 3.bias; "
        "0.weight has shape (3, 4), expected (4, 3)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        chain.load_state_dict(state)
    np.testing.assert_array_equal(chain.flat_parameters, before)


def test_loading_converts_and_reaches_the_compiled_code():
    chain = net()
    chain.fprop(x())
    chain.load_state_dict({name: np.zeros(value.shape, np.float64) for name, value in chain.state_dict().items()})
    assert chain[0].weight.dtype == np.float32
    np.testing.assert_array_equal(chain.fprop(x()), np.zeros((5, 2)))


def test_pickling_is_refused():
    with pytest.raises(TypeError, match=r"^Linear: pickling would execute code when loaded; use state_dict\(\)$"):
        pickle.dumps(Linear(3, 2))


def test_a_module_stands_in_one_place():
    class Pair(Module):
        def __init__(self, first, second):
            super().__init__()
            self.first, self.second = first, second

    tanh = Tanh()
    with pytest.raises(ValueError, match=r"^Tanh\(\) stands in a model already, at model\.first: "):
        Pair(tanh, tanh)


def test_losses_broadcast_nothing():
    loss = MeanSquaredError()
    for y, target in [((4, 1), (4,)), ((4,), (4, 1)), ((4, 3), (1, 3)), ((4, 3), (4,))]:
        message = re.escape(f"MeanSquaredError(): y has shape {y} and target {target}, expected the same shape")
        with pytest.raises(ValueError, match=f"^{message}$"):
            loss.fprop(np.zeros(y), np.zeros(target))


def test_a_loss_of_ones_own():
    class AbsoluteError(Loss):
        def fprop(self, y, target):
            self.difference = y - target
            return np.abs(self.difference).mean()

        def bprop(self):
            return np.sign(self.difference) / self.difference.size

    loss = AbsoluteError()
    assert loss([[1.0, 2.0]], [[0.0, 4.0]]) == pytest.approx(1.5)
    np.testing.assert_allclose(loss.bprop(), [[0.5, -0.5]])
    with pytest.raises(ValueError, match=r"^AbsoluteError\(\): y has shape \(2, 1\) and target \(2,\)"):
        loss([[1.0], [2.0]], [1.0, 2.0])


@pytest.mark.parametrize("make", [lambda: Tanh(), lambda: Flatten(), lambda: Sequential(Tanh(), Conv2d(2, 2, 1))])
def test_an_axis_of_size_0_is_refused(make):
    module = make()
    with pytest.raises(ValueError, match=r"x has shape \(3, 2, 0, 4\), expected no axis of size 0$"):
        module.fprop(np.zeros((3, 2, 0, 4)))
    with pytest.raises(ValueError, match=r"x has shape \(3, 2, 0, 4\), expected no axis of size 0$"):
        module.one_output_shape((3, 2, 0, 4))


@pytest.mark.parametrize("name", ["scale", "wieght"])
def test_what_a_missing_gradient_was_meant_to_be_is_told(name):
    class Scaled(Module):
        def __init__(self):
            super().__init__()
            self.weight, self.scale = Parameter(np.ones(3)), np.ones(3)

        def fprop(self, x):
            return x * self.weight * self.scale

    hints = {"scale": "self.scale is an array, and only a Parameter has a gradient", "wieght": "mean 'grad_weight'?"}
    with pytest.raises(AttributeError, match=f"^Scaled has no attribute 'grad_{name}'.*{re.escape(hints[name])}$"):
        getattr(Scaled(), f"grad_{name}")


def test_an_index_out_of_range_names_module_and_line_in_the_trial_too():
    class Far(Module):
        def __init__(self):
            super().__init__()
            self.weight = Parameter(np.ones(3))

        def fprop(self, x):
            return x * self.weight[3]

    message = r"^Far\(\): index 3 is out of range for axis 0 of size 3 in fprop \(.*test_contract\.py:\d+\)$"
    with pytest.raises(IndexError, match=message):
        Far().fprop(np.ones((2, 3)))


def test_arrays_that_are_written_in_place_are_known_by_name():
    """Assignment asks for one name at a time, the engine for all of them."""
    for module in [module for case in MODULES for module in case.make().all_modules()]:
        names = [*vars(module), *(f"{kind}_{name}" for kind in ("grad", "v") for name in vars(module))]
        assert {name for name in names if module._is_fixed(name)} == module.fixed_names(), module
