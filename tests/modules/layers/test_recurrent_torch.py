"""Recurrent layers against PyTorch: outputs, states, all gradients, packed lengths, and steps of training."""

import bprop.modules
import numpy as np
import pytest
from bprop.trainers import SGD, compile_step

torch = pytest.importorskip("torch")
rnn = torch.nn.utils.rnn

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
SETTINGS = [
    {},
    {"bias": False},
    {"bidirectional": True},
    {"num_layers": 2},
    {"num_layers": 3, "bidirectional": True},
]
NAMES = [("RNN", each) for each in [*SETTINGS, {"nonlinearity": "relu", "num_layers": 2}]]
NAMES += [(name, each) for name in ("LSTM", "GRU") for each in SETTINGS]
cases = pytest.mark.parametrize(("name", "settings"), NAMES, ids=lambda value: str(value))
dtypes = pytest.mark.parametrize("dtype", list(TOLERANCE))


def close(a, b, dtype):
    b = b.detach().numpy()
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(b).max()))


def make_pair(name, settings, dtype):
    """The layer, and PyTorch's of the same weights."""
    torch.manual_seed(0)
    other = getattr(torch.nn, name)(3, 6, batch_first=True, **settings).to(getattr(torch, dtype))
    layer = getattr(bprop.modules, name)(3, 6, **settings).to(dtype)
    assert list(layer.state_dict()) == list(other.state_dict())
    layer.load_state_dict({key: value.numpy() for key, value in other.state_dict().items()})
    return layer, other


def run_torch(other, x, lengths, first=None):
    """PyTorch's y and states, for lengths of packed sequences."""
    if lengths is None:
        return other(x, first)
    packed = rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    y, state = other(packed, first)
    return rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], state


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


@cases
@dtypes
@pytest.mark.parametrize("lengths", [None, [4, 7, 1, 7, 2]], ids=["whole", "packed"])
def test_layer(random, name, settings, dtype, lengths):
    layer, other = make_pair(name, settings, dtype)
    x = random.standard_normal((5, 7, 3)).astype(dtype)
    x_there = torch.tensor(x, requires_grad=True)
    y_there, states = run_torch(other, x_there, lengths)
    y = layer(x) if lengths is None else layer(x, np.array(lengths))
    close(y, y_there, dtype)
    for a, b in zip(as_tuple(layer.last_state()), as_tuple(states), strict=True):
        close(a, b, dtype)
    grad_y = random.standard_normal(y.shape).astype(dtype)
    y_there.backward(torch.tensor(grad_y))
    close(layer.bprop(grad_y), x_there.grad, dtype)
    gradients = dict(layer.named_gradients())
    for key, parameter in other.named_parameters():
        close(gradients.pop(key), parameter.grad, dtype)
    assert not gradients


