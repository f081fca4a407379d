"""Layers, containers, losses, initializers and gradient checks: whatever the folders below list in their `__all__`.

So a new layer or loss is exported by its folder alone. `compiler`, `kernels` and `engine` are internal.
"""

import typing

from . import checks, containers, core, initializers, layers, losses
from .checks import *
from .containers import *
from .core import *
from .engine.threads import num_threads
from .initializers import *
from .kernels.elementary_functions import erf, sigmoid, softplus
from .layers import *
from .layers import activations, attention, convolution, embedding, energy, normalization, padding, pooling, recurrent
from .layers.activations import *
from .layers.attention import *
from .layers.convolution import *
from .layers.embedding import *
from .layers.energy import *
from .layers.normalization import *
from .layers.padding import *
from .layers.pooling import *
from .layers.recurrent import *
from .losses import *

if not typing.TYPE_CHECKING:  # type checkers read the imports, since they follow no sums of lists
    _FOLDERS = [checks, containers, core, initializers, layers, losses]
    _FOLDERS += [activations, attention, convolution, embedding, energy, normalization, padding, pooling, recurrent]
    _NAMES = ["erf", "num_threads", "sigmoid", "softplus", *(name for folder in _FOLDERS for name in folder.__all__)]
    __all__ = sorted(_NAMES, key=lambda name: (not name.isupper(), name[0].islower(), name))
