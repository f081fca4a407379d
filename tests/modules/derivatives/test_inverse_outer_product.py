"""Hassibi and Stork's sequential inverse, beside the inverse of the dense matrix."""

import numpy as np
import pytest
from bprop.modules import (
    BatchNorm1d,
    BinaryCrossEntropyWithLogits,
    Huber,
    Linear,
    LogCosh,
    LossPart,
    MeanSquaredError,
    MixtureDensity,
    MultiLoss,
    PoissonNLL,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    manual_seed,
)
from bprop.modules.derivatives import Curvature, fisher_matrix, gauss_newton_matrix, inverse_outer_product
from bprop.modules.engine.stateful import plain_python
from bprop.modules.losses.loss_bases import ElementwiseLoss

DAMPING = 1e-3


def net(outputs=2):
    manual_seed(2)
    return Sequential(Linear(3, 4), Tanh(), Linear(4, outputs))


def samples(draw, outputs=2, n=12):
    random = np.random.default_rng(0)
    return random.standard_normal((n, 3)), draw(random, (n, outputs))


def numbers(random, shape):
    return random.standard_normal(shape)


def labels(random, shape):
    return random.integers(0, shape[1], shape[0])


def counts(random, shape):
    return random.poisson(2, shape).astype(float)


class Quartic(ElementwiseLoss):
    """A loss without a second derivative of its own."""

    def function(self, y, target):
        return (y - target) ** 4

    def derivative(self, y, target):
        return 4 * (y - target) ** 3


LOSSES = [
    (MeanSquaredError(), numbers),
    (MeanSquaredError("sum", half=True), numbers),
    (SoftmaxCrossEntropy(), labels),
    (SoftmaxCrossEntropy([0.5, 2.0]), labels),
    (BinaryCrossEntropyWithLogits(), lambda random, shape: random.integers(0, 2, shape).astype(float)),
    (LogCosh(), numbers),
    (Huber(), numbers),
    (PoissonNLL(), counts),
    (MultiLoss([LossPart(MeanSquaredError(), 0, 1), LossPart(LogCosh(), 1, 0, 0.5)]), numbers),
    (Quartic(), numbers),
]


def is_inverse(inverse, matrix, tolerance=1e-8):
    dense = np.linalg.inv(matrix + DAMPING * np.eye(len(matrix)))
    np.testing.assert_allclose(inverse, dense, rtol=0, atol=tolerance * np.abs(dense).max())


@pytest.mark.parametrize(("loss", "draw"), LOSSES, ids=[repr(loss) for loss, _ in LOSSES])
def test_it_is_the_inverse_of_the_dense_matrix(loss, draw):
    with plain_python():
        curvature = Curvature(net(), loss, *samples(draw))
        is_inverse(inverse_outer_product(curvature, DAMPING), gauss_newton_matrix(curvature))


def test_of_gradients_it_is_the_inverse_of_the_fisher_matrix():
    with plain_python():
        curvature = Curvature(net(), SoftmaxCrossEntropy(), *samples(labels))
        is_inverse(inverse_outer_product(curvature, DAMPING, "fisher"), fisher_matrix(curvature))


def test_of_half_squares_it_is_the_books_recursion():
    """One output and ½ Σ (y - t)²: b is ∂y/∂w, one step of the recursion for each sample."""
    with plain_python():
        curvature = Curvature(net(1), MeanSquaredError("sum", half=True), *samples(numbers, 1))
        inverse = np.eye(curvature.size) / DAMPING
        for n in range(len(curvature.x)):
            curvature.net.fprop(curvature.x[n : n + 1])
            curvature.net.zero_grad()
            curvature.net.bprop(np.ones((1, 1)))
            b = curvature.net.flat_gradients.copy()
            inverse -= np.outer(inverse @ b, b @ inverse) / (1 + b @ inverse @ b)
        np.testing.assert_allclose(inverse_outer_product(curvature, DAMPING), inverse, rtol=0, atol=1e-8 / DAMPING)


def test_the_optimal_brain_surgeon_removes_the_weight_that_matters_least():
    """Of a linear net with one input that says nothing: its weight has the smallest saliency w² / 2 [H⁻¹]."""
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 3))
    target = x[:, :1] - 0.5 * x[:, 2:]
    linear = Linear(3, 1, bias=False)
    linear.weight = [[1.0, 0.01, -0.5]]
    with plain_python():
        inverse = inverse_outer_product(Curvature(linear, MeanSquaredError(half=True), x, target), 1e-6)
    saliency = linear.weight[0].astype(float) ** 2 / (2 * np.diag(inverse))
    assert saliency.argmin() == 1
    change = -linear.weight[0, 1] / inverse[1, 1] * inverse[:, 1]  # the others make up for it
    assert linear.weight[0, 1] + change[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: inverse_outer_product(c, 0.0), "^inverse_outer_product: damping is 0.0, expected a number above 0$"),
        (
            lambda c: inverse_outer_product(c, 1.0, "hvp"),
            "^inverse_outer_product: kind is 'hvp', expected one of gauss_newton, fisher$",
        ),
    ],
)
def test_mistakes_are_refused(call, message):
    with plain_python(), pytest.raises(ValueError, match=message):
        call(Curvature(net(), MeanSquaredError(), *samples(numbers)))


def test_losses_that_are_not_convex_and_samples_that_meet_are_refused():
    random = np.random.default_rng(0)
    with plain_python():
        mixture = Curvature(net(6), MixtureDensity(2), random.standard_normal((5, 3)), random.standard_normal((5, 1)))
        with pytest.raises(
            ValueError, match=r"^inverse_outer_product: MixtureDensity\(.*\) is not convex in the output"
        ):
            inverse_outer_product(mixture, 1.0)
        batch = Curvature(Sequential(Linear(3, 2), BatchNorm1d(2)), MeanSquaredError(), *samples(numbers))
        with pytest.raises(ValueError, match="its samples see each other"):
            inverse_outer_product(batch, 1.0)
