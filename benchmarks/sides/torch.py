"""PyTorch: eager, with torch.compile on forward and loss, and with its DataLoader."""

import time
from collections.abc import Callable
from contextlib import nullcontext

import torch as t

from ..workloads import MLP, Activation, Images, Update
from . import describe_blas


def describe_kernels() -> str:
    t.ones(64, 64) @ t.ones(64, 64)
    return f"{t.backends.cpu.get_cpu_capability()}; BLAS: {describe_blas()}"


def use_threads(threads: int):
    t.set_num_threads(threads)
    return nullcontext()


def make_model(work: MLP) -> tuple[t.nn.Module, Callable, t.optim.Optimizer]:
    """The model, its loss and its optimizer."""
    t.manual_seed(0)
    unit = {"relu": t.nn.ReLU, "tanh": t.nn.Tanh}[work.activation]
    layers = []
    for k, (i, o) in enumerate(work.layers()):
        layers += ([unit()] if k else []) + [t.nn.Linear(i, o)]
    model = t.nn.Sequential(*layers)
    if work.optimizer == "Adam":
        return model, t.nn.CrossEntropyLoss(), t.optim.Adam(model.parameters(), lr=0.001, fused=True)
    return model, t.nn.CrossEntropyLoss(), t.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def make_step(work: MLP, compiled: bool) -> Callable:
    """Make the function of one training step on tensors."""
    model, loss, sgd = make_model(work)
    value_of = t.compile(lambda x, y: loss(model(x), y)) if compiled else lambda x, y: loss(model(x), y)

    def one(x, y):
        sgd.zero_grad()
        value = value_of(x, y)
        value.backward()
        sgd.step()
        return value

    return one


def step(work: MLP, loader: bool = False, compiled: bool = False) -> Callable[[], object]:
    one, (x, target) = make_step(work, compiled), map(t.from_numpy, work.data())
    return lambda: one(x, target).item()


def epoch(work: MLP, loader: bool = False, compiled: bool = False) -> Callable[[], object]:
    one, (x, target) = make_step(work, compiled), map(t.from_numpy, work.data())

    def by_hand():
        for _ in range(work.epochs):
            total = t.zeros(())
            order = t.randperm(len(x))
            for first in range(0, len(x), work.batch):
                rows = order[first : first + work.batch]
                total += one(x[rows], target[rows]).detach() * len(rows)
            loss = total.item()
        return loss

    data = t.utils.data.TensorDataset(x, target)
    batches = t.utils.data.DataLoader(data, batch_size=work.batch, shuffle=True)
    return (lambda: sum(one(xb, yb).item() for xb, yb in batches)) if loader else by_hand


def predict(work: MLP) -> Callable[[], object]:
    model, (x, _) = make_model(work)[0].eval(), map(t.from_numpy, work.data())

    def one():
        with t.inference_mode():
            return model(x).numpy()

    return one


class Residual(t.nn.Module):
    """A residual branch and its shortcut, summed."""

    def __init__(self, branch, shortcut):
        super().__init__()
        self.branch, self.shortcut = t.nn.Sequential(*branch), t.nn.Sequential(*shortcut)

    def forward(self, x):
        return self.branch(x) + self.shortcut(x)


def layer(kind: str, *sizes) -> t.nn.Module:
    """A layer of a model of images."""
    if kind == "conv":
        i, o, kernel, stride, padding, *groups = sizes
        return t.nn.Conv2d(i, o, kernel, stride, padding, groups=groups[0] if groups else 1)
    if kind == "residual":
        return Residual(*([layer(*each) for each in part] for part in sizes))
    if kind == "mean":
        return t.nn.Sequential(t.nn.AdaptiveAvgPool2d(1), t.nn.Flatten())
    classes = {"relu": "ReLU", "pool": "MaxPool2d", "flatten": "Flatten", "norm": "BatchNorm2d", "dropout": "Dropout"}
    return getattr(t.nn, (classes | {"linear": "Linear"})[kind])(*sizes)


def make_image_model(work: Images, last: bool) -> tuple[t.nn.Module, t.Tensor, t.Tensor]:
    """The model, its images and their labels, in the memory layout of the workload."""
    t.manual_seed(0)
    layout = {"memory_format": t.channels_last} if last else {}
    x, target = map(t.from_numpy, work.data())
    return t.nn.Sequential(*(layer(*each) for each in work.layers)).to(**layout), x.contiguous(**layout), target


def images(work: Images, last: bool = False) -> Callable[[], object]:
    model, x, target = make_image_model(work, last)
    if len(work.layers) == 1:
        x.requires_grad_(True)
        grad_y, inputs = t.rand_like(model(x)), [x, *model.parameters()]
        return lambda: t.autograd.grad(model(x), inputs, grad_y)
    loss, sgd = t.nn.CrossEntropyLoss(), t.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def one():
        sgd.zero_grad()
        value = loss(model(x), target)
        value.backward()
        sgd.step()
        return value.item()

    return one


def forward(work: Images, last: bool = False) -> Callable[[], object]:
    model, x, _ = make_image_model(work, last)
    model.eval()

    def one():
        with t.inference_mode():
            return model(x)

    return one


def activation(work: Activation) -> Callable[[], object]:
    x, grad_y = map(t.from_numpy, work.data())
    x.requires_grad_(True)
    name = work.torch or work.name
    if hasattr(t.nn, name):
        function = getattr(t.nn, name)(*work.arguments)
        inputs = [x, *function.parameters()]
    else:
        inputs = [x]

        def function(x):
            return getattr(t, name)(x, *work.arguments)

    return lambda: t.autograd.grad(function(x), inputs, grad_y)


def update(work: Update) -> Callable[[], object]:
    """The fastest of its implementations here: a loop over tensors, over lists of them, one kernel for all."""
    implementations = []
    for option in ({"foreach": False}, {"foreach": True}, {"fused": True}):
        parameters = [t.nn.Parameter(t.randn(1000, 1000)), t.nn.Parameter(t.randn(1000))]
        for parameter in parameters:
            parameter.grad = t.full_like(parameter, 1e-3)
        try:
            rule = getattr(t.optim, work.name)(parameters, **dict(work.settings), **option)
            rule.step()
        except (TypeError, RuntimeError):  # it has no such implementation
            continue
        start = time.perf_counter()
        for _ in range(20):
            rule.step()
        implementations.append((time.perf_counter() - start, len(implementations), rule.step))
    return min(implementations)[2]
