"""Containers of parallel branches: shapes by name, what a plan computes, image models, use in a custom module."""

import re

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    check_gradients,
)
from bprop.modules.display.costs import count_flops, record_shapes
from bprop.modules.engine.operations import Operations, prune
from bprop.trainers import SGD, compile_step
from bprop.trainers.configs import load_config
from bprop.trainers.tools.gradient_doctor import check_config


def image_net():
    block = Residual(Conv2d(4, 4, 3, padding=1, bias=False), BatchNorm2d(4), ReLU(), Conv2d(4, 4, 3, padding="same"))
    wider = Residual(Conv2d(4, 6, 3, 2, 1), ReLU(), shortcut=Conv2d(4, 6, 1, 2, bias=False))
    branches = Concat(Conv2d(6, 2, 1), Sequential(Conv2d(6, 3, 3, padding=1), ReLU()), MaxPool2d(3, 1, 1))
    return Sequential(Conv2d(2, 4, 3, padding=1), block, ReLU(), wider, branches, Flatten(), Linear(11 * 9, 3))


def test_gradients_of_a_net_of_images(random):
    check_gradients(image_net(), random.standard_normal((3, 2, 6, 5))).raise_if_wrong()


def test_a_training_step_is_all_of_it_by_hand(random):
    net, loss, labels = image_net(), SoftmaxCrossEntropy(), np.array([0, 2, 1, 1])
    x, other, sgd = random.standard_normal((4, 2, 6, 5)), net.copy(), SGD(lr=0.1)
    step = compile_step(net, loss, SGD(lr=0.1))
    for _ in range(3):
        value = step(x, labels)
        other.zero_grad()
        by_hand = loss.copy()
        assert by_hand.fprop(other.fprop(x), labels) == pytest.approx(value, rel=1e-4)
        other.bprop(by_hand.bprop())
        sgd.update(other)
    np.testing.assert_allclose(net.flat_parameters, other.flat_parameters, 1e-3, 1e-5)


def test_nobody_computes_a_grad_x_that_nobody_reads():
    net = Sequential(Residual(Linear(3, 3)), Concat(Linear(3, 2), Identity()))
    operations = Operations()
    y = operations.fprop(net, "x")
    operations.bprop(net, "grad_y")
    needed, unread = prune(operations.items, {y})
    names = [f"{type(o.module).__name__}.{o.method}" for o in needed if o.method == "bprop"]
    assert names == [
        "ConcatSlice.bprop",
        "ConcatSlice.bprop",
        "Linear.bprop",
        "Identity.bprop",
        "Sum.bprop",
        "Linear.bprop",
    ]
    assert unread == {net[0][0]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Sequential(Residual(Linear(3, 2))),
            "Residual(): the layers make (5, 2), the shortcut (5, 3), expected the same shape\nin model[0]",
        ),
        (
            lambda: Residual(Linear(3, 2), shortcut=Linear(4, 2)),
            "Linear(4 -> 2): x has shape (5, 3), expected (N, 4)\nin model.shortcut",
        ),
        (
            lambda: Sequential(Residual(Sequential(Linear(3, 2), Linear(3, 3)))),
            "Linear(3 -> 3): x has shape (5, 2), expected (N, 3)\nin model[0][0][1]",
        ),
        (
            lambda: Sequential(Concat(Linear(3, 2), Linear(4, 2))),
            "Linear(4 -> 2): x has shape (5, 3), expected (N, 4)\nin model[0][1]",
        ),
    ],
)
def test_wrong_shapes_name_the_place(make, message):
    for ask in (make().output_shape, lambda shape: make().fprop(np.zeros(shape))):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            ask((5, 3))


def test_branches_of_other_sizes_are_refused():
    net = Concat(Conv2d(2, 3, 3), Conv2d(2, 3, 1))
    message = "Concat(): branch 1 makes shape (5, 3, 4, 4), expected (5, any, 2, 2)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        net.output_shape((5, 2, 4, 4))


def test_only_modules_stand_in_them():
    with pytest.raises(ValueError, match=r"^Concat: got no branches, expected at least one module$"):
        Concat()
    with pytest.raises(TypeError, match=r"^Concat: element 1 is 3, expected a Module$"):
        Concat(ReLU(), 3)
    with pytest.raises(IndexError, match=r"^Concat: index 2 of 2 branches$"):
        Concat(ReLU(), ReLU())[2]


def test_costs_count_all_branches(random):
    recorded = record_shapes(image_net(), random.standard_normal((2, 2, 6, 5)))
    convolutions = {module.label(): shapes[1] for module, shapes in recorded.items() if isinstance(module, Conv2d)}
    assert convolutions["Conv2d(4 -> 6, kernel_size=1, stride=2, bias=False)"] == (2, 6, 3, 3)
    assert count_flops(ConvTranspose2d(3, 4, 5), (2, 3, 7, 7), (2, 4, 11, 11)) == (2 * 294 * 100, 4 * 294 * 100)


def test_the_repr_shows_the_branches():
    net = Residual(Linear(3, 2), shortcut=Linear(3, 2, bias=False))
    assert repr(net) == (
        "Residual(\n"
        "  (0): Linear(3 -> 2)  # 8 parameters\n"
        "  (shortcut): Linear(3 -> 2, bias=False)  # 6 parameters\n"
        ")  # 14 parameters"
    )
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "shortcut.weight"]
    assert len(net) == len(list(net)) == 1
    assert len(Concat(ReLU(), ReLU())) == 2


class Inside(Module):
    """A user's module whose methods call containers of parallel branches."""

    def __init__(self):
        super().__init__()
        self.branches_inside = Concat(Linear(3, 2), Residual(Linear(3, 4), shortcut=Linear(3, 4)))

    def fprop(self, x):
        return 2 * self.branches_inside.fprop(x)

    def bprop(self, grad_y):
        return self.branches_inside.bprop(2 * grad_y)


@pytest.mark.slow
def test_a_module_of_ones_own_may_call_them(random):
    module, x = Inside(), random.standard_normal((4, 3))
    np.testing.assert_allclose(module.fprop(x), 2 * module.branches_inside.copy().fprop(x), 1e-6)
    check_gradients(module, x).raise_if_wrong()


def test_a_check_of_a_config_tries_the_layers_and_not_the_joints(tmp_path):
    path = tmp_path / "branches.yaml"
    path.write_text(
        "dataset: Iris\nmodel:\n  - Residual: [Linear: {in_features: 4, out_features: 4}]\n"
        "  - Concat: [Identity, Linear: {in_features: 4, out_features: 3}]\n"
        "  - Linear: {in_features: 7, out_features: 3}\n"
        "loss: SoftmaxCrossEntropy\noptimizer: {SGD: {lr: 0.1}}\n",
        encoding="utf-8",
    )
    report = check_config(load_config(path))
    assert report.ok, str(report)
    assert {"model[0][0]", "model[1]", "model[1][1]", "the whole net"} <= set(report.reports)
    assert not any("_" in place for place in report.reports)
