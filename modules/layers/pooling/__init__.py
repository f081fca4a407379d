"""Pooling layers: maximum (`max_pool`) and average (`avg_pool`) over windows, forward and backward passes.

The search for the largest number of each window is a kernel, in `kernels/convolution`.
"""

from .adaptive import AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d
from .avg_pool import AvgPool1d, AvgPool2d
from .global_pool import GlobalAvgPool, GlobalMaxPool
from .max_pool import MaxPool1d, MaxPool2d
from .pooling import Pooling
from .pooling3d import AvgPool3d, MaxPool3d

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Pooling",
]
