"""What modules may keep on self: booleans, tuples, other modules, and what only one mode stores."""

import numpy as np
import pytest
from bprop.modules import Linear, Module, Sequential, Tanh, check_gradients

from tests.modules.custom import x
from tests.modules.engine.test_compiling import same_as_plain_python


class Masked(Module):
    """y = x where it is positive; stores booleans."""

    def fprop(self, x):
        self.mask = x > 0
        return x * self.mask

    def bprop(self, grad_y):
        return grad_y * self.mask


def test_boolean_arrays_can_be_stored():
    module = Masked()
    same_as_plain_python(module)
    assert module.mask.dtype == bool


class Branches(Module):
    """y = net(x) + x, with a Sequential inside that its methods call."""

    def __init__(self, features):
        super().__init__()
        self.net = Sequential(Linear(features, features), Tanh())

    def fprop(self, x):
        return x + self.net.fprop(x)

    def bprop(self, grad_y):
        return grad_y + self.net.bprop(grad_y)


@pytest.mark.slow
def test_a_sequential_called_inside_methods():
    module = Branches(3)
    same_as_plain_python(module)
    check_gradients(module, x()).raise_if_wrong()


class Scales(Module):
    def __init__(self):
        super().__init__()
        self.scales = (1.5, 2.0)

    def fprop(self, x):
        return x * self.scales[0] + self.scales[1]

    def bprop(self, grad_y):
        return grad_y * self.scales[0]


def test_tuples_are_settings():
    module = Scales()
    same_as_plain_python(module)
    module.scales = (3.0, 1.0)
    same_as_plain_python(module)


class OnlyInTraining(Module):
    """Stores its input in training mode alone."""

    def fprop(self, x):
        if self.training:
            self.x = x
        return x

    def bprop(self, grad_y):
        return grad_y + self.x * 0 if self.training else grad_y


def test_attributes_of_one_mode():
    module = OnlyInTraining().eval()
    module.fprop(x())
    module.train()
    module.fprop(x())
    assert np.array_equal(module.x, x().astype(np.float32))


TRIAL = "its trial as plain Python"


class Streams(Module):
    """A leaky sum with one row of state for each stream of a minibatch, which two samples do not fit."""

    def __init__(self, streams, features):
        super().__init__()
        self.state = np.zeros((streams, features))

    def fprop(self, x):
        self.state[:] = self.state * 0.5 + x
        return self.state.copy()

    def bprop(self, grad_y):
        return grad_y


class Misfit(Streams):
    def fprop(self, x):
        return x + self.state[:, :2]

    def output_shape(self, input_shape):
        return input_shape


def test_a_module_that_two_samples_do_not_fit_is_tried_on_the_whole_minibatch():
    batch = np.arange(12.0).reshape(4, 3)
    for net in (Streams(4, 3), Sequential(Tanh(), Streams(4, 3))):
        first, second = net.fprop(batch), net.fprop(batch)
        np.testing.assert_allclose(second, 1.5 * first, rtol=1e-6)
        np.testing.assert_array_equal(net.bprop(np.ones((4, 3))).shape, (4, 3))


@pytest.mark.jit
def test_a_failed_trial_says_what_was_run():
    whole = f"in {TRIAL} on the whole minibatch, before it is compiled"
    for rows, note in ((4, whole), (2, f"in {TRIAL}, before it is compiled")):
        with pytest.raises(ValueError, match=rf"could not be broadcast.*\({rows},3\) \({rows},2\)") as caught:
            Sequential(Misfit(rows, 3)).fprop(np.ones((rows, 3)))
        assert caught.value.__notes__[-1] == note


class Summed(Module):
    """Its gradient lacks the batch axis."""

    def fprop(self, x):
        return x * 2

    def bprop(self, grad_y):
        return grad_y.sum(axis=0) * 2


def test_a_gradient_of_another_shape_is_refused_where_it_is_made():
    net = Sequential(Linear(3, 3), Summed())
    net.fprop(x())
    with pytest.raises(
        ValueError, match=r"Summed\(\): bprop returns a grad_x of shape \(3,\), expected \(\d, 3\)"
    ) as caught:
        net.bprop(np.ones_like(net.fprop(x())))
    assert caught.value.__notes__[0] == "in model[1]"
