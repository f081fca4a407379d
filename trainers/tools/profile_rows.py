"""The rows of a profile: which line of a step's plan belongs to which module, and what it counts."""

from dataclasses import dataclass

import numpy as np

from ...modules.core.module import Module
from ...modules.display.costs import Shapes, count_bytes, count_flops
from ...modules.engine.stateful import Stateful
from ...modules.engine.stopwatch import Line
from ..rules import Rule
from ..training.compiled_step import CompiledStep

KINDS = ("augment", "module", "rule", "loss", "optimizer", "loop")


@dataclass
class Row:
    """A line of the table. `kind` is augment, module, rule, loss, optimizer or loop; counts are of one minibatch."""

    name: str
    kind: str
    forward: float = 0.0
    backward: float = 0.0
    flops: int = 0
    bytes: int = 0

    @property
    def seconds(self) -> float:
        """The seconds of both passes."""
        return self.forward + self.backward


def make_rows(step: CompiledStep, shapes: Shapes, unread: set, lines: list[Line], seconds: np.ndarray) -> list[Row]:
    """Sum the lines of a plan by module, in the order of the forward pass; then loss, optimizer and loop.

    What a learning rule does at a layer is a row of its own.
    """
    rows: dict[tuple[Stateful, ...], Row] = {}
    passes: dict[tuple[Stateful, ...], set[tuple[Stateful, int]]] = {}
    in_net = set(step.net.all_modules())
    for line, took in zip(lines, seconds, strict=True):
        copies = tuple(each for each in line.modules if isinstance(each, Rule))
        key = copies or (line.modules[:1] if line.modules[:1] == (step.optimizer,) else line.modules)
        row = rows.setdefault(key, Row(*name_row(key, step, in_net)))
        row.backward += took if line.backward else 0
        row.forward += 0 if line.backward else took
        if len(copies) < 2:  # several: they and their layers run some times, in a loop
            passes.setdefault(key, set()).update(list_passes(line))
    for key, row in rows.items():
        for inside, k in passes.get(key, ()):
            if inside in shapes and not inside.children_inside():
                row.flops += count_flops(inside, *shapes[inside], inside not in unread)[k]
                row.bytes += count_bytes(inside, *shapes[inside], inside not in unread)[k]
    return sorted(rows.values(), key=lambda row: KINDS.index(row.kind))


def list_passes(line: Line) -> set[tuple[Module, int]]:
    """List the modules that a line calls, and those inside them, with 0 for a forward and 1 for a backward pass."""
    modules = [module for module in line.modules if isinstance(module, Module)]
    inside = [each for module in modules for each in (module, *module.iterate_inside())]
    return {(each, k) for k, method in enumerate(("fprop", "bprop")) if method in line.text for each in inside}


def name_row(modules: tuple[Stateful, ...], step: CompiledStep, in_net: set) -> tuple[str, str]:
    """Name a row; returns its name and kind."""
    if not modules:
        return "gather, copy, loop", "loop"
    first = modules[0]
    if first in in_net:
        return " + ".join(name_module(module) for module in modules), "module"
    if first in step.augmentation.augments:
        return first.label(), "augment"
    if first is step.loss:
        return first.label(), "loss"
    if step.rule is not None:
        for layer, copy in step.rule.list_copies():
            if len(modules) > 1 and isinstance(first, Rule):
                return f"all layers by {first.label()}", "rule"
            if first is copy:
                return f"{name_module(layer)} by {copy.label()}", "rule"
            own = [each for each in vars(copy).values() if isinstance(each, Module)]
            if any(first is inside for each in own for inside in each.all_modules()):
                return f"{name_module(layer)} by {copy.label()}: {first.label()}", "rule"
    return first.label(), "optimizer"


def name_module(module) -> str:
    """Name a module of the net by its path and itself."""
    return f"{module.path().removeprefix('model')} {module.label()}".strip()
