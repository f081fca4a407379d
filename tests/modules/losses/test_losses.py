"""What losses have beside values and gradients: weights of samples, means over nothing, what is refused."""

import re

import numpy as np
import pytest
from bprop.modules import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    CosineEmbedding,
    ElementwiseLoss,
    Focal,
    GaussianNLL,
    Hinge,
    HingeEmbedding,
    Huber,
    KLDivergence,
    LearntPrecision,
    Loss,
    MarginRanking,
    MeanSquaredError,
    MixtureDensity,
    MultiMargin,
    MultivariateGaussianNLL,
    NegativeLogLikelihood,
    Perceptron,
    PoissonNLL,
    SampleLoss,
    SmoothL1,
    SoftMargin,
    SoftmaxCrossEntropy,
    SquaredHinge,
    Triplet,
    check_gradients,
)
from bprop.trainers.configs import ConfigError, parse_config

from ..cases import LOSSES

weighted = pytest.mark.parametrize(
    "case", [case for case in LOSSES if case.make().takes_sample_weight], ids=lambda case: case.name
)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def share(loss, target):
    """What each sample's own mean is divided by, and so counts in the weighted mean."""
    if not loss.averages:
        return np.ones(len(target))
    counts = np.ones(target.shape)
    if isinstance(loss, SoftmaxCrossEntropy | NegativeLogLikelihood) and target.dtype.kind == "i":
        v = np.ones(99) if loss.class_weights is None else loss.class_weights
        counts = np.where(target == -100, 0, v[np.maximum(target, 0)])
    return counts.reshape(len(target), -1).mean(axis=1)


@weighted
def test_a_weighted_loss_is_the_weighted_mean_of_the_samples(case, random):
    loss, (y, target) = case.make().to("float64"), case.arguments()
    w = random.random(len(y)) + 0.1
    parts, gradients = [], []
    for n in range(len(y)):
        parts.append(loss.fprop(y[n : n + 1], target[n : n + 1]))
        gradients.append(loss.bprop()[0])
    s = w * share(loss, target)
    s = s / s.sum() if loss.averages else w
    value = loss.fprop(y, target, w)
    close(value, s @ np.array(parts))
    close(loss.bprop(), s.reshape(-1, *[1] * (y.ndim - 1)) * np.array(gradients))


@weighted
def test_equal_weights_change_nothing(case):
    loss, (y, target) = case.make().to("float64"), case.arguments()
    value = loss(y, target)
    grad_y = loss.bprop()
    for weight in (1.0,) if not loss.averages else (1.0, 7.0):
        close(loss(y, target, np.full(len(y), weight)), value)
        close(loss.bprop(), grad_y)


@weighted
def test_a_sample_of_weight_zero_is_not_looked_at(case):
    loss, (y, target) = case.make().to("float64"), case.arguments()
    w = np.ones(len(y))
    w[0] = 0
    value = loss(y, target, w)
    grad_y = loss.bprop()
    y[0] = np.nan
    close(loss(y, target, w), value)
    close(loss.bprop(), grad_y)
    assert not grad_y[0].any()


@weighted
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mean_over_nothing_is_zero(case, dtype):
    loss, (y, target) = case.make().to(dtype), case.arguments()
    assert loss(y, target, np.zeros(len(y))) == 0
    grad_y = loss.bprop()
    assert grad_y.dtype == dtype
    assert not grad_y.any()


def test_all_samples_ignored():
    for loss in (
        SoftmaxCrossEntropy(ignore_index=7),
        NegativeLogLikelihood(ignore_index=7),
        MultiMargin(ignore_index=7),
    ):
        assert loss.fprop(np.ones((2, 3)), [7, 7]) == 0
        assert not loss.bprop().any()


def test_weights_are_checked():
    loss = MeanSquaredError()
    message = "MeanSquaredError(): sample_weight has shape (3,), expected (2,)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        loss.fprop(np.ones((2, 1)), np.ones((2, 1)), np.ones(3))

    class Plain(Loss):
        def fprop(self, y, target):
            self.y = y
            return y.sum() - target.sum()

        def bprop(self):
            return np.ones_like(self.y)

    with pytest.raises(ValueError, match=r"^Plain\(\): takes no sample_weight$"):
        Plain()(np.ones((2, 1)), np.ones((2, 1)), np.ones(2))
    assert Plain()(np.ones((2, 1)), np.zeros((2, 1))) == 2


