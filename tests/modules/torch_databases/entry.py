"""One case of a database: a module or loss of PyTorch and the arguments that it is called with."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn


class Unsupported(Exception):
    """Nothing here computes the same; the text names what is missing."""


@dataclass
class Entry:
    """`module(*arguments)` in PyTorch; where nothing here corresponds, `missing` says what."""

    name: str
    module: nn.Module | None = None
    arguments: tuple[Any, ...] = ()
    missing: str = ""
    names: dict[str, Any] = field(default_factory=dict)  # further arguments by name
