"""Labels of any dtype, the axis of the classes, and modules that take whole numbers in place of floats."""

import numpy as np
import pytest
from bprop.modules import (
    Conv2d,
    Flatten,
    Identity,
    JoinTable,
    Linear,
    Loss,
    LossPart,
    Module,
    MultiLoss,
    MultiMargin,
    NarrowTable,
    NegativeLogLikelihood,
    ParallelTable,
    Parameter,
    Sequential,
    SoftmaxCrossEntropy,
    check_gradients,
    check_module,
)
from bprop.trainers import SGD, compile_step

LOSSES = [SoftmaxCrossEntropy, NegativeLogLikelihood, MultiMargin]
RANDOM = np.random.default_rng(0)
Y = RANDOM.normal(size=(4, 3))
LABELS = np.array([0, 2, 1, 2])


class Lookup(Module):
    """Rows of a table, by whole numbers (N, T)."""

    label_arguments = (0,)

    def __init__(self, count, size):
        super().__init__()
        self.weight = Parameter(np.random.default_rng(1).normal(size=(count, size)))

    def fprop(self, x):
        self.x = x
        y = np.empty((*x.shape, self.weight.shape[1]), self.weight.dtype)
        for n in range(x.shape[0]):
            for t in range(x.shape[1]):
                y[n, t] = self.weight[x[n, t]]
        return y

    def bprop(self, grad_y):
        for n in range(self.x.shape[0]):
            for t in range(self.x.shape[1]):
                self.grad_weight[self.x[n, t]] += grad_y[n, t]
        return np.zeros(self.x.shape, grad_y.dtype)

    def output_shape(self, input_shape):
        return (*input_shape, self.weight.shape[1])


class Untold(Lookup):
    """The same, without a word that x is whole numbers."""

    label_arguments = ()


IDS = RANDOM.integers(0, 7, (5, 4))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "bool"])
def test_whole_numbers_of_any_dtype_are_labels(loss, dtype):
    labels = LABELS % 2 if dtype == "bool" else LABELS
    expected = loss().fprop(Y, labels)
    assert loss().fprop(Y, labels.astype(dtype)) == expected


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("wrong", [1.5, np.nan, np.inf])
def test_other_numbers_are_refused_with_row_and_value(loss, wrong):
    with pytest.raises(ValueError, match=rf"^{loss.__name__}\(\): label {wrong:g} in row 3, expected whole numbers$"):
        loss().fprop(Y, [0.0, 2.0, 1.0, wrong])


def test_parts_of_a_loss_refuse_labels_with_fractions():
    loss = MultiLoss([LossPart(SoftmaxCrossEntropy(), "0:3", 0)])
    target = np.array([[1], [2], [0], [0.5]])
    text = r"^LossPart\(.*\): label 0\.5 in row 3, expected whole numbers\nin model\.part0(\nin parts\[0\])?$"
    with pytest.raises(ValueError, match=text):
        loss.fprop(Y, target)
    with pytest.raises(ValueError, match=r"label 0\.5 in row 3, expected whole numbers$"):
        LossPart(SoftmaxCrossEntropy(), "0:3", 0).fprop(Y, target)
    loss.fprop(Y, np.floor(target))


def test_a_compiled_step_tells_labels_from_distributions():
    step = compile_step(Linear(3, 4), SoftmaxCrossEntropy(), SGD(lr=0.0))
    x, labels = RANDOM.normal(size=(4, 3)), np.array([0, 1, 3, 3])
    value = step(x, labels)
    assert step(x, labels.astype(np.float64)) == value
    assert step(x, np.eye(4)[labels]) == pytest.approx(value, rel=1e-6)
    with pytest.raises(ValueError, match=r"label 0\.5 in row 0, expected whole numbers$"):
        step(x, labels + 0.5)