# -- a loss of one's own -----------------------------------------------------------------------------------------


class Quartic(ElementwiseLoss):
    """l = (y - t)⁴, grad_y = 4 (y - t)³"""

    def function(self, y, target):
        return (y - target) ** 4

    def derivative(self, y, target):
        return 4 * (y - target) ** 3


class Distance(SampleLoss):
    """l = |y - t|², grad_y = 2 (y - t)"""

    def of_sample(self, y, target, grad_y):
        total = y.dtype.type(0)
        for i in range(y.size):
            grad_y[i] = 2 * (y[i] - target[i])
            total += (y[i] - target[i]) ** 2
        return total


@pytest.mark.parametrize("make", [Quartic, Distance])
def test_a_loss_of_ones_own_is_two_methods_or_one(make, random):
    y, target = random.standard_normal((2, 4, 3))
    check_gradients(make(), y, target).raise_if_wrong()
    w = np.array([1.0, 2, 0, 1])
    expected = {"Quartic": ((y - target) ** 4).mean(axis=1), "Distance": ((y - target) ** 2).sum(axis=1)}[make.__name__]
    assert make()(y, target, w) == pytest.approx(w @ expected / 4, rel=1e-5)


def test_what_a_base_misses_is_named():
    class Empty(ElementwiseLoss):
        pass

    class Nothing(SampleLoss):
        pass

    y = np.ones((2, 2))
    with pytest.raises(NotImplementedError, match=r"^Empty has no function: write `def function\(self, y, target\)`"):
        Empty().fprop(y, y)
    with pytest.raises(NotImplementedError, match=r"^Nothing has no of_sample: write `def of_sample"):
        Nothing().fprop(y, y)


# -- what is refused ---------------------------------------------------------------------------------------------

SETTINGS = [
    (lambda: MeanSquaredError("average"), "MeanSquaredError: reduction is 'average', expected 'mean', 'sum' or 'none'"),
    (lambda: SmoothL1(-1), "SmoothL1: beta is -1, expected a number of at least 0"),
    (lambda: Huber(0), "Huber: delta is 0, expected a number above 0"),
    (lambda: Hinge(np.nan), "Hinge: margin is nan, expected a number of at least 0"),
    (lambda: SquaredHinge(-1), "SquaredHinge: margin is -1, expected a number of at least 0"),
    (lambda: HingeEmbedding(-1), "HingeEmbedding: margin is -1, expected a number of at least 0"),
    (lambda: MultiMargin(3), "MultiMargin: p is 3, expected 1 or 2"),
    (lambda: MultiMargin(margin=-1), "MultiMargin: margin is -1, expected a number of at least 0"),
    (lambda: MarginRanking(-1), "MarginRanking: margin is -1, expected a number of at least 0"),
    (lambda: CosineEmbedding(2), "CosineEmbedding: margin is 2, expected -1 to 1"),
    (lambda: Triplet(-1), "Triplet: margin is -1, expected a number of at least 0"),
    (lambda: Triplet(p=0.5), "Triplet: p is 0.5, expected a number of at least 1"),
    (lambda: Triplet(eps=-1), "Triplet: eps is -1, expected a number of at least 0"),
    (lambda: Focal(-1), "Focal: gamma is -1, expected a number of at least 0"),
    (lambda: Focal(alpha=2), "Focal: alpha is 2, expected 0 to 1 or None"),
    (lambda: PoissonNLL(eps=-1), "PoissonNLL: eps is -1, expected a number of at least 0"),
    (lambda: GaussianNLL(0), "GaussianNLL: variance is 0, expected a number above 0"),
    (
        lambda: GaussianNLL(parametrization="sigma"),
        "GaussianNLL: parametrization is 'sigma', expected 'precision', 'variance' or 'std'",
    ),
    (
        lambda: GaussianNLL(0.5, parametrization="std"),
        "GaussianNLL: got variance=0.5 and parametrization, expected one of them",
    ),
    (lambda: MultivariateGaussianNLL(0), "MultivariateGaussianNLL: dims is 0, expected at least 1"),
    (lambda: MultivariateGaussianNLL(2, 0), "MultivariateGaussianNLL: columns is 0, expected at least 1"),
    (
        lambda: MultivariateGaussianNLL(2, eps=-1),
        "MultivariateGaussianNLL: eps is -1, expected a number of at least 0",
    ),
    (lambda: LearntPrecision(0), "LearntPrecision: features is 0, expected at least 1"),
    (lambda: LearntPrecision(1, -1), "LearntPrecision: precision is -1, expected a number above 0"),
    (lambda: MixtureDensity(0), "MixtureDensity: components is 0, expected at least 1"),
    (lambda: MixtureDensity(1, 0), "MixtureDensity: dims is 0, expected at least 1"),
    (lambda: SoftmaxCrossEntropy(label_smoothing=2), "SoftmaxCrossEntropy: label_smoothing is 2, expected 0 to 1"),
    (
        lambda: NegativeLogLikelihood([1, -1]),
        "NegativeLogLikelihood: class_weights is [1, -1], expected a list of numbers of at least 0",
    ),
    (
        lambda: BinaryCrossEntropyWithLogits(-1.0),
        "BinaryCrossEntropyWithLogits: pos_weight is [-1.0], expected a list of numbers of at least 0",
    ),
]