GIVEN = [
    ("RNN", {"bidirectional": True}),
    ("GRU", {"num_layers": 2}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
]


def there(state, layers):
    """A state (N, layers H) in PyTorch's shape, (layers, N, H)."""
    return torch.tensor(state.reshape(len(state), layers, -1).transpose(1, 0, 2).copy(), requires_grad=True)


@pytest.mark.parametrize(("name", "settings"), GIVEN, ids=lambda value: str(value))
@dtypes
@pytest.mark.parametrize("lengths", [None, [4, 7, 1, 7, 2]], ids=["whole", "packed"])
def test_given_states(random, name, settings, dtype, lengths):
    """Outputs, last states, and the gradients of x, of the first states and of the parameters."""
    layer, other = make_pair(name, settings, dtype)
    model, layers = bprop.modules.WithState(layer), layer.num_layers * layer.directions
    x = random.standard_normal((5, 7, 3)).astype(dtype)
    first = [random.standard_normal((5, layers * 6)).astype(dtype) for _ in layer.state_names]
    x_there, first_there = torch.tensor(x, requires_grad=True), [there(each, layers) for each in first]
    many = len(first) > 1
    y_there, last_there = run_torch(other, x_there, lengths, tuple(first_there) if many else first_there[0])
    inputs = (x, tuple(first) if many else first[0])
    y, last = model(inputs) if lengths is None else model(inputs, np.array(lengths))
    arrays = [y, *as_tuple(last)]
    grads = [random.standard_normal(each.shape).astype(dtype) for each in arrays]
    grads_there = [torch.tensor(grads[0]), *(there(each, layers).detach() for each in grads[1:])]
    torch.autograd.backward([y_there, *as_tuple(last_there)], grads_there)
    grad_x, grad_first = model.bprop((grads[0], tuple(grads[1:]) if many else grads[1]))
    close(y, y_there, dtype)
    close(grad_x, x_there.grad, dtype)
    expected = [*as_tuple(last_there), *(each.grad for each in first_there)]
    for a, b in zip([*as_tuple(last), *as_tuple(grad_first)], expected, strict=True):
        close(there(a, layers).detach().numpy(), b, dtype)
    for key, parameter in other.named_parameters():
        close(dict(layer.named_gradients())[key], parameter.grad, dtype)


@cases
@dtypes
def test_ten_steps_of_training(random, name, settings, dtype):
    layer, other = make_pair(name, settings, dtype)
    steps = torch.optim.SGD(other.parameters(), lr=0.1)
    for _ in range(10):
        x = random.standard_normal((4, 6, 3)).astype(dtype)
        lengths = random.integers(1, 7, 4)
        target = random.standard_normal((4, 6, layer.width)).astype(dtype)
        y_there, _ = run_torch(other, torch.tensor(x), lengths)
        steps.zero_grad()
        loss = ((y_there - torch.tensor(target)) ** 2).sum() / 40
        loss.backward()
        steps.step()
        layer.zero_grad()
        y = layer(x, lengths)
        layer.bprop((y - target) / 20)
        layer.flat_parameters[...] -= 0.1 * layer.flat_gradients
    state = layer.state_dict()
    for key, value in other.state_dict().items():
        close(state[key], value, dtype)


COMPILED = [("RNN", "float64"), ("GRU", "float32"), ("GRU", "float64"), ("LSTM", "float32")]


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.parametrize(("name", "dtype"), COMPILED)
def test_ten_compiled_steps(random, name, dtype):
    """The compiled step, in both directions and with lengths."""
    layer, other = make_pair(name, {"bidirectional": True}, dtype)
    step = compile_step(bprop.modules.Padded(layer), bprop.modules.MeanSquaredError(), SGD(lr=0.5, momentum=0.9))
    steps = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    for _ in range(10):
        x, lengths = random.standard_normal((8, 6, 3)).astype(dtype), random.integers(1, 7, 8)
        target = random.standard_normal((8, 6, 12)).astype(dtype)
        steps.zero_grad()
        loss = torch.nn.functional.mse_loss(run_torch(other, torch.tensor(x), lengths)[0], torch.tensor(target))
        loss.backward()
        steps.step()
        assert step((x, lengths), target) == pytest.approx(loss.item(), rel=TOLERANCE[dtype])
    state = layer.state_dict()
    for key, value in other.state_dict().items():
        close(state[key], value, dtype)


@dtypes
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "settings"), [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("GRUCell", {}), ("LSTMCell", {})]
)
def test_cell(random, name, settings, bias, dtype):
    other = getattr(torch.nn, name)(3, 5, bias=bias, **settings).to(getattr(torch, dtype))
    cell = getattr(bprop.modules, name)(3, 5, bias=bias, **settings).to(dtype)
    cell.load_state_dict({key: value.numpy() for key, value in other.state_dict().items()})
    shapes = [(4, 3), (4, 5), (4, 5)]
    x, *states = [random.standard_normal(shape).astype(dtype) for shape in shapes[: 3 if name == "LSTMCell" else 2]]
    x_there, *states_there = [torch.tensor(each, requires_grad=True) for each in (x, *states)]
    many = len(states) > 1
    y = as_tuple(cell(x, tuple(states) if many else states[0]))
    y_there = as_tuple(other(x_there, tuple(states_there) if many else states_there[0]))
    grad_y = [random.standard_normal(each.shape).astype(dtype) for each in y]
    torch.autograd.backward(y_there, [torch.tensor(each) for each in grad_y])
    grad_x, grad_states = cell.bprop(tuple(grad_y) if many else grad_y[0])
    for a, b in zip(
        [*y, grad_x, *as_tuple(grad_states)], [*y_there, x_there.grad, *(s.grad for s in states_there)], strict=True
    ):
        close(a, b, dtype)
    for key, parameter in other.named_parameters():
        close(dict(cell.named_gradients())[key], parameter.grad, dtype)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_the_first_values_are_drawn_as_pytorch_draws_them(name):
    layer = getattr(bprop.modules, name)(30, 100)
    for value in layer.state_dict().values():
        assert 0.095 < np.abs(value).max() <= 0.1
        assert value.std() == pytest.approx(0.1 / 3**0.5, rel=0.15)
