"""PyTorch's database of optimizers: settings with which each is tried."""

from dataclasses import dataclass
from typing import Any

import torch
from bprop import trainers
from torch.testing._internal import common_optimizers

from .entry import Unsupported

HOW = ("foreach", "fused", "capturable", "differentiable")  # how PyTorch computes, not what


@dataclass
class OptimizerEntry:
    """PyTorch's class and the settings of one case."""

    name: str
    cls: type
    settings: dict[str, Any]


def read_optim_db():
    for info in common_optimizers.optim_db:
        for k, each in enumerate(info.optim_inputs_func(device="cpu")):
            yield OptimizerEntry(f"{info.optim_cls.__name__}[{k}] {each.desc}", info.optim_cls, dict(each.kwargs))


def translate_optimizer(entry: OptimizerEntry):
    """The optimizer here with the same settings; Unsupported names what is missing."""
    cls = getattr(trainers, entry.cls.__name__, None)
    if cls is None:
        raise Unsupported(f"optim.{entry.cls.__name__}")
    if cls is trainers.Muon:
        raise Unsupported("Muon of matrices alone, in bfloat16")
    settings = {name: value for name, value in entry.settings.items() if name not in HOW}
    for name in ("maximize", "line_search_fn"):
        if settings.pop(name, None):
            raise Unsupported(f"{name} of optim.{entry.cls.__name__}")
    if cls is trainers.AdamW:
        settings.setdefault("weight_decay", 0.01)
    settings = {name: as_number(value) for name, value in settings.items()}
    settings.setdefault("lr", default_lr(entry.cls))
    if cls is trainers.LBFGS:
        raise Unsupported("a step of LBFGS takes a closure in PyTorch, the whole data set here")
    return cls(decay="all", **settings)


def default_lr(cls):
    return float(cls([torch.zeros(1, requires_grad=True)]).defaults["lr"])


def as_number(value):
    if isinstance(value, torch.Tensor):
        return float(value)
    return tuple(map(as_number, value)) if isinstance(value, tuple | list) else value
