"""Normalization layers: over the batch, over the features of a sample, over groups and neighbours of channels.

Statistics (moments) are kernels; standardisation of a whole data set is in `datasets`.
"""

from .batch_norm import BatchNorm1d
from .batch_norm2d import BatchNorm2d, BatchNorm3d
from .group_norm import GroupNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from .layer_norm import LayerNorm, RMSNorm
from .local_response_norm import LocalResponseNorm
from .normalize import Normalize
from .standardize import Standardize

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "Normalize",
    "RMSNorm",
    "Standardize",
]
