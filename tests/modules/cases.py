"""The table of modules and losses that every law is tried on: adding a layer costs one row."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from bprop.modules import (
    Flatten,
    Identity,
    Linear,
    LogSoftmax,
    MeanSquaredError,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
)

from .. import references


@dataclass(frozen=True)
class Case:
    """A module with the shape of an input, and a shape that it refuses with `message` (none: it takes any)."""

    name: str
    make: Callable[[], Module]
    shape: tuple[int, ...]
    refused: tuple[int, ...] | None = None
    message: str = ""

    def x(self, samples: int | None = None) -> np.ndarray:
        shape = self.shape if samples is None else (samples, *self.shape[1:])
        return np.random.default_rng(len(self.name)).standard_normal(shape)

    def reference(self, module, x):
        return references.MODULES[type(module).__name__](module, x)


@dataclass(frozen=True)
class LossCase:
    """A loss with the shape of an output y and a function that draws a target."""

    name: str
    make: Callable[[], Module]
    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    refused: tuple[tuple[int, ...], tuple[int, ...]]
    message: str

    def arguments(self, samples: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(len(self.name))
        shape = self.shape if samples is None else (samples, *self.shape[1:])
        return random.standard_normal(shape), self.draw(random, shape)

    def reference(self, loss, y, target):
        return references.LOSSES[type(loss).__name__](loss, y, target)


def net() -> Sequential:
    return Sequential(Linear(3, 4), Tanh(), Sequential(Linear(4, 4), ReLU()), Linear(4, 2))


MODULES = [
    Case("Identity", Identity, (4, 3)),
    Case("ReLU", ReLU, (4, 3)),
    Case("Tanh", Tanh, (4, 3)),
    Case("Tanh of images", Tanh, (4, 2, 3, 2)),
    Case("Sigmoid", Sigmoid, (4, 3)),
    Case("Flatten", Flatten, (4, 2, 3, 2)),
    Case(
        "Linear",
        lambda: Linear(3, 5),
        (4, 3),
        (4, 7),
        "Linear(3 -> 5): x has shape (4, 7), expected (N, 3)",
    ),
    Case(
        "Linear without bias",
        lambda: Linear(3, 5, bias=False),
        (4, 3),
        (3,),
        "Linear(3 -> 5, bias=False): x has shape (3,), expected (N, 3)",
    ),
    Case("Linear of sequences", lambda: Linear(3, 5), (4, 2, 3)),
    Case("Softmax", Softmax, (4, 3), (4,), "Softmax(): x has shape (4,), expected (N, ..., K)"),
    Case("LogSoftmax", LogSoftmax, (4, 3), (4,), "LogSoftmax(): x has shape (4,), expected (N, ..., K)"),
    Case("LogSoftmax of sequences", LogSoftmax, (4, 2, 3)),
    Case("Sequential", net, (4, 3), (4, 7), "Linear(3 -> 4): x has shape (4, 7), expected (N, 3)\nin model[0]"),
]


def labels(random, shape):
    return random.integers(0, shape[-1], shape[:-1])


def distributions(random, shape):
    return random.dirichlet(np.ones(shape[-1]), shape[:-1])


def numbers(random, shape):
    return random.standard_normal(shape)


LOSSES = [
    LossCase(
        "MeanSquaredError",
        MeanSquaredError,
        (4, 3),
        numbers,
        ((4, 1), (4,)),
        "MeanSquaredError(): y has shape (4, 1) and target (4,), expected the same shape",
    ),
    LossCase(
        "SoftmaxCrossEntropy",
        SoftmaxCrossEntropy,
        (4, 3),
        labels,
        ((4, 3), (4, 1)),
        "SoftmaxCrossEntropy(): y has shape (4, 3) and target (4, 1), "
        "expected target (4,) (labels) or (4, 3) (distributions)",
    ),
    LossCase(
        "SoftmaxCrossEntropy of sequences",
        SoftmaxCrossEntropy,
        (4, 2, 3),
        labels,
        ((4, 2, 3), (4,)),
        "SoftmaxCrossEntropy(): y has shape (4, 2, 3) and target (4,), "
        "expected target (4, 2) (labels) or (4, 2, 3) (distributions)",
    ),
    LossCase(
        "SoftmaxCrossEntropy with distributions",
        SoftmaxCrossEntropy,
        (4, 3),
        distributions,
        ((4,), (4,)),
        "SoftmaxCrossEntropy(): y has shape (4,) and target (4,), expected target () (labels) or (4,) (distributions)",
    ),
]
