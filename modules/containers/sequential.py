"""The chain of modules: forward through the list, backward through it in reverse."""

from collections.abc import Iterator
from typing import overload

from ..core.module import Module
from ..core.type_errors import describe_wrong_type
from .container import Container
from .share import Share


class Sequential(Container):
    """A chain of modules: each gets the output of the one before.

        y      = fₖ(... f₂(f₁(x)))
        grad_x = J₁ᵀ J₂ᵀ ... Jₖᵀ grad_y

    Shapes: x that of the first module, y that of the last.
    Args: modules: at least none; each may stand in one model only. `Share(0)` in place of a module is one with the
        weights of the first, `Share(0, Linear(D, V))` a Linear with its weight.
    `net[i]` is a module, `net[i:j]` a Sequential of copies, `len(net)` their number, `net.append(module)` adds one,
    `net.summary(input_shape)` is a table of all of them.
    Errors: TypeError for an element that is no module; ValueError for a module that stands in a model already, and for
        a share of an unknown one; IndexError for an index beyond the last.
    Source: Goodfellow et al., Deep Learning, section 6.5.2, in the draft 6.4.1 (the chain rule for vectors,
        eq. 6.46).
    """

    framework_base = True

    def __init__(self, *modules: Module | Share):
        super().__init__()
        for index, module in enumerate(modules):
            self._insert(index, module)

    def append(self, module: Module | Share) -> "Sequential":
        """Add a module at the end; returns self. TypeError if it is not a Module, ValueError if it has a parent."""
        self._insert(len(self), module)
        return self

    def _insert(self, index: int, module: Module | Share) -> None:
        if isinstance(module, Share):
            module = module.make(self._find_shared(index, module.node))
        if not isinstance(module, Module):
            raise TypeError(f"Sequential: element {index} is {describe_wrong_type(module, 'a Module')}")
        self._add_module(str(index), module)

    def _find_shared(self, index: int, node: str | int) -> Module:
        """Find the module whose weights element `index` shares; ValueError if there is none before it."""
        own: Module | None = self
        for name in str(node).split("."):
            own = None if own is None else own.children().get(name)
        if own is None:
            known = ", ".join(self.children())
            problem = f"Sequential: element {index} shares the weights of {node!r}, which does not stand before it"
            raise ValueError(f"{problem}; known: {known}")
        return own

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
