"""The workloads: names, sizes, and data, the same for every side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .sequence_workloads import SEQUENCES


@dataclass(frozen=True)
class MLP:
    """A multi-layer perceptron: linear layers with `activation` between them, softmax cross-entropy.

    `optimizer` is "SGD" (with momentum) or "Adam"; `epochs` are those of a call;
    `kind` is "step" (one minibatch), "epoch" (all samples, shuffled and gathered) or "predict" (one sample).
    """

    group: ClassVar[str] = "nets"
    name: str
    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"
    kind: str = "step"
    samples: int = 0
    optimizer: str = "SGD"
    epochs: int = 1

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs float32 and labels int64: one minibatch, or a whole training set."""
        random = np.random.default_rng(0)
        n = self.samples or self.batch
        x = random.random((n, self.sizes[0]), np.float32)
        return x, random.integers(0, self.sizes[-1], n)

    def layers(self) -> list[tuple[int, int]]:
        """(in, out) of each linear layer."""
        return list(zip(self.sizes[:-1], self.sizes[1:], strict=True))

    def runs_on(self, side: str) -> bool:
        """Whether a side can run this workload."""
        loader = side == "torch DataLoader" and (self.kind != "epoch" or self.epochs > 1)
        if side in ("torch channels_last", "by hand", "sklearn") or loader:
            return False
        return self.kind != "predict" or side not in ("products", "torch.compile")


@dataclass(frozen=True)
class GridSearch:
    """scikit-learn's grid search over 20 learning rates with 5 folds: 100 fits of a small MLP classifier by Adam."""

    group: ClassVar[str] = "grids"
    name: str
    sizes: tuple[int, int, int]
    samples: int
    epochs: int
    batch: int = 32
    kind: ClassVar[str] = "grid"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs float32, of which the first features tell the classes apart, and labels int64."""
        random = np.random.default_rng(0)
        labels = np.arange(self.samples) % self.sizes[-1]
        x = random.normal(0, 1, (self.samples, self.sizes[0])).astype(np.float32)
        x[np.arange(self.samples), labels % self.sizes[0]] += 2
        return x, labels

    def rates(self) -> list[float]:
        """The learning rates."""
        return np.geomspace(1e-4, 1e-1, 20).tolist()

    def runs_on(self, side: str) -> bool:
        return side in ("bprop", "sklearn")


@dataclass(frozen=True)
class Activation:
    """An elementwise activation, forward and backward on 128 x 1024 numbers, by its name here and in PyTorch."""

    group: ClassVar[str] = "units"
    name: str
    torch: str = ""
    arguments: tuple[float, ...] = ()
    positive: bool = False  # whether x must be positive
    kind: ClassVar[str] = "activation"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """x and grad_y, float32."""
        random = np.random.default_rng(0)
        x, grad_y = random.normal(0, 2, (2, 128, 1024)).astype(np.float32)
        return np.abs(x) + np.float32(0.1) if self.positive else x, grad_y

    def runs_on(self, side: str) -> bool:
        return side in ("bprop", "torch")


@dataclass(frozen=True)
class Update:
    """An optimizer's update of 1,001,000 parameters, gradients given, by the same name everywhere.

    PyTorch runs each implementation it has (a loop over tensors, over lists of them, fused), and the fastest counts.
    """

    group: ClassVar[str] = "optimizers"
    name: str
    settings: Sequence[tuple[str, Any]] = ()
    torch: bool = True  # whether PyTorch has it
    kind: ClassVar[str] = "update"

    def runs_on(self, side: str) -> bool:
        return side == "bprop" or (side == "torch" and self.torch)


@dataclass(frozen=True)
class Branches:
    """A training step of a model with branches, as a Graph and, for comparison, as straight-line code by hand."""

    group: ClassVar[str] = "graphs"
    name: str
    shape: str
    sample: tuple[int, ...]
    batch: int
    kind: ClassVar[str] = "branches"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs float32; labels int64, or two columns of targets."""
        random = np.random.default_rng(0)
        x, labels = random.random((self.batch, *self.sample), np.float32), random.integers(0, 2, self.batch)
        return x, np.stack([labels, x[:, 0]], axis=1).astype(np.float32) if self.shape == "two heads" else labels

    def runs_on(self, side: str) -> bool:
        return side in ("bprop", "by hand")


