"""Normalization layers: over the batch, over the features of a sample, over groups and neighbours of channels.

Statistics (moments) are kernels; standardisation of a whole data set is in `datasets`.
"""

from .batch_norm import BatchNorm1d
from .batch_norm2d import BatchNorm2d
from .group_norm import GroupNorm, InstanceNorm2d
from .layer_norm import LayerNorm, RMSNorm
from .local_response_norm import LocalResponseNorm
from .normalize import Normalize
from .standardize import Standardize

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "GroupNorm",
    "InstanceNorm2d",
    "LayerNorm",
    "LocalResponseNorm",
    "Normalize",
    "RMSNorm",
    "Standardize",
]
