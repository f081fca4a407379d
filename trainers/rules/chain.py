"""The base of rules that give each layer of a chain activities or targets of its own."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...modules.containers.sequential import Sequential
from ...modules.core.module import Module
from ...modules.engine.operations import Operations
from .rule import Rule, align_arrays, infer_shapes, list_matrices


@dataclass
class Block:
    """A layer with weights, the modules after it up to the next such layer, and the copy of the rule between them."""

    layer: Module
    units: list[Module]
    copy: Any
    output_shape: tuple[int, ...] = ()

    def write_fprop(self, operations: Operations, x: str) -> str:
        """Write the forward pass of the layer and its units."""
        return self.write_units(operations, operations.fprop(self.layer, x))

    def write_bprop(self, operations: Operations, grad_y: str) -> str:
        """Write the backward pass of the units and the layer."""
        return operations.bprop(self.layer, self.write_units_back(operations, grad_y))

    def write_units(self, operations: Operations, x: str) -> str:
        """Write the forward pass of the units."""
        for unit in self.units:
            x = operations.fprop(unit, x)
        return x

    def write_units_back(self, operations: Operations, grad_y: str) -> str:
        """Write the backward pass of the units."""
        for unit in reversed(self.units):
            grad_y = operations.bprop(unit, grad_y)
        return grad_y


class ChainRule(Rule):
    """Base of rules for chains of layers, y = fₖ(... f₂(f₁(x))): each block fₗ is a layer with weights and its units.

    A subclass writes `write_step`, which lists the calls of a step, from `self.first`, the modules before the first
    layer, and `self.blocks`. A copy of the rule stands at each block: its compiled methods are called with the names of
    arrays, and `start` makes its own arrays.

    Args: seed: of the random numbers of `self.random()`.
    Errors: ValueError for a net that is no Sequential, or has no layer with weights.
    """

    framework_base = True
    not_copied = Rule.not_copied | {"_first", "_blocks"}

    def on_copy(self) -> None:
        super().on_copy()
        vars(self).update(_first=[], _blocks=[])

    @property
    def first(self) -> list[Module]:
        """The modules before the first layer with weights."""
        return self._first

    @property
    def blocks(self) -> list[Block]:
        """The blocks of the net, in order."""
        return self._blocks

    def make_copies(self, net: Module, x_shape: tuple[int, ...]) -> None:
        chain = flatten_chain(self, net)
        starts = [k for k, module in enumerate(chain) if has_weights(module)]
        if not starts:
            raise ValueError(f"{self.label()}: the model has no layer with weights")
        vars(self).update(_first=chain[: starts[0]], _blocks=[])
        operations = Operations()
        y = operations.fprop(net, "x")
        shape, shapes = tuple(x_shape), infer_shapes(operations.items, x_shape)
        outputs = int(np.prod(shapes[y][1:]))
        for module in self._first:
            shape = module.check_arguments(shape)
        for begin, end in zip(starts, [*starts[1:], len(chain)], strict=True):
            block = Block(chain[begin], chain[begin + 1 : end], self.make_copy(net, chain[begin]))
            before = shape
            for module in chain[begin:end]:
                shape = module.check_arguments(shape)
            block.output_shape = tuple(shape[1:])
            block.copy.start(block.layer, tuple(before[1:]), block.output_shape, outputs)
            align_arrays(block.copy)
            self._blocks.append(block)

    def write_first(self, operations: Operations, x: str) -> str:
        """Write the forward pass of the modules before the first layer."""
        for module in self._first:
            x = operations.fprop(module, x)
        return x

    def write_end(self, operations: Operations) -> None:
        """Write that from now on the bprop of all layers computes all."""
        for block in self._blocks:
            operations.call(block.copy, "ask_both", other=block.layer)


class Switches:
    """Compiled methods of a copy that say what the bprop of its layer computes."""

    def ask_grad_x(self, layer):
        """From now on the layer's bprop computes grad_x alone."""
        layer.needs_grad_x = True
        layer.needs_grad_parameters = False

    def ask_parameters(self, layer):
        """From now on the layer's bprop computes the gradients of its parameters alone."""
        layer.needs_grad_x = False
        layer.needs_grad_parameters = True

    def ask_both(self, layer):
        """From now on the layer's bprop computes all."""
        layer.needs_grad_x = True
        layer.needs_grad_parameters = True


def flatten_chain(rule: Rule, net: Module) -> list[Module]:
    """List the modules of nested Sequentials in order; ValueError for a net that is none."""
    if not isinstance(net, Sequential):
        raise ValueError(f"{rule.label()}: the model is a {type(net).__name__}, expected a Sequential")
    modules: list[Module] = []
    for module in net:
        modules += flatten_chain(rule, module) if isinstance(module, Sequential) else [module]
    return modules


def has_weights(module: Module) -> bool:
    """Whether a module, or one inside it, has a weight matrix."""
    return any(list_matrices(each) for each in module.all_modules())
