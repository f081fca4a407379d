"""Values, gradients and weights against PyTorch, in float32."""

import numpy as np
import pytest
from bprop.modules import Add, Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Tanh
from bprop.modules.derivatives import hvp
from bprop.modules.engine.stateful import plain_python

from ..cases import LOSSES, MODULES

torch = pytest.importorskip("torch")
nn = torch.nn

modules = pytest.mark.parametrize("case", [case for case in MODULES if case.torch], ids=lambda case: case.name)
losses = pytest.mark.parametrize("case", [case for case in LOSSES if case.torch], ids=lambda case: case.name)


def twin(case):
    """PyTorch's module or loss of a case."""
    return getattr(nn, case.torch)() if isinstance(case.torch, str) else case.torch(nn)


def close(a, b):
    np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-5, atol=1e-6)


@modules
def test_module(random, case):
    module, other = case.make(), twin(case)
    module.load_state_dict({name: value.numpy() for name, value in other.state_dict().items()})
    x = case.x().astype(np.float32)
    x_there = torch.tensor(x, requires_grad=True)
    y, y_there = module.fprop(x), other(x_there)
    close(y, y_there)
    grad_y = random.standard_normal(y.shape).astype(np.float32)
    y_there.backward(torch.tensor(grad_y))
    close(module.bprop(grad_y), x_there.grad)
    gradients = dict(module.named_gradients())
    for name, parameter in other.named_parameters():
        close(gradients.pop(name), parameter.grad)
    assert not gradients


@losses
def test_loss(case):
    loss, other = case.make(), twin(case)
    y, target = case.arguments()
    y = y.astype(np.float32)
    target = target.astype(np.float32) if target.dtype.kind == "f" else target
    y_there = torch.tensor(y, requires_grad=True)
    value = other(y_there, torch.tensor(target))
    value.backward()
    close(loss.fprop(y, target), value)
    close(loss.bprop(), y_there.grad)


def numbers_of(net, vector):
    """A vector of all parameters as PyTorch's tensors, by name."""
    copy = net.copy()
    copy.flat_parameters[...] = vector
    return {name: torch.tensor(array) for name, array in copy.named_parameters()}


def twice(cases):
    """The cases whose PyTorch twin can be differentiated twice."""
    lacking = ["Hardsigmoid", "MultiMargin", "MultiMargin, all options"]  # "derivative for ... is not implemented"
    lacking += ["CTC", "CTC, sum", "CTC, lengths"]
    lacking += ["ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), 2, False)"]  # asks a convolution for output_padding
    lacking += ["ConvTranspose1d(4, 6, 3, 3, 1, 2, 2, False, 2)"]
    chosen = [case for case in cases if case.torch and case.name not in lacking and not case.make().estimates]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@twice(MODULES)
def test_products_with_the_hessian_of_modules(random, double, case):
    net, other, x = Sequential(Add(case.shape[1:]), case.make()).to("float64"), twin(case), case.x()
    net[1].load_state_dict({name: value.numpy() for name, value in other.state_dict().items()})
    target = random.standard_normal(net.output_shape(x.shape))
    at, v = net.flat_parameters, random.standard_normal(net.parameter_count)
    starts, steps = numbers_of(net, at), numbers_of(net, v)
    buffers = {name: value.clone() for name, value in other.named_buffers()}

    def loss(bias, *parameters):
        weights = dict(zip((name.removeprefix("1.") for name in list(starts)[1:]), parameters, strict=True))
        weights |= {name: value.clone() for name, value in buffers.items()}
        y = torch.func.functional_call(other, weights, torch.tensor(x) + bias)
        return nn.functional.mse_loss(y, torch.tensor(target))

    expected = torch.autograd.functional.hvp(loss, tuple(starts.values()), tuple(steps.values()))[1]
    expected = np.concatenate([part.numpy().ravel() for part in expected])
    with plain_python():
        actual = hvp(net, MeanSquaredError(), x, target, v)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10 * max(np.abs(expected).max(), 1e-3))


@twice(LOSSES)
def test_products_with_the_hessian_of_losses(random, double, case):
    (y, target), other = case.arguments(), twin(case)
    v, there = random.standard_normal(y.shape[1:]), torch.tensor(target)
    expected = torch.autograd.functional.hvp(
        lambda bias: other(torch.tensor(y) + bias, there), torch.zeros(y.shape[1:]), torch.tensor(v)
    )[1].numpy()
    with plain_python():
        actual = hvp(Add(y.shape[1:]), case.make(), y, target, v.ravel())
    np.testing.assert_allclose(
        actual.reshape(v.shape), expected, rtol=0, atol=1e-10 * max(np.abs(expected).max(), 1e-3)
    )


def test_cross_entropy_of_sequences(random):
    loss, y, target = SoftmaxCrossEntropy(), random.standard_normal((5, 3, 4)), random.integers(0, 4, (5, 3))
    y_there = torch.tensor(y, dtype=torch.float32, requires_grad=True)
    value = nn.CrossEntropyLoss()(y_there.movedim(-1, 1), torch.tensor(target))
    value.backward()
    close(loss.fprop(y, target), value)
    close(loss.bprop(), y_there.grad)


def test_weights_move_both_ways():
    net, other = (
        Sequential(Linear(4, 6), Tanh(), Linear(6, 3)),
        nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)),
    )
    assert list(net.state_dict()) == list(other.state_dict())
    other.load_state_dict({name: torch.tensor(value) for name, value in net.state_dict().items()})
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    close(net.fprop(x), other(torch.tensor(x)))


def test_masked_scores_as_in_pytorch():
    scores, labels = np.array([[0.5, -np.inf, 0.1]], np.float32), np.array([2])
    y_there = torch.tensor(scores, requires_grad=True)
    nn.CrossEntropyLoss()(y_there, torch.tensor(labels)).backward()
    loss = SoftmaxCrossEntropy()
    loss.fprop(scores, labels)
    close(loss.bprop(), y_there.grad)


def test_linear_starts_like_pytorchs():
    ours, theirs = Linear(300, 200), nn.Linear(300, 200)
    for mine, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        other = other.detach().numpy()
        assert mine.std() == pytest.approx(other.std(), rel=0.1)
        assert np.abs(mine).max() == pytest.approx(np.abs(other).max(), rel=0.05)
