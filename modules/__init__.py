"""Layers, containers, losses, initialisers and gradient checks."""

from .batch_norm import BatchNorm1d
from .dropout import AlphaDropout, Dropout, GaussianDropout
from .elementwise import Elementwise, Identity, ReLU, Sigmoid, Tanh
from .flatten import Flatten
from .gradient_check import check_gradients
from .gradient_report import GradientError, GradientReport
from .initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    PyTorchUniform,
    manual_seed,
    new_key,
)
from .kernels.elementary import erf, sigmoid, softplus
from .layer_norm import LayerNorm, RMSNorm
from .linear import Linear
from .loss import Loss
from .mean_squared_error import MeanSquaredError
from .module import Module
from .noise import GaussianNoise, Noise, RReLU
from .parameter import Buffer, Counter, Parameter
from .sequential import Sequential
from .softmax import LogSoftmax, Softmax
from .softmax_cross_entropy import SoftmaxCrossEntropy

__all__ = [
    "AlphaDropout",
    "BatchNorm1d",
    "Buffer",
    "Constant",
    "Counter",
    "Dropout",
    "Elementwise",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlorotNormal",
    "GlorotUniform",
    "GradientError",
    "GradientReport",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "Loss",
    "MeanSquaredError",
    "Module",
    "Noise",
    "Parameter",
    "PyTorchUniform",
    "RMSNorm",
    "RReLU",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Tanh",
    "check_gradients",
    "erf",
    "manual_seed",
    "new_key",
    "sigmoid",
    "softplus",
]
