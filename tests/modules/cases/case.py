"""A row of the table of modules and losses on which every contract check runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from bprop.modules import Module

Reference = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """A module with the shape of an input, and a shape that it refuses with `message` (none: it takes any).

    `reference(module, x)` is its slow obvious twin in float64; `torch` the name of PyTorch's module, or a function of
    torch.nn that makes one (none: PyTorch has no such thing). Checks run with x = `domain`(standard normal numbers).
    """

    name: str
    make: Callable[[], Module]
    shape: tuple[int, ...]
    refused: tuple[int, ...] | None = None
    message: str = ""
    reference: Reference | None = None
    torch: str | Callable[[Any], Any] | None = None
    domain: Callable[[np.ndarray], np.ndarray] | None = None
    samples_apart: bool = True  # a sample's output depends on that sample alone
    least: int = 1  # samples in a minibatch

    def x(self, samples: int | None = None) -> np.ndarray:
        shape = self.shape if samples is None else (max(samples, self.least), *self.shape[1:])
        x = np.random.default_rng(len(self.name)).standard_normal(shape)
        return x if self.domain is None else self.domain(x)


@dataclass(frozen=True)
class LossCase:
    """A loss with the shape of an output y and a function that draws a target.

    `reference(loss, y, target)` is its twin in float64; `torch` the name of PyTorch's loss, or a function of torch.nn
    that makes one. The checks run with y = `domain`(standard normal numbers).
    """

    name: str
    make: Callable[[], Module]
    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    refused: tuple[tuple[int, ...], tuple[int, ...]]
    message: str
    reference: Reference | None = None
    torch: str | Callable[[Any], Any] | None = None
    domain: Callable[[np.ndarray], np.ndarray] | None = None

    def arguments(self, samples: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(len(self.name))
        shape = self.shape if samples is None else (samples, *self.shape[1:])
        y = random.standard_normal(shape)
        return y if self.domain is None else self.domain(y), self.draw(random, shape)
