"""SGD against PyTorch and against an obvious NumPy version: inside the compiled step, and by hand."""

import numpy as np
import pytest
from bprop.modules import Linear, MeanSquaredError, Sequential
from bprop.trainers import SGD, Optimizer, compile_step

SETTINGS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "dampening": {"momentum": 0.9, "dampening": 0.3},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "weight decay": {"momentum": 0.9, "weight_decay": 0.05},
    "plain decay": {"weight_decay": 0.05},
    "all": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
}
STEPS = 10


def batches():
    random = np.random.default_rng(1)
    return [(random.normal(size=(8, 4)), random.normal(size=(8, 3))) for _ in range(STEPS)]


def train_by_step(net, sgd):
    step = compile_step(net, MeanSquaredError(), sgd)
    return [step(x, t) for x, t in batches()]


def train_by_hand(net, sgd):
    loss, values = MeanSquaredError(), []
    for x, t in batches():
        net.zero_grad()
        values.append(float(loss.fprop(net.fprop(x), t)))
        net.bprop(loss.bprop())
        sgd.update(net)
    return values


def reference_update(parameter, gradient, velocity, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False):
    """One step of PyTorch's rule; `velocity` is None before the first. Returns the new parameter and velocity."""
    g = gradient + weight_decay * parameter
    if momentum:
        velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
        g = g + momentum * velocity if nesterov else velocity
    return parameter - lr * g, velocity


def train_reference(weight, bias, lr, **settings):
    """The same steps of y = x Wᵀ + b under the mean squared error, in float64."""
    values, velocities = [], [None, None]
    for x, t in batches():
        difference = x @ weight.T + bias - t
        values.append((difference**2).mean())
        grad_y = 2 * difference / difference.size
        weight, velocities[0] = reference_update(weight, grad_y.T @ x, velocities[0], lr, **settings)
        bias, velocities[1] = reference_update(bias, grad_y.sum(axis=0), velocities[1], lr, **settings)
    return weight, bias, values


def train_torch(torch, weight, bias, lr, **settings):
    """The same steps by PyTorch, in float64."""
    layer = torch.nn.Linear(4, 3).double()
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    sgd, values = torch.optim.SGD(layer.parameters(), lr=lr, **settings), []
    for x, t in batches():
        sgd.zero_grad()
        value = torch.nn.functional.mse_loss(layer(torch.tensor(x)), torch.tensor(t))
        value.backward()
        sgd.step()
        values.append(value.item())
    return layer.weight.detach().numpy(), layer.bias.detach().numpy(), values


def check(train, settings, other):
    """Ten steps by `train` end where those by `other` do."""
    net = Sequential(Linear(4, 3))
    start = [net[0].weight.astype(np.float64), net[0].bias.astype(np.float64)]
    values = train(net, SGD(lr=0.1, decay="all", **settings))
    weight, bias, expected = other(*start, 0.1, **settings)
    assert not np.allclose(weight, start[0], atol=1e-2)
    np.testing.assert_allclose(values, expected, atol=1e-5)
    np.testing.assert_allclose(net[0].weight, weight, atol=1e-5)
    np.testing.assert_allclose(net[0].bias, bias, atol=1e-5)


@pytest.mark.parametrize("train", [train_by_step, train_by_hand])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_ten_steps_like_the_reference(train, settings):
    check(train, settings, train_reference)


@pytest.mark.parametrize("train", [train_by_step, train_by_hand])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_ten_steps_like_torch(train, settings):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; the reference above stands in for it")
    check(train, settings, lambda *args, **kwargs: train_torch(torch, *args, **kwargs))


def test_float64():
    net = Sequential(Linear(4, 3)).to("float64")
    start = net.state_dict()
    train_by_step(net, SGD(lr=0.1, momentum=0.9))
    weight, bias, _ = train_reference(start["0.weight"], start["0.bias"], 0.1, momentum=0.9)
    np.testing.assert_allclose(net[0].weight, weight, rtol=1e-12)
    np.testing.assert_allclose(net[0].bias, bias, rtol=1e-12)


def test_settings_changed_between_steps_take_effect():
    net, sgd = Sequential(Linear(4, 3)), SGD(lr=0.1, momentum=0.9)
    step, (x, t) = compile_step(net, MeanSquaredError(), sgd), batches()[0]
    step(x, t)
    sgd.lr = 0.0
    before = net.flat_parameters.copy()
    step(x, t)
    assert np.array_equal(net.flat_parameters, before)
    sgd.lr = 0.1
    step(x, t)
    assert not np.array_equal(net.flat_parameters, before)


def test_another_net_starts_anew():
    sgd = SGD(lr=0.1, momentum=0.9)
    first, second = Sequential(Linear(4, 3)), Sequential(Linear(4, 3))
    train_by_hand(first, sgd)
    assert sgd.steps == STEPS
    assert sgd.velocity.any()
    second.zero_grad()
    sgd.update(second)
    assert sgd.steps == 1
    assert not sgd.velocity.any()


def test_state_can_be_read_after_a_compiled_step():
    net, sgd = Sequential(Linear(4, 3)), SGD(lr=0.1, momentum=0.9)
    compile_step(net, MeanSquaredError(), sgd)(*batches()[0])
    assert sgd.steps == 1
    np.testing.assert_allclose(sgd.velocity, net.flat_gradients, rtol=1e-6)


def test_repr():
    assert repr(SGD(lr=0.1, momentum=0.9)) == "SGD(lr=0.1, momentum=0.9)"


@pytest.mark.parametrize("name", ["lr", "momentum", "dampening", "weight_decay"])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_negative_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"^SGD: {name} is {value}, expected at least 0$"):
        SGD(**{"lr": 0.1, name: value})


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_needs_momentum_without_dampening(settings):
    message = r"^SGD: nesterov with momentum .* and dampening .*, expected momentum > 0 and no dampening$"
    with pytest.raises(ValueError, match=message):
        SGD(lr=0.1, nesterov=True, **settings)


def test_update_of_something_else_is_refused():
    with pytest.raises(TypeError, match=r"^SGD: update got ndarray, expected a Module$"):
        SGD(lr=0.1).update(np.zeros(3))


def test_an_optimizer_without_update_is_refused():
    class Idle(Optimizer):
        """Forgets to define update."""

    net = Sequential(Linear(4, 3))
    with pytest.raises(NotImplementedError, match=r"^Idle has no update: write `def update\(self, parameters, grad"):
        Idle().update(net)


class SignDescent(Optimizer):
    """parameter -= lr sign(gradient): a rule of a user's own."""

    def __init__(self, lr):
        super().__init__()
        self.lr = float(lr)

    def update(self, parameters, gradients):
        for i in range(parameters.size):
            parameters[i] -= self.lr * np.sign(gradients[i])


def test_an_optimizer_of_ones_own():
    net = Sequential(Linear(4, 3))
    start = net.flat_parameters.copy()
    compile_step(net, MeanSquaredError(), SignDescent(0.1))(*batches()[0])
    np.testing.assert_allclose(net.flat_parameters, start - 0.1 * np.sign(net.flat_gradients), atol=1e-6)