Layers = tuple[tuple, ...]


@dataclass(frozen=True)
class Images:
    """A model of images, (kind, sizes...) for each layer. `kind` is "images" (a training step) or "forward" (fprop).

    A single layer runs forward and backward, with both gradients, for a random grad_y.
    """

    group: ClassVar[str] = "images"
    name: str
    layers: Layers
    shape: tuple[int, int, int]
    batch: int
    kind: str = "images"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 and labels int64."""
        random = np.random.default_rng(0)
        return random.random((self.batch, *self.shape), np.float32), random.integers(0, 10, self.batch)

    def runs_on(self, side: str) -> bool:
        if len(self.layers) == 1 and side == "jax":
            return False
        return side in ("bprop", "torch", "torch channels_last", "jax")


def convolution(*sizes: int) -> Layers:
    """in, out, kernel_size, stride, padding: with batch normalisation after it."""
    return (("conv", *sizes), ("norm", sizes[1]))


def block(i: int, o: int, stride: int) -> Layers:
    """Two convolutions with a shortcut around them."""
    branch = (*convolution(i, o, 3, stride, 1), ("relu",), *convolution(o, o, 3, 1, 1))
    return (("residual", branch, () if i == o else convolution(i, o, 1, stride, 0)), ("relu",))


LENET: Layers = (
    *(("conv", 1, 6, 5, 1, 2), ("relu",), ("pool", 2), ("conv", 6, 16, 5, 1, 0), ("relu",), ("pool", 2), ("flatten",)),
    *(("linear", 400, 120), ("relu",), ("linear", 120, 84), ("relu",), ("linear", 84, 10)),
)
CNN: Layers = (
    *(("conv", 1, 32, 3, 1, 0), ("relu",), ("conv", 32, 64, 3, 1, 0), ("relu",), ("pool", 2), ("dropout", 0.25)),
    *(("flatten",), ("linear", 9216, 128), ("relu",), ("dropout", 0.5), ("linear", 128, 10)),
)
RESNET_8: Layers = (
    *(*convolution(3, 16, 3, 1, 1), ("relu",)),
    *(*block(16, 16, 1), *block(16, 32, 2), *block(32, 64, 2)),
    *(("mean",), ("linear", 64, 10)),
)
MNIST, CIFAR, MIDDLE = (1, 28, 28), (3, 32, 32), (64, 14, 14)
IMAGES = [
    *(Images(f"LeNet-5, batch {n}", LENET, MNIST, n) for n in (1, 32, 128)),
    *(Images(f"LeNet-5, batch {n}, forward", LENET, MNIST, n, "forward") for n in (1, 128)),
    Images("MNIST CNN 32-64, batch 64", CNN, MNIST, 64),
    Images("ResNet-8 16-32-64, batch 64", RESNET_8, CIFAR, 64),
    Images("layer 1->32 3x3, 28x28", (("conv", 1, 32, 3, 1, 1),), MNIST, 32),
    Images("layer 32->64 3x3, 28x28", (("conv", 32, 64, 3, 1, 1),), (32, 28, 28), 32),
    Images("layer 64->64 3x3, 14x14", (("conv", 64, 64, 3, 1, 1),), MIDDLE, 32),
    Images("layer depthwise 64 3x3, 14x14", (("conv", 64, 64, 3, 1, 1, 64),), MIDDLE, 32),
    Images("layer 64->256 1x1, 14x14", (("conv", 64, 256, 1, 1, 0),), MIDDLE, 32),
]
GRAPHS = [
    Branches("residual 64, 3 blocks, batch 32", "residual", (64,), 32),
    Branches("residual 64, 3 blocks, batch 1", "residual", (64,), 1),
    Branches("three branches 8 x 16 x 16, batch 32", "inception", (8, 16, 16), 32),
    Branches("siamese 64-64-16, batch 32", "siamese", (2, 64), 32),
    Branches("two heads 64-64, batch 32", "two heads", (64,), 32),
]
MLPS = [
    MLP("784-32-32-10, batch 16", (784, 32, 32, 10), 16),
    MLP("784-128-128-10, batch 32", (784, 128, 128, 10), 32),
    MLP("784-256-256-10, batch 128", (784, 256, 256, 10), 128),
    MLP("784-1200-1200-10, batch 128", (784, 1200, 1200, 10), 128),
    MLP("20 x 64, batch 32", (64, *(64,) * 20, 10), 32),
    MLP("20 x 64, batch 1", (64, *(64,) * 20, 10), 1),
    MLP("784-128-10, batch 1", (784, 128, 10), 1),
    MLP("20000-64-10, batch 64", (20000, 64, 10), 64),
    *(MLP(f"32-256x5-10, batch {n}", (32, *(256,) * 5, 10), n) for n in (32, 128, 512, 2048)),
    MLP("4-32-16-4 tanh, batch 10000, Adam", (4, 32, 16, 4), 10000, "tanh", optimizer="Adam"),
    MLP("400 epochs of 277 samples 6-50-2, batch 32, Adam", (6, 50, 2), 32, "relu", "epoch", 277, "Adam", 400),
    MLP("784-128-128-10, predict one", (784, 128, 128, 10), 1, kind="predict"),
    MLP("MNIST epoch 784-72-10, batch 32", (784, 72, 10), 32, "tanh", "epoch", 60000),
    MLP("MNIST epoch 784-256-10, batch 128", (784, 256, 10), 128, "relu", "epoch", 60000),
]
GRIDS = [
    GridSearch("100 fits of 4-16-3, 150 samples, 50 epochs", (4, 16, 3), 150, 50),
    GridSearch("100 fits of 64-32-10, 1000 samples, 10 epochs", (64, 32, 10), 1000, 10),
]
ACTIVATIONS = [
    *(
        Activation(name)
        for name in ("ReLU", "Tanh", "Sigmoid", "LeakyReLU", "ReLU6", "ELU", "SELU", "CELU", "SiLU", "Mish")
    ),
    *(Activation(name) for name in ("Softplus", "Softsign", "Hardtanh", "Hardsigmoid", "Hardswish", "Hardshrink")),
    *(Activation(name) for name in ("Softshrink", "Tanhshrink", "LogSigmoid", "PReLU")),
    Activation("GELU"),
    Activation("RReLU"),
    Activation("Threshold", arguments=(0.5, 0.1)),
    Activation("Clamp", "clamp", (-1.0, 1.0)),
    Activation("Abs", "abs"),
    Activation("Square", "square"),
    Activation("Exp", "exp"),
    Activation("Sqrt", "sqrt", positive=True),
    Activation("Log", "log", positive=True),
    Activation("Power", "pow", (2.5,), positive=True),
]
UPDATES = [
    Update("SGD", (("lr", 0.01),)),
    Update("SGD", (("lr", 0.01), ("momentum", 0.9))),
    Update("SGD", (("lr", 0.01), ("momentum", 0.9), ("nesterov", True))),
    *(Update(name, (("lr", 0.001),)) for name in ("Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW", "Adamax")),
    *(Update(name, (("lr", 0.001),)) for name in ("NAdam", "RAdam", "ASGD", "Rprop")),
    Update("Lion", (("lr", 0.001),), torch=False),
]
GROUPS: dict[str, list] = {
    "nets": MLPS,
    "grids": GRIDS,
    "graphs": GRAPHS,
    "images": IMAGES,
    "units": ACTIVATIONS,
    "optimizers": UPDATES,
    "sequences": SEQUENCES,
}


def format_title(work) -> str:
    """Format the name of a workload, with its settings."""
    settings = getattr(work, "settings", None)
    return f"{work.name}({', '.join(f'{k}={v}' for k, v in settings)})" if settings else work.name
