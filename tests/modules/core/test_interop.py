"""Weights move between PyTorch and bprop as safetensors, both ways, and give the same outputs."""

import numpy as np
import pytest
import safetensors.numpy
from bprop.modules import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
)
from bprop.trainers import SGD, Trainer

torch = pytest.importorskip("torch")
nn = torch.nn
safetensors_torch = pytest.importorskip("safetensors.torch")


@pytest.fixture
def data(random):
    """Images (64, 2, 6, 6), and vectors of as many numbers (64, 72), of three classes."""
    images = random.standard_normal((64, 2, 6, 6)).astype(np.float32)
    return images, images.reshape(64, -1), images.mean(axis=(2, 3))[:, 0].argsort().argsort() % 3


def perceptron():
    return Sequential(Linear(72, 16), BatchNorm1d(16), Tanh(), Linear(16, 3))


def perceptron_there():
    return nn.Sequential(nn.Linear(72, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3))


def convolutional():
    return Sequential(
        Conv2d(2, 4, 3, padding=1, bias=False), BatchNorm2d(4), ReLU(), MaxPool2d(2), Conv2d(4, 6, 2, padding="same"),
        Tanh(), AvgPool2d(3, stride=1, padding=1), Flatten(), Linear(54, 3),
    )  # fmt: skip


def convolutional_there():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 2, padding="same"), nn.Tanh(), nn.AvgPool2d(3, stride=1, padding=1), nn.Flatten(),
        nn.Linear(54, 3),
    )  # fmt: skip


NETS = pytest.mark.parametrize(
    ("made", "made_there", "images"),
    [(perceptron, perceptron_there, False), (convolutional, convolutional_there, True)],
    ids=["perceptron", "convolutional"],
)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's own
@NETS
def test_a_net_trained_by_pytorch_gives_the_same_outputs(data, tmp_path, made, made_there, images):
    x, target = data[0] if images else data[1], data[2]
    torch.manual_seed(0)
    there = made_there()
    optimizer = torch.optim.SGD(there.parameters(), lr=0.1, momentum=0.9)
    for _ in range(20):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(there(torch.tensor(x)), torch.tensor(target)).backward()
        optimizer.step()
    safetensors_torch.save_file(there.state_dict(), tmp_path / "there.safetensors")

    net = made()
    net.load_state_dict(safetensors.numpy.load_file(tmp_path / "there.safetensors"))
    with torch.no_grad():
        expected = there.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(net.eval().fprop(x), expected, rtol=1e-5, atol=1e-5)
    assert net[1].running_mean.any()


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@NETS
def test_a_net_trained_here_gives_the_same_outputs_in_pytorch(data, tmp_path, made, made_there, images):
    x, target = data[0] if images else data[1], data[2]
    net = made()
    Trainer(net, SoftmaxCrossEntropy(), SGD(lr=0.1, momentum=0.9), quiet=True).fit((x, target), epochs=5, batch_size=16)
    safetensors.numpy.save_file(net.state_dict(), tmp_path / "here.safetensors")

    there = made_there()
    there.load_state_dict(safetensors_torch.load_file(tmp_path / "here.safetensors"))
    with torch.no_grad():
        actual = there.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(actual, net.eval().fprop(x), rtol=1e-5, atol=1e-5)


def test_names_and_shapes_of_a_convolutional_net_are_the_same_both_ways(data, tmp_path):
    images, _, _ = data
    net = Sequential(Conv2d(2, 4, 3), ReLU(), MaxPool2d(2), Flatten(), Linear(16, 3))
    there = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    assert {name: array.shape for name, array in net.state_dict().items()} == {
        name: tuple(tensor.shape) for name, tensor in there.state_dict().items()
    }
    safetensors_torch.save_file(there.state_dict(), tmp_path / "there.safetensors")
    net.load_state_dict(safetensors.numpy.load_file(tmp_path / "there.safetensors"))
    np.testing.assert_allclose(net.fprop(images), there(torch.tensor(images)).detach().numpy(), rtol=1e-5, atol=1e-5)
    safetensors.numpy.save_file(net.state_dict(), tmp_path / "here.safetensors")
    for name, tensor in safetensors_torch.load_file(tmp_path / "here.safetensors").items():
        assert torch.equal(tensor, there.state_dict()[name])


def test_weights_of_another_net_are_refused_by_name(tmp_path):
    safetensors_torch.save_file(nn.Sequential(nn.Linear(72, 8)).state_dict(), tmp_path / "there.safetensors")
    with pytest.raises(
        ValueError, match=r"^Sequential: cannot load the state: missing 1\.weight; .*0\.weight has shape"
    ):
        perceptron().load_state_dict(safetensors.numpy.load_file(tmp_path / "there.safetensors"))
