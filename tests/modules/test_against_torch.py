"""Values, gradients and weights against PyTorch, in float32."""

import numpy as np
import pytest
from bprop.modules import Linear, Sequential, SoftmaxCrossEntropy, Tanh

from .cases import LOSSES, MODULES

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
