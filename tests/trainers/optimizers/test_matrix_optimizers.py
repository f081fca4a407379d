"""Muon and Adafactor, which know matrices: against PyTorch, parameter by parameter, and what they refuse."""

import numpy as np
import pytest
from bprop.modules import Conv2d, Flatten, Linear, MeanSquaredError, Sequential, Tanh
from bprop.trainers import Adafactor, Group, Muon, compile_step


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def minibatches(shape, features, steps=12):
    random = np.random.default_rng(1)
    return [(random.normal(size=(8, *shape)), random.normal(size=(8, features))) for _ in range(steps)]


def gradients_of(net, loss, x, target):
    """A step's gradients, by name."""
    net.zero_grad()
    loss(net(x), target)
    net.bprop(loss.bprop())
    return {name: gradient.copy() for name, gradient in net.named_gradients()}


def train_beside(torch, net, optimizer, data, make):
    """Steps of the compiled net; and PyTorch's optimizers, on the gradients of a net with their parameters."""
    twin, loss = net.copy(), MeanSquaredError().to("float64")
    tensors = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in net.named_parameters()}
    others, step = make(tensors), compile_step(net, MeanSquaredError(), optimizer)
    for x, target in data:
        step(x, target)
        twin.load_state_dict({name: tensor.detach().numpy() for name, tensor in tensors.items()})
        for name, gradient in gradients_of(twin, loss, x, target).items():
            tensors[name].grad = torch.tensor(gradient)
        for each in others:
            each.step()
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def compare(net, expected, start):
    for name, array in net.named_parameters():
        assert not np.allclose(array, start[name], atol=1e-3), name
        np.testing.assert_allclose(array, expected[name], rtol=1e-10, atol=1e-11, err_msg=name)


MUON = {
    "plain": {},
    "wide steps": {"lr": 0.05, "momentum": 0.8, "nesterov": False, "weight_decay": 0.3},
    "as AdamW": {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3, "eps": 1e-2},
    "other coefficients": {"ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 8},
}


@pytest.mark.parametrize("name", MUON)
def test_muon_like_torch(torch, monkeypatch, name):
    """Matrices by PyTorch's Muon, in float64 in the place of its bfloat16; biases by its AdamW."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    net = Sequential(Linear(4, 7), Tanh(), Linear(7, 3)).to("float64")
    start, settings = dict(net.copy().named_parameters()), {"lr": 0.02, **MUON[name]}
    ours = {("adjust_lr" if key == "adjust_lr_fn" else key): value for key, value in settings.items()}
    optimizer = Muon(**ours, adamw_factor=0.5, betas=(0.8, 0.95), decay="all")
    decay = settings.get("weight_decay", 0.1)

    def make(tensors):
        matrices = [tensor for tensor in tensors.values() if tensor.ndim == 2]
        biases = [tensor for tensor in tensors.values() if tensor.ndim == 1]
        lr = 0.5 * settings["lr"]
        adamw = torch.optim.AdamW(biases, lr=lr, betas=(0.8, 0.95), weight_decay=2 * decay)  # lr decay are one
        return torch.optim.Muon(matrices, **settings), adamw

    compare(net, train_beside(torch, net, optimizer, minibatches((4,), 3), make), start)


def test_muon_leaves_convolutions_and_named_matrices_to_adamw(torch, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    net = Sequential(Conv2d(1, 2, 3), Flatten(), Linear(8, 5), Tanh(), Linear(5, 3)).to("float64")
    start = dict(net.copy().named_parameters())
    optimizer = Muon(lr=0.02, adamw=["4.*"], weight_decay=0.0)

    def make(tensors):
        muon = torch.optim.Muon([tensors.pop("2.weight")], lr=0.02, weight_decay=0.0)
        return muon, torch.optim.AdamW(list(tensors.values()), lr=0.02, weight_decay=0.0)

    data = minibatches((1, 4, 4), 3)
    compare(net, train_beside(torch, net, optimizer, data, lambda tensors: make(dict(tensors))), start)


def test_muon_makes_singular_values_near_one():
    net = Linear(30, 20, bias=False)
    before, random = net.weight.copy(), np.random.default_rng(0)
    net.flat_gradients[:] = 1e-3 * random.normal(size=600)
    Muon(lr=1.0, weight_decay=0.0).update(net)
    values = np.linalg.svd(before - net.weight, compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.3


def test_muon_with_groups():
    net = Sequential(Linear(4, 7), Tanh(), Linear(7, 3))
    start = dict(net.copy().named_parameters())
    step = compile_step(net, MeanSquaredError(), Muon(lr=0.02, groups=[Group("0.*", frozen=True)]))
    for x, target in minibatches((4,), 3, 3):
        step(x, target)
    for name, array in net.named_parameters():
        assert np.array_equal(array, start[name]) == name.startswith("0."), name


def test_muon_refuses_unknown_names():
    with pytest.raises(ValueError, match=r"^Muon: adamw names '7.\*', which is no parameter of the model, expected 0."):
        Muon(adamw=["7.*"]).update(Sequential(Linear(2, 1)))
    with pytest.raises(TypeError, match=r"^Muon: adamw is '4.weight', expected a list of patterns$"):
        Muon(adamw="4.weight")


def test_muon_shows_its_settings():
    assert repr(Muon(adamw=["0.*"], ns_steps=3)) == "Muon(lr=0.001, ns_steps=3, adamw=('0.*',), weight_decay=0.1)"


def test_adafactor_of_kernels_like_torch(torch):
    """Of four axes, the last two are rows and columns of a matrix for each of the others."""
    net = Sequential(Conv2d(2, 3, (3, 2)), Flatten(), Linear(18, 4)).to("float64")
    start, settings = dict(net.copy().named_parameters()), {"lr": 0.1, "weight_decay": 0.05, "d": 1.2}

    def make(tensors):
        return (torch.optim.Adafactor(list(tensors.values()), **settings),)

    data = minibatches((2, 4, 4), 4)
    compare(net, train_beside(torch, net, Adafactor(**settings, decay="all"), data, make), start)


def test_adafactor_keeps_a_number_for_each_row_and_column():
    net = Sequential(Linear(40, 30))
    optimizer = Adafactor()
    compile_step(net, MeanSquaredError(), optimizer)(np.ones((2, 40)), np.ones((2, 30)))
    state = optimizer.state_dict()
    assert {name: np.shape(value) for name, value in state.items()} == {"rows": (30,), "columns": (70,), "steps": ()}


def test_muon_keeps_no_scratch_memory_in_its_state():
    net, optimizer = Sequential(Linear(4, 3)), Muon()
    optimizer.update(net)
    assert {name: np.shape(value) for name, value in optimizer.state_dict().items()} == {
        "mean": (15,),
        "square": (3,),
        "steps": (),
    }