@pytest.mark.parametrize(("make", "message"), SETTINGS, ids=[message for _, message in SETTINGS])
def test_settings_are_checked(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


def test_half_is_yes_or_no():
    with pytest.raises(TypeError, match=r"^MeanSquaredError: half is 0.5, expected true or false$"):
        MeanSquaredError(half=0.5)


def test_class_weights_are_one_for_each_score():
    message = "SoftmaxCrossEntropy(class_weights=[1, 2]): y has 3 scores, class_weights 2"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SoftmaxCrossEntropy([1, 2]).fprop(np.ones((2, 3)), [0, 1])


TARGETS = [
    (Hinge(), "Hinge(): target 0 in row 1, expected -1 or 1"),
    (Perceptron(), "Perceptron(): target 0 in row 1, expected -1 or 1"),
    (SoftMargin(), "SoftMargin(): target 0 in row 1, expected -1 or 1"),
    (MarginRanking(), "MarginRanking(): target 0 in row 1, expected -1 or 1"),
]


@pytest.mark.parametrize(("loss", "message"), TARGETS, ids=[message for _, message in TARGETS])
def test_targets_of_signs_are_checked(loss, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        loss.check_targets(np.array([1.0, 0.0]), (2, 2))
    loss.check_targets(np.array([1.0, -1.0]), (2, 2))


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), BinaryCrossEntropyWithLogits(), KLDivergence()])
def test_targets_that_are_probabilities_are_checked(loss):
    with pytest.raises(ValueError, match=r"target 1.5 in row 0, expected 0 to 1$"):
        loss.check_targets(np.array([[0.5, 1.5]]), (1, 2))
    loss.check_targets(np.array([[0.0, 1.0]]), (1, 2))


def test_other_targets_are_checked():
    with pytest.raises(ValueError, match=r"^Focal\(\): target 0.5 in row 0, expected 0 or 1$"):
        Focal().check_targets(np.array([0.5]), (1,))
    with pytest.raises(ValueError, match=r"^PoissonNLL\(\): target -1 in row 0, expected a count of at least 0$"):
        PoissonNLL().check_targets(np.array([-1]), (1,))
    with pytest.raises(ValueError, match=r"^NegativeLogLikelihood\(\): label 3 in row 1, expected 0..2$"):
        NegativeLogLikelihood().check_targets(np.array([0, 3]), (2, 3))
    NegativeLogLikelihood(ignore_index=-1).check_targets(np.array([0, -1]), (2, 3))
    KLDivergence(log_target=True).check_targets(np.array([[-2.0]]), (1, 1))


