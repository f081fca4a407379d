"""What rounding costs: gradients far out, squares that overflow, scores with large offsets, sums of many numbers."""

import numpy as np
import pytest
from bprop.modules import (
    CELU,
    ELU,
    SELU,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    BinaryCrossEntropyWithLogits,
    Conv2d,
    CosineEmbedding,
    Euclidean,
    Focal,
    GroupNorm,
    Huber,
    InstanceNorm2d,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    MeanSquaredError,
    Mish,
    MixtureDensity,
    NegativeLogLikelihood,
    PoissonNLL,
    PReLU,
    RadialBasis,
    RMSNorm,
    SoftmaxCrossEntropy,
    VariationalBound,
    manual_seed,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")  # as plain Python, NumPy warns
INF = np.inf


def both(make, *arguments, seed=1):
    """y and grad_x of a module in float32, and the same of its copy in float64."""
    single = make()
    double = single.copy().to("float64")
    results = []
    for module in (single, double):
        y = module.fprop(*arguments)
        grad_y = [np.random.default_rng(seed).standard_normal(np.shape(y))] if module.takes_gradient else []
        results.append((y, module.bprop(*grad_y), dict(module.named_gradients())))
    return results


def same(make, *arguments, rtol=1e-5, atol=0.0):
    (y, grad_x, grads), (y64, grad_x64, grads64) = both(make, *arguments)
    np.testing.assert_allclose(y, y64, rtol=rtol, atol=atol)
    scale = np.abs(grad_x64).max()
    np.testing.assert_allclose(grad_x, grad_x64, rtol=rtol, atol=rtol * scale)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, grads64[name], rtol=rtol, atol=rtol * np.abs(grads64[name]).max())


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-14)])
def test_gradients_of_exponential_units_far_below_zero(dtype, rtol):
    x = np.array([[-1e-3, -1.0, -15.0, -20.0, -40.0, -80.0, -INF, 2.0]])
    exp, one = np.exp(x[:, :-1]), np.ones_like(x)
    for unit, below, above in ((ELU(2.0), 2 * exp, 1), (SELU(), 1.7580993408473768 * exp, 1.0507009873554805)):
        module = unit.to(dtype)
        module.fprop(x)
        grad = module.bprop(one)
        np.testing.assert_allclose(grad[:, :-1], below, rtol=rtol)
        assert grad[0, -1] == pytest.approx(above)
    celu = CELU(2.0).to(dtype)
    celu.fprop(x)
    grad = celu.bprop(one)
    np.testing.assert_allclose(grad[:, :-1], np.exp(x[:, :-1] / 2), rtol=rtol)
    assert grad[0, -1] == 1


def test_infinite_scores_of_the_right_class_cost_nothing():
    loss = BinaryCrossEntropyWithLogits()
    assert loss.fprop([[INF, 0.0]], [[1.0, 1.0]]) == pytest.approx(np.log(2) / 2, rel=1e-6)
    np.testing.assert_allclose(loss.bprop(), [[0, -0.25]])
    assert loss.fprop([[-INF, 0.0]], [[0.0, 1.0]]) == pytest.approx(np.log(2) / 2, rel=1e-6)
    assert loss.fprop([[INF, 0.0]], [[0.0, 1.0]]) == INF
    np.testing.assert_allclose(loss.bprop(), [[0.5, -0.25]])
    assert loss.fprop([[INF, 0.0]], [[0.5, 1.0]]) == INF
    assert np.isnan(loss.fprop([[np.nan, 0.0]], [[1.0, 1.0]]))
    weighted = BinaryCrossEntropyWithLogits(pos_weight=0.0)
    assert weighted.fprop([[-INF, 0.0]], [[1.0, 0.0]]) == pytest.approx(np.log(2) / 2, rel=1e-6)
    np.testing.assert_array_equal(loss.distribution([[INF, -INF]]).log_density([[1, 0]]), [[0, 0]])
    bound = VariationalBound(1)
    assert np.isfinite(bound.fprop([[INF, -INF, 0.0, 0.0]], [[1.0, 0.0]]))
    poisson = PoissonNLL(full=False)
    assert poisson.fprop([[-INF, 0.0]], [[0.0, 1.0]]) == pytest.approx(0.5)
    np.testing.assert_allclose(poisson.bprop(), [[0, 0]])
    counts = PoissonNLL(log_input=False, full=False, eps=0)
    assert counts.fprop([[0.0, 1.0]], [[0.0, 1.0]]) == pytest.approx(0.5)
    np.testing.assert_allclose(counts.bprop(), [[0.5, 0]])
    left_out = NegativeLogLikelihood(class_weights=[0.0, 1.0])
    assert left_out.fprop([[-INF, 0.0], [0.0, -1.0]], [0, 1]) == pytest.approx(1)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_focal_at_infinite_scores(gamma):
    loss = Focal(gamma, alpha=None, reduction="sum")
    assert loss.fprop([[INF, -INF]], [[1.0, 0.0]]) == 0
    np.testing.assert_array_equal(loss.bprop(), [[0, 0]])
    assert loss.fprop([[-INF, INF]], [[1.0, 0.0]]) == INF
    np.testing.assert_array_equal(loss.bprop(), [[-1, 1]])


