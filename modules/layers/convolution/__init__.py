"""Convolutional layers of signals, images and volumes, transposed ones, and how they choose among the kernels.

The loops over images are in `kernels/convolution`; pooling is in `layers/pooling`.
"""

from .conv import Conv1d, Conv2d
from .conv3d import Conv3d
from .conv_transpose import ConvTranspose1d, ConvTranspose2d
from .convolution import Convolution
from .temporal import TemporalBlock, TemporalConvNet
from .unfold import Fold, Unfold

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Convolution",
    "Fold",
    "TemporalBlock",
    "TemporalConvNet",
    "Unfold",
]
