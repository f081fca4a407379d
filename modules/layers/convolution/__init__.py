"""Convolutional layers: Conv1d, Conv2d, ConvTranspose2d, and how they choose among the kernels.

The loops over images are in `kernels/convolution`; pooling is in `layers/pooling`.
"""

from .conv import Conv1d, Conv2d
from .conv_transpose import ConvTranspose2d
from .convolution import Convolution

__all__ = [
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Convolution",
]
