"""Initial values of parameters and the random stream that they are drawn from: `manual_seed`, uniform, He, orthogonal.

Random numbers of a running model (dropout, noise) are drawn in compiled code, in `kernels`.
"""

from .initializers import (
    Constant,
    Initializer,
    Normal,
    PyTorchUniform,
    TruncatedNormal,
    Uniform,
    get_generator,
    manual_seed,
    new_key,
)
from .matrix import Eye, Orthogonal, Sparse
from .scaled import GlorotNormal, GlorotUniform, HeNormal, HeUniform, LeCunNormal, LeCunUniform, calculate_gain

__all__ = [
    "Constant",
    "Eye",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Orthogonal",
    "PyTorchUniform",
    "Sparse",
    "TruncatedNormal",
    "Uniform",
    "calculate_gain",
    "get_generator",
    "manual_seed",
    "new_key",
]
