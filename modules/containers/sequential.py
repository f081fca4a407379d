"""The chain of modules: forward through the list, backward through it in reverse."""

from collections.abc import Iterator
from typing import overload

from ..core.module import Module
from ..core.type_errors import describe_wrong_type
from .container import Container


class Sequential(Container):
    """A chain of modules: each gets the output of the one before.

        y      = fₖ(... f₂(f₁(x)))
        grad_x = J₁ᵀ J₂ᵀ ... Jₖᵀ grad_y

    Args: modules: at least none; each may stand in one model only.
    `net[i]` is a module, `net[i:j]` a Sequential of copies, `len(net)` their number, `net.append(module)` adds one,
    `net.summary(input_shape)` is a table of all of them.
    Source: Goodfellow et al., Deep Learning, section 6.5.2, in the draft 6.4.1 (the chain rule for vectors,
        eq. 6.46).
    """

    framework_base = True

    def __init__(self, *modules: Module):
        super().__init__()
        for index, module in enumerate(modules):
            self._insert(index, module)

    def append(self, module: Module) -> "Sequential":
        """Add a module at the end; returns self. TypeError if it is not a Module, ValueError if it has a parent."""
        self._insert(len(self), module)
        return self

    def _insert(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"Sequential: element {index} is {describe_wrong_type(module, 'a Module')}")
        self._add_module(str(index), module)

    def call_fprop(self, call, x):
        for module in self:
            x = call(module, "fprop", x)
        return x

    def call_bprop(self, call, grad_y):
        for module in reversed(list(self)):
            grad_y = call(module, "bprop", grad_y)
        return grad_y

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