NORMS = [
    (lambda eps: BatchNorm1d(3, eps=eps), (5, 3)),
    (lambda eps: BatchNorm1d(3, eps=eps), (5, 3, 4)),
    (lambda eps: BatchNorm2d(3, eps=eps), (5, 3, 2, 2)),
    (lambda eps: LayerNorm(6, eps=eps), (5, 6)),
    (lambda eps: RMSNorm(6, eps=eps), (5, 6)),
    (lambda eps: GroupNorm(2, 4, eps=eps), (5, 4, 2, 2)),
    (lambda eps: InstanceNorm2d(3, eps=eps, affine=True), (5, 3, 2, 2)),
]


@pytest.mark.parametrize(("make", "shape"), NORMS)
def test_norms_of_numbers_whose_squares_overflow_or_vanish(random, make, shape):
    x = random.standard_normal(shape).astype(np.float32).astype(np.float64)
    for size, eps in ((1e19, 1e-5), (1e30, 1e-5), (1e37, 1e-5), (1e-25, 0.0)):
        same(lambda eps=eps: make(eps), (size * x).astype(np.float32), rtol=2e-5, atol=1e-6)


def test_local_response_norm_of_numbers_whose_squares_overflow(random):
    x = (2e19 * random.standard_normal((3, 5, 2))).astype(np.float32)
    assert np.isinf(x * x).any()
    same(lambda: LocalResponseNorm(3), x, rtol=2e-5)


def test_a_width_of_many_rows_keeps_its_digits(random):
    """A running sum of float32 is off by 1e-5 and more."""
    x, width = random.standard_normal((60_000, 2)).astype(np.float32), []
    for dtype in ("float32", "float64"):
        manual_seed(0)
        module = RadialBasis(2, 3).to(dtype)
        module.bprop(np.ones_like(module.fprop(x)))
        width.append(module.grad_log_width)
    np.testing.assert_allclose(*width, rtol=1e-6)


def test_running_variance_at_the_end_of_the_range(random):
    x = (1e19 * random.standard_normal((50, 3))).astype(np.float32)
    norm = BatchNorm1d(3, momentum=1.0)
    norm.fprop(x)
    np.testing.assert_allclose(norm.running_var, x.astype(np.float64).var(axis=0, ddof=1), rtol=1e-5)
    assert np.abs(norm.eval().fprop(x)).max() > 1


@pytest.mark.parametrize("size", [1e19, 1e30, 1e-19, 1e-30])
def test_distances_whose_squares_overflow_or_vanish(random, size):
    def make():
        module = Euclidean(3, 2)
        module.weight = size * np.array([[1, 2, 3], [-1, 0.5, 0.25]])
        return module

    same(make, (size * random.standard_normal((4, 3))).astype(np.float32))


@pytest.mark.parametrize("size", [1e10, 1e22, 1e30])
def test_cosines_of_long_vectors(random, size):
    y = random.standard_normal((6, 2, 4)).astype(np.float32)
    y[:, 0] *= size
    same(lambda: CosineEmbedding(margin=-0.5), y, np.array([1, -1, 1, -1, 1, -1]))


