"""Padding layers: constants, reflections, copies of the edge or the other end, around images and signals.

Convolutions pad by themselves (`padding`, `padding_mode`); the tables of places are a kernel, in `kernels/rearrange`.
"""

from .constant import ConstantPad1d, ConstantPad2d, ZeroPad1d, ZeroPad2d
from .edges import CircularPad1d, CircularPad2d, ReflectionPad1d, ReflectionPad2d, ReplicationPad1d, ReplicationPad2d

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ZeroPad1d",
    "ZeroPad2d",
]