@pytest.mark.parametrize("loss", [NegativeLogLikelihood(), MultiMargin()])
def test_labels_outside_are_refused_while_running(loss):
    for label in (-1, 3):
        with pytest.raises(ValueError, match=r"a label lies outside 0\.\.K-1"):
            loss.fprop(np.zeros((2, 3)), [0, label])


def test_options_come_from_yaml():
    text = """\
dataset: Digits
model:
  - Flatten
  - Linear: {in_features: 64, out_features: 10}
loss:
  SoftmaxCrossEntropy:
    class_weights: [1, 2, 1, 1, 1, 1, 1, 1, 1, 0.5]
    label_smoothing: 0.1
    ignore_index: 3
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1}
"""
    loss = parse_config(text).build().loss
    assert repr(loss).startswith(
        "SoftmaxCrossEntropy(class_weights=[1, 2, 1, 1, 1, 1, 1, 1, 1, 0.5], label_smoothing=0.1"
    )
    text = text.replace("[1, 2, 1, 1, 1, 1, 1, 1, 1, 0.5]", "[1, 2]")
    with pytest.raises(ConfigError, match=r"c.yaml:6:3: loss.SoftmaxCrossEntropy: .*y has 10 scores, class_weights 2"):
        parse_config(text, source="c.yaml").build()
    text = text.replace("[1, 2]", "null")
    with pytest.raises(ConfigError, match=r"c.yaml:6:3: loss.SoftmaxCrossEntropy: .*many values, as its reduction is"):
        parse_config(text.replace("ignore_index: 3", "reduction: none"), source="c.yaml").build()
    with pytest.raises(ConfigError, match="reduction"):
        parse_config(text.replace("ignore_index: 3", "reduction: average")).build()


@pytest.mark.parametrize("case", [case for case in LOSSES if "-" not in case.name], ids=lambda case: case.name)
def test_outputs_of_one_axis_are_taken_or_refused_in_a_sentence(case):
    loss, y, target = case.make(), np.array([0.3, 0.6, 0.2]), np.array([1, 0, 1])
    if not isinstance(loss, ElementwiseLoss | BinaryCrossEntropyWithLogits) or "weights" in case.name:
        with pytest.raises(
            ValueError, match=r"^\w+\(.*\): y has (shape \(3,\).*expected .*\(N|1 columns, (pos_)?weight 3)"
        ):
            loss.fprop(y, target)
        return
    value = loss.fprop(y, target)
    grad = loss.bprop()
    column = case.make()
    assert value == pytest.approx(column.fprop(y[:, None], target[:, None]), rel=1e-6)
    np.testing.assert_allclose(grad, column.bprop()[:, 0], rtol=1e-6)


def test_binary_scores_of_one_axis():
    loss, y, target = (
        BinaryCrossEntropyWithLogits(pos_weight=3.0),
        np.array([0.3, -0.6, 0.2]),
        np.array([1.0, 0.0, 1.0]),
    )
    weight = np.array([1.0, 2.0, 0.0])
    column = loss.copy()
    assert loss.fprop(y, target, weight) == column.fprop(y[:, None], target[:, None], weight)
    np.testing.assert_array_equal(loss.bprop(), column.bprop()[:, 0])
    with pytest.raises(ValueError, match=r"y has 1 columns, pos_weight 3$"):
        BinaryCrossEntropyWithLogits([1.0, 2.0, 3.0]).fprop(y, target)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (KLDivergence(), r"^KLDivergence\(\): y has shape \(3,\), expected \(N, \.\.\.\) of at least two axes$"),
        (SoftmaxCrossEntropy(), r"^SoftmaxCrossEntropy\(\): y has shape \(3,\), expected scores \(N, \.\.\., K\)$"),
        (MultiMargin(), r"^MultiMargin\(\): y has shape \(3,\), expected scores \(N, \.\.\., K\)$"),
        (GaussianNLL(0.5), r"y has shape \(3,\) and target \(3,\), expected the same shape \(N, D\)$"),
    ],
)
def test_losses_of_rows_refuse_outputs_of_one_axis(loss, message):
    with pytest.raises(ValueError, match=message):
        loss.fprop(np.ones(3), np.ones(3, int))
