"""The core of modules: parameters and buffers, module hierarchy, weight sharing, training mode, shape checks.

Layers, containers and losses are built on it and are in folders of their own; how their methods are compiled is in
`engine`.
"""

from .initialize import initialize
from .module import Module
from .parameter import Buffer, Counter, Parameter

__all__ = [
    "Buffer",
    "Counter",
    "Module",
    "Parameter",
    "initialize",
]
