"""Read-only arguments stay as they are, also where a module assigns into them: compiled code asks no one for leave."""

import numpy as np
import pytest
from bprop.modules import Flatten, Linear, Loss, MeanSquaredError, Module, ParallelTable, Sequential
from bprop.modules.derivatives import hvp, jvp, vjp
from bprop.trainers import SGD, Trainer, compile_step


class Greedy(Module):
    """2 x, computed where x lies; so is the gradient."""

    def fprop(self, x):
        x *= 2
        return x

    def bprop(self, grad_y):
        grad_y *= 2
        return grad_y

    def jvp(self, v):
        v *= 2
        return v

    def output_shape(self, input_shape):
        return input_shape


class GreedyLoss(Loss):
    """The mean of y - target, computed in both."""

    def fprop(self, y, target):
        target *= -1
        target += y
        self.size = float(y.size)
        self.y = y
        return target.mean()

    def bprop(self):
        return np.ones_like(self.y) / self.size


@pytest.fixture(params=["flag", "file"])
def read_only(request, tmp_path):
    """Makes an array read-only: by its flag, or as a file that no one may write, where a write ends the process."""

    def make(array):
        if request.param == "flag":
            array = array.copy()
            array.flags.writeable = False
            return array
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return make


@pytest.fixture
def x():
    return np.arange(1, 13, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize(
    "make", [Greedy, lambda: Sequential(Greedy()), lambda: Sequential(Flatten(), Greedy(), Linear(3, 3))]
)
def test_x_and_grad_y(make, x, read_only):
    net, locked_x, grad_y = make(), read_only(x), read_only(x + 1)
    y = net.fprop(locked_x)
    grad_x = net.bprop(grad_y)
    np.testing.assert_array_equal(y, net.fprop(x.copy()))
    np.testing.assert_array_equal(grad_x, net.bprop(x + 1))
    np.testing.assert_array_equal(locked_x, x)
    np.testing.assert_array_equal(grad_y, x + 1)


def test_float64_and_a_table(x, read_only):
    net = Sequential(ParallelTable(Greedy(), Linear(3, 2))).to("float64")
    table = read_only(x.astype(np.float64)), read_only(x.astype(np.float64))
    np.testing.assert_array_equal(net.fprop(table)[0], 2 * x)
    for array in table:
        np.testing.assert_array_equal(array, x)


def test_a_target(x, read_only):
    loss, target = GreedyLoss(), read_only(x)
    assert loss.fprop(read_only(x + 1), target) == 1
    np.testing.assert_array_equal(target, x)


def test_a_step_and_a_training(x, read_only):
    net = Sequential(Greedy(), Linear(3, 3))
    locked_x, target = read_only(x), read_only(x)
    losses = {compile_step(net, GreedyLoss(), SGD(lr=0.0))(locked_x, target) for _ in range(2)}
    assert len(losses) == 1
    trainer = Trainer(net, MeanSquaredError(), SGD(lr=0.0), quiet=True)
    trainer.fit((locked_x, target), epochs=1, batch_size=2, shuffle=False)
    np.testing.assert_array_equal(trainer.predict(locked_x), trainer.predict(x.copy()))
    trainer.evaluate((locked_x, target))
    np.testing.assert_array_equal(locked_x, x)
    np.testing.assert_array_equal(target, x)


def test_directions(x, read_only):
    locked_x, v, grad_y = read_only(x), read_only(x), read_only(x)
    np.testing.assert_array_equal(jvp(Greedy(), locked_x, v), 2 * x)
    np.testing.assert_array_equal(vjp(Greedy(), locked_x, grad_y)[0], 2 * x)
    net, direction = Sequential(Greedy(), Linear(3, 3)), read_only(np.ones(12, np.float32))
    hvp(net, MeanSquaredError(), locked_x, read_only(x), direction)
    for array in (locked_x, v, grad_y):
        np.testing.assert_array_equal(array, x)
    np.testing.assert_array_equal(direction, 1)


def test_x_is_kept_by_reference_until_bprop(x):
    net = Linear(3, 1, bias=False)
    net.fprop(x)
    x[:] = 5
    net.bprop(np.ones((4, 1)))
    np.testing.assert_array_equal(net.grad_weight, np.full((1, 3), 20))