def moved(loss, axis, y, target, weights):
    """Value and gradient of the same loss on an array whose classes were moved to the end by hand."""
    plain = loss(class_axis=-1, **weights).to("float64")
    distributions = target.ndim == y.ndim
    value = plain.fprop(np.moveaxis(y, axis, -1), np.moveaxis(target, axis, -1) if distributions else target)
    return value, np.moveaxis(plain.bprop(), -1, axis)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("axis", [1, 2, -2])
def test_the_classes_may_stand_along_any_axis(loss, axis):
    y = RANDOM.normal(size=(2, 3, 3, 4))
    labels = RANDOM.integers(0, 3, np.delete(y.shape, axis))
    labels[0, 1, 1] = -100
    settings = {"class_weights": [1.0, 2.0, 0.5], "ignore_index": -100}
    mine = loss(class_axis=axis, **settings).to("float64")
    value, grad_y = moved(loss, axis, y, labels, settings)
    assert mine.fprop(y, labels) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(mine.bprop(), grad_y, rtol=1e-12)


def test_distributions_may_stand_along_any_axis():
    y = RANDOM.normal(size=(2, 3, 4))
    target = RANDOM.dirichlet(np.ones(3), (2, 4)).transpose(0, 2, 1)
    mine = SoftmaxCrossEntropy(class_axis=1).to("float64")
    value, grad_y = moved(SoftmaxCrossEntropy, 1, y, target, {})
    assert mine.fprop(y, target) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(mine.bprop(), grad_y, rtol=1e-12)
    assert mine.distribution(y).probabilities.shape == (2, 4, 3)
    with pytest.raises(ValueError, match=r"add up to 1 along axis 1 and not along the last one, expected class_axis=1"):
        SoftmaxCrossEntropy().check_targets(target, y.shape)


def test_distributions_along_axis_1_are_not_taken_for_others():
    """A direct call and a compiled step refuse them as a Trainer does, once for each new shape."""
    y = RANDOM.normal(size=(2, 3, 4))
    target = RANDOM.dirichlet(np.ones(3), (2, 4)).transpose(0, 2, 1)
    refused = pytest.raises(ValueError, match=r"add up to 1 along axis 1 and not along the last one")
    with refused:
        SoftmaxCrossEntropy().fprop(y, target)
    with refused:
        compile_step(Identity(), SoftmaxCrossEntropy(), SGD(lr=0.0))(y, target)
    value = SoftmaxCrossEntropy(class_axis=1).fprop(y, target)
    assert compile_step(Identity(), SoftmaxCrossEntropy(class_axis=1), SGD(lr=0.0))(y, target) == pytest.approx(value)
    assert np.isfinite(SoftmaxCrossEntropy().fprop(y, RANDOM.dirichlet(np.ones(4), (2, 3))))


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(class_axis=1), MultiMargin(p=2, class_axis=1)])
def test_gradients_along_another_axis(loss):
    y, labels = RANDOM.normal(size=(2, 3, 5)), RANDOM.integers(0, 3, (2, 5))
    check_module(loss, y, labels).raise_if_wrong()


def test_shapes_that_fit_two_ways_are_refused():
    y, labels = np.zeros((4, 5, 5)), np.zeros((4, 5), int)
    message = (
        r"y has shape \(4, 5, 5\) and target \(4, 5\): axis 1 or the last one may hold the classes, "
        r"expected class_axis=1 \(as in PyTorch\) or class_axis=-1$"
    )
    with pytest.raises(ValueError, match=message):
        SoftmaxCrossEntropy().fprop(y, labels)
    assert SoftmaxCrossEntropy(class_axis=1).fprop(y, labels) == pytest.approx(np.log(5))
    with pytest.raises(ValueError, match=r"expected target \(4, 3\) .*; class_axis=1 takes axis 1 for that of the cl"):
        SoftmaxCrossEntropy().fprop(np.zeros((4, 3, 5)), np.zeros((4, 5), int))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_axis": 0}, r"class_axis is 0, the axis of the samples, expected another$"),
        ({"class_axis": 1.0}, r"class_axis is 1\.0, expected a whole number or None$"),
        ({"ignore_index": "x"}, r"ignore_index is 'x', expected a whole number or None$"),
    ],
)
def test_settings_of_label_losses(settings, message):
    with pytest.raises(ValueError, match=message):
        SoftmaxCrossEntropy(**settings)


