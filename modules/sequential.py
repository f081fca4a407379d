"""The chain of modules: forward through the list, backward through it in reverse."""

import functools
from collections.abc import Iterator
from typing import overload

from .module import Module


class Sequential(Module):
    """Modules one after the other.

        y      = fₖ(... f₂(f₁(x)))
        grad_x = J₁ᵀ J₂ᵀ ... Jₖᵀ grad_y

    Args: modules: at least none; each may stand in one net only.
    `net[i]` is a module, `net[i:j]` a Sequential of copies, `len(net)` their number, `net.append(module)` adds one,
    `net.summary(input_shape)` is a table of all of them.
    Source: Goodfellow et al., Deep Learning, section 6.5.2 (the chain rule for vectors, eq. 6.46).
    """

    framework_base = True

    def __init__(self, *modules: Module):
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> "Sequential":
        """Add a module at the end; returns self. TypeError if it is not a Module, ValueError if it stands in a net."""
        if not isinstance(module, Module):
            hint = f"; write {module.__name__}(...)" if isinstance(module, type) else ""
            raise TypeError(f"Sequential: element {len(self)} is {module!r}, expected a Module{hint}")
        self._add_module(str(len(self)), module)
        return self

    def fprop(self, x):
        for module in self:
            x = module.fprop(x)
        return x

    def bprop(self, grad_y):
        for module in reversed(list(self)):
            grad_y = module.bprop(grad_y)
        return grad_y

    def write_fprop(self, operations, x):
        for module in self:
            x = operations.fprop(module, x)
        return x

    def write_bprop(self, operations, grad_y):
        for module in reversed(list(self)):
            grad_y = operations.bprop(module, grad_y)
        return grad_y

    def children_inside(self):
        return {f"m{name}": module for name, module in self._modules.items()}

    def compiled_methods(self):
        """The chain as two functions, for a module whose methods call a Sequential of its own."""
        names = tuple(self.children_inside())
        return {"fprop": fprop_chain(names), "bprop": bprop_chain(names)}

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        for module in self:
            try:
                input_shape = module.output_shape(tuple(input_shape))
            except Exception as error:
                module.place_once(error)
                raise
        return tuple(input_shape)

    def __len__(self) -> int:
        return sum(name.isdigit() for name in self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter([module for name, module in self._modules.items() if name.isdigit()])

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return Sequential(*(module.copy() for module in list(self)[index]))
        if not -len(self) <= index < len(self):
            raise IndexError(f"Sequential: index {index} of {len(self)} modules")
        return self._modules[str(index % len(self))]


@functools.cache
def fprop_chain(names: tuple[str, ...]):
    """The function (self, x) that sends x forward through the children of these names."""
    if not names:
        return lambda self, x: x
    before, last = fprop_chain(names[:-1]), names[-1]
    return lambda self, x: getattr(self, last).fprop(before(self, x))


@functools.cache
def bprop_chain(names: tuple[str, ...]):
    """The function (self, grad_y) that sends grad_y backward through the children of these names."""
    if not names:
        return lambda self, grad_y: grad_y
    before, last = bprop_chain(names[:-1]), names[-1]
    return lambda self, grad_y: before(self, getattr(self, last).bprop(grad_y))
