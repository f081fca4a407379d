"""This project, through its public interface."""

from collections.abc import Callable

import bprop.modules as m
import bprop.trainers
import numpy as np
from bprop.datasets import ArrayDataset
from bprop.modules import Linear, Module, ReLU, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed, num_threads
from bprop.modules.compiler.instruction_set import VECTOR_BYTES, cpu_name
from bprop.modules.engine.specialization import specialization
from bprop.modules.kernels.matmul import gemm
from bprop.trainers import SGD, Adam, Optimizer, Trainer, compile_step

from ..workloads import MLP, Activation, Branches, GridSearch, Images, Update
from .graphs import SHAPES

use_threads = num_threads  # for a step; a training chooses for itself among what there is


def describe_kernels() -> str:
    return f"{cpu_name()}, vectors of {VECTOR_BYTES} bytes, tiles of {gemm.TALL} and {gemm.SHORT} rows"


def make_model(work: MLP) -> tuple[Module, SoftmaxCrossEntropy, Optimizer]:
    """The model, its loss and its optimizer."""
    manual_seed(0)
    unit = {"relu": ReLU, "tanh": Tanh}[work.activation]
    model = Sequential()
    for k, (i, o) in enumerate(work.layers()):
        if k:
            model.append(unit())
        model.append(Linear(i, o))
    return model, SoftmaxCrossEntropy(), Adam(lr=0.001) if work.optimizer == "Adam" else SGD(lr=0.01, momentum=0.9)


def step(work: MLP) -> Callable[[], object]:
    compiled, (x, t) = compile_step(*make_model(work)), work.data()
    compiled(x, t)
    specialization.specialize_all()  # as after some seconds of training
    return lambda: compiled(x, t)


def epoch(work: MLP) -> Callable[[], object]:
    trainer, data = Trainer(*make_model(work), quiet=True), ArrayDataset(*work.data())
    return lambda: trainer.fit(data, epochs=work.epochs, batch_size=work.batch, metrics=[])


def predict(work: MLP) -> Callable[[], object]:
    model, (x, _) = make_model(work)[0], work.data()
    model.eval()
    return lambda: model.fprop(x)


def grid(work: GridSearch) -> Callable[[], object]:
    from bprop.trainers import BpropClassifier  # with scikit-learn, 55 MiB that no other workload needs

    from .sklearn import search

    estimator = BpropClassifier((work.sizes[1],), epochs=work.epochs, batch_size=work.batch, random_state=0)
    return search(estimator, work, lr=work.rates())


def layer(kind: str, *sizes) -> Module:
    """A layer of a model of images."""
    if kind == "conv":
        i, o, kernel, stride, padding, *groups = sizes
        return m.Conv2d(i, o, kernel, stride=stride, padding=padding, groups=groups[0] if groups else 1)
    if kind == "residual":
        branch, shortcut = (tuple(layer(*each) for each in part) for part in sizes)
        return m.Residual(*branch, shortcut=Sequential(*shortcut) if shortcut else None)
    if kind == "mean":
        return Sequential(m.AdaptiveAvgPool2d(1), m.Flatten())
    classes = {"relu": ReLU, "pool": m.MaxPool2d, "flatten": m.Flatten, "norm": m.BatchNorm2d, "dropout": m.Dropout}
    return (classes | {"linear": Linear})[kind](*sizes)


def images(work: Images) -> Callable[[], object]:
    manual_seed(0)
    model, (x, t) = Sequential(*(layer(*each) for each in work.layers)), work.data()
    if len(work.layers) == 1:
        Sequential(m.Identity(), model)  # not the first of its model: its grad_x is needed
        grad_y = np.random.default_rng(1).random(model.output_shape(x.shape), np.float32)
        return lambda: (model.fprop(x), model.bprop(grad_y))
    compiled = compile_step(model, SoftmaxCrossEntropy(), SGD(lr=0.001, momentum=0.9))
    return lambda: compiled(x, t)


def forward(work: Images) -> Callable[[], object]:
    model, (x, _) = Sequential(*(layer(*each) for each in work.layers)).eval(), work.data()
    return lambda: model.fprop(x)


def branches(work: Branches, by_hand: bool = False) -> Callable[[], object]:
    manual_seed(0)
    shape, (x, t) = SHAPES[work.shape], work.data()
    model = shape[by_hand]()
    compiled = compile_step(model, shape[2](), SGD(lr=0.001, momentum=0.9))
    return lambda: compiled(x, t)


def activation(work: Activation) -> Callable[[], object]:
    module, (x, grad_y) = getattr(m, work.name)(*work.arguments), work.data()
    Sequential(Linear(4, 4), module)  # not the first of its model: its grad_x is needed

    def both():
        module.fprop(x)
        return module.bprop(grad_y)

    return both


def update(work: Update) -> Callable[[], object]:
    model, rule = Linear(1000, 1000), getattr(bprop.trainers, work.name)(**dict(work.settings))
    _, gradients = model.flat_parameters, model.flat_gradients
    gradients[:] = 1e-3
    return lambda: rule.update(model)
