"""Large, infinite and missing numbers: what is finite stays finite, and what is not is never hidden."""

import numpy as np
import pytest
from bprop.modules import LogSoftmax, MeanSquaredError, ReLU, Sigmoid, Softmax, SoftmaxCrossEntropy, Tanh

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")  # as plain Python, NumPy warns
HUGE = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("unit", [ReLU, Tanh, Sigmoid, Softmax, LogSoftmax])
def test_huge_inputs_give_finite_numbers(unit, dtype):
    module = unit().to(dtype)
    assert np.isfinite(module.fprop(HUGE)).all()
    assert np.isfinite(module.bprop(np.ones((2, 3)))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_huge_inputs(dtype):
    np.testing.assert_allclose(Softmax().to(dtype).fprop(HUGE), [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
    log = LogSoftmax().to(dtype).fprop(HUGE)
    np.testing.assert_allclose(log[0], [0, -2e4, -1e4])
    np.testing.assert_allclose(log[1], np.full(3, -np.log(3)), atol=1e-3 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("unit", [ReLU, Tanh, Sigmoid, Softmax, LogSoftmax])
def test_nan_stays_nan(unit):
    x = np.array([[np.nan, 1.0], [0.5, 1.0]])
    y = unit().fprop(x)
    assert np.isnan(y[0, 0])
    assert np.isfinite(y[1]).all(), "NaN spreads to other samples"


@pytest.mark.parametrize("unit", [Softmax, LogSoftmax])
def test_nan_anywhere_in_a_row_makes_the_row_nan(unit):
    for row in ([np.nan, 1, 2], [1, np.nan, 2], [1, 2, np.nan]):
        assert np.isnan(unit().fprop([row])).all()


def test_relu_at_and_around_zero():
    relu = ReLU()
    np.testing.assert_array_equal(relu.fprop([[-1.0, -0.0, 0.0, 2.0, np.inf]]), [[0, 0, 0, 2, np.inf]])
    np.testing.assert_array_equal(relu.bprop(np.ones((1, 5))), [[0, 0, 0, 1, 1]])


def test_relu_of_minus_infinity_is_zero():
    np.testing.assert_array_equal(ReLU().fprop([[-np.inf]]), [[0]])


def test_saturated_units():
    x = np.array([[-np.inf, np.inf]])
    np.testing.assert_array_equal(Sigmoid().fprop(x), [[0, 1]])
    np.testing.assert_array_equal(Tanh().fprop(x), [[-1, 1]])


def test_masked_scores_get_no_probability():
    x = np.array([[0.5, -np.inf, 0.5]])
    softmax = Softmax()
    np.testing.assert_allclose(softmax.fprop(x), [[0.5, 0, 0.5]])
    assert np.isfinite(softmax.bprop(np.array([[1.0, 2.0, 3.0]]))).all()
    np.testing.assert_allclose(LogSoftmax().fprop(x), [[-np.log(2), -np.inf, -np.log(2)]], rtol=1e-6)
    loss = SoftmaxCrossEntropy()
    assert loss.fprop(x, [2]) == pytest.approx(np.log(2))
    np.testing.assert_allclose(loss.bprop(), [[0.5, 0, -0.5]], rtol=1e-6)


def test_masked_scores_against_a_distribution_that_leaves_them_out():
    loss = SoftmaxCrossEntropy()
    assert loss.fprop([[0.5, -np.inf, 0.5]], [[0.5, 0.0, 0.5]]) == pytest.approx(np.log(2))
    np.testing.assert_allclose(loss.bprop(), [[0, 0, 0]], atol=1e-7)


def test_a_label_of_no_probability_costs_infinitely_much():
    assert SoftmaxCrossEntropy().fprop([[0.5, -np.inf]], [1]) == np.inf


def test_losses_of_huge_scores():
    loss = SoftmaxCrossEntropy()
    assert loss.fprop(HUGE[:1], [1]) == pytest.approx(2e4)
    np.testing.assert_allclose(loss.bprop(), [[1, -1, 0]])
    assert loss.fprop(HUGE[:1], [0]) == 0


def test_losses_do_not_hide_nan():
    assert np.isnan(SoftmaxCrossEntropy().fprop([[np.nan, 1.0]], [1]))
    assert np.isnan(MeanSquaredError().fprop([[np.nan, 1.0]], [[0.0, 1.0]]))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_refused(label):
    loss = SoftmaxCrossEntropy()
    with pytest.raises(ValueError, match=r"label .*outside 0\.\.K-1"):
        loss.fprop(np.zeros((2, 3)), [0, label])
    message = rf"^SoftmaxCrossEntropy\(\): label {label} in row 1, expected 0\.\.2$"
    with pytest.raises(ValueError, match=message):
        loss.check_targets(np.array([0, label]), (2, 3))
    loss.check_targets(np.array([0, 2]), (2, 3))
    loss.check_targets(np.zeros((2, 3)), (2, 3))


def test_a_net_with_the_wrong_number_of_outputs_is_refused():
    message = r"^SoftmaxCrossEntropy\(\): the model has 10 outputs, the data 3 classes$"
    with pytest.raises(ValueError, match=message):
        SoftmaxCrossEntropy().check_shapes((2, 10), (2,), classes=3)