def test_a_class_axis_that_y_lacks():
    with pytest.raises(ValueError, match=r"y has 3 axes, expected one more than class_axis at least$"):
        SoftmaxCrossEntropy(class_axis=3).fprop(np.zeros((2, 3, 4)), np.zeros((2, 3), int))


def test_a_convolution_learns_a_class_for_each_pixel():
    x = RANDOM.normal(size=(8, 2, 3, 3))
    labels = (x[:, 0] > x[:, 1]).astype(np.int64)
    step = compile_step(Conv2d(2, 2, 1), SoftmaxCrossEntropy(class_axis=1), SGD(lr=1.0))
    values = [step(x, labels) for _ in range(100)]
    assert values[-1] < 0.3 < values[0]


# -- modules that take whole numbers ---------------------------------------------------------------------------------


def test_a_net_whose_first_module_wants_whole_numbers_gets_them():
    net = Sequential(Sequential(Lookup(7, 3)), Flatten(), Linear(12, 2))
    assert net.label_arguments == (0,)
    y = net.fprop(IDS)
    assert np.array_equal(net.fprop(IDS.astype(np.float32)), y)
    assert np.array_equal(net.fprop(IDS.tolist()), y)
    assert "model[0][0]  Lookup()" in net.summary((5, 4))
    assert check_gradients(net, IDS).ok
    check_module(net, IDS).raise_if_wrong()
    with pytest.raises(ValueError, match=r"^Sequential\(\): x has 0\.5 in row 2, expected whole numbers$"):
        net.fprop(np.where(np.arange(5)[:, None] == 2, 0.5, IDS))
    net.append(Linear(2, 2))
    assert net.label_arguments == (0,)
    assert Sequential(Linear(2, 2), Lookup(7, 3)).label_arguments == ()


def test_the_arrays_of_a_table_are_told_apart():
    net = ParallelTable(Lookup(7, 3), Linear(2, 2))
    words, numbers = net.fprop((IDS, np.full((5, 2), 0.5)))
    assert words.shape == (5, 4, 3)
    assert numbers.dtype == np.float32
    parts = Sequential(NarrowTable([1, 3]), ParallelTable(Lookup(7, 2), Lookup(7, 2)), JoinTable(1))
    assert parts.label_arguments == (0,)
    assert parts.fprop(IDS).shape == (5, 4, 2)
    assert parts.bprop(np.ones((5, 4, 2))).dtype == np.float32


class UntoldLoss(Loss):
    """Looks up the score of a label without saying that labels are whole numbers."""

    def check_arguments(self, y_shape, target_shape):
        pass

    def fprop(self, y, target):
        return -y[0, target[0]]


def test_a_loss_that_does_not_say_so_is_told_what_the_target_is():
    message = (
        r"^UntoldLoss\(\): target is float(32|64) of shape \(4,\), and an index is no whole number; "
        r"label_arguments = \(1,\) in class UntoldLoss keeps target whole numbers"
    )
    with pytest.raises(IndexError, match=message):
        UntoldLoss()(Y, LABELS)


def test_who_does_not_say_so_is_told_what_x_is():
    message = (
        r"^Untold\(\): x is float32 of shape \([25], 4\), and an index is no whole number; "
        r"label_arguments = \(0,\) in class Untold keeps x whole numbers\nin model\[0\]"
    )
    with pytest.raises(IndexError, match=message):
        Sequential(Untold(7, 3), Linear(3, 2)).fprop(IDS)
