"""Vector layers where the table does not reach: zero and huge vectors, ties, centres from data, settings."""

import re

import numpy as np
import pytest
from bprop.modules import (
    GLU,
    Add,
    Bilinear,
    BinaryCrossEntropyWithLogits,
    CMul,
    Columns,
    Cosine,
    Euclidean,
    Linear,
    LinearWeightNorm,
    MaskedLinear,
    Maxout,
    MeanSquaredError,
    Mul,
    Normalize,
    RadialBasis,
    Sequential,
    SoftmaxCrossEntropy,
    Softmin,
    Step,
    Tanh,
    ZeroScore,
    manual_seed,
)
from bprop.trainers import SGD, Trainer, compile_step
from bprop.trainers.configs import ConfigError, parse_config

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


# -- scores, masks, columns ----------------------------------------------------------------------------------------


def test_two_classes_with_one_free_score_are_the_logistic_model(random):
    x, label = random.standard_normal((6, 3)), random.integers(0, 2, 6)
    net = Sequential(Linear(3, 1), ZeroScore()).to("float64")
    alone, softmax, logistic = net[0].copy(), SoftmaxCrossEntropy().to("float64"), BinaryCrossEntropyWithLogits()
    value = softmax.fprop(net.fprop(x), label)
    net.bprop(softmax.bprop())
    logistic.to("float64")
    expected = logistic.fprop(alone.fprop(x), 1.0 - label[:, None])  # class 0 has the free score
    alone.bprop(logistic.bprop())
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(net.flat_gradients, alone.flat_gradients, rtol=1e-12, atol=1e-15)


def test_a_free_score_fewer_loses_nothing(random):
    """Whatever K scores say, K - 1 do: the last one is subtracted from all."""
    scores = random.standard_normal((5, 4))
    fewer = ZeroScore().to("float64").fprop(scores[:, :3] - scores[:, 3:])
    loss, label = SoftmaxCrossEntropy(), random.integers(0, 4, 5)
    np.testing.assert_allclose(loss.distribution(fewer).probabilities, loss.distribution(scores).probabilities)
    loss.to("float64").fprop(scores, label)
    np.testing.assert_allclose(loss.bprop().sum(axis=1), 0, atol=1e-15)  # the direction that does not count


def test_weights_without_a_connection_stay_zero(random):
    last = MaskedLinear(3, 2, [[1, 1, 0], [0, 0, 1]])
    net = Sequential(MaskedLinear(4, 3, parents=[[0], [1, 2], [3, 0]]), Tanh(), last)
    x, target = random.standard_normal((40, 4)), random.standard_normal((40, 2))
    masks = [net[0].mask.copy(), net[2].mask.copy()]
    Trainer(net, MeanSquaredError(), SGD(lr=0.1, momentum=0.9), quiet=True).fit((x, target), epochs=3, batch_size=8)
    for module, mask in zip((net[0], net[2]), masks, strict=True):
        assert not module.weight[~mask].any()
        assert module.weight[mask].all()
    y = net.fprop(x)
    x[:, 1:3] = 7  # the first unit's second parent reads them, the last one does not
    moved = (net.fprop(x) != y).any(axis=0)
    np.testing.assert_array_equal(moved, [True, False])


def test_a_weight_without_a_connection_counts_nothing():
    module = MaskedLinear(2, 1, [[1, 0]], bias=False)
    module.weight = [[2.0, 5.0]]
    np.testing.assert_array_equal(module.fprop([[3.0, 1.0]]), [[6]])
    np.testing.assert_array_equal(module.bprop([[1.0]]), [[2, 0]])
    np.testing.assert_array_equal(module.grad_weight, [[3, 0]])


def test_initial_weights_are_of_the_number_of_parents():
    manual_seed(0)
    wide = MaskedLinear(400, 2, parents=[list(range(400)), list(range(4))]).weight
    assert 0.045 < abs(wide[0]).max() <= 0.05
    assert 0.05 < abs(wide[1]).max() <= 0.5


SPARSE = """\
dataset: Iris
model:
  - Columns: {columns: "1:4"}
  - MaskedLinear: {in_features: 3, out_features: 2, parents: [[0, 1], [2]]}
  - Step: {low: -1, high: 1, width: 1}
  - MaskedLinear: {in_features: 2, out_features: 2, mask: [[1, 0], [1, 1]]}
  - ZeroScore
loss: SoftmaxCrossEntropy
optimizer: {SGD: {lr: 0.1}}
trainer: {epochs: 1}
"""


def test_sparse_nets_come_from_yaml():
    model = parse_config(SPARSE).build().model
    np.testing.assert_array_equal(model[1].mask, [[1, 1, 0], [0, 0, 1]])
    assert model.output_shape((5, 4)) == (5, 3)
    assert repr(model[2]) == "Step(low=-1, high=1, width=1)"
    with pytest.raises(
        ConfigError, match=r"c.yaml:4:5: model.1.MaskedLinear: .*parents of unit 1 are \[3\], expected inputs"
    ):
        parse_config(SPARSE.replace("[2]]", "[3]]"), source="c.yaml").build()


REFUSED = [
    (lambda: MaskedLinear(2, 1), "MaskedLinear: got both or none of mask and parents, expected one of them"),
    (lambda: MaskedLinear(2, 1, [[1, 1, 1]]), "MaskedLinear: mask has shape (1, 3), expected (1, 2)"),
    (lambda: MaskedLinear(2, 1, [[1, 2]]), "MaskedLinear: mask has other numbers than 0 and 1"),
    (lambda: MaskedLinear(2, 1, [[1], 2]), "MaskedLinear: mask is [[1], 2], expected 1 rows of 2 numbers"),
    (
        lambda: MaskedLinear(2, 2, parents=[[0]]),
        "MaskedLinear: parents is [[0]], expected a list of inputs for each of 2 units",
    ),
    (
        lambda: MaskedLinear(2, 1, parents=[[2]]),
        "MaskedLinear: parents of unit 0 are [2], expected inputs from 0 to 1",
    ),
    (lambda: MaskedLinear(2, 1, parents=[0]), "MaskedLinear: parents of unit 0 are 0, expected inputs from 0 to 1"),
    (lambda: Columns([0, 0]), "Columns: columns is [0, 0], expected columns such as 0, [0, 2] or '0:3', each once"),
    (lambda: Step(1, 0), "Step: low is 1, expected a number below high, which is 0"),
    (lambda: Step(high=np.inf), "Step: high is inf, expected a finite number"),
    (lambda: Step(width=0), "Step: width is 0, expected a number above 0"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_settings_of_sparse_layers_and_steps(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()