def test_mish_of_large_numbers():
    x = np.array([[1e20, 1e30, 3e38, 20.5, -1e20]], np.float32)
    module = Mish()
    np.testing.assert_array_equal(module.fprop(x), [[*x[0, :4], 0]])
    np.testing.assert_array_equal(module.bprop(np.ones_like(x)), [[1, 1, 1, 1, 0]])


@pytest.mark.parametrize("offset", [100.0, 1e3, 1e5, -1e5])
def test_scores_far_from_zero_keep_their_digits(random, offset):
    x = (random.standard_normal((5, 7)) + offset).astype(np.float32)
    labels, soft = np.arange(5), random.dirichlet(np.ones(7), 5).astype(np.float32)
    same(LogSoftmax, x, rtol=1e-6)
    same(SoftmaxCrossEntropy, x, labels, rtol=1e-6)
    same(lambda: SoftmaxCrossEntropy(label_smoothing=0.2, class_weights=np.arange(1.0, 8.0)), x, labels, rtol=1e-6)
    same(SoftmaxCrossEntropy, x, soft, rtol=1e-6)
    mixture = np.concatenate([x[:, :2], random.standard_normal((5, 4)).astype(np.float32)], axis=1)
    same(lambda: MixtureDensity(2), mixture, np.ones((5, 1)), rtol=2e-6)


def error_of_mean(make, x):
    """The largest error of y, and of a gradient as a mean over samples: its terms cancel, so it is small itself."""
    (y, _, grads), (y64, _, grads64) = both(make, x)
    errors = [np.abs(grad - grads64[name]).max() / len(x) for name, grad in grads.items()]
    return max([np.abs(y - y64).max() / np.abs(y64).max(), *errors])


@pytest.mark.jit
def test_means_over_many_numbers(random):
    images = (random.standard_normal((64, 8, 56, 56)) + 3).astype(np.float32)
    (y, grad_x, _), (y64, grad_x64, _) = both(lambda: BatchNorm2d(8), images)
    assert np.abs(y - y64).max() < 2e-6
    assert np.abs(grad_x - grad_x64).max() < 2e-6
    assert error_of_mean(lambda: AvgPool2d((56, 56)), images + 7) < 3e-7
    rows = (random.standard_normal((40000, 8)) + 3).astype(np.float32)
    for make in (lambda: BatchNorm1d(8), lambda: PReLU(1), lambda: PReLU(8)):
        assert error_of_mean(make, rows) < 3e-6


@pytest.mark.jit
def test_losses_and_bias_gradients_over_many_numbers(random):
    y, target = random.random((4000, 1000), np.float32), np.zeros((4000, 1000), np.float32)
    for make in (MeanSquaredError, Huber, BinaryCrossEntropyWithLogits):
        loss = make()
        actual, expected = loss.fprop(y, target), loss.copy().to("float64").fprop(y.astype(np.float64), target)
        assert actual == pytest.approx(expected, rel=3e-7)
    labels, weight = random.integers(0, 10, 400_000), random.random(400_000, np.float32)
    for make in (SoftmaxCrossEntropy, NegativeLogLikelihood):
        loss, scores = make(), -y.reshape(-1, 10)
        expected = loss.copy().to("float64").fprop(scores, labels, weight.astype(np.float64))
        assert loss.fprop(scores, labels, weight) == pytest.approx(expected, rel=5e-7)
    grad_y = y.reshape(-1, 100)
    for module in (Linear(2, 100), LayerNorm(100)):
        module.fprop(np.ones((len(grad_y), 2 if isinstance(module, Linear) else 100), np.float32))
        module.bprop(grad_y)
        np.testing.assert_allclose(module.grad_bias, grad_y.sum(axis=0, dtype=np.float64), rtol=2e-6)
    conv = Conv2d(1, 2, 3, padding=1)
    grad_y = y[:1000].reshape(2, 2, 500, 500)
    conv.fprop(np.ones((2, 1, 500, 500), np.float32))
    conv.bprop(grad_y)
    np.testing.assert_allclose(conv.grad_bias, grad_y.sum(axis=(0, 2, 3), dtype=np.float64), rtol=2e-6)
