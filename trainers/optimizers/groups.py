"""Settings for some of a model's parameters, and the slices of the flat vector to which they apply.

A layout is made once, when an optimizer meets a model; the compiled step then walks over stretches of equal settings.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ...modules.core.module import Module
from .checks import check_not_negative, check_positive

OWN = -1.0  # in a layout: the optimizer's own setting holds
LARGEST = float(np.finfo(np.float32).max)


class Group:
    """Settings of the parameters whose name matches, in place of the optimizer's own.

    Where several groups match a parameter, the last one that gives a setting decides it.

    Args: match: a pattern of names such as `0.weight`, in which * stands for anything; module: only parameters of
        modules of this class, such as `Linear`; lr_factor: multiplies the learning rate; weight_decay, l1, max_norm:
        as for optimizers; frozen: whether the parameters stay as they are.
    Errors: ValueError for negative settings, and for finite ones that float32 does not hold; an optimizer refuses a
        group that matches no parameter of its model.
    """

    def __init__(
        self,
        match: str = "*",
        module: str | None = None,
        lr_factor: float | None = None,
        weight_decay: float | None = None,
        l1: float | None = None,
        max_norm: float | None = None,
        frozen: bool | None = None,
    ):
        settings = {"lr_factor": lr_factor, "weight_decay": weight_decay, "l1": l1}
        check_not_negative("Group", **{name: value for name, value in settings.items() if value is not None})
        if max_norm is not None:
            check_positive("Group", max_norm=max_norm)
        for name, value in {**settings, "max_norm": max_norm}.items():
            if value is not None and LARGEST < value < np.inf:
                raise ValueError(f"Group: {name} is {value}, expected at most {LARGEST:.2g}, the largest float32")
        self.match, self.module = match, module
        self.settings: dict[str, Any] = {**settings, "max_norm": max_norm, "frozen": frozen}
        self.settings = {name: value for name, value in self.settings.items() if value is not None}

    def fits(self, name: str, owner: Module) -> bool:
        """Whether the group contains the parameter `name` of module `owner`."""
        return fnmatchcase(name, self.match) and self.module in (None, *(c.__name__ for c in type(owner).__mro__))

    def __repr__(self) -> str:
        place = [repr(self.match)] if self.module is None else [repr(self.match), f"module={self.module!r}"]
        return f"Group({', '.join([*place, *(f'{name}={value}' for name, value in self.settings.items())])})"


@dataclass(frozen=True)
class Rule:
    """The settings of one parameter: OWN where the optimizer's applies."""

    lr_factor: float = 1.0
    weight_decay: float = OWN
    l1: float = OWN
    max_norm: float = OWN
    frozen: bool = False


def make_rules(owner: str, net: Module, groups: Sequence[Group], decay: str) -> Iterator[tuple[str, tuple, Rule]]:
    """Make (name, shape, rule) for each parameter, in the order of the flat vector.

    Errors: ValueError for a group that matches nothing, and for a max_norm of something that has no rows.
    """
    named = [
        (name, array, module) for (name, array), (module, _) in zip(net.named_parameters(), net._owners(), strict=True)
    ]
    for group in groups:
        if not any(group.fits(name, module) for name, _, module in named):
            known = ", ".join(f"{name} of {type(module).__name__}" for name, _, module in named[:8])
            raise ValueError(f"{owner}: {group} matches no parameter of the model, expected some of {known}")
    for name, array, module in named:
        weights = array.ndim > 1
        rule = Rule() if weights else Rule(max_norm=np.inf, weight_decay=OWN if decay == "all" else 0.0)
        for group in groups:
            if group.fits(name, module):
                rule = replace(rule, **group.settings)
                if "max_norm" in group.settings and not weights:
                    raise ValueError(f"{owner}: {group} matches {name} of shape {array.shape}, expected rows")
        yield name, array.shape, rule


@dataclass(frozen=True)
class Layout:
    """Slices of the flat vector: slice s is bounds[s]:bounds[s + 1]; its settings, OWN for the optimizer's.

    `blocks` are (begin, rows, columns) of the parameters whose rows have a largest norm, `caps` these norms.
    """

    bounds: np.ndarray
    factors: np.ndarray
    decays: np.ndarray
    l1s: np.ndarray
    blocks: np.ndarray
    caps: np.ndarray

    @classmethod
    def of(cls, parameters: Sequence[tuple[str, tuple, Rule]]) -> "Layout":
        bounds, blocks, caps = [0], [], []
        settings: list[tuple[float, float, float]] = []
        for _, shape, rule in parameters:
            size = math.prod(shape)
            setting = (0.0 if rule.frozen else rule.lr_factor, rule.weight_decay, rule.l1)
            if rule.max_norm < np.inf and not rule.frozen:
                blocks.append((bounds[-1], shape[0], size // shape[0]))
                caps.append(rule.max_norm)
            end = bounds[-1] + size
            if settings and settings[-1] == setting:
                bounds[-1] = end
            else:
                settings.append(setting)
                bounds.append(end)
        factors, decays, l1s = np.array(settings, np.float64).reshape(-1, 3).T.copy()
        whole = np.array(blocks, np.int64).reshape(-1, 3)
        return cls(np.array(bounds, np.int64), factors, decays, l1s, whole, np.array(caps, np.float64))
