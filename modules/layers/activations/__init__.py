"""Activation functions and gated units: one class each, `fprop` and `bprop` on arrays of any shape.

Elementwise ones derive from Elementwise. Elementary functions such as erf are in `kernels/elementary_functions`.
"""

from .elementwise import Elementwise, Identity, ReLU, Sigmoid, Tanh
from .exponential import CELU, ELU, SELU, LogSigmoid, Softplus
from .gated import GELU, Mish, SiLU
from .glu import GLU, SwiGLU
from .learned import LearntElementwise, PReLU
from .piecewise import Clamp, Hardsigmoid, Hardswish, Hardtanh, LeakyReLU, ReLU6, Step, Threshold
from .power import Abs, Exp, Log, Power, Sqrt, Square
from .shrinkage import Hardshrink, Softshrink, Softsign, Tanhshrink
from .softmax import LogSoftmax, Softmax, Softmin

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Abs",
    "Clamp",
    "Elementwise",
    "Exp",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LearntElementwise",
    "Log",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "Power",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Sqrt",
    "Square",
    "Step",
    "SwiGLU",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]
