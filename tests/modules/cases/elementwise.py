"""Units that act on each element by itself."""

import numpy as np
from bprop.modules import ReLU, Sigmoid, Tanh

from .case import Case


def relu(module, x):
    return np.maximum(x, 0)


def tanh(module, x):
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


def sigmoid(module, x):
    return 1 / (1 + np.exp(-x))


MODULES = [
    Case("ReLU", ReLU, (4, 3), reference=relu, torch="ReLU"),
    Case("Tanh", Tanh, (4, 3), reference=tanh, torch="Tanh"),
    Case("Tanh of images", Tanh, (4, 2, 3, 2), reference=tanh, torch="Tanh"),
    Case("Sigmoid", Sigmoid, (4, 3), reference=sigmoid, torch="Sigmoid"),
]
