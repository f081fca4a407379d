"""Pooling layers: maximum (`max_pool`) and average (`avg_pool`) over windows, forward and backward passes.

The search for the largest number of each window is a kernel, in `kernels/convolution`.
"""

from .avg_pool import AdaptiveAvgPool2d, AvgPool1d, AvgPool2d
from .max_pool import MaxPool1d, MaxPool2d
from .pooling import Pooling

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "Pooling",
]
