"""The first rows: affine layers, softmax, containers."""

import numpy as np
from bprop.modules import (
    Flatten,
    Identity,
    Linear,
    LogSoftmax,
    MeanSquaredError,
    ReLU,
    Sequential,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
)

from .case import Case, LossCase
from .elementwise import relu, tanh


def identity(module, x):
    return x


def flatten(module, x):
    return np.array([sample.ravel() for sample in x])


def linear(module, x):
    y = np.einsum("...i,oi->...o", x, module.weight)
    return y if module.bias is None else y + module.bias


def softmax(module, x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def log_softmax(module, x):
    return np.log(softmax(module, x))


def net() -> Sequential:
    return Sequential(Linear(3, 4), Tanh(), Sequential(Linear(4, 4), ReLU()), Linear(4, 2))


def net_reference(net, x):
    x = tanh(None, linear(net[0], x))
    return linear(net[3], relu(None, linear(net[2][0], x)))


def net_of_torch(nn):
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))


MODULES = [
    Case("Identity", Identity, (4, 3), reference=identity, torch="Identity"),
    Case("Flatten", Flatten, (4, 2, 3, 2), reference=flatten, torch="Flatten"),
    Case(
        "Linear",
        lambda: Linear(3, 5),
        (4, 3),
        (4, 7),
        "Linear(3 -> 5): x has shape (4, 7), expected (N, 3)",
        reference=linear,
        torch=lambda nn: nn.Linear(3, 5),
    ),
    Case(
        "Linear without bias",
        lambda: Linear(3, 5, bias=False),
        (4, 3),
        (3,),
        "Linear(3 -> 5, bias=False): x has shape (3,), expected (N, 3)",
        reference=linear,
        torch=lambda nn: nn.Linear(3, 5, bias=False),
    ),
    Case(
        "Linear of sequences",
        lambda: Linear(3, 5),
        (4, 2, 3),
        reference=linear,
        torch=lambda nn: nn.Linear(3, 5),
    ),
    Case(
        "Softmax",
        Softmax,
        (4, 3),
        (4,),
        "Softmax(): x has shape (4,), expected (N, ..., K)",
        reference=softmax,
        torch=lambda nn: nn.Softmax(dim=-1),
    ),
    Case(
        "LogSoftmax",
        LogSoftmax,
        (4, 3),
        (4,),
        "LogSoftmax(): x has shape (4,), expected (N, ..., K)",
        reference=log_softmax,
        torch=lambda nn: nn.LogSoftmax(dim=-1),
    ),
    Case("LogSoftmax of sequences", LogSoftmax, (4, 2, 3), reference=log_softmax, torch=lambda nn: nn.LogSoftmax(-1)),
    Case(
        "Sequential",
        net,
        (4, 3),
        (4, 7),
        "Linear(3 -> 4): x has shape (4, 7), expected (N, 3)\nin model[0]",
        reference=net_reference,
        torch=net_of_torch,
    ),
]


def labels(random, shape):
    return random.integers(0, shape[-1], shape[:-1])


def distributions(random, shape):
    return random.dirichlet(np.ones(shape[-1]), shape[:-1])


def numbers(random, shape):
    return random.standard_normal(shape)


def mean_squared_error(loss, y, target):
    return np.mean((y - target) ** 2)


def softmax_cross_entropy(loss, y, target):
    log_p = log_softmax(None, y)
    if target.ndim < y.ndim:
        target = np.eye(y.shape[-1])[target]
    return -np.sum(target * log_p) / log_p[..., 0].size


LOSSES = [
    LossCase(
        "MeanSquaredError",
        MeanSquaredError,
        (4, 3),
        numbers,
        ((4, 1), (4,)),
        "MeanSquaredError(): y has shape (4, 1) and target (4,), expected the same shape",
        reference=mean_squared_error,
        torch="MSELoss",
    ),
    LossCase(
        "SoftmaxCrossEntropy",
        SoftmaxCrossEntropy,
        (4, 3),
        labels,
        ((4, 3), (4, 1)),
        "SoftmaxCrossEntropy(): y has shape (4, 3) and target (4, 1), "
        "expected target (4,) (labels) or (4, 3) (distributions)",
        reference=softmax_cross_entropy,
        torch="CrossEntropyLoss",
    ),
    LossCase(
        "SoftmaxCrossEntropy of sequences",
        SoftmaxCrossEntropy,
        (4, 2, 3),
        labels,
        ((4, 2, 3), (4,)),
        "SoftmaxCrossEntropy(): y has shape (4, 2, 3) and target (4,), "
        "expected target (4, 2) (labels) or (4, 2, 3) (distributions)",
        reference=softmax_cross_entropy,
    ),
    LossCase(
        "SoftmaxCrossEntropy with distributions",
        SoftmaxCrossEntropy,
        (4, 3),
        distributions,
        ((4,), (4,)),
        "SoftmaxCrossEntropy(): y has shape (4,), expected scores (N, ..., K)",
        reference=softmax_cross_entropy,
        torch="CrossEntropyLoss",
    ),
]
