"""Vector layers where the table does not reach: zero and huge vectors, ties, centres from data, settings."""

import numpy as np
import pytest
from bprop.modules import (
    GLU,
    Add,
    Bilinear,
    CMul,
    Cosine,
    Euclidean,
    Linear,
    LinearWeightNorm,
    Maxout,
    MeanSquaredError,
    Mul,
    Normalize,
    RadialBasis,
    Sequential,
    Softmin,
    manual_seed,
)
from bprop.trainers import SGD, compile_step

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")  # as plain Python, NumPy warns
HUGE = np.array([[1e30, -1e30, 0.0], [1e-30, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
def test_lengths_of_huge_tiny_and_zero_vectors(p):
    module = Normalize(p)
    size = {1: 0.5, 2: np.sqrt(0.5), 3: 0.5 ** (1 / 3), np.inf: 1}[p]
    np.testing.assert_allclose(module.fprop(HUGE), [[size, -size, 0], [0, 0, 0], [0, 0, 0]], rtol=1e-6)
    grad_x = module.bprop(np.ones((3, 3)))
    assert np.isfinite(grad_x).all()
    np.testing.assert_array_equal(grad_x[1:], np.zeros((2, 3)))


def test_nan_and_infinity_are_not_hidden_by_normalising():
    y = Normalize().fprop([[np.nan, 1.0], [np.inf, 1.0], [3.0, 4.0]])
    assert np.isnan(y[:2, 0]).all()
    np.testing.assert_allclose(y[2], [0.6, 0.8], rtol=1e-6)


def test_cosines_of_zero_vectors_are_zero():
    module = Cosine(3, 2)
    module.weight = [[0, 0, 0], [1, 1, 0]]
    y = module.fprop(HUGE)
    np.testing.assert_allclose(y, [[0, 0], [0, 0], [0, 0]], atol=1e-6)
    assert np.isfinite(module.bprop(np.ones((3, 2)))).all()
    assert np.isfinite(module.grad_weight).all()
    np.testing.assert_array_equal(module.grad_weight[0], np.zeros(3))


def test_a_distance_of_zero_has_no_gradient():
    module = Euclidean(3, 2)
    y = module.fprop(module.weight[:1])
    assert y[0, 0] == 0
    np.testing.assert_array_equal(module.bprop([[1.0, 0.0]]), np.zeros((1, 3)))
    assert np.isfinite(module.grad_weight).all()


def test_a_weight_of_length_zero_stays_finite():
    module = LinearWeightNorm(3, 2)
    module.weight_v = np.zeros((2, 3))
    np.testing.assert_array_equal(module.fprop(np.ones((4, 3))), np.tile(module.bias, (4, 1)))
    assert np.isfinite(module.bprop(np.ones((4, 2)))).all()
    assert np.isfinite(module.flat_gradients).all()


def test_weight_norm_starts_as_linear():
    manual_seed(4)
    module, x = LinearWeightNorm(5, 4), np.random.default_rng(0).standard_normal((3, 5))
    manual_seed(4)
    np.testing.assert_allclose(module.fprop(x), Linear(5, 4).fprop(x), rtol=1e-5, atol=1e-6)


def test_maxout_of_ties_takes_the_first_and_nan_wins():
    module = Maxout(2, 1, 3)
    module.weight, module.bias = np.ones((3, 2)), np.zeros(3)
    assert module.fprop([[1.0, 2.0]]) == 3
    module.bprop([[1.0]])
    np.testing.assert_array_equal(module.grad_bias, [1, 0, 0])
    module.bias = [0, np.nan, 1]
    assert np.isnan(module.fprop([[1.0, 2.0]])).all()


def test_maxout_can_be_a_rectifier_and_an_absolute_value():
    module, x = Maxout(1, 2, 2), np.linspace(-2, 2, 9).reshape(-1, 1)
    module.weight, module.bias = [[1], [0], [1], [-1]], np.zeros(4)
    np.testing.assert_allclose(module.fprop(x), np.hstack([np.maximum(x, 0), np.abs(x)]))


def test_saturated_gates_and_far_scores():
    np.testing.assert_array_equal(GLU().fprop([[2.0, 3.0, 1e4, -1e4]]), [[2, 0]])
    softmin = Softmin()
    np.testing.assert_array_equal(softmin.fprop([[1e4, -1e4, 0.0]]), [[0, 1, 0]])
    assert np.isfinite(softmin.bprop(np.ones((1, 3)))).all()
    assert np.isnan(Softmin().fprop([[np.nan, 1.0]])).all()


# -- radial basis functions --------------------------------------------------------------------------------------


def test_centres_from_data():
    x = np.random.default_rng(1).standard_normal((50, 2)).astype(np.float32)
    x[1] = x[0]
    module = RadialBasis(2, 8).initialize_from(x)
    rows = {tuple(row) for row in x}
    assert len({tuple(center) for center in module.centers}) == 8
    assert all(tuple(center) in rows for center in module.centers)
    distances = np.linalg.norm(module.centers[:, None] - module.centers, axis=-1)
    nearest = np.sort(distances, axis=1)[:, 1:3]
    np.testing.assert_allclose(np.exp(module.log_width), np.sqrt((nearest**2).mean(axis=1)), rtol=1e-5)
    np.testing.assert_allclose(np.diag(module.fprop(module.centers)), np.ones(8))


def test_a_seed_decides_the_centres():
    x, centers = np.random.default_rng(1).standard_normal((50, 2)), []
    for _ in range(2):
        manual_seed(2)
        centers.append(RadialBasis(2, 8).initialize_from(x).flat_parameters.copy())
    np.testing.assert_array_equal(*centers)
    assert RadialBasis(2, 1).initialize_from(x).log_width == np.float32(np.log(2) / 2)


def test_data_that_have_too_few_rows_for_the_centres():
    module = RadialBasis(2, 3)
    message = r"^RadialBasis\(2 -> 3\): x has 2 different rows, expected at least 3$"
    with pytest.raises(ValueError, match=message):
        module.initialize_from([[0, 1], [0, 1], [1, 1]])
    with pytest.raises(ValueError, match=r"^RadialBasis\(2 -> 3\): x has shape \(3, 4\), expected \(N, 2\)$"):
        module.initialize_from(np.zeros((3, 4)))


def test_far_from_all_centres():
    module = RadialBasis(3, 2)
    np.testing.assert_array_equal(module.fprop(np.full((1, 3), 1e25)), [[0, 0]])
    np.testing.assert_array_equal(module.bprop(np.ones((1, 2))), np.zeros((1, 3)))
    assert np.isfinite(module.flat_gradients).all()


def test_radial_basis_functions_learn_a_bump():
    x = np.random.default_rng(1).uniform(-1, 1, (256, 2))
    target = np.exp(-4 * (x**2).sum(axis=1, keepdims=True))
    net = Sequential(RadialBasis(2, 10).initialize_from(x), Linear(10, 1))
    step = compile_step(net, MeanSquaredError(), SGD(lr=0.2, momentum=0.9))
    first = step(x, target)
    for _ in range(300):
        last = step(x, target)
    assert last < 2e-4 < first


# -- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Maxout(3, 2, 0), "^Maxout: pieces is 0, expected at least 1$"),
        (lambda: Bilinear(3, 0, 2), "^Bilinear: in2_features is 0, expected at least 1$"),
        (lambda: Cosine(0, 2), "^Cosine: in_features is 0, expected at least 1$"),
        (lambda: Euclidean(2, -1), "^Euclidean: out_features is -1, expected at least 1$"),
        (lambda: RadialBasis(0, 1), "^RadialBasis: in_features is 0, expected at least 1$"),
        (lambda: LinearWeightNorm(2, 0), "^LinearWeightNorm: out_features is 0, expected at least 1$"),
        (lambda: Normalize(0.5), "^Normalize: p is 0.5, expected at least 1$"),
        (lambda: Normalize(float("nan")), "^Normalize: p is nan, expected at least 1$"),
        (lambda: Add(0), "^Add: size is 0, expected sizes of at least 1$"),
        (lambda: CMul([]), r"^CMul: size is \[\], expected sizes of at least 1$"),
    ],
)
def test_wrong_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_are_shown():
    assert repr(Maxout(3, 2, 4)) == "Maxout(3 -> 2, pieces=4)"
    assert repr(Bilinear(3, 2, 4)) == "Bilinear(3 + 2 -> 4)"
    assert repr(LinearWeightNorm(3, 2, bias=False)) == "LinearWeightNorm(3 -> 2, bias=False)"
    assert (repr(Normalize()), repr(Add([2, 3])), repr(Mul())) == ("Normalize(p=2)", "Add((2, 3))", "Mul()")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Maxout(3, 3),
        lambda: Cosine(3, 3),
        lambda: LinearWeightNorm(3, 3),
        lambda: RadialBasis(3, 3),
        lambda: CMul(3),
        lambda: Mul(),
    ],
)
def test_gradients_of_a_step_are_those_of_one_minibatch(make):
    net = Sequential(Linear(3, 3), make())
    other, x, target = net.copy(), *np.random.default_rng(3).standard_normal((2, 4, 3))
    step = compile_step(net, MeanSquaredError(), SGD(lr=0.0))
    for _ in range(2):
        step(x, target)
    loss = MeanSquaredError()
    loss.fprop(other.fprop(x), target)
    other.bprop(loss.bprop())
    np.testing.assert_allclose(net.flat_gradients, other.flat_gradients, 1e-4, 1e-6)
