"""Pooling layers: maximum and average over windows, with their backward passes.

The loops over windows are in `kernels/convolution/pooling` and `max_pooling`.
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
