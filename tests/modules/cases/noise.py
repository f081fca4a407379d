"""Modules that draw random numbers: their twins draw them one by one, in Python's whole numbers."""

import numpy as np
from bprop.modules import AlphaDropout, Dropout, Dropout2d, GaussianDropout, GaussianNoise, RReLU

from ... import references
from .case import Case

SELU_LOWEST = -1.0507009873554805 * 1.6732632423543772


def uniform(module, size):
    """The numbers of a module's last run in training."""
    return np.array([references.uniform(module.key, module.step - 1, position) for position in range(size)])


def normal(module, shape):
    size = int(np.prod(shape))
    u = uniform(module, size + size % 2).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(1 - u[:, 0])), 2 * np.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:size].reshape(shape)


def dropout(module, x):
    if not module.training:
        return x
    return np.where(uniform(module, x.size).reshape(x.shape) >= module.p, x / (1 - module.p), 0)


def dropout_of_channels(module, x):
    if not module.training:
        return x
    mask = uniform(module, x.shape[0] * x.shape[1]).reshape((*x.shape[:2], 1, 1)) >= module.p
    return np.where(mask, x / (1 - module.p), 0)


def alpha_dropout(module, x):
    p, s = module.p, SELU_LOWEST
    dropped = np.where(uniform(module, x.size).reshape(x.shape) >= p, x, s)
    return (dropped - p * s) / np.sqrt((1 - p) * (1 + p * s**2))


def gaussian_dropout(module, x):
    return x * (1 + np.sqrt(module.p / (1 - module.p)) * normal(module, x.shape))


def gaussian_noise(module, x):
    return x + module.std * normal(module, x.shape)


def rrelu(module, x):
    u = uniform(module, x.size).reshape(x.shape) if module.training else 0.5
    return np.where(x > 0, x, (module.lower + (module.upper - module.lower) * u) * x)


def identity(module, x):
    return x


def row(name, make, reference, shape=(4, 3)):
    return Case(name, make, shape, reference=reference, samples_apart=False)


def evaluated(name, make, reference, torch=None):
    return Case(f"{name} in evaluation", lambda: make().eval(), (4, 3), reference=reference, torch=torch)


MODULES = [
    Case(
        "Dropout2d",
        lambda: Dropout2d(0.4),
        (4, 3, 2, 3),
        (4, 3),
        "Dropout2d(p=0.4): x has shape (4, 3), expected (N, C, H, W)",
        reference=dropout_of_channels,
        samples_apart=False,
    ),
    Case(
        "Dropout2d in evaluation",
        lambda: Dropout2d().eval(),
        (4, 3, 2, 3),
        reference=dropout_of_channels,
        torch=lambda nn: nn.Dropout2d().eval(),
    ),
    row("Dropout", lambda: Dropout(0.3), dropout),
    row("Dropout of images", lambda: Dropout(0.6), dropout, (4, 3, 5, 3)),
    row("Dropout of nothing", lambda: Dropout(0), dropout),
    row("AlphaDropout", lambda: AlphaDropout(0.3), alpha_dropout),
    row("GaussianDropout", lambda: GaussianDropout(0.3), gaussian_dropout, (4, 5)),
    row("GaussianNoise", lambda: GaussianNoise(0.5), gaussian_noise, (3, 3, 3)),
    row("RReLU", RReLU, rrelu),
    evaluated("Dropout", Dropout, identity, lambda nn: nn.Dropout().eval()),
    evaluated("AlphaDropout", AlphaDropout, identity, lambda nn: nn.AlphaDropout().eval()),
    evaluated("GaussianDropout", GaussianDropout, identity),
    evaluated("GaussianNoise", GaussianNoise, identity),
    evaluated("RReLU", RReLU, rrelu, lambda nn: nn.RReLU().eval()),
]
