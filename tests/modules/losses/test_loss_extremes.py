"""Every loss at the ends of its domain: huge outputs, certain probabilities, missing classes, dead components."""

import numpy as np
import pytest
from bprop.modules import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    CosineEmbedding,
    Focal,
    GaussianNLL,
    LearntPrecision,
    Linear,
    MixtureDensity,
    NegativeLogLikelihood,
    PoissonNLL,
    Sequential,
    SoftmaxCrossEntropy,
    Triplet,
    check_gradients,
)
from bprop.trainers import SGD, Trainer

from ..cases import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")  # as plain Python, NumPy warns
RATES, PROBABILITIES = "PoissonNLL", "BinaryCrossEntropy"
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
every = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)


def of_classes(*names):
    chosen = [case for case in LOSSES if type(case.make()).__name__ in names]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


@dtypes
@every
def test_outputs_of_ten_thousand_give_finite_numbers(case, dtype):
    loss, (y, target) = case.make().to(dtype), case.arguments()
    if type(loss).__name__ in (RATES, PROBABILITIES):
        pytest.skip("has a table of its own")
    for huge in (1e4 * np.sign(y), np.full(y.shape, 1e4), np.full(y.shape, -1e4), np.zeros(y.shape)):
        assert np.isfinite(loss.fprop(huge, target))
        assert np.isfinite(loss.bprop()).all()


@every
def test_nan_is_not_hidden(case):
    loss, (y, target) = case.make(), case.arguments()
    if "MultiMargin" in case.name or "NegativeLogLikelihood" in case.name:
        y[...] = np.nan  # a row's NaN matters where it meets the label
    else:
        y[0] = np.nan
    assert np.isnan(loss.fprop(y, target))


@dtypes
def test_certain_probabilities(dtype):
    loss = BinaryCrossEntropy().to(dtype)
    assert loss.fprop([0.0, 1.0], [0.0, 1.0]) == 0
    np.testing.assert_array_equal(loss.bprop(), [0, 0])
    assert loss.fprop([0.0, 1.0], [1.0, 0.0]) == pytest.approx(100)  # PyTorch's least logarithm
    np.testing.assert_allclose(loss.bprop(), [-5e11, 5e11], rtol=1e-6)


@dtypes
def test_scores_that_are_certain(dtype):
    loss = BinaryCrossEntropyWithLogits().to(dtype)
    assert loss.fprop([[1e4, -1e4]], [[1.0, 0.0]]) == 0
    np.testing.assert_array_equal(loss.bprop(), [[0, 0]])
    assert loss.fprop([[1e4, -1e4]], [[0.0, 1.0]]) == pytest.approx(1e4)
    np.testing.assert_array_equal(loss.bprop(), [[0.5, -0.5]])
    focal = Focal().to(dtype)
    assert focal.fprop([[1e4, -1e4]], [[1.0, 0.0]]) == 0
    assert focal.fprop([[-1e4]], [[1.0]]) == pytest.approx(2500)


def test_expected_counts_at_the_ends():
    loss = PoissonNLL(full=False)
    assert loss.fprop([[-1e4]], [[0.0]]) == 0
    assert loss.fprop([[-1e4]], [[2.0]]) == pytest.approx(2e4)
    assert loss.fprop([[1e4]], [[0.0]]) == np.inf  # a count of exp(10000) is what it says
    rates = PoissonNLL(log_input=False, full=False)
    assert np.isfinite(rates.fprop([[0.0, 0.0, 1e4]], [[0.0, 3.0, 0.0]]))
    assert np.isfinite(rates.bprop()).all()


@of_classes("SoftmaxCrossEntropy", "NegativeLogLikelihood", "MultiMargin")
def test_a_class_may_be_missing_from_the_batch(case):
    loss, (y, target) = case.make(), case.arguments()
    if target.dtype.kind == "i":
        target[...] = 0
    else:
        target[..., 1:] = 0
    assert np.isfinite(loss.fprop(y, target))
    assert np.isfinite(loss.bprop()).all()


