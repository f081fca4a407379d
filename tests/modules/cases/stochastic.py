"""Stochastic units and the losses that go with them."""

import numpy as np
from bprop.modules import (
    BernoulliUnits,
    GaussianSample,
    Linear,
    MeanSquaredError,
    Reinforce,
    SoftmaxCrossEntropy,
    Tanh,
    VariationalBound,
)

from .case import Case, LossCase
from .core import labels, linear, mean_squared_error, numbers, softmax_cross_entropy
from .noise import normal, uniform


def gaussian_sample(module, x):
    mean, r = np.split(x, 2, axis=-1)
    scale = np.exp(r / 2) if module.scale == "log_variance" else np.log(1 + np.exp(r))
    if module.training:
        return mean + scale * normal(module, mean.shape)
    return mean  # of evaluation="mean"; how evaluation draws is tested in test_stochastic.py


def variational_bound(loss, y, target):
    t = target.reshape(len(target), -1)
    out, mean, r = np.split(y, [t.shape[1], t.shape[1] + loss.latent], axis=1)
    if loss.likelihood == "bernoulli":
        p = 1 / (1 + np.exp(-out))
        error = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    else:
        error = (out - t) ** 2 / (2 * loss.variance) + np.log(2 * np.pi * loss.variance) / 2
    variance = np.exp(r) if loss.scale == "log_variance" else np.log(1 + np.exp(r)) ** 2
    divergence = (mean**2 + variance - 1 - np.log(variance)) / 2
    return (error.sum() + loss.beta * divergence.sum()) / len(y)


def parts(random, shape):
    """Targets for a bound of a code of two numbers."""
    return random.random((shape[0], shape[1] - 4))


def images(random, shape):
    return parts(random, shape).reshape(shape[0], 1, 3, 2)


def bernoulli_units(module, x):
    p = 1 / (1 + np.exp(-x))
    s = (uniform(module._modules["_draw"], x.size).reshape(x.shape) < p).astype(float)
    log_p = np.log(np.where(s == 1, p, 1 - p))
    log_p = log_p if module.per_unit else log_p.sum(axis=1, keepdims=True)
    return np.concatenate([np.tanh(linear(module.rest[0], s)), log_p], axis=1)


def cost_of_labels(loss, y, target):
    return softmax_cross_entropy(None, y[:, : -loss.columns], target)


def cost_of_numbers(loss, y, target):
    return mean_squared_error(None, y[:, : -loss.columns], target)


def two_numbers(random, shape):
    return numbers(random, (shape[0], 2))


def narrower(random, shape):
    return numbers(random, (shape[0], shape[1] - 2))


def labels_beside_log_p(random, shape):
    return labels(random, (shape[0], shape[1] - 1))


REFUSED = "GaussianSample(): x has shape (4, 7), expected (N, ..., 2D): means, then scales"

MODULES = [
    Case("GaussianSample", GaussianSample, (4, 6), (4, 7), REFUSED, reference=gaussian_sample, samples_apart=False),
    Case(
        "GaussianSample by softplus",
        lambda: GaussianSample("softplus"),
        (3, 2, 6),
        reference=gaussian_sample,
        samples_apart=False,
    ),
    Case(
        "GaussianSample, its mean in evaluation",
        lambda: GaussianSample(evaluation="mean").eval(),
        (4, 6),
        reference=gaussian_sample,
        samples_apart=False,
    ),
    Case(
        "BernoulliUnits",
        lambda: BernoulliUnits(Linear(3, 2), Tanh()),
        (4, 3),
        (4, 3, 2),
        "BernoulliUnits(): x has shape (4, 3, 2), expected (N, D)",
        reference=bernoulli_units,
        samples_apart=False,
    ),
    Case(
        "BernoulliUnits, log p of each unit",
        lambda: BernoulliUnits(Linear(3, 2), Tanh(), per_unit=True),
        (4, 3),
        reference=bernoulli_units,
        samples_apart=False,
    ),
]

LOSSES = [
    LossCase(
        "VariationalBound",
        lambda: VariationalBound(2),
        (4, 10),
        parts,
        ((4, 10), (4, 5)),
        "VariationalBound(latent=2): y has shape (4, 10) and target (4, 5), expected y (N, 5 + 4)",
        reference=variational_bound,
    ),
    LossCase(
        "VariationalBound of images",
        lambda: VariationalBound(2, "gaussian", variance=0.25, scale="softplus", beta=0.5),
        (4, 10),
        images,
        ((4, 10), (3, 1, 3, 2)),
        "VariationalBound(latent=2, likelihood='gaussian', variance=0.25, scale='softplus', beta=0.5): "
        "y has shape (4, 10) and target (3, 1, 3, 2), expected y (N, 6 + 4)",
        reference=variational_bound,
    ),
    LossCase(
        "Reinforce",
        lambda: Reinforce(SoftmaxCrossEntropy()),
        (4, 4),
        labels_beside_log_p,
        ((4, 1), (4,)),
        "Reinforce(loss=SoftmaxCrossEntropy()): y has shape (4, 1), expected (N, M + 1)",
        reference=cost_of_labels,
    ),
    LossCase(
        "Reinforce with a baseline of the input's",
        lambda: Reinforce(MeanSquaredError(), baseline="input", normalize=False),
        (4, 5),
        narrower,
        ((4, 2), (4,)),
        "Reinforce(loss=MeanSquaredError(), baseline='input', normalize=False): "
        "y has shape (4, 2), expected (N, M + 2)",
        reference=cost_of_numbers,
    ),
    LossCase(
        "Reinforce with the optimal baseline of units",
        lambda: Reinforce(MeanSquaredError(), baseline="optimal", units=2),
        (4, 8),
        two_numbers,
        ((4, 6), (4, 2)),
        "Reinforce(loss=MeanSquaredError(), baseline='optimal', units=2): y has shape (4, 6), expected (N, M + 6)",
        reference=cost_of_numbers,
    ),
    LossCase(
        "Reinforce with a constant baseline",
        lambda: Reinforce(MeanSquaredError(), baseline="constant", constant=0.5),
        (4, 4),
        lambda random, shape: numbers(random, (shape[0], 3)),
        ((4, 1), (4, 0)),
        "Reinforce(loss=MeanSquaredError(), baseline='constant', constant=0.5): "
        "y has shape (4, 1), expected (N, M + 1)",
        reference=cost_of_numbers,
    ),
]
