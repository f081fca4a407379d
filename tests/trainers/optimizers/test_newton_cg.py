"""Newton's method by products with the curvature: minima that are known, by hand, in a Trainer and from a config."""

import numpy as np
import pytest
from bprop.datasets import ArrayDataset
from bprop.modules import Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy, Tanh, manual_seed
from bprop.trainers import LBFGS, NewtonCG, Trainer, TrainingError
from bprop.trainers.configs import parse_config

random = np.random.default_rng(0)
X = random.standard_normal((40, 5)).astype(np.float32)
Y = (X @ random.standard_normal((5, 2)) + 0.1 * random.standard_normal((40, 2))).astype(np.float32)


def least_squares():
    ones = np.concatenate([X, np.ones((40, 1))], axis=1, dtype=np.float64)
    w = np.linalg.lstsq(ones, Y.astype(np.float64))[0]
    return np.mean((ones @ w - Y) ** 2), w


def closure_of(net, loss, x, t):
    def closure():
        net.zero_grad()
        value = loss(net(x), t)
        net.bprop(loss.bprop())
        return value

    return closure


@pytest.mark.parametrize("curvature", ["gauss_newton", "hessian"])
def test_a_quadratic_is_solved(curvature):
    net = Linear(5, 2).to("float64")
    loss = MeanSquaredError().to("float64")
    newton = NewtonCG(max_iter=20, curvature=curvature, damping=0.0, max_products=12)
    value = newton.minimize(net, closure_of(net, loss, X, Y))  # by differences of gradients
    expected, w = least_squares()
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(net.weight, w[:5].T, atol=1e-6)


def test_a_trainer_uses_exact_products():
    manual_seed(0)
    net = Linear(5, 2)
    trainer = Trainer(net, MeanSquaredError(), NewtonCG(max_iter=4, damping=0.0, max_products=12))
    trainer.fit((X, Y), epochs=3, batch_size=16)
    expected, w = least_squares()
    assert trainer.evaluate((X, Y))["loss"] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(net.weight, w[:5].T, atol=1e-3)


def test_a_net_is_trained_in_fewer_passes_than_by_lbfgs():
    x = np.random.default_rng(1).uniform(-2, 2, (60, 1)).astype(np.float32)
    y = np.sin(2 * x)
    losses = {}
    for optimizer in (NewtonCG(max_iter=12, damping=1e-3), LBFGS(max_iter=12)):
        manual_seed(2)
        net = Sequential(Linear(1, 10), Tanh(), Linear(10, 1))
        trainer = Trainer(net, MeanSquaredError(), optimizer)
        trainer.fit((x, y), epochs=1, batch_size=60)
        losses[type(optimizer)] = trainer.evaluate((x, y))["loss"]
    assert losses[NewtonCG] < 0.02
    assert losses[NewtonCG] < losses[LBFGS]


def test_negative_curvature_ends_the_inner_iterations():
    newton = NewtonCG(curvature="hessian", damping=0.0)
    asked = []

    def product(kind, v):
        asked.append(kind)
        return -v if len(asked) == 1 else v * np.array([1.0, -3.0])

    vars(newton)["_product"] = product
    np.testing.assert_array_equal(newton.direction(np.array([1.0, 2.0])), [-1.0, -2.0])
    assert asked == ["hvp"]


def test_configs_name_it():
    text = """
seed: 0
dataset: Iris
model: [Linear: {in_features: 4, out_features: 3}]
loss: SoftmaxCrossEntropy
optimizer: {NewtonCG: {curvature: hessian, damping: 0.01}}
trainer: {epochs: 1, batch_size: 50}
"""
    optimizer = parse_config(text).build().optimizer
    assert (optimizer.curvature, optimizer.damping) == ("hessian", 0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"curvature": "fisher"}, "curvature is 'fisher', expected 'gauss_newton' or 'hessian'"),
        ({"damping": -1.0}, "damping is -1.0, expected at least 0"),
        ({"max_products": 0}, "max_products is 0, expected"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"^NewtonCG: {message}"):
        NewtonCG(**settings)


def test_weights_of_samples_are_refused():
    trainer = Trainer(Linear(5, 3), SoftmaxCrossEntropy(), NewtonCG())
    with pytest.raises((ValueError, TrainingError), match="takes no sample_weight"):
        trainer.fit(ArrayDataset(X, np.arange(40) % 3, sample_weight=np.arange(40) + 1.0), epochs=1)
