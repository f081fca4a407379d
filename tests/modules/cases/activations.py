"""Elementwise activations beyond ReLU, tanh and sigmoid: PyTorch's, and powers.

Each reference is the definition in NumPy; `erf` is the C library's.
"""

import math

import numpy as np
from bprop.modules import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Clamp,
    Exp,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    Log,
    LogSigmoid,
    Mish,
    Power,
    PReLU,
    ReLU6,
    SiLU,
    Softplus,
    Softshrink,
    Softsign,
    Sqrt,
    Square,
    Step,
    Tanhshrink,
    Threshold,
)

from .case import Case
from .elementwise import sigmoid

erf = np.vectorize(math.erf)


def of(apply):
    """A module of PyTorch that applies a function."""

    def make(nn):
        module = nn.Module()
        module.forward = apply
        return module

    return make


def unit(make, reference, torch, name="", **settings):
    """Rows for a matrix; the reference is a function of x alone."""
    case_name = name or make.__name__
    return Case(case_name, make, (4, 5), reference=lambda module, x: reference(x), torch=torch, **settings)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * (np.exp(x) - 1))


def prelu(module, x):
    w = module.weight.reshape((1, -1) + (1,) * (x.ndim - 2)) if x.ndim > 1 else module.weight
    return np.where(x > 0, x, w * x)


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def positive(x):
    return abs(x) + 0.1


def apart(x):
    return 3 * x  # so that both bounds are passed


def straight_through_step(x):
    passed = x.clamp(-1, 1)
    return passed + (2.0 * (x >= 0) - 1 - passed).detach()


CHANNELS = "PReLU(3): x has shape (4, 2), expected (N, 3, ...)"

MODULES = [
    unit(LeakyReLU, lambda x: np.where(x > 0, x, 0.01 * x), "LeakyReLU"),
    unit(
        lambda: LeakyReLU(0.2),
        lambda x: np.where(x > 0, x, 0.2 * x),
        lambda nn: nn.LeakyReLU(0.2),
        "LeakyReLU with a slope",
    ),
    unit(Hardtanh, lambda x: np.clip(x, -1, 1), "Hardtanh", domain=apart),
    unit(
        lambda: Hardtanh(-2, 0.5),
        lambda x: np.clip(x, -2, 0.5),
        lambda nn: nn.Hardtanh(-2, 0.5),
        "Hardtanh with bounds",
        domain=apart,
    ),
    unit(ReLU6, lambda x: np.clip(x, 0, 6), "ReLU6", domain=lambda x: 6 * x),
    unit(lambda: Clamp(-0.5, 1), lambda x: np.clip(x, -0.5, 1), of(lambda x: x.clamp(-0.5, 1)), "Clamp", domain=apart),
    unit(lambda: Clamp(max=1), lambda x: np.minimum(x, 1), of(lambda x: x.clamp(max=1)), "Clamp from above"),
    unit(
        lambda: Threshold(0.3, -2),
        lambda x: np.where(x > 0.3, x, -2),
        lambda nn: nn.Threshold(0.3, -2),
        "Threshold",
    ),
    unit(Step, lambda x: np.where(x >= 0, 1.0, 0.0), of(lambda x: x + ((x >= 0).to(x.dtype) - x).detach())),
    unit(lambda: Step(-1, 1, width=1), lambda x: np.where(x >= 0, 1, -1), of(straight_through_step), "Step of signs"),
    unit(Hardsigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1), "Hardsigmoid", domain=apart),
    unit(Hardswish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "Hardswish", domain=apart),
    unit(ELU, elu, "ELU"),
    unit(lambda: ELU(0.5), lambda x: elu(x, 0.5), lambda nn: nn.ELU(0.5), "ELU with alpha"),
    unit(SELU, lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772), "SELU"),
    unit(CELU, elu, "CELU"),
    unit(lambda: CELU(0.5), lambda x: 0.5 * elu(x / 0.5), lambda nn: nn.CELU(0.5), "CELU(0.5)"),
    unit(Softplus, lambda x: np.log(1 + np.exp(x)), "Softplus"),
    unit(
        lambda: Softplus(beta=2, threshold=1),
        lambda x: np.where(2 * x > 1, x, np.log(1 + np.exp(2 * x)) / 2),
        lambda nn: nn.Softplus(2, 1),
        "Softplus with beta",
    ),
    unit(LogSigmoid, lambda x: np.log(sigmoid(None, x)), "LogSigmoid"),
    unit(SiLU, lambda x: x * sigmoid(None, x), "SiLU"),
    unit(GELU, lambda x: x / 2 * (1 + erf(x / np.sqrt(2))), "GELU"),
    unit(lambda: GELU("tanh"), gelu_tanh, lambda nn: nn.GELU(approximate="tanh"), "GELU by tanh"),
    unit(Mish, lambda x: x * np.tanh(np.log(1 + np.exp(x))), "Mish"),
    unit(Hardshrink, lambda x: np.where(abs(x) > 0.5, x, 0), "Hardshrink"),
    unit(Softshrink, lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0), "Softshrink"),
    unit(
        lambda: Softshrink(0.1),
        lambda x: np.sign(x) * np.maximum(abs(x) - 0.1, 0),
        lambda nn: nn.Softshrink(0.1),
        "Softshrink(0.1)",
    ),
    unit(Tanhshrink, lambda x: x - np.tanh(x), "Tanhshrink"),
    unit(Softsign, lambda x: x / (1 + abs(x)), "Softsign"),
    unit(Abs, np.abs, of(lambda x: x.abs())),
    unit(Square, lambda x: x**2, of(lambda x: x.square())),
    unit(Sqrt, np.sqrt, of(lambda x: x.sqrt()), domain=positive),
    unit(Exp, np.exp, of(lambda x: x.exp())),
    unit(Log, np.log, of(lambda x: x.log()), domain=positive),
    unit(lambda: Power(3), lambda x: x**3, of(lambda x: x**3), "Power"),
    unit(lambda: Power(-2), lambda x: x**-2, of(lambda x: x**-2), "Power below zero", domain=positive),
    unit(lambda: Power(1.7), lambda x: x**1.7, of(lambda x: x**1.7), "Power of a fraction", domain=positive),
    unit(lambda: Power(17), lambda x: x**17, of(lambda x: x**17), "Power of a large number"),
    Case("PReLU", PReLU, (4, 3), reference=prelu, torch="PReLU"),
    Case("PReLU of channels", lambda: PReLU(3), (4, 3), (4, 2), CHANNELS, prelu, lambda nn: nn.PReLU(3)),
    Case(
        "PReLU of images",
        lambda: PReLU(3, init=0.1),
        (4, 3, 2, 5),
        reference=prelu,
        torch=lambda nn: nn.PReLU(3, init=0.1),
    ),
]