def test_class_weights_that_are_all_zero_for_the_batch():
    for loss in (SoftmaxCrossEntropy([0.0, 1.0]), NegativeLogLikelihood([0.0, 1.0])):
        assert loss.fprop(np.log([[0.5, 0.5]]), [0]) == 0
        assert not loss.bprop().any()


@dtypes
@pytest.mark.parametrize("raw", [-1e4, -100.0, -20.0, -15.0, 0.0, 20.0, 1e4])
def test_a_precision_that_vanishes_or_grows(raw, dtype):
    loss = GaussianNLL(full=False).to(dtype)
    p = np.logaddexp(0, raw)
    log_p = np.log(p) if p > 0 else raw
    for difference in (0.0, 1.0):
        value = loss.fprop([[difference, raw]], [[0.0]])
        assert value == pytest.approx((p * difference**2 - log_p) / 2, rel=1e-5)
        ratio = 1.0 if raw <= -20 else 1 / (1 + np.exp(-raw)) / p
        expected = [[p * difference, (p * difference**2 - 1) * ratio / 2]]
        np.testing.assert_allclose(loss.bprop(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("raw", [-30.0, -15.1, -14.9, 0.5])
def test_gradients_on_both_sides_of_where_the_formula_changes(raw, random):
    y = np.concatenate([random.standard_normal((4, 2)), raw + 0.01 * random.standard_normal((4, 2))], axis=1)
    check_gradients(GaussianNLL(), y, random.standard_normal((4, 2))).raise_if_wrong()


@dtypes
def test_a_dead_component_gets_no_gradient(dtype):
    loss = MixtureDensity(2).to(dtype)
    # scores, means, raw precisions: the second component has no weight, lies far away, and is very sharp
    for scores, means in (([0.0, -1e4], [0.1, 0.2]), ([0.0, 0.0], [0.1, 1e4])):
        value = loss.fprop([[*scores, *means, 1.0, 1e4]], [[0.0]])
        assert np.isfinite(value)
        grad_y = loss.bprop()[0]
        assert np.isfinite(grad_y).all()
        np.testing.assert_array_equal(grad_y[[3, 5]], [0, 0])
        assert grad_y[2] != 0


def test_all_components_dead():
    loss = MixtureDensity(2)
    value = loss.fprop([[0.0, 0.0, 1e4, -1e4, 1e4, 1e4]], [[0.0]])
    assert value == pytest.approx(5e11, rel=1e-4)
    assert np.isfinite(loss.bprop()).all()


def test_a_mixture_of_one_is_a_gaussian(random):
    y, target = random.standard_normal((5, 4)), random.standard_normal((5, 2))
    gaussian, mixture = GaussianNLL(), MixtureDensity(1, 2)
    with_score = np.concatenate([np.ones((5, 1)), y], axis=1)
    assert mixture.fprop(with_score, target) == pytest.approx(2 * gaussian.fprop(y, target), rel=1e-5)
    np.testing.assert_allclose(mixture.bprop()[:, 1:], 2 * gaussian.bprop(), rtol=1e-4, atol=1e-6)


def test_equal_and_zero_points():
    cosine = CosineEmbedding()
    assert cosine.fprop(np.zeros((1, 2, 3)), [1.0]) == 1
    assert np.isfinite(cosine.bprop()).all()
    triplet = Triplet(eps=0)
    assert triplet.fprop(np.ones((1, 3, 2)), [1.0]) == 1
    assert not triplet.bprop().any()


def test_a_learnt_variance_is_the_variance_of_the_rest(random):
    x = random.standard_normal((400, 1))
    t = 3 * x + 0.5 * random.standard_normal((400, 1))
    net = Sequential(Linear(1, 1), LearntPrecision(1))
    Trainer(net, GaussianNLL(), SGD(lr=0.2), quiet=True).fit((x, t), epochs=150, batch_size=50)
    std = GaussianNLL().distribution(net.fprop(x)).std
    assert np.ptp(std) == 0
    rest = (t - net.fprop(x)[:, :1]).std()
    assert std[0, 0] == pytest.approx(rest, rel=0.03)
