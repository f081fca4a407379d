"""Losses without reduction: a value for each element or sample, and the gradient of a function of them."""

import numpy as np
import pytest
from bprop.modules import (
    CTC,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    GaussianNLL,
    Linear,
    Loss,
    LossPart,
    MeanSquaredError,
    MultiLoss,
    MultivariateGaussianNLL,
    NegativeLogLikelihood,
    Reinforce,
    Sequential,
    SoftmaxCrossEntropy,
    check_gradients,
    check_module,
)
from bprop.modules.derivatives import hvp
from bprop.trainers import SGD, Trainer, compile_step

from ..cases import LOSSES

WITH_VALUES = [case for case in LOSSES if case.make().has_values]
cases = pytest.mark.parametrize("case", WITH_VALUES, ids=lambda case: case.name)


def without_reduction(loss):
    """A copy of a loss that gives values."""
    loss = loss.copy()
    loss.averages, loss.each = False, "each"
    vars(loss)["takes_gradient"] = True
    return loss


@cases
def test_values_add_up_to_the_sum(random, case):
    loss, (y, target) = case.make().to("float64"), case.arguments()
    each = without_reduction(loss)
    loss.averages = False
    values = each.fprop(y, target)
    assert values.shape[0] == len(y)
    total = loss.fprop(y, target)
    np.testing.assert_allclose(values.sum(), total, rtol=1e-12)
    np.testing.assert_allclose(each.bprop(np.ones_like(values)), loss.bprop(), rtol=1e-12, atol=1e-12)
    if loss.takes_sample_weight:
        weights = random.uniform(0.5, 2, len(y))
        weights[0] = 0
        weighted = each.fprop(y, target, weights)
        parts = weights.reshape((-1, *[1] * (values.ndim - 1)))
        np.testing.assert_allclose(weighted, parts * values, rtol=1e-12, atol=1e-15)
        loss.fprop(y, target, weights)
        np.testing.assert_allclose(each.bprop(np.ones_like(values)), loss.bprop(), rtol=1e-12, atol=1e-12)


@cases
def test_gradients_of_the_values(case):
    loss, (y, target) = without_reduction(case.make()), case.arguments()
    check_gradients(loss, y, target).raise_if_wrong()


def test_the_contract_of_values(random):
    y, labels = random.standard_normal((5, 3)), random.integers(0, 3, 5)
    for loss, target in (
        (MeanSquaredError("none"), random.standard_normal((5, 3))),
        (SoftmaxCrossEntropy([1, 2, 0.5], reduction="none"), labels),
        (MultivariateGaussianNLL(1, 2, reduction="none"), random.standard_normal((5, 1))),
    ):
        check_module(loss, y, target).raise_if_wrong()


MAKE = {
    "MSELoss": lambda: MeanSquaredError("none"),
    "BCEWithLogitsLoss": lambda: BinaryCrossEntropyWithLogits([2, 0.5, 1], "none", [1, 3, 0.5]),
    "BCELoss": lambda: BinaryCrossEntropy("none", [1, 3, 0.5]),
    "CrossEntropyLoss": lambda: SoftmaxCrossEntropy([0.5, 2, 1.25], 0.1, reduction="none"),
    "NLLLoss": lambda: NegativeLogLikelihood([0.5, 2, 1.25], -100, "none"),
    "GaussianNLLLoss": lambda: GaussianNLL(0.5, reduction="none"),
}


@pytest.mark.parametrize("name", MAKE)
def test_values_like_pytorch(random, name):
    torch = pytest.importorskip("torch")
    nn, three = torch.nn, torch.tensor([1, 3, 0.5], dtype=torch.float64)
    classes = torch.tensor([0.5, 2, 1.25], dtype=torch.float64)
    theirs = {
        "MSELoss": lambda y, t: nn.MSELoss(reduction="none")(y, t),
        "BCEWithLogitsLoss": nn.BCEWithLogitsLoss(
            three, reduction="none", pos_weight=torch.tensor([2, 0.5, 1], dtype=torch.float64)
        ),
        "BCELoss": nn.BCELoss(three, reduction="none"),
        "CrossEntropyLoss": nn.CrossEntropyLoss(classes, label_smoothing=0.1, reduction="none"),
        "NLLLoss": nn.NLLLoss(classes, reduction="none"),
        "GaussianNLLLoss": lambda y, t: nn.GaussianNLLLoss(full=True, reduction="none")(y, t, torch.full_like(y, 0.5)),
    }[name]
    y, target = random.standard_normal((5, 3)), random.integers(0, 2, (5, 3)).astype(float)
    if name == "BCELoss":
        y = 1 / (1 + np.exp(-y))
    if name in ("CrossEntropyLoss", "NLLLoss"):
        target = np.array([0, 2, 1, 2, -100 if name == "NLLLoss" else 0])
    loss, y_there = MAKE[name]().to("float64"), torch.tensor(y, requires_grad=True)
    expected = theirs(y_there, torch.tensor(target))
    values = loss.fprop(y, target)
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    grad = random.standard_normal(values.shape)
    expected.backward(torch.tensor(grad))
    np.testing.assert_allclose(loss.bprop(grad), y_there.grad.numpy(), rtol=1e-11, atol=1e-12)


