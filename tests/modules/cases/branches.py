"""Containers of parallel branches: Residual and Concat."""

import numpy as np
from bprop.modules import Concat, Identity, Linear, ReLU, Residual, Sequential, Tanh

from .case import Case
from .core import linear
from .elementwise import relu, tanh


def residual(net, x):
    return x + linear(net[2], tanh(None, linear(net[0], x)))


def residual_with_shortcut(net, x):
    return relu(None, linear(net[0], x)) + linear(net.shortcut, x)


def concat(net, x):
    return np.concatenate([tanh(None, linear(net[0][0], x)), linear(net[1], x), x], axis=1)


def three_branches():
    return Concat(Sequential(Linear(3, 4), Tanh()), Linear(3, 2), Identity())


MODULES = [
    Case(
        "Residual",
        lambda: Residual(Linear(3, 4), Tanh(), Linear(4, 3)),
        (4, 3),
        (4, 7),
        "Linear(3 -> 4): x has shape (4, 7), expected (N, 3)\nin model[0]",
        reference=residual,
    ),
    Case(
        "Residual with a shortcut",
        lambda: Residual(Linear(3, 5), ReLU(), shortcut=Linear(3, 5, bias=False)),
        (4, 3),
        reference=residual_with_shortcut,
    ),
    Case(
        "Concat",
        three_branches,
        (4, 3),
        (4, 7),
        "Linear(3 -> 4): x has shape (4, 7), expected (N, 3)\nin model[0][0]",
        reference=concat,
    ),
]
