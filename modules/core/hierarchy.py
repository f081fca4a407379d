"""The module hierarchy: parents, children and paths."""

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..engine.locks import join_locks
from ..engine.stateful import Stateful
from .sharing import retie

if TYPE_CHECKING:
    from .module import Module


class Hierarchy(Stateful):
    """The part of `Module` that knows its parent and its children by name, and paths such as `model[2].inner`."""

    framework_base = True

    def __init__(self):
        super().__init__()
        vars(self)["_modules"] = {}

    def _add_module(self, name: str, module: "Module") -> None:
        """Add a module as child `name`; ValueError if it has a parent already."""
        added = list(module.all_modules())
        if any(self is other for other in added):
            raise ValueError(f"{self.label()}: a module cannot contain itself")
        if module.parent is not None:
            raise ValueError(
                f"{module.label()} stands in a model already, at {module.path()}: its stored input would be "
                "overwritten; use module.copy() for one like it, module.share() for one with the same weights"
            )
        self._agree_on_dtype(name, module)
        join_locks(self, module)
        vars(module)["_parent"] = weakref.ref(self)
        self._modules[name] = module
        if any(each._tie is not None for each in added):
            retie(self.root())
        self.forget_plans()

    def _agree_on_dtype(self, name: str, module: "Module") -> None:
        """Convert this model and its new child `name` to one dtype; ValueError if that would round numbers.

        float64 is always somebody's choice: a float32 module without numbers of its own follows it, and so does one
        that joins a model on which `to("float64")` was called.
        """
        net = self.root()
        if module.dtype == net.dtype:
            return
        single, double = (net, module) if module.dtype == np.float64 else (module, net)
        if single.has_numbers() and not (single is module and net._chooses_dtype):
            problem = f"{type(self).__name__}: {name} is {module.label()} in {module.dtype}, expected {net.dtype}"
            raise ValueError(f"{problem} like the modules beside it; write .to({str(net.dtype)!r}) after it")
        single.take_dtype(double.dtype)

    def __getattr__(self, name: str):
        children = vars(self).get("_modules")
        if children is not None and name in children:
            return children[name]
        return super().__getattr__(name)

    def children(self) -> dict[str, "Module"]:
        """The modules directly inside this one, by name."""
        return dict(self._modules)

    def children_inside(self) -> dict[str, "Module"]:
        """Children that this module's own methods call (none of a container, which writes its plan itself)."""
        return self._modules

    def all_modules(self) -> Iterator["Module"]:
        """This module and all inside it, parents first."""
        yield self  # type: ignore[misc]
        for child in self._modules.values():
            yield from child.all_modules()

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """(name, module) for this module and all inside it."""
        yield prefix, self  # type: ignore[misc]
        for name, child in self._modules.items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def path(self) -> str:
        """The path of this module: `model`, `model[2]`, `model[2].inner`."""
        parent = self.parent
        if parent is None:
            return "model"
        name = next(name for name, child in parent._modules.items() if child is self)
        return parent.path() + (f"[{name}]" if name.isdigit() else f".{name}")

    def root(self) -> "Module":
        """The root of the hierarchy."""
        root: Module = self  # type: ignore[assignment]
        while root.parent is not None:
            root = root.parent  # type: ignore[assignment]
        return root

    def outline(self) -> str:
        outlines = [child.outline() for name, child in self._modules.items() if not name.startswith("_")]
        inside = ", ".join(outlines)
        return f"{type(self).__name__}({inside})" if inside else type(self).__name__

    def add_place(self, error: BaseException) -> None:
        """Add this module's path to an error as a note."""
        if self.parent is not None:
            error.add_note(f"in {self.path()}")

    def place_once(self, error: BaseException) -> None:
        """Add this module's path to an error, unless a module inside this one has added its own."""
        if not getattr(error, "__notes__", ()):
            self.add_place(error)