def test_values_of_a_class_axis_like_pytorch(random):
    torch = pytest.importorskip("torch")
    y, labels = random.standard_normal((2, 3, 4, 5)), random.integers(0, 3, (2, 4, 5))
    shares = random.dirichlet(np.ones(3), (2, 4, 5)).transpose((0, 3, 1, 2))
    loss = SoftmaxCrossEntropy(class_axis=1, reduction="none").to("float64")
    for target in (labels, shares):
        y_there = torch.tensor(y, requires_grad=True)
        expected = torch.nn.CrossEntropyLoss(reduction="none")(y_there, torch.tensor(target))
        values = loss.fprop(y, target)
        np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-12)
        grad = random.standard_normal(values.shape)
        expected.backward(torch.tensor(grad))
        np.testing.assert_allclose(loss.bprop(grad), y_there.grad.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.compiled
def test_a_mean_of_ones_own(random):
    """The mean of the half with the smallest losses, by values and their gradient."""
    y, target = random.standard_normal((8, 3)), random.integers(0, 3, 8)
    loss = SoftmaxCrossEntropy(reduction="none")
    values = loss(y, target)
    kept = values <= np.median(values)
    grad_y = loss.bprop(kept / kept.sum())
    assert values.shape == (8,)
    assert (grad_y[~kept] == 0).all()
    assert (np.abs(grad_y[kept]).sum(axis=1) > 0).all()
    assert repr(loss) == "SoftmaxCrossEntropy(reduction='none')"


@pytest.mark.parametrize("weight", [2.0, [0.5, 1, 0], None])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_element_weights_like_pytorch(random, weight, reduction):
    torch = pytest.importorskip("torch")
    y, target = random.standard_normal((5, 2, 3)), random.random((5, 2, 3))
    factor = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    for loss, other, x in (
        (BinaryCrossEntropyWithLogits(None, reduction, weight), torch.nn.BCEWithLogitsLoss, y),
        (BinaryCrossEntropy(reduction, weight), torch.nn.BCELoss, 1 / (1 + np.exp(-y))),
    ):
        x_there = torch.tensor(x, requires_grad=True)
        expected = other(factor, reduction=reduction)(x_there, torch.tensor(target))
        expected.backward()
        assert loss.to("float64").fprop(x, target) == pytest.approx(expected.item(), rel=1e-12)
        np.testing.assert_allclose(loss.bprop(), x_there.grad.numpy(), rtol=1e-11, atol=1e-13)
        check_module(loss, x, target).raise_if_wrong()


def test_training_without_reduction_is_refused():
    x, y = np.ones((4, 2)), np.ones((4, 1))
    message = r"MeanSquaredError\(reduction='none'\)"
    message += " gives many values, as its reduction is 'none', expected 'mean' or 'sum'$"
    loss = MeanSquaredError("none")
    with pytest.raises(ValueError, match="^" + message):
        compile_step(Linear(2, 1), loss, SGD(lr=0.1))(x, y)
    with pytest.raises(ValueError, match="^" + message):
        Trainer(Linear(2, 1), loss, SGD(lr=0.1), quiet=True).fit((x, y), epochs=1, batch_size=4)
    with pytest.raises(ValueError, match="^" + message):
        hvp(Sequential(Linear(2, 1)), loss, x, y, np.ones(3))
    for make in (lambda: LossPart(loss, 0, 0), lambda: Reinforce(loss), lambda: MultiLoss([loss])):
        with pytest.raises(ValueError, match=r"^\w+: the loss " + message):
            make()


def test_what_is_wrong_is_said():
    loss = MeanSquaredError("none")
    loss.fprop(np.ones((2, 1)), np.ones((2, 1)))
    with pytest.raises(TypeError, match=r"^MeanSquaredError\(reduction='none'\): bprop got nothing, expected the grad"):
        loss.bprop()
    loss.fprop(np.ones((2, 1)), np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"grad_y has shape \(2,\), expected \(2, 1\)$"):
        loss.bprop(np.ones(2))

    class Custom(Loss):
        pass

    with pytest.raises(ValueError, match=r"^Custom: reduction is 'none', expected 'mean' or 'sum'$"):
        Custom("none")
    with pytest.raises(ValueError, match=r"BinaryCrossEntropy\(weight=\[1, 2\]\): y has 3 columns, weight 2$"):
        BinaryCrossEntropy(weight=[1, 2]).fprop(np.full((2, 3), 0.5), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^BinaryCrossEntropyWithLogits: weight is \[-1\], expected a list of n"):
        BinaryCrossEntropyWithLogits(weight=-1)


@pytest.mark.compiled
def test_values_of_ctc_like_pytorch(random):
    torch = pytest.importorskip("torch")
    y, target = random.standard_normal((4, 6, 3)), np.array([[1, 2, 1], [2, -1, -1], [1, 1, -1], [2, 1, -1]])
    loss, y_there = CTC(reduction="none").to("float64"), torch.tensor(y, requires_grad=True)
    counts = torch.tensor((target >= 0).sum(axis=1))
    log_p, labels = y_there.log_softmax(-1).transpose(0, 1), torch.tensor(target.clip(0))
    expected = torch.nn.CTCLoss(reduction="none")(log_p, labels, torch.full((4,), 6), counts)
    values = loss.fprop(y, target)
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-10)
    grad = random.standard_normal(4)
    expected.backward(torch.tensor(grad))
    np.testing.assert_allclose(loss.bprop(grad), y_there.grad.numpy(), rtol=1e-9, atol=1e-12)
